"""Jumanji's combinatorial worlds: `jaxrl.make("jumanji/Snake-v1")`, with the arguments of `jumanji.make`.

What a specification calls an action mask is one for the algorithms here too, since it has the same name. A count of
steps is shown as a share of the time limit, 0 to 1, which is what Jumanji's own networks make of it: as one of 4,000
kinds it would be 4,000 inputs.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl.envs.environment import TimeStep
from jaxrl.envs.spaces import Box, Dict, Discrete, MultiDiscrete, Space
from jaxrl.pytree import dataclass, static

from .suite import Settings, as_settings, made, package, theirs, timestep

_COUNT = "step_count"


@dataclass
class Jumanji:
    """An environment of Jumanji for one agent. A last step with discount 0 has terminated, any other is truncated."""

    name: str = static()
    settings: Settings = static(default=())

    @property
    def observation_space(self) -> Space:
        space = _space(_built(self.name, self.settings).observation_spec, self.name)
        if isinstance(space, Dict) and self._counted:
            return Dict({**space.spaces, _COUNT: Box(0, 1)})
        return space

    @property
    def action_space(self) -> Space:
        return _space(_built(self.name, self.settings).action_spec, self.name)

    def reset(self, key: jax.Array) -> tuple[Any, Any]:
        state, first = theirs(_built(self.name, self.settings).reset, key)
        return state, self._shown(first.observation)

    def step(self, key: jax.Array, state: Any, action: Any) -> tuple[Any, TimeStep]:
        state, found = theirs(_built(self.name, self.settings).step, state, action)
        is_last, is_over = found.last(), found.discount == 0
        return state, timestep(self._shown(found.observation), found.reward, is_last & is_over, is_last & ~is_over)

    def _shown(self, observation: Any) -> Any:
        if self._counted:
            observation = observation._replace(step_count=observation.step_count / self._counted)
        return _values(self.observation_space, observation)

    @property
    def _counted(self) -> int | None:
        """The time limit, where an observation counts the steps towards it."""
        built = _built(self.name, self.settings)
        return getattr(built, "time_limit", None) if hasattr(built.observation_spec, _COUNT) else None


def from_name(name: str, **settings: Any) -> Jumanji:
    """`jumanji.make(name, **settings)`; raises ImportError, TypeError or ValueError with one sentence."""
    env = Jumanji(name, as_settings(settings))
    built = _built(env.name, env.settings)
    if built.reward_spec.shape:
        raise ValueError(
            f"jumanji/{name} has {built.reward_spec.shape[0]} agents with a reward each, and one agent is trained "
            "here; choose a world of one."
        )
    return env


@functools.cache
def _built(name: str, settings: Settings) -> Any:
    return made("jumanji", name, package("jumanji").make, settings)


def _space(spec: Any, name: str) -> Space:
    specs = package("jumanji", "jumanji.specs")
    if isinstance(spec, specs.DiscreteArray):
        return Discrete(int(spec.num_values))
    if isinstance(spec, specs.MultiDiscreteArray) and np.ndim(spec.num_values) == 1:
        return MultiDiscrete(tuple(int(count) for count in spec.num_values))
    if isinstance(spec, specs.BoundedArray):
        return Box(np.asarray(spec.minimum), np.asarray(spec.maximum), spec.shape, spec.dtype)
    if isinstance(spec, specs.Array):
        is_float = np.issubdtype(spec.dtype, np.floating)
        limits = (-np.inf, np.inf) if is_float else (np.iinfo(spec.dtype).min, np.iinfo(spec.dtype).max)
        return Box(limits[0], limits[1], spec.shape, spec.dtype)
    return Dict({part: _space(inner, name) for part, inner in spec._specs.items()})


def _values(space: Space, observation: Any) -> Any:
    """The fields of an observation as a dict, in the types of `space`."""
    if isinstance(space, Dict):
        return {name: _values(entry, getattr(observation, name)) for name, entry in space.entries}
    assert not isinstance(space.dtype, (dict, tuple))  # an array's
    return jnp.asarray(observation, space.dtype)
