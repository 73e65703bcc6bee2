"""Rainbow: six improvements of DQN in one agent (Hessel et al. 2018, https://arxiv.org/abs/1710.02298).

In the loop of `q_learning.py`, each a field that can be switched off:

    distributional   C51's loss on probabilities of fixed returns         Bellemare et al. 2017
    double           the online network chooses the next action           van Hasselt et al. 2016
    n_step           targets of three rewards                             Sutton 1988
    dueling          p(s, a) from a value and an advantage, atom by atom  Wang et al. 2016
    prioritized      replay by KL(p' || p)^0.5, beta from 0.4 to 1        Schaul et al. 2016
    noisy            exploration by noise on the weights                  Fortunato et al. 2018

Without all of them it is DQN; a test holds the two losses and gradients equal.
"""

from typing import Any

import jax

from jaxrl.algorithms.value_based import q_learning
from jaxrl.algorithms.value_based.c51 import categorical_loss
from jaxrl.algorithms.value_based.dqn import dqn_loss
from jaxrl.algorithms.value_based.q_learning import Losses, QSettings, State
from jaxrl.components.q_networks import QNetwork
from jaxrl.components.replay import Batch
from jaxrl.components.value_distributions import Categorical, Expected
from jaxrl.components.value_policies import ValuePolicy
from jaxrl.metrics import Metrics
from jaxrl.pytree import Scalar, dataclass, hyperparameter, static


@dataclass
class Rainbow(QSettings):
    """Rainbow for discrete actions, masked or not; the range of returns is the task's, and the defaults are Atari's."""

    distributional: bool = static(True)
    """Learn the distribution of returns, as C51 does."""
    double: bool = static(True)
    dueling: bool = static(True)
    n_step: int = static(3, minimum=1)
    prioritized: bool = static(True)
    noisy: bool = static(True)

    num_atoms: int = static(51, minimum=2)  # K
    value_min: Scalar = hyperparameter(-10.0)
    """The least return that is told apart from a lesser one."""
    value_max: Scalar = hyperparameter(10.0)
    priority_exponent: Scalar = hyperparameter(0.5, minimum=0)  # omega
    huber_delta: Scalar | None = hyperparameter(None, above=0)
    """Without `distributional`: errors beyond it count linearly; None for the squared loss."""

    def check(self) -> None:
        """Refuse spaces that no network here fits, a replay that is too small, and an empty range of returns."""
        q_learning.check(self)
        self.to_values  # noqa: B018  # building it checks the range

    @property
    def steps_per_iteration(self) -> int:
        return self.num_envs * self.num_steps

    @property
    def network(self) -> QNetwork:
        return q_learning.q_network(self, self.num_atoms if self.distributional else None)

    @property
    def returns(self) -> Categorical:
        return Categorical(self.value_min, self.value_max, self.num_atoms)

    @property
    def to_values(self) -> Categorical | Expected:
        return self.returns if self.distributional else Expected()

    def init(self, key: jax.Array) -> State:
        return q_learning.init(self, key)

    def step(self, key: jax.Array, state: State, iteration: jax.Array) -> tuple[State, Metrics]:
        return q_learning.step(self, key, state, iteration)

    def policy(self, state: State, greedy: bool = True) -> ValuePolicy:
        return q_learning.policy(self, state, greedy)

    def loss(self, params: Any, target_params: Any, batch: Batch, key: jax.Array) -> Losses:
        """C51's loss of each window [B], or DQN's."""
        if self.distributional:
            return categorical_loss(self, self.returns, params, target_params, batch, key)
        return dqn_loss(self, params, target_params, batch, key)
