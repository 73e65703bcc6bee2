"""The gymnax environment object behind `to_gymnax`."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import struct
from gymnax.environments import environment, spaces

from jaxrl.envs.spaces import Box, Dict, Discrete, Space, Tuple


@struct.dataclass
class ExportState(environment.EnvState):
    """Our state, and the flags of the last step, which gymnax asks of a state."""

    env_state: Any
    terminated: jax.Array
    truncated: jax.Array


class ExportParams(struct.PyTreeNode):
    """The environment itself: its leaves are what gymnax calls params."""

    env: Any


class GymnaxExport(environment.Environment):
    """One of our environments behind gymnax's interface; two around equal environments are equal."""

    def __init__(self, env: Any) -> None:
        super().__init__()
        self.env = env

    def __eq__(self, other: object) -> bool:
        return isinstance(other, GymnaxExport) and bool(self.env == other.env)

    def __hash__(self) -> int:
        return hash((GymnaxExport, self.env))

    @property
    def default_params(self) -> ExportParams:
        return ExportParams(env=self.env)

    @property
    def name(self) -> str:
        return type(self.env).__name__

    @property
    def num_actions(self) -> int:
        space = self.env.action_space
        return space.n if isinstance(space, Discrete) else int(jnp.size(jnp.zeros(space.shape)))

    def reset_env(self, key: jax.Array, params: ExportParams) -> tuple[Any, ExportState]:
        env_state, obs = params.env.reset(key)
        no = jnp.asarray(False)
        return obs, ExportState(time=jnp.int32(0), env_state=env_state, terminated=no, truncated=no)

    def step_env(
        self, key: jax.Array, state: ExportState, action: Any, params: ExportParams
    ) -> tuple[Any, ExportState, jax.Array, jax.Array, dict[Any, Any]]:
        env_state, timestep = params.env.step(key, state.env_state, action)
        state = ExportState(
            time=state.time + 1,
            env_state=env_state,
            terminated=timestep.terminated,
            truncated=timestep.truncated,
        )
        discount = 1.0 - timestep.terminated.astype(jnp.float32)
        return timestep.obs, state, timestep.reward, timestep.terminated, {**timestep.info, "discount": discount}

    def is_terminated(self, state: ExportState, params: ExportParams) -> jax.Array:
        return state.terminated

    def is_truncated(self, state: ExportState, params: ExportParams) -> jax.Array:
        return state.truncated

    def action_space(self, params: ExportParams | None = None) -> Any:
        return _gymnax_space(self.env.action_space)

    def observation_space(self, params: ExportParams | None = None) -> Any:
        return _gymnax_space(self.env.observation_space)


def _gymnax_space(space: Space) -> Any:
    if isinstance(space, Discrete):
        return spaces.Discrete(space.n)
    if isinstance(space, Box):
        return spaces.Box(jnp.asarray(space.low), jnp.asarray(space.high), space.shape, space.dtype)
    if isinstance(space, Dict):
        return spaces.Dict({name: _gymnax_space(entry) for name, entry in space.entries})
    if isinstance(space, Tuple):
        return spaces.Tuple([_gymnax_space(entry) for entry in space.spaces])
    raise TypeError(f"gymnax has no space for {space}, so to_gymnax needs one choice or a Box per entry.")
