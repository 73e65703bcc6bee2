"""MuJoCo Playground: `jaxrl.make("playground/CartpoleBalance")`, with what its configuration holds as settings.

The DeepMind Control suite needs nothing else. The robots of its other two parts need the models of mujoco_menagerie,
which Playground would download in the middle of a program; here they are asked for first.
"""

import functools
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl.envs.environment import ResetMode, TimeStep
from jaxrl.envs.spaces import Box, Dict, Space
from jaxrl.envs.wrappers.time_limit import TimeLimit
from jaxrl.pytree import dataclass, static, unknown_name

from .suite import Settings, as_settings, made, package, theirs, timestep


@dataclass
class Playground:
    """An environment of Playground without its wrappers; what it calls done has terminated."""

    name: str = static()
    settings: Settings = static(default=())
    reset_mode: ResetMode = static(default="optimistic")
    """A reset finds the forces of a first state and costs as much as a step; a pool of them serves a rollout."""

    @property
    def observation_space(self) -> Space:
        return _space(_shown(self))

    @property
    def action_space(self) -> Box:
        return Box(-1, 1, (_built(self.name, self.settings).action_size,))

    def reset(self, key: jax.Array) -> tuple[Any, Any]:
        state = theirs(_built(self.name, self.settings).reset, jax.random.key_data(key))
        return state, state.obs

    def step(self, key: jax.Array, state: Any, action: Any) -> tuple[Any, TimeStep]:
        state = theirs(_built(self.name, self.settings).step, state, action)
        return state, timestep(state.obs, state.reward, state.done, jnp.zeros((), bool))


def from_name(name: str, *, max_steps: int | None = None, **settings: Any) -> TimeLimit:
    """`registry.load(name, config_overrides=settings)`; the names of parts are joined by points, or nested mappings.

    Where `max_steps` is None the time limit is the `episode_length` of the configuration. Its `action_repeat` belongs
    to a wrapper of Playground's; the setting of that name does the same here. `impl` is "jax", which runs anywhere,
    unless it is set to "warp". Raises ImportError, ValueError or TypeError with one sentence.
    """
    registry = package("playground", "mujoco_playground").registry
    if name not in registry.ALL_ENVS:
        raise ValueError(unknown_name("Playground has no environment", name, registry.ALL_ENVS))
    config, settings = _flat(registry.get_default_config(name).to_dict()), _flat(settings)
    for setting in settings:
        if setting not in config:
            raise TypeError(unknown_name(f"playground/{name} has no setting", setting, tuple(config)))
    if "impl" in config:
        settings.setdefault("impl", "jax")
    env = Playground(name, as_settings(settings))
    _built(env.name, env.settings)
    return TimeLimit(env, max_steps or (config | settings)["episode_length"])


def _flat(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Settings of parts by their whole names, and lists as tuples."""
    flat: dict[str, Any] = {}
    for name, value in settings.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{name}.")
        else:
            flat[prefix + name] = tuple(value) if isinstance(value, list) else value
    return flat


@functools.cache
def _built(name: str, settings: Settings) -> Any:
    playground = package("playground", "mujoco_playground")
    if name not in playground.dm_control_suite.ALL_ENVS:
        _check_models(name)

    def load(name: str, **overrides: Any) -> Any:
        with jax.ensure_compile_time_eval():  # the first to ask may be a program that is being traced
            return playground.registry.load(name, config_overrides=overrides)

    return made("playground", name, load, settings)


def _check_models(name: str) -> None:
    environment = package("playground", "mujoco_playground._src.mjx_env")
    if not environment.MENAGERIE_PATH.exists():
        where = environment.MENAGERIE_PATH
        raise FileNotFoundError(
            f"playground/{name} needs the robots of mujoco_menagerie, which are not on this machine; run "
            f"`git clone https://github.com/google-deepmind/mujoco_menagerie {where} && "
            f"git -C {where} checkout {environment.MENAGERIE_COMMIT_SHA}` first."
        )


@functools.cache
def _shown(env: Playground) -> Any:
    """The shapes of an observation."""
    return jax.eval_shape(lambda key: env.reset(key)[1], jax.random.key(0))


def _space(shown: Any) -> Space:
    if isinstance(shown, Mapping):
        return Dict({name: _space(part) for name, part in shown.items()})
    return Box(-np.inf, np.inf, shown.shape, shown.dtype)
