"""Craftax: `jaxrl.make("craftax/Craftax-Classic-Symbolic-v1")`; settings are those of its parameters."""

import dataclasses
import functools
from typing import Any

import jax
import numpy as np

from jaxrl.envs.environment import ResetMode, TimeStep
from jaxrl.envs.spaces import Box, Discrete
from jaxrl.pytree import dataclass, static

from .suite import Settings, as_settings, made, package, theirs, timestep

_NEVER = 2**30


@dataclass
class Craftax:
    """Craftax without its automatic reset; its time limit, which it calls an end, truncates."""

    name: str = static()
    settings: Settings = static(default=())
    reset_mode: ResetMode = static(default="optimistic")
    """A reset draws a whole world, which costs as much as many steps."""

    @property
    def observation_space(self) -> Box:
        env, params = _built(self.name, self.settings)
        space = env.observation_space(params)
        return Box(np.asarray(space.low), np.asarray(space.high), tuple(space.shape), np.float32)

    @property
    def action_space(self) -> Discrete:
        env, params = _built(self.name, self.settings)
        return Discrete(int(env.action_space(params).n))

    def reset(self, key: jax.Array) -> tuple[Any, Any]:
        env, params = _built(self.name, self.settings)
        obs, state = theirs(env.reset, key, params)
        return state, obs.astype(np.float32)

    def step(self, key: jax.Array, state: Any, action: Any) -> tuple[Any, TimeStep]:
        env, params = _built(self.name, self.settings)
        obs, state, reward, done, _ = theirs(env.step, key, state, action, params)
        is_over = theirs(env.is_terminal, state, dataclasses.replace(params, max_timesteps=_NEVER))
        return state, timestep(obs.astype(np.float32), reward, is_over, done & ~is_over)


def from_name(name: str, *, max_steps: int | None = None, **settings: Any) -> Craftax:
    """Craftax's environment of that name with parameters changed; `max_steps` is its time limit.

    Raises ImportError or ValueError with one sentence.
    """
    env = Craftax(name, as_settings(settings | ({} if max_steps is None else {"max_timesteps": max_steps})))
    _built(env.name, env.settings)
    return env


@functools.cache
def _built(name: str, settings: Settings) -> Any:
    def make(name: str, **changes: Any) -> Any:
        env = package("craftax", "craftax.craftax_env").make_craftax_env_from_name(name, auto_reset=False)
        return env, dataclasses.replace(env.default_params, **changes)

    return made("craftax", name, make, settings)
