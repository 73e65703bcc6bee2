"""Probe environments: tiny tasks with known answers, which tell what part of an algorithm is broken.

Each gives `value(obs, discount)`, the optimal value of what is observed, and `best_action(obs)`, None where all are
equal; both take any leading axes. `shown` are observations to ask about, in the order of an episode where there is one,
`first` says which begin one, and `part` what is broken where the answers are wrong. `jaxrl.check_algorithm` trains an
algorithm on all of them and compares.

They are registered as "Probe/ConstantReward-v0" with two discrete actions and "Probe/ConstantRewardContinuous-v0"
with actions in [-2, 2], and so on. After Andy Jones, "Debugging RL, without the agonizing pain" (2021).
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl.pytree import Scalar, dataclass, hyperparameter, static

from .environment import TimeStep
from .spaces import Box, Discrete, Space


@dataclass
class ProbeState:
    """Where a probe stands."""

    obs: jax.Array
    """float32 [1]: the first observation."""
    time: jax.Array
    """int32 []: steps taken in this episode."""


@dataclass
class ConstantReward:
    """One step, reward 1. V = 1: the value loss and its optimizer work."""

    continuous: bool = static(default=False)

    observation_space = Box(0.0, 0.0, (1,))
    shown, first = np.array([[0.0]], np.float32), np.array([True])
    part = "the value loss and its optimizer"

    @property
    def action_space(self) -> Space:
        return _action_space(self.continuous)

    def reset(self, key: jax.Array) -> tuple[ProbeState, jax.Array]:
        return _begin(jnp.zeros(1))

    def step(self, key: jax.Array, state: ProbeState, action: Any) -> tuple[ProbeState, TimeStep]:
        return _end(state, jnp.float32(1.0))

    def value(self, obs: jax.Array, discount: Scalar) -> jax.Array:
        return jnp.ones(obs.shape[:-1])

    def best_action(self, obs: jax.Array) -> None:
        return None  # all are equal


@dataclass
class ObservationReward:
    """One step; the observation is -1 or 1, and so is the reward. V(obs) = obs: the network sees its input."""

    continuous: bool = static(default=False)

    observation_space = Box(-1.0, 1.0, (1,))
    shown, first = np.array([[-1.0], [1.0]], np.float32), np.array([True, True])
    part = "what the value network is shown"

    @property
    def action_space(self) -> Space:
        return _action_space(self.continuous)

    def reset(self, key: jax.Array) -> tuple[ProbeState, jax.Array]:
        return _begin(jax.random.rademacher(key, (1,), jnp.float32))

    def step(self, key: jax.Array, state: ProbeState, action: Any) -> tuple[ProbeState, TimeStep]:
        return _end(state, state.obs[0])

    def value(self, obs: jax.Array, discount: Scalar) -> jax.Array:
        return obs[..., 0]

    def best_action(self, obs: jax.Array) -> None:
        return None  # all are equal


@dataclass
class DelayedReward:
    """Two steps, observed as 0 and 1; reward 1 at the second. V(0) = discount, V(1) = 1: the discounting works."""

    continuous: bool = static(default=False)

    observation_space = Box(0.0, 2.0, (1,))
    shown, first = np.array([[0.0], [1.0]], np.float32), np.array([True, False])
    part = "the discounting and the bootstrap"

    @property
    def action_space(self) -> Space:
        return _action_space(self.continuous)

    def reset(self, key: jax.Array) -> tuple[ProbeState, jax.Array]:
        return _begin(jnp.zeros(1))

    def step(self, key: jax.Array, state: ProbeState, action: Any) -> tuple[ProbeState, TimeStep]:
        time = state.time + 1
        obs = time.astype(jnp.float32)[None]
        return ProbeState(obs=obs, time=time), _answer(obs, (time == 2).astype(jnp.float32), terminated=time >= 2)

    def value(self, obs: jax.Array, discount: Scalar) -> jax.Array:
        return jnp.where(obs[..., 0] == 0.0, discount, 1.0)

    def best_action(self, obs: jax.Array) -> None:
        return None  # all are equal


@dataclass
class ActionReward:
    """One step, the reward follows the action alone: the policy's loss works.

    Discrete: action 1 gives 1, action 0 gives -1; V = 1. Continuous: -(action - target)^2; V = 0.
    """

    continuous: bool = static(default=False)
    target: Scalar = hyperparameter(default=0.5, minimum=-1.0, maximum=1.0)

    observation_space = Box(0.0, 0.0, (1,))
    shown, first = np.array([[0.0]], np.float32), np.array([True])
    part = "the loss of the policy"

    @property
    def action_space(self) -> Space:
        return _action_space(self.continuous)

    def reset(self, key: jax.Array) -> tuple[ProbeState, jax.Array]:
        return _begin(jnp.zeros(1))

    def step(self, key: jax.Array, state: ProbeState, action: Any) -> tuple[ProbeState, TimeStep]:
        return _end(state, _reward(action, self.best_action(state.obs), self.continuous))

    def value(self, obs: jax.Array, discount: Scalar) -> jax.Array:
        return jnp.full(obs.shape[:-1], 0.0 if self.continuous else 1.0)

    def best_action(self, obs: jax.Array) -> jax.Array:
        return jnp.full_like(obs, self.target) if self.continuous else jnp.ones(obs.shape[:-1], jnp.int32)


@dataclass
class MatchObservation:
    """One step, the reward follows the action and the observation: policy and value see the same input.

    Discrete: the observation is -1 or 1, and action 0 or 1 of the same sign gives 1, the other -1; V = 1.
    Continuous: the observation is uniform in [-1, 1], the reward -(action - observation)^2; V = 0.
    """

    continuous: bool = static(default=False)

    observation_space = Box(-1.0, 1.0, (1,))
    shown, first = np.array([[-1.0], [1.0]], np.float32), np.array([True, True])
    part = "what the policy is shown"

    @property
    def action_space(self) -> Space:
        return _action_space(self.continuous)

    def reset(self, key: jax.Array) -> tuple[ProbeState, jax.Array]:
        if self.continuous:
            return _begin(jax.random.uniform(key, (1,), jnp.float32, -1.0, 1.0))
        return _begin(jax.random.rademacher(key, (1,), jnp.float32))

    def step(self, key: jax.Array, state: ProbeState, action: Any) -> tuple[ProbeState, TimeStep]:
        return _end(state, _reward(action, self.best_action(state.obs), self.continuous))

    def value(self, obs: jax.Array, discount: Scalar) -> jax.Array:
        return jnp.full(obs.shape[:-1], 0.0 if self.continuous else 1.0)

    def best_action(self, obs: jax.Array) -> jax.Array:
        return obs if self.continuous else (obs[..., 0] > 0).astype(jnp.int32)


@dataclass
class InfiniteHorizon:
    """Four states in a circle, reward 1 at every step, no end but a time limit of 8 steps.

    V = 1 / (1 - discount), 50 at a discount of 0.98, where a truncation bootstraps; far less where it is taken for
    an end. As in the `test_infinite_horizon` of Stable-Baselines3.
    """

    continuous: bool = static(default=False)

    observation_space = Box(0.0, 1.0, (4,))
    shown, first = np.eye(4, dtype=np.float32), np.array([True, False, False, False])
    part = "the bootstrap where a time limit cuts an episode"

    @property
    def action_space(self) -> Space:
        return _action_space(self.continuous)

    def reset(self, key: jax.Array) -> tuple[ProbeState, jax.Array]:
        return _begin(jax.nn.one_hot(0, 4))

    def step(self, key: jax.Array, state: ProbeState, action: Any) -> tuple[ProbeState, TimeStep]:
        time = state.time + 1
        obs = jax.nn.one_hot(time % 4, 4)
        return ProbeState(obs=obs, time=time), _answer(obs, jnp.float32(1.0), truncated=time >= 8)

    def value(self, obs: jax.Array, discount: Scalar) -> jax.Array:
        return jnp.full(obs.shape[:-1], 1.0 / (1.0 - discount))

    def best_action(self, obs: jax.Array) -> None:
        return None  # all are equal


PROBES = (ConstantReward, ObservationReward, DelayedReward, ActionReward, MatchObservation, InfiniteHorizon)


def _action_space(continuous: bool) -> Space:
    return Box(-2.0, 2.0, (1,)) if continuous else Discrete(2)


def _begin(obs: jax.Array) -> tuple[ProbeState, jax.Array]:
    return ProbeState(obs=obs, time=jnp.int32(0)), obs


def _end(state: ProbeState, reward: jax.Array) -> tuple[ProbeState, TimeStep]:
    return ProbeState(obs=state.obs, time=state.time + 1), _answer(state.obs, reward, terminated=True)


def _answer(obs: jax.Array, reward: jax.Array, *, terminated: Any = False, truncated: Any = False) -> TimeStep:
    terminated, truncated = jnp.asarray(terminated), jnp.asarray(truncated)
    return TimeStep(obs=obs, reward=reward, terminated=terminated, truncated=truncated, info={})


def _reward(action: jax.Array, best: jax.Array, continuous: bool) -> jax.Array:
    if continuous:
        return -jnp.sum((action - best) ** 2)
    return jnp.where(action == best, jnp.float32(1.0), jnp.float32(-1.0))
