"""Environments that are stepped on the host, between two steps of the compiled program.

The program hands a batch its actions through an ordered callback and waits for the answer, so that training is as fast
as the environment on the CPU, and no faster. Where an episode ends, the next one begins within the same step; both the
true successor and the new start come back.

What such an environment is in the middle of lies outside of JAX. It cannot be copied: not by `vmap` over agents, not by
a checkpoint, not onto a second device. All three are refused.
"""

import collections
import functools
import importlib
import itertools
from typing import Any, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import io_callback

from jaxrl.envs.environment import TimeStep
from jaxrl.envs.spaces import Box, Dict, Discrete, MultiDiscrete, Space, Tuple
from jaxrl.pytree import dataclass, static

from .suite import Settings

MOST_BATCHES = 8
"""That are kept; a further one closes the one that was not used for longest."""

_batches: collections.OrderedDict[int, "Batch"] = collections.OrderedDict()
_numbers = itertools.count()


class Batch(Protocol):
    """N environments on the host; an adapter's class `Batch` makes them from a name, N, a seed and settings."""

    single_action_space: Any
    """Gymnasium's, of one of them."""

    def begin(self) -> Any:
        """The first observations [N, ...]."""

    def step(self, actions: Any) -> tuple[Any, Any, Any, Any, Any]:
        """Where each goes on, its true successor, [N, ...]; its reward, and whether it terminated or was cut, [N].

        The first two differ where an episode has ended; where none has they may be the same object.
        """

    def close(self) -> None:
        """Let go of what it holds."""


@dataclass
class HostEnvironment:
    """The environment `SUITE/NAME` of a package; algorithms step `vectorize(num_envs)` of it."""

    suite: str = static()
    name: str = static()
    settings: Settings = static(default=())

    @property
    def observation_space(self) -> Space:
        return _spaces(self.suite, self.name, self.settings)[0]

    @property
    def action_space(self) -> Space:
        return _spaces(self.suite, self.name, self.settings)[1]

    def __repr__(self) -> str:
        settings = "".join(f", {name}={value!r}" for name, value in self.settings)
        return f"make('{self.suite}/{self.name}'{settings})"

    def vectorize(self, num_envs: int) -> "HostBatch":
        """The batch that a program steps."""
        return HostBatch(self, num_envs)

    def reset(self, key: jax.Array) -> Any:
        raise TypeError(
            f"{self.suite}/{self.name} is stepped as a batch and cannot be inside a wrapper or under vmap; leave out "
            "the settings that wrap it, or wrap it in its own package."
        )

    step = reset


@dataclass
class BatchState:
    """Which batch on the host it is, and where the next episodes begin."""

    number: jax.Array
    """int32 [N], N times the same."""
    starts: Any
    """[N, ...]: observations; read where an episode has ended."""


@dataclass
class HostBatch:
    """`num_envs` copies; the interface of `VectorEnvironment`, whose environments start anew by themselves."""

    env: HostEnvironment
    num_envs: int = static(minimum=1)

    @property
    def observation_space(self) -> Space:
        return self.env.observation_space

    @property
    def action_space(self) -> Space:
        return self.env.action_space

    def reset(self, keys: jax.Array) -> tuple[BatchState, Any]:
        """First states and observations [N, ...]; the first of `keys` [N] seeds them all."""
        seed = jax.random.bits(keys[0], dtype=jnp.uint32)
        number, obs = self._on_host(self._begin, (_shape(np.int32), self._observations()), seed)
        return BatchState(jnp.full(self.num_envs, number), obs), obs

    def step(self, keys: jax.Array, states: BatchState, actions: Any) -> tuple[BatchState, TimeStep]:
        """Step each of the N environments."""
        flags, rewards = _shape(bool, self.num_envs), _shape(np.float32, self.num_envs)
        observations = self._observations()
        found = (observations, observations, rewards, flags, flags)
        starts, obs, reward, terminated, truncated = self._on_host(self._step, found, (states.number[0], actions))
        return BatchState(states.number, starts), TimeStep(obs, reward, terminated, truncated, {})

    def restart(self, states: BatchState) -> tuple[BatchState, Any]:
        """Where the next episodes begin [N, ...]: states and observations."""
        return states, states.starts

    def _observations(self) -> Any:
        space = self.env.observation_space
        return jax.tree.map(
            lambda dtype, shape: _shape(dtype, self.num_envs, *shape),
            space.dtype,
            space.shape,
            is_leaf=lambda entry: isinstance(entry, np.dtype),
        )

    def _begin(self, seed: Any) -> Any:
        env, number = self.env, next(_numbers)
        batch = _package(env.suite).Batch(env.name, self.num_envs, int(seed) % 2**31, dict(env.settings))
        _batches[number] = batch
        while len(_batches) > MOST_BATCHES:
            _batches.popitem(last=False)[1].close()
        return np.int32(number), self._as_told(batch.begin())

    def _step(self, asked: Any) -> Any:
        number, actions = int(asked[0]), jax.tree.map(np.asarray, asked[1])
        if number not in _batches:
            raise RuntimeError(
                f"The {self.num_envs} environments {self.env.suite}/{self.env.name} of this state were closed, because "
                f"more than {MOST_BATCHES} batches were begun after them, or belong to another process; begin anew."
            )
        _batches.move_to_end(number)
        batch = _batches[number]
        starts, successors, reward, terminated, truncated = batch.step(_actions(batch.single_action_space, actions))
        flags = np.array(terminated, bool), np.array(truncated, bool)
        return self._as_told(starts), self._as_told(successors), np.array(reward, np.float32), *flags

    def _as_told(self, obs: Any) -> Any:
        """The package's observations in the types of the space, copied."""
        return jax.tree.map(
            lambda dtype, value: np.array(value, dtype),
            self.env.observation_space.dtype,
            obs,
            is_leaf=lambda entry: isinstance(entry, np.dtype),
        )

    def _on_host(self, function: Any, shapes: Any, asked: Any) -> Any:
        """`function(asked)` on the host, in the order of the program."""

        @jax.custom_batching.custom_vmap
        def call(asked: Any) -> Any:
            return io_callback(function, shapes, asked, ordered=True)

        @call.def_vmap
        def refuse(axis_size: int, in_batched: list[Any], asked: Any) -> Any:
            raise ValueError(
                f"{self.env.suite}/{self.env.name} cannot be copied, and {axis_size} agents would share it under vmap; "
                "train one agent (seeds=1), or one after another."
            )

        return call(asked)


def _package(suite: str) -> Any:
    """The adapter of a suite."""
    return importlib.import_module(f".{suite}", __package__)


@functools.cache
def _spaces(suite: str, name: str, settings: Settings) -> tuple[Space, Space]:
    """Of observations and of actions."""
    observation_space, action_space = _package(suite).spaces(name, dict(settings))
    label = f"{suite}/{name}"
    return _converted(observation_space, label), _converted(action_space, label)


def _converted(space: Any, name: str) -> Space:
    """A space of Gymnasium's as ours; TypeError with one sentence, which names the environment, where there is none."""
    kind = type(space).__name__
    if kind == "Discrete":
        return Discrete(int(space.n))
    if kind == "MultiDiscrete" and space.nvec.ndim == 1:
        return MultiDiscrete(tuple(int(n) for n in space.nvec))
    if kind == "MultiBinary":
        return Box(0, 1, space.shape, np.int8)
    if kind == "Box":
        dtype = np.float32 if np.issubdtype(space.dtype, np.floating) else space.dtype
        with np.errstate(over="ignore"):  # the largest float64 is no bound in float32
            return Box(space.low, space.high, space.shape, dtype)
    if kind == "Dict":
        return Dict({key: _converted(entry, name) for key, entry in space.spaces.items()})
    if kind == "Tuple":
        return Tuple(tuple(_converted(entry, name) for entry in space.spaces))
    raise TypeError(f"{name} has a space of kind {kind}, which no network takes; wrap it in its own package.")


def _shape(dtype: Any, *shape: int) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(shape, dtype)


def _actions(space: Any, actions: Any) -> Any:
    """Ours as Gymnasium wants them."""
    if hasattr(space, "n") and hasattr(space, "start"):
        return actions.astype(np.int64) + space.start
    return actions.astype(space.dtype)
