"""Frame stacking."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl.envs.environment import Environment, TimeStep
from jaxrl.envs.spaces import Box, Dict, Space
from jaxrl.pytree import dataclass, static


@dataclass
class FrameStackState:
    """The inner state, and what is shown."""

    env_state: Any
    frames: Any
    """The last observations, oldest first, along the last axis of each entry."""


@dataclass
class FrameStack:
    """Shows the last `num_frames` observations side by side on the last axis (an image's channels), oldest first.

    An episode starts with its first observation repeated. In a dict observation every entry but `action_mask` is
    stacked.
    """

    env: Environment[Any]
    num_frames: int = static(minimum=1)

    def check(self) -> None:
        _stacked_space(self.env.observation_space, self.num_frames)

    @property
    def observation_space(self) -> Space:
        return _stacked_space(self.env.observation_space, self.num_frames)

    @property
    def action_space(self) -> Space:
        return self.env.action_space

    def reset(self, key: jax.Array) -> tuple[FrameStackState, Any]:
        env_state, obs = self.env.reset(key)
        frames = jax.tree.map(lambda frame: jnp.concatenate([_with_axis(frame)] * self.num_frames, -1), obs)
        return FrameStackState(env_state=env_state, frames=frames), _shown(frames, obs)

    def step(self, key: jax.Array, state: FrameStackState, action: Any) -> tuple[FrameStackState, TimeStep]:
        env_state, timestep = self.env.step(key, state.env_state, action)
        frames = jax.tree.map(_push, state.frames, timestep.obs)
        obs = _shown(frames, timestep.obs)
        return FrameStackState(env_state=env_state, frames=frames), dataclasses.replace(timestep, obs=obs)


def _with_axis(frame: jax.Array) -> jax.Array:
    return frame if jnp.ndim(frame) else jnp.reshape(frame, (1,))


def _push(frames: jax.Array, frame: jax.Array) -> jax.Array:
    frame = _with_axis(frame)
    return jnp.concatenate([frames[..., frame.shape[-1] :], frame], -1)


def _shown(frames: Any, obs: Any) -> Any:
    if isinstance(obs, dict) and "action_mask" in obs:
        return {**frames, "action_mask": obs["action_mask"]}
    return frames


def _stacked_space(space: Space, num_frames: int) -> Space:
    if isinstance(space, Box):
        low, high = (np.concatenate([np.atleast_1d(bound)] * num_frames, -1) for bound in (space.low, space.high))
        return Box(low, high, low.shape, space.dtype)
    if isinstance(space, Dict):
        entries = {name: _stacked_space(entry, num_frames) for name, entry in space.entries if name != "action_mask"}
        return Dict({**space.spaces, **entries})
    raise TypeError(f"FrameStack needs a Box observation or a Dict of them, got {space}; flatten it first.")
