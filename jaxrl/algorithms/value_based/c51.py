"""Categorical DQN, or C51 (Bellemare et al. 2017, https://arxiv.org/abs/1707.06887).

In the loop of `q_learning.py`, with the probabilities p(s, a) of K fixed returns z in place of Q(s, a) = sum_i z_i p_i:

    a*   = argmax_a Q_target(next_obs, a), or argmax_a Q(next_obs, a) if `double`
    p'   = the distribution of r + gamma^n (1 - terminated) z under p_target(next_obs, a*), projected on the returns z
    loss = -sum_i p'_i log p_i(obs, action)

After a termination all of p' lies at r. A transition's error, by which a prioritized replay draws it, is the divergence
KL(p' || p) (Hessel et al. 2018).
"""

from typing import TYPE_CHECKING, Any, TypeAlias

import jax
import jax.numpy as jnp

from jaxrl.algorithms.value_based import q_learning
from jaxrl.algorithms.value_based.q_learning import Losses, QSettings, State
from jaxrl.components import value_losses as losses
from jaxrl.components.exploration import greedy_action
from jaxrl.components.policies import action_mask
from jaxrl.components.q_networks import QNetwork
from jaxrl.components.replay import Batch
from jaxrl.components.value_distributions import Categorical
from jaxrl.components.value_policies import ValuePolicy
from jaxrl.metrics import Metrics
from jaxrl.pytree import Scalar, dataclass, hyperparameter, static

if TYPE_CHECKING:
    from jaxrl.algorithms.value_based.rainbow import Rainbow

AnyC51: TypeAlias = "C51 | Rainbow"
"""The two forms whose loss is the same."""


@dataclass
class C51(QSettings):
    """C51 for discrete actions, masked or not; the range of returns is the task's, and the defaults are Atari's."""

    num_atoms: int = static(51, minimum=2)  # K
    value_min: Scalar = hyperparameter(-10.0)
    """The least return that is told apart from a lesser one."""
    value_max: Scalar = hyperparameter(10.0)

    def check(self) -> None:
        """Refuse spaces that no network here fits, a replay that is too small, and an empty range of returns."""
        q_learning.check(self)
        self.to_values  # noqa: B018  # building it checks the range

    @property
    def steps_per_iteration(self) -> int:
        return self.num_envs * self.num_steps

    @property
    def network(self) -> QNetwork:
        return q_learning.q_network(self, self.num_atoms)

    @property
    def to_values(self) -> Categorical:
        return Categorical(self.value_min, self.value_max, self.num_atoms)

    def init(self, key: jax.Array) -> State:
        return q_learning.init(self, key)

    def step(self, key: jax.Array, state: State, iteration: jax.Array) -> tuple[State, Metrics]:
        return q_learning.step(self, key, state, iteration)

    def policy(self, state: State, greedy: bool = True) -> ValuePolicy:
        return q_learning.policy(self, state, greedy)

    def loss(self, params: Any, target_params: Any, batch: Batch, key: jax.Array) -> Losses:
        """The cross-entropy of each window [B]."""
        return categorical_loss(self, self.to_values, params, target_params, batch, key)


def categorical_loss(
    agent: AnyC51, form: Categorical, params: Any, target_params: Any, batch: Batch, key: jax.Array
) -> Losses:
    """The cross-entropy of each window [B] from its projected target."""
    online_key, target_key, selector_key = jax.random.split(key, 3)
    next_logits = q_learning.outputs(agent, target_params, batch.next_obs, target_key)
    selector = q_learning.outputs(agent, params, batch.next_obs, selector_key) if agent.double else next_logits
    next_action = greedy_action(form(selector), action_mask(batch.next_obs))
    next_probabilities = jax.nn.softmax(losses.pick(next_logits, next_action))
    target = jax.lax.stop_gradient(form.project(next_probabilities, batch.reward, batch.discount))
    logits = losses.pick(q_learning.outputs(agent, params, batch.obs, online_key), batch.action)
    cross_entropy = form.cross_entropy(target, logits)
    divergence = cross_entropy - jax.scipy.special.entr(target).sum(axis=-1)
    return Losses(cross_entropy, jnp.maximum(divergence, 0.0), form(logits))
