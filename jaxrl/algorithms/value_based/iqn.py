"""Implicit quantile networks (Dabney et al. 2018, https://arxiv.org/abs/1806.06923).

In the loop of `q_learning.py`, with a network that gives the quantile Z_tau(s, a) of the return at any fraction tau:

    Q(s, a)  = mean over K fractions tau of Z_tau(s, a)
    a*       = argmax_a Q_target(next_obs, a), or argmax_a Q(next_obs, a) if `double`
    target_j = r + gamma^n (1 - terminated) Z_target_tau'_j(next_obs, a*)    tau'_j ~ U(0, 1), j = 1 .. N'
    loss     = sum_i mean_j |tau_i - 1{u_ij < 0}| Huber(u_ij),               tau_i  ~ U(0, 1), i = 1 .. N
               u_ij = target_j - Z_tau_i(obs, action)

Fractions are drawn anew in every application of the network, but for greedy acting, where they are the midpoints
(i + 0.5) / K: a policy that is evaluated does not depend on luck. A transition's error, by which a prioritized replay
draws it, is its loss.
"""

from typing import Any

import jax

from jaxrl.algorithms.value_based import q_learning
from jaxrl.algorithms.value_based.q_learning import Losses, QSettings, State
from jaxrl.components import value_losses as losses
from jaxrl.components.exploration import greedy_action, num_actions
from jaxrl.components.policies import action_mask
from jaxrl.components.q_networks import ImplicitQNetwork
from jaxrl.components.replay import Batch
from jaxrl.components.value_distributions import Quantiles, quantile_huber_loss, quantile_targets
from jaxrl.components.value_policies import ValuePolicy
from jaxrl.metrics import Metrics
from jaxrl.pytree import Scalar, dataclass, hyperparameter, static


@dataclass
class IQN(QSettings):
    """IQN for discrete actions, masked or not."""

    num_fractions: int = static(64, minimum=1)  # N
    """Quantiles that a gradient step learns."""
    num_target_fractions: int = static(64, minimum=1)  # N'
    """Quantiles that each of them is compared with."""
    num_acting_fractions: int = static(32, minimum=1)  # K
    """Quantiles whose mean chooses an action."""
    num_cosines: int = static(64, minimum=1)  # n
    huber_delta: Scalar = hyperparameter(1.0, above=0)  # kappa
    """Errors beyond it count linearly; the loss is divided by it."""

    def check(self) -> None:
        """Refuse spaces that no network here fits, and a replay that is too small."""
        q_learning.check(self)

    @property
    def steps_per_iteration(self) -> int:
        return self.num_envs * self.num_steps

    @property
    def network(self) -> ImplicitQNetwork:
        return ImplicitQNetwork(
            q_learning.torso(self),
            num_actions(self.env.action_space),
            num_cosines=self.num_cosines,
            dueling=self.dueling,
            noisy_sigma=q_learning.sigma_of(self),
            gain=self.head_gain,
            num_fractions=self.num_acting_fractions,
        )

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
        online_key, target_key, selector_key, fractions_key = jax.random.split(key, 4)
        batch_size = batch.reward.shape[0]
        fractions, target_fractions, selector_fractions = (
            drawn_fractions(key, batch_size, num)
            for key, num in zip(
                jax.random.split(fractions_key, 3),
                (self.num_fractions, self.num_target_fractions, self.num_acting_fractions),
                strict=True,
            )
        )
        selector = q_learning.outputs(
            self, params if self.double else target_params, batch.next_obs, selector_key, selector_fractions
        )
        next_action = greedy_action(self.to_values(selector), action_mask(batch.next_obs))
        next_quantiles = q_learning.outputs(self, target_params, batch.next_obs, target_key, target_fractions)
        target = quantile_targets(batch.reward, batch.discount, losses.pick(next_quantiles, next_action))
        outputs = q_learning.outputs(self, params, batch.obs, online_key, fractions)
        quantiles = losses.pick(outputs, batch.action)
        loss = quantile_huber_loss(quantiles, fractions, jax.lax.stop_gradient(target), self.huber_delta)
        return Losses(loss, loss, self.to_values(quantiles))


def drawn_fractions(key: jax.Array, batch_size: int, num_fractions: int) -> jax.Array:
    """U(0, 1), [B, num_fractions]: fractions of its own for each transition."""
    return jax.random.uniform(key, (batch_size, num_fractions))
