"""Brax's robots: `jaxrl.make("brax/ant")`, `backend="spring"` and other arguments of `brax.envs.get_environment`."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl.envs.environment import ResetMode, TimeStep
from jaxrl.envs.spaces import Box
from jaxrl.envs.wrappers.time_limit import TimeLimit
from jaxrl.pytree import dataclass, static

from .suite import Settings, as_settings, made, package, theirs, timestep


@dataclass
class Brax:
    """An environment of Brax without its wrappers; what it calls done has terminated."""

    name: str = static()
    settings: Settings = static(default=())
    reset_mode: ResetMode = static(default="optimistic")
    """A reset settles the bodies first and costs as much as several steps; a pool of them serves a rollout."""

    @property
    def observation_space(self) -> Box:
        return Box(-np.inf, np.inf, (_built(self.name, self.settings).observation_size,))

    @property
    def action_space(self) -> Box:
        return Box(-1, 1, (_built(self.name, self.settings).action_size,))

    def reset(self, key: jax.Array) -> tuple[Any, Any]:
        state = theirs(_built(self.name, self.settings).reset, key)
        return state, state.obs

    def step(self, key: jax.Array, state: Any, action: Any) -> tuple[Any, TimeStep]:
        state = theirs(_built(self.name, self.settings).step, state, action)
        return state, timestep(state.obs, state.reward, state.done, jnp.zeros((), bool))


def from_name(name: str, *, max_steps: int | None = 1_000, **settings: Any) -> Any:
    """`brax.envs.get_environment(name, **settings)` with a time limit, which None takes away.

    Raises ImportError or ValueError with one sentence.
    """
    env = Brax(name, as_settings(settings))
    _built(env.name, env.settings)
    return env if max_steps is None else TimeLimit(env, max_steps)


@functools.cache
def _built(name: str, settings: Settings) -> Any:
    return made("brax", name, package("brax", "brax.envs").get_environment, settings)
