"""Observation flattening."""

import dataclasses
from typing import Any, TypeGuard

import jax
import numpy as np

from jaxrl.envs.environment import Environment, TimeStep
from jaxrl.envs.spaces import Box, Dict, Discrete, MultiDiscrete, Space, flat_size, flatten
from jaxrl.pytree import dataclass


@dataclass
class FlattenObservation:
    """Shows every observation as one float32 vector, discrete entries one-hot (`spaces.flatten`).

    A dict with an `action_mask` becomes {"observation": vector, "action_mask": mask}.
    """

    env: Environment[Any]

    @property
    def observation_space(self) -> Space:
        space = self.env.observation_space
        if _has_mask(space):
            return Dict({"observation": _flat_box(_without_mask(space)), "action_mask": space.spaces["action_mask"]})
        return _flat_box(space)

    @property
    def action_space(self) -> Space:
        return self.env.action_space

    def reset(self, key: jax.Array) -> tuple[Any, Any]:
        state, obs = self.env.reset(key)
        return state, self._flat(obs)

    def step(self, key: jax.Array, state: Any, action: Any) -> tuple[Any, TimeStep]:
        state, timestep = self.env.step(key, state, action)
        return state, dataclasses.replace(timestep, obs=self._flat(timestep.obs))

    def _flat(self, obs: Any) -> Any:
        space = self.env.observation_space
        if _has_mask(space):
            return {"observation": flatten(_without_mask(space), obs), "action_mask": obs["action_mask"]}
        return flatten(space, obs)


def _has_mask(space: Space) -> TypeGuard[Dict]:
    return isinstance(space, Dict) and "action_mask" in space.spaces


def _without_mask(space: Dict) -> Dict:
    return Dict({name: entry for name, entry in space.entries if name != "action_mask"})


def _flat_box(space: Space) -> Box:
    low, high = _bounds(space)
    return Box(low, high, (flat_size(space),), np.float32)


def _bounds(space: Space) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    if isinstance(space, (Discrete, MultiDiscrete)):
        return np.zeros(flat_size(space)), np.ones(flat_size(space))
    if isinstance(space, Box):
        return space.low.ravel(), space.high.ravel()
    parts = [entry for _, entry in space.entries] if isinstance(space, Dict) else space.spaces
    lows, highs = zip(*map(_bounds, parts), strict=True)
    return np.concatenate(lows), np.concatenate(highs)
