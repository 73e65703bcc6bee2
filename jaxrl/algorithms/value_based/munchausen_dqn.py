"""Munchausen DQN (Vieillard et al. 2020, "Munchausen reinforcement learning", https://arxiv.org/abs/2007.14430).

In the loop of `q_learning.py`, with the policy of the target network, pi = softmax(Q_target / tau):

    y    = r + alpha [tau log pi(action|obs)] clipped to [l_0, 0]
             + gamma (1 - terminated) sum_a pi(a|next_obs) (Q_target(next_obs, a) - tau log pi(a|next_obs))
    loss = Huber(Q(obs, action) - y)

The sum is tau log sum_a exp(Q_target / tau), which is how it is computed. With alpha = 0 this is soft Q-learning, and
DQN in the limit of tau = 0.
"""

from typing import Any

import jax
import jax.numpy as jnp

from jaxrl.algorithms.value_based import q_learning
from jaxrl.algorithms.value_based.q_learning import Losses, QSettings, State
from jaxrl.components import value_losses as losses
from jaxrl.components.policies import action_mask
from jaxrl.components.q_networks import QNetwork
from jaxrl.components.replay import Batch
from jaxrl.components.value_distributions import Expected
from jaxrl.components.value_policies import ValuePolicy
from jaxrl.metrics import Metrics
from jaxrl.pytree import Scalar, dataclass, hyperparameter


@dataclass
class MunchausenDQN(QSettings):
    """Munchausen DQN for discrete actions, masked or not."""

    huber_delta: Scalar | None = hyperparameter(None, above=0)
    """Errors beyond it count linearly; None for the squared loss."""
    temperature: Scalar = hyperparameter(0.03, above=0)  # tau
    bonus_coefficient: Scalar = hyperparameter(0.9, minimum=0, maximum=1)  # alpha
    bonus_min: Scalar = hyperparameter(-1.0)  # l_0

    def check(self) -> None:
        """Refuse what DQN refuses, and what the method leaves no place for."""
        q_learning.check(self)
        if self.double:
            raise ValueError(
                "MunchausenDQN.double must be False, got True: its target averages over the policy of the target "
                "network and takes no maximum that two networks could share. Use DQN for double Q-learning."
            )
        if self.n_step > 1:
            raise ValueError(
                f"MunchausenDQN.n_step must be 1, got {self.n_step}: every reward has a bonus of its own, and a window "
                "keeps the sum of its rewards alone. Use DQN or Rainbow for targets of several steps."
            )

    @property
    def steps_per_iteration(self) -> int:
        return self.num_envs * self.num_steps

    @property
    def network(self) -> QNetwork:
        return q_learning.q_network(self)

    @property
    def to_values(self) -> Expected:
        return Expected()

    def init(self, key: jax.Array) -> State:
        return q_learning.init(self, key)

    def step(self, key: jax.Array, state: State, iteration: jax.Array) -> tuple[State, Metrics]:
        return q_learning.step(self, key, state, iteration)

    def policy(self, state: State, greedy: bool = True) -> ValuePolicy:
        return q_learning.policy(self, state, greedy)

    def loss(self, params: Any, target_params: Any, batch: Batch, key: jax.Array) -> Losses:
        """The error of each transition [B], and its Huber or squared loss."""
        online_key, target_key = jax.random.split(key)
        target_values, next_values = (
            q_learning.outputs(self, target_params, obs, target_key) for obs in (batch.obs, batch.next_obs)
        )
        bonus = losses.munchausen_bonus(
            target_values, batch.action, self.temperature, self.bonus_min, action_mask(batch.obs)
        )
        next_value = losses.soft_value(next_values, self.temperature, action_mask(batch.next_obs))
        target = losses.td_target(batch.reward + self.bonus_coefficient * bonus, batch.discount, next_value)
        value = losses.pick(q_learning.outputs(self, params, batch.obs, online_key), batch.action)
        error = value - jax.lax.stop_gradient(target)
        return Losses(losses.huber(error, self.huber_delta), jnp.abs(error), value)
