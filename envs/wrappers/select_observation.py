"""A part of the observation."""

import dataclasses
from typing import Any

import jax
import numpy as np

from jaxrl.envs.environment import Environment, TimeStep
from jaxrl.envs.spaces import Box, Space
from jaxrl.pytree import dataclass, static


@dataclass
class SelectObservation:
    """Shows only the entries `indices` of the observation's last axis: the rest of the state is hidden."""

    env: Environment[Any]
    indices: tuple[int, ...] = static()
    name: str | None = static(None)
    """What people call the task that this makes, where it has a name of its own."""

    def check(self) -> None:
        space = self.env.observation_space
        if not isinstance(space, Box) or not space.shape:
            raise TypeError(f"SelectObservation needs a Box observation with an axis to choose from, got {space}.")
        if not self.indices or not all(0 <= index < space.shape[-1] for index in self.indices):
            raise ValueError(
                f"SelectObservation.indices must be entries of an axis of size {space.shape[-1]}, got {self.indices}."
            )

    @property
    def observation_space(self) -> Space:
        space = self.env.observation_space
        assert isinstance(space, Box)  # `check` has seen to it
        return Box(space.low[..., list(self.indices)], space.high[..., list(self.indices)], None, space.dtype)

    @property
    def action_space(self) -> Space:
        return self.env.action_space

    def reset(self, key: jax.Array) -> tuple[Any, Any]:
        state, obs = self.env.reset(key)
        return state, self._select(obs)

    def step(self, key: jax.Array, state: Any, action: Any) -> tuple[Any, TimeStep]:
        state, timestep = self.env.step(key, state, action)
        return state, dataclasses.replace(timestep, obs=self._select(timestep.obs))

    def _select(self, obs: jax.Array) -> jax.Array:
        return obs[..., np.asarray(self.indices)]
