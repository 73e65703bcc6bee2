"""What observations and actions may be: hashable values, no pytrees, equal when they describe the same set."""

import dataclasses
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np


@dataclasses.dataclass(frozen=True)
class Discrete:
    """The integers 0 .. n-1, as an int32 scalar."""

    n: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "n", _count("Discrete.n", self.n))

    @property
    def shape(self) -> tuple[int, ...]:
        return ()

    @property
    def dtype(self) -> np.dtype[Any]:
        return np.dtype(np.int32)

    def sample(self, key: jax.Array) -> jax.Array:
        return jax.random.randint(key, (), 0, self.n, jnp.int32)

    def contains(self, value: Any) -> jax.Array:
        value = jnp.asarray(value)
        return jnp.asarray(value.shape == ()) & jnp.all((value >= 0) & (value < self.n))


@dataclasses.dataclass(frozen=True)
class MultiDiscrete:
    """Several discrete choices at once: int32 [len(nvec)], entry k in 0 .. nvec[k]-1."""

    nvec: tuple[int, ...]

    def __post_init__(self) -> None:
        nvec = tuple(_count("MultiDiscrete.nvec", n) for n in np.atleast_1d(np.asarray(self.nvec)).tolist())
        object.__setattr__(self, "nvec", nvec)

    @property
    def shape(self) -> tuple[int, ...]:
        return (len(self.nvec),)

    @property
    def dtype(self) -> np.dtype[Any]:
        return np.dtype(np.int32)

    def sample(self, key: jax.Array) -> jax.Array:
        return jax.random.randint(key, self.shape, 0, np.asarray(self.nvec, np.int32), jnp.int32)

    def contains(self, value: Any) -> jax.Array:
        value = jnp.asarray(value)
        if value.shape != self.shape:
            return jnp.asarray(False)
        return jnp.all((value >= 0) & (value < np.asarray(self.nvec)))


@dataclasses.dataclass(frozen=True, init=False, eq=False, repr=False)
class Box:
    """Arrays between two inclusive bounds, which may be infinite; three axes are an image [H, W, C].

    The bounds are given as numbers or arrays that broadcast to `shape`, and held as read-only arrays of it.
    """

    low: np.ndarray[Any, Any]
    high: np.ndarray[Any, Any]
    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    def __init__(self, low: Any, high: Any, shape: Sequence[int] | None = None, dtype: Any = np.float32) -> None:
        if shape is None:
            shape = np.broadcast_shapes(np.shape(low), np.shape(high))
        shape, dtype = tuple(int(size) for size in shape), np.dtype(dtype)
        lows, highs = _bound(low, shape, dtype), _bound(high, shape, dtype)
        if np.isnan(lows).any() or np.isnan(highs).any() or np.any(lows > highs):
            raise ValueError(f"A Box needs low <= high in every entry, got low={low} and high={high}.")
        for name, value in (("low", lows), ("high", highs), ("shape", shape), ("dtype", dtype)):
            object.__setattr__(self, name, value)
        object.__setattr__(self, "_identity", (lows.tobytes(), highs.tobytes(), shape, dtype))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Box) and self._identity == other._identity  # type: ignore[attr-defined]  # set above

    def __hash__(self) -> int:
        return hash(self._identity)  # type: ignore[attr-defined]  # set in __post_init__

    def __repr__(self) -> str:
        low, high = (str(b.flat[0]) if b.size and np.all(b == b.flat[0]) else str(b) for b in (self.low, self.high))
        return f"Box({low}, {high}, shape={self.shape}, dtype={self.dtype.name})"

    @property
    def is_bounded(self) -> bool:
        """Whether every bound is finite."""
        return bool(np.isfinite(self.low).all() and np.isfinite(self.high).all())

    def sample(self, key: jax.Array) -> jax.Array:
        """Uniform where both bounds are finite; exponential away from the one that is, normal where none is."""
        shape, below, above = self.shape, np.isfinite(self.low), np.isfinite(self.high)
        if np.issubdtype(self.dtype, np.bool_):
            return jnp.clip(jax.random.bernoulli(key, 0.5, shape), self.low, self.high)
        if np.issubdtype(self.dtype, np.integer):
            uniform = jax.random.uniform(key, shape)
            span = self.high.astype(np.float64) - self.low + 1
            drawn = jnp.floor(uniform * span.astype(np.float32))
            return jnp.clip(drawn + self.low.astype(np.float32), self.low, self.high).astype(self.dtype)
        uniform_key, normal_key, exponential_key = jax.random.split(key, 3)
        low, high = (np.where(below & above, bound, side) for bound, side in ((self.low, 0.0), (self.high, 1.0)))
        uniform = jax.random.uniform(uniform_key, shape, jnp.float32, low, high)
        exponential = jax.random.exponential(exponential_key, shape)
        from_low, from_high = np.where(below, self.low, 0) + exponential, np.where(above, self.high, 0) - exponential
        one_sided = jnp.where(below, from_low, from_high)
        drawn = jnp.where(below | above, one_sided, jax.random.normal(normal_key, shape))
        return jnp.where(below & above, uniform, drawn).astype(self.dtype)

    def contains(self, value: Any) -> jax.Array:
        value = jnp.asarray(value)
        if value.shape != self.shape:
            return jnp.asarray(False)
        return jnp.all((value >= self.low) & (value <= self.high))


@dataclasses.dataclass(frozen=True, init=False, repr=False)
class Dict:
    """Named spaces; a value is a dict with the same names. The entry `action_mask` holds which actions are allowed."""

    entries: tuple[tuple[str, "Space"], ...]

    def __init__(self, spaces: Mapping[str, "Space"]) -> None:
        object.__setattr__(self, "entries", tuple(sorted(spaces.items())))

    def __repr__(self) -> str:
        return f"Dict({self.spaces})"

    @property
    def spaces(self) -> dict[str, "Space"]:
        return dict(self.entries)

    @property
    def shape(self) -> dict[str, Any]:
        return {name: space.shape for name, space in self.entries}

    @property
    def dtype(self) -> dict[str, Any]:
        return {name: space.dtype for name, space in self.entries}

    def sample(self, key: jax.Array) -> dict[str, Any]:
        keys = jax.random.split(key, max(len(self.entries), 1))
        return {name: space.sample(keys[index]) for index, (name, space) in enumerate(self.entries)}

    def contains(self, value: Any) -> jax.Array:
        if not isinstance(value, Mapping) or sorted(value) != [name for name, _ in self.entries]:
            return jnp.asarray(False)
        return _all(space.contains(value[name]) for name, space in self.entries)


@dataclasses.dataclass(frozen=True, repr=False)
class Tuple:
    """Spaces in order; a value is a tuple of the same length."""

    spaces: tuple["Space", ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "spaces", tuple(self.spaces))

    def __repr__(self) -> str:
        return f"Tuple({self.spaces})"

    @property
    def shape(self) -> tuple[Any, ...]:
        return tuple(space.shape for space in self.spaces)

    @property
    def dtype(self) -> tuple[Any, ...]:
        return tuple(space.dtype for space in self.spaces)

    def sample(self, key: jax.Array) -> tuple[Any, ...]:
        keys = jax.random.split(key, max(len(self.spaces), 1))
        return tuple(space.sample(keys[index]) for index, space in enumerate(self.spaces))

    def contains(self, value: Any) -> jax.Array:
        if not isinstance(value, (tuple, list)) or len(value) != len(self.spaces):
            return jnp.asarray(False)
        return _all(space.contains(entry) for space, entry in zip(self.spaces, value, strict=True))


Space: TypeAlias = Discrete | MultiDiscrete | Box | Dict | Tuple


def clip(space: Space, action: Any) -> Any:
    """Bring `action` (any leading axes) into the bounds of every Box; other spaces pass through."""
    if isinstance(space, Box):
        return jnp.clip(action, *(jnp.broadcast_to(bound, np.shape(action)) for bound in (space.low, space.high)))
    if isinstance(space, Dict):
        return {name: clip(entry, action[name]) for name, entry in space.entries}
    if isinstance(space, Tuple):
        return tuple(clip(entry, part) for entry, part in zip(space.spaces, action, strict=True))
    return action


def flat_size(space: Space) -> int:
    """The length of `flatten(space, value)`."""
    if isinstance(space, Discrete):
        return space.n
    if isinstance(space, MultiDiscrete):
        return sum(space.nvec)
    if isinstance(space, Box):
        return math.prod(space.shape)
    parts = [entry for _, entry in space.entries] if isinstance(space, Dict) else space.spaces
    return sum(flat_size(entry) for entry in parts)


def flatten(space: Space, value: Any) -> jax.Array:
    """One float32 vector [flat_size(space)]: boxes raveled, discrete entries one-hot, dicts in the order of names."""
    if isinstance(space, Discrete):
        return jax.nn.one_hot(value, space.n, dtype=jnp.float32)
    if isinstance(space, MultiDiscrete):
        parts = [jax.nn.one_hot(value[index], n, dtype=jnp.float32) for index, n in enumerate(space.nvec)]
    elif isinstance(space, Box):
        return jnp.ravel(value).astype(jnp.float32)
    elif isinstance(space, Dict):
        parts = [flatten(entry, value[name]) for name, entry in space.entries]
    else:
        parts = [flatten(entry, part) for entry, part in zip(space.spaces, value, strict=True)]
    return jnp.concatenate(parts)


def _all(conditions: Iterable[jax.Array]) -> jax.Array:
    return jnp.all(jnp.stack([jnp.asarray(True), *conditions]))


def _count(label: str, value: Any) -> int:
    if isinstance(value, bool) or int(value) != value or value < 1:
        raise ValueError(f"{label} must be a whole number of at least 1, got {value!r}.")
    return int(value)


def _bound(bound: Any, shape: tuple[int, ...], dtype: np.dtype[Any]) -> np.ndarray[Any, Any]:
    array = np.array(np.broadcast_to(np.asarray(bound), shape)).astype(dtype)
    array.flags.writeable = False
    return array
