"""XLand-MiniGrid's rooms: `jaxrl.make("xminigrid/MiniGrid-Empty-8x8")`, with the parameters of `xminigrid.make`."""

import functools
from typing import Any

import jax
import numpy as np

from jaxrl.envs.environment import TimeStep
from jaxrl.envs.spaces import Box, Discrete
from jaxrl.pytree import dataclass, static

from .suite import Settings, as_settings, made, package, theirs, timestep


@dataclass
class XMiniGrid:
    """What the agent sees of the grid, [view, view, 2]: the tile and its colour, as numbers."""

    name: str = static()
    settings: Settings = static(default=())

    @property
    def observation_space(self) -> Box:
        env, params = _built(self.name, self.settings)
        colors = package("xminigrid", "xminigrid.core.constants")
        most = max(colors.NUM_TILES, colors.NUM_COLORS) - 1
        return Box(0, most, tuple(env.observation_shape(params)), np.uint8)

    @property
    def action_space(self) -> Discrete:
        env, params = _built(self.name, self.settings)
        return Discrete(int(env.num_actions(params)))

    def reset(self, key: jax.Array) -> tuple[Any, Any]:
        env, params = _built(self.name, self.settings)
        state = theirs(env.reset, params, key)
        return state, state.observation.astype(np.uint8)

    def step(self, key: jax.Array, state: Any, action: Any) -> tuple[Any, TimeStep]:
        env, params = _built(self.name, self.settings)
        state = theirs(env.step, params, state, action)
        is_last, is_over = state.last(), state.discount == 0
        obs = state.observation.astype(np.uint8)
        return state, timestep(obs, state.reward, is_last & is_over, is_last & ~is_over)


def from_name(name: str, *, max_steps: int | None = None, **settings: Any) -> XMiniGrid:
    """`xminigrid.make(name, **settings)`; `max_steps` is its own time limit, by which its rewards are scaled.

    Raises ImportError or ValueError with one sentence.
    """
    env = XMiniGrid(name, as_settings(settings | ({} if max_steps is None else {"max_steps": max_steps})))
    _built(env.name, env.settings)
    return env


@functools.cache
def _built(name: str, settings: Settings) -> Any:
    return made("xminigrid", name, package("xminigrid").make, settings)
