"""Deep Q-learning (Mnih et al. 2015, "Human-level control through deep reinforcement learning").

In the loop of `q_learning.py`, on windows of n steps:

    y    = r + gamma^n (1 - terminated) Q_target(next_obs, a*)
           a* = argmax Q_target(next_obs, .), or argmax Q(next_obs, .) if `double`
    loss = Huber(Q(obs, action) - y)

Fields switch on double Q-learning (van Hasselt et al. 2016), dueling heads (Wang et al. 2016), targets of n steps,
prioritized replay (Schaul et al. 2016) and noisy layers (Fortunato et al. 2018).
"""

from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp

from jaxrl.algorithms.value_based import q_learning
from jaxrl.algorithms.value_based.q_learning import Losses, QSettings, State
from jaxrl.components import value_losses as losses
from jaxrl.components.exploration import greedy_action
from jaxrl.components.policies import action_mask
from jaxrl.components.q_networks import QNetwork
from jaxrl.components.replay import Batch
from jaxrl.components.value_distributions import Expected
from jaxrl.components.value_policies import ValuePolicy
from jaxrl.metrics import Metrics
from jaxrl.pytree import Scalar, dataclass, hyperparameter

if TYPE_CHECKING:
    from jaxrl.algorithms.value_based.rainbow import Rainbow


@dataclass
class DQN(QSettings):
    """DQN for discrete actions, masked or not; the defaults solve CartPole-v1."""

    huber_delta: Scalar | None = hyperparameter(None, above=0)
    """Errors beyond it count linearly; None for the squared loss."""

    def check(self) -> None:
        """Refuse spaces that no network here fits, and a replay that is too small."""
        q_learning.check(self)

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
        """The Huber or squared loss of each window [B]."""
        return dqn_loss(self, params, target_params, batch, key)


def dqn_loss(agent: "DQN | Rainbow", params: Any, target_params: Any, batch: Batch, key: jax.Array) -> Losses:
    """The TD error of each window [B], and its Huber or squared loss."""
    online_key, target_key, selector_key = jax.random.split(key, 3)
    next_values = q_learning.outputs(agent, target_params, batch.next_obs, target_key)
    selector = q_learning.outputs(agent, params, batch.next_obs, selector_key) if agent.double else next_values
    next_action = greedy_action(selector, action_mask(batch.next_obs))
    target = losses.td_target(batch.reward, batch.discount, losses.pick(next_values, next_action))
    value = losses.pick(q_learning.outputs(agent, params, batch.obs, online_key), batch.action)
    error = value - jax.lax.stop_gradient(target)
    return Losses(losses.huber(error, agent.huber_delta), jnp.abs(error), value)
