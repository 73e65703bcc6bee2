"""NAVIX, MiniGrid in JAX: `jaxrl.make("navix/Navix-Empty-8x8-v0")`, with the arguments of `navix.make`."""

import functools
from typing import Any

import jax
import numpy as np

from jaxrl.envs.environment import TimeStep
from jaxrl.envs.spaces import Box, Discrete
from jaxrl.pytree import dataclass, static

from .suite import Settings, as_settings, made, package, theirs, timestep


@dataclass
class Navix:
    """An environment of NAVIX, stepped without its automatic reset, which would take a step of its own."""

    name: str = static()
    settings: Settings = static(default=())

    @property
    def observation_space(self) -> Box:
        space = _built(self.name, self.settings).observation_space
        if np.issubdtype(space.dtype, np.unsignedinteger):  # entities have larger numbers than the space says
            return Box(0, np.iinfo(space.dtype).max, tuple(space.shape), space.dtype)
        return Box(np.asarray(space.minimum), np.asarray(space.maximum), tuple(space.shape), space.dtype)

    @property
    def action_space(self) -> Discrete:
        return Discrete(len(_built(self.name, self.settings).action_set))

    def reset(self, key: jax.Array) -> tuple[Any, Any]:
        state = theirs(_built(self.name, self.settings).reset, key)
        return state, state.observation

    def step(self, key: jax.Array, state: Any, action: Any) -> tuple[Any, TimeStep]:
        state = theirs(_built(self.name, self.settings)._step, state, action)
        return state, timestep(state.observation, state.reward, state.is_termination(), state.is_truncation())


def from_name(name: str, *, max_steps: int = 100, **settings: Any) -> Navix:
    """`navix.make(name, max_steps, **settings)`; raises ImportError or ValueError with one sentence."""
    env = Navix(name, as_settings(settings | {"max_steps": max_steps}))
    _built(env.name, env.settings)
    return env


@functools.cache
def _built(name: str, settings: Settings) -> Any:
    return made("navix", name, package("navix").make, settings)
