"""Quantile-regression DQN (Dabney et al. 2018, https://arxiv.org/abs/1710.10044).

In the loop of `q_learning.py`, with K quantiles theta_i(s, a) of the return, at the fractions tau_i = (i + 0.5) / K:

    Q(s, a)  = mean_i theta_i(s, a)
    a*       = argmax_a Q_target(next_obs, a), or argmax_a Q(next_obs, a) if `double`
    target_j = r + gamma^n (1 - terminated) theta_target_j(next_obs, a*)
    loss     = sum_i mean_j |tau_i - 1{u_ij < 0}| Huber(u_ij),   u_ij = target_j - theta_i(obs, action)

A transition's error, by which a prioritized replay draws it, is its loss.
"""

from typing import Any

import jax
import jax.numpy as jnp

from jaxrl.algorithms.value_based import q_learning
from jaxrl.algorithms.value_based.q_learning import Losses, QSettings, State
from jaxrl.components import value_losses as losses
from jaxrl.components.exploration import greedy_action
from jaxrl.components.policies import action_mask
from jaxrl.components.q_networks import QNetwork
from jaxrl.components.replay import Batch
from jaxrl.components.value_distributions import Quantiles, midpoints, quantile_huber_loss, quantile_targets
from jaxrl.components.value_policies import ValuePolicy
from jaxrl.metrics import Metrics
from jaxrl.pytree import Scalar, dataclass, hyperparameter, static


@dataclass
class QRDQN(QSettings):
    """QR-DQN for discrete actions, masked or not."""

    num_quantiles: int = static(50, minimum=1)  # K
    huber_delta: Scalar = hyperparameter(1.0, above=0)  # kappa
    """Errors beyond it count linearly; the loss is divided by it."""

    def check(self) -> None:
        """Refuse spaces that no network here fits, and a replay that is too small."""
        q_learning.check(self)

    @property
    def steps_per_iteration(self) -> int:
        return self.num_envs * self.num_steps

    @property
    def network(self) -> QNetwork:
        return q_learning.q_network(self, self.num_quantiles)

    @property
    def to_values(self) -> Quantiles:
        return Quantiles()

    def init(self, key: jax.Array) -> State:
        return q_learning.init(self, key)

    def step(self, key: jax.Array, state: State, iteration: jax.Array) -> tuple[State, Metrics]:
        return q_learning.step(self, key, state, iteration)

    def policy(self, state: State, greedy: bool = True) -> ValuePolicy:
        return q_learning.policy(self, state, greedy)

    def loss(self, params: Any, target_params: Any, batch: Batch, key: jax.Array) -> Losses:
        """The quantile Huber loss of each window [B]."""
        online_key, target_key, selector_key = jax.random.split(key, 3)
        next_quantiles = q_learning.outputs(self, target_params, batch.next_obs, target_key)
        selector = q_learning.outputs(self, params, batch.next_obs, selector_key) if self.double else next_quantiles
        next_action = greedy_action(self.to_values(selector), action_mask(batch.next_obs))
        target = quantile_targets(batch.reward, batch.discount, losses.pick(next_quantiles, next_action))
        quantiles = losses.pick(q_learning.outputs(self, params, batch.obs, online_key), batch.action)
        fractions = jnp.broadcast_to(midpoints(self.num_quantiles), quantiles.shape)
        loss = quantile_huber_loss(quantiles, fractions, jax.lax.stop_gradient(target), self.huber_delta)
        return Losses(loss, loss, self.to_values(quantiles))
