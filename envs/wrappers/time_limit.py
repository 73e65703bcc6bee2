"""A time limit."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp

from jaxrl.envs.environment import Environment, TimeStep
from jaxrl.envs.spaces import Space
from jaxrl.pytree import dataclass, static


@dataclass
class TimeLimitState:
    """The inner state, and a clock."""

    env_state: Any
    time: jax.Array
    """int32 []: steps taken in this episode."""


@dataclass
class TimeLimit:
    """Truncates (never terminates) an episode after `max_steps` steps, unless it ends before."""

    env: Environment[Any]
    max_steps: int = static(minimum=1)

    @property
    def observation_space(self) -> Space:
        return self.env.observation_space

    @property
    def action_space(self) -> Space:
        return self.env.action_space

    def reset(self, key: jax.Array) -> tuple[TimeLimitState, Any]:
        env_state, obs = self.env.reset(key)
        return TimeLimitState(env_state=env_state, time=jnp.int32(0)), obs

    def step(self, key: jax.Array, state: TimeLimitState, action: Any) -> tuple[TimeLimitState, TimeStep]:
        env_state, timestep = self.env.step(key, state.env_state, action)
        time = state.time + 1
        truncated = timestep.truncated | (time >= self.max_steps)
        return TimeLimitState(env_state=env_state, time=time), dataclasses.replace(timestep, truncated=truncated)
