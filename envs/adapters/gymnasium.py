"""Any environment of Gymnasium: `jaxrl.make("gymnasium/Ant-v5")`, stepped on the host between two steps of the program.

A batch is Gymnasium's own vector environment. The compiled program hands it the actions through an ordered callback and
waits for the answer, so that training is as fast as the environment on the CPU, and no faster. Where an episode ends,
Gymnasium starts the next one within the same step; both the true successor and the new start come back.

What such an environment is in the middle of lies outside of JAX. It cannot be copied: not by `vmap` over agents, not by
a checkpoint, not onto a second device. All three are refused.
"""

import collections
import importlib
import itertools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import io_callback

from jaxrl.envs.environment import TimeStep
from jaxrl.envs.spaces import Box, Dict, Discrete, MultiDiscrete, Space, Tuple
from jaxrl.pytree import dataclass, static

MOST_BATCHES = 8
"""That are kept; a further one closes the one that was not used for longest."""

_batches: collections.OrderedDict[int, Any] = collections.OrderedDict()
_numbers = itertools.count()


@dataclass
class Gymnasium:
    """An environment that `gymnasium.make(name, **settings)` knows; algorithms step `vectorize(num_envs)` of it."""

    name: str = static()
    settings: tuple[tuple[str, Any], ...] = static(default=())
    observation_space: Any = static(default=None)
    """Found by making one, as is `action_space`."""
    action_space: Any = static(default=None)

    def check(self) -> None:
        if self.observation_space is not None:
            return
        made = _made(self.name, 1, dict(self.settings))
        try:
            spaces = made.single_observation_space, made.single_action_space
        finally:
            made.close()
        object.__setattr__(self, "observation_space", _space(spaces[0], self.name))
        object.__setattr__(self, "action_space", _space(spaces[1], self.name))

    def __repr__(self) -> str:
        settings = "".join(f", {name}={value!r}" for name, value in self.settings)
        return f"make('gymnasium/{self.name}'{settings})"

    def vectorize(self, num_envs: int) -> "GymnasiumBatch":
        """The batch that a program steps."""
        return GymnasiumBatch(self, num_envs)

    def reset(self, key: jax.Array) -> Any:
        raise TypeError(
            f"gymnasium/{self.name} is stepped as a batch and cannot be inside a wrapper or under vmap; leave out the "
            "settings that wrap it, and register a wrapped one with Gymnasium."
        )

    step = reset


@dataclass
class BatchState:
    """Which batch of Gymnasium's it is, and where the next episodes begin."""

    number: jax.Array
    """int32 [N], N times the same."""
    starts: Any
    """[N, ...]: observations; read where an episode has ended."""


@dataclass
class GymnasiumBatch:
    """`num_envs` copies; the interface of `VectorEnvironment`, whose environments start anew by themselves."""

    env: Gymnasium
    num_envs: int = static(minimum=1)

    @property
    def observation_space(self) -> Space:
        space: Space = self.env.observation_space
        return space

    @property
    def action_space(self) -> Space:
        space: Space = self.env.action_space
        return space

    def reset(self, keys: jax.Array) -> tuple[BatchState, Any]:
        """First states and observations [N, ...]; the first of `keys` [N] seeds them all."""
        seed = jax.random.bits(keys[0], dtype=jnp.uint32)
        number, obs = _on_host(self._begin, (_shape(np.int32), self._observations()), seed)
        return BatchState(jnp.full(self.num_envs, number), obs), obs

    def step(self, keys: jax.Array, states: BatchState, actions: Any) -> tuple[BatchState, TimeStep]:
        """Step each of the N environments."""
        flags, rewards = _shape(bool, self.num_envs), _shape(np.float32, self.num_envs)
        observations = self._observations()
        found = (observations, observations, rewards, flags, flags)
        starts, obs, reward, terminated, truncated = _on_host(self._step, found, (states.number[0], actions))
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
        batch = _made(self.env.name, self.num_envs, dict(self.env.settings))
        number = next(_numbers)
        _batches[number] = batch
        while len(_batches) > MOST_BATCHES:
            _batches.popitem(last=False)[1].close()
        obs, _ = batch.reset(seed=int(seed) % 2**31)
        return np.int32(number), self._as_told(obs)

    def _step(self, asked: Any) -> Any:
        number, actions = int(asked[0]), jax.tree.map(np.asarray, asked[1])
        if number not in _batches:
            raise RuntimeError(
                f"The {self.num_envs} environments gymnasium/{self.env.name} of this state were closed, because more "
                f"than {MOST_BATCHES} batches were begun after them, or belong to another process; begin anew."
            )
        _batches.move_to_end(number)
        batch = _batches[number]
        actions = _actions(batch.single_action_space, actions)
        obs, reward, terminated, truncated, info = batch.step(actions)
        starts, successors = self._as_told(obs), self._as_told(obs)
        for lane in np.flatnonzero(info.get("_final_obs", ())):
            last = self._as_told(info["final_obs"][lane])
            jax.tree.map(lambda all_lanes, one, lane=lane: all_lanes.__setitem__(lane, one), successors, last)
        return starts, successors, np.asarray(reward, np.float32), terminated, truncated

    def _as_told(self, obs: Any) -> Any:
        """Gymnasium's observations in the types of the space, copied."""
        return jax.tree.map(
            lambda dtype, value: np.array(value, dtype),
            self.env.observation_space.dtype,
            obs,
            is_leaf=lambda entry: isinstance(entry, np.dtype),
        )


def from_name(name: str, *, max_steps: int | None = None, **settings: Any) -> Gymnasium:
    """`gymnasium.make(name, **settings)`; `max_steps` is its time limit.

    Raises ValueError or TypeError with one sentence where Gymnasium does not make it, or shows what no network takes.
    """
    limit = {} if max_steps is None else {"max_episode_steps": max_steps}
    return Gymnasium(name, tuple(sorted((settings | limit).items())))


def _made(name: str, num_envs: int, settings: dict[str, Any]) -> Any:
    gymnasium = importlib.import_module("gymnasium")
    vector = importlib.import_module("gymnasium.vector")
    try:
        return gymnasium.make_vec(
            name, num_envs, "sync", {"autoreset_mode": vector.AutoresetMode.SAME_STEP}, **settings
        )
    except Exception as error:  # an environment's constructor raises whatever it likes
        raise ValueError(f"Gymnasium cannot make '{name}': {' '.join(str(error).split())}") from error


def _on_host(function: Any, shapes: Any, asked: Any) -> Any:
    """`function(asked)` on the host, in the order of the program."""

    @jax.custom_batching.custom_vmap
    def call(asked: Any) -> Any:
        return io_callback(function, shapes, asked, ordered=True)

    @call.def_vmap
    def refuse(axis_size: int, in_batched: list[Any], asked: Any) -> Any:
        raise ValueError(
            f"An environment of Gymnasium cannot be copied, and {axis_size} agents would share it under vmap; train "
            "one agent (seeds=1), or one after another."
        )

    return call(asked)


def _shape(dtype: Any, *shape: int) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(shape, dtype)


def _actions(space: Any, actions: Any) -> Any:
    """Ours as Gymnasium wants them."""
    if hasattr(space, "n") and hasattr(space, "start"):
        return actions.astype(np.int64) + space.start
    return actions.astype(space.dtype)


def _space(space: Any, name: str) -> Space:
    """A space of Gymnasium's as ours."""
    kind = type(space).__name__
    if kind == "Discrete":
        return Discrete(int(space.n))
    if kind == "MultiDiscrete" and space.nvec.ndim == 1:
        return MultiDiscrete(tuple(int(n) for n in space.nvec))
    if kind == "MultiBinary":
        return Box(0, 1, space.shape, np.int8)
    if kind == "Box":
        dtype = np.float32 if np.issubdtype(space.dtype, np.floating) else space.dtype
        return Box(space.low, space.high, space.shape, dtype)
    if kind == "Dict":
        return Dict({key: _space(entry, name) for key, entry in space.spaces.items()})
    if kind == "Tuple":
        return Tuple(tuple(_space(entry, name) for entry in space.spaces))
    raise TypeError(f"gymnasium/{name} has a space of kind {kind}, which no network takes; wrap it in Gymnasium.")
