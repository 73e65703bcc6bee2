"""Reward clipping."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp

from jaxrl.envs.environment import Environment, TimeStep
from jaxrl.envs.spaces import Space
from jaxrl.pytree import Scalar, dataclass, hyperparameter


@dataclass
class ClipReward:
    """Brings every reward into [low, high]. Returns measured through it are those of the clipped task."""

    env: Environment[Any]
    low: Scalar = hyperparameter(default=-1.0)
    high: Scalar = hyperparameter(default=1.0)

    @property
    def observation_space(self) -> Space:
        return self.env.observation_space

    @property
    def action_space(self) -> Space:
        return self.env.action_space

    def reset(self, key: jax.Array) -> tuple[Any, Any]:
        return self.env.reset(key)

    def step(self, key: jax.Array, state: Any, action: Any) -> tuple[Any, TimeStep]:
        state, timestep = self.env.step(key, state, action)
        return state, dataclasses.replace(timestep, reward=jnp.clip(timestep.reward, self.low, self.high))
