"""What a sweep tries: grids, draws and lists of settings."""

import dataclasses
import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np


@dataclasses.dataclass(frozen=True)
class Uniform:
    """Numbers between `low` and `high`, all equally likely."""

    low: float
    high: float

    def __post_init__(self) -> None:
        """Raise ValueError where there is nothing between."""
        if not (math.isfinite(self.low) and math.isfinite(self.high) and self.low < self.high):
            raise ValueError(f"{self} needs two numbers of which the first is less than the second.")

    def sample(self, rng: np.random.Generator, count: int) -> list[Any]:
        """`count` draws."""
        return [float(value) for value in rng.uniform(self.low, self.high, count)]


@dataclasses.dataclass(frozen=True)
class LogUniform:
    """Numbers between `low` and `high`, above 0, whose logarithms are all equally likely."""

    low: float
    high: float

    def __post_init__(self) -> None:
        """Raise ValueError where there is nothing between."""
        if not (math.isfinite(self.high) and 0 < self.low < self.high):
            raise ValueError(f"{self} needs two numbers above 0 of which the first is less than the second.")

    def sample(self, rng: np.random.Generator, count: int) -> list[Any]:
        """`count` draws."""
        return [float(value) for value in np.exp(rng.uniform(math.log(self.low), math.log(self.high), count))]


@dataclasses.dataclass(frozen=True)
class Choice:
    """One of `values`, all equally likely."""

    values: Sequence[Any]

    def __post_init__(self) -> None:
        """Raise ValueError where there is nothing to choose from."""
        if isinstance(self.values, str) or not len(self.values):
            raise ValueError(f"Choice needs a list of at least one value, got {self.values!r}.")

    def sample(self, rng: np.random.Generator, count: int) -> list[Any]:
        """`count` draws."""
        return [self.values[int(place)] for place in rng.integers(len(self.values), size=count)]


Distribution = Uniform | LogUniform | Choice
Space = Mapping[str, Any] | Sequence[Mapping[str, Any]]
"""Name -> a list of values (all are tried, each with each), or a distribution (draws are tried); or a list of settings,
name -> value, that are tried as they are."""


def settings_of(space: Space, num_samples: int | None, seed: int | Sequence[int]) -> list[dict[str, Any]]:
    """The settings of `space`: its grid, crossed with `num_samples` draws where there are distributions.

    Raises TypeError or ValueError with one sentence.
    """
    if not isinstance(space, Mapping):
        return _as_listed(space, num_samples)
    drawn = {name: values for name, values in space.items() if isinstance(values, Distribution)}
    listed = {name: values for name, values in space.items() if name not in drawn}
    for name, values in listed.items():
        is_array = hasattr(values, "__array__") and np.ndim(values) > 0
        if isinstance(values, str) or not (is_array or isinstance(values, Sequence)):
            raise TypeError(
                f"{name} must be a list of values to try, or a distribution such as jaxrl.LogUniform(1e-5, 1e-2), got "
                f"{values!r}."
            )
        if not len(values):
            raise ValueError(f"{name} must be a list of at least one value, got {values!r}.")
    if drawn and (isinstance(num_samples, bool) or not isinstance(num_samples, int) or num_samples < 1):
        raise ValueError(
            f"{min(drawn)} is drawn from a distribution, which needs num_samples, a whole number of at least 1, got "
            f"{num_samples!r}."
        )
    if not drawn and num_samples is not None:
        raise ValueError(
            f"num_samples={num_samples} was given, and nothing is drawn from a distribution; leave it out."
        )
    rng = np.random.default_rng(seed)
    draws = {name: values.sample(rng, num_samples or 0) for name, values in drawn.items()}
    samples = [{name: values[place] for name, values in draws.items()} for place in range(num_samples or 1)]
    grid = [dict(zip(listed, values, strict=True)) for values in itertools.product(*map(_plain, listed.values()))]
    return [{name: (point | sample)[name] for name in space} for point in grid for sample in samples]


def bounds_of(space: Space, settings: Sequence[Mapping[str, Any]]) -> dict[str, tuple[float, float]]:
    """Setting -> the least and the largest number that it may have: the ends of a distribution or of what is listed."""
    found = {}
    for name in dict.fromkeys(name for values in settings for name in values):
        given = space.get(name) if isinstance(space, Mapping) else None
        listed = [values[name] for values in settings if name in values]
        if isinstance(given, (Uniform, LogUniform)):
            found[name] = (float(given.low), float(given.high))
        elif all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in listed):
            found[name] = (float(min(listed)), float(max(listed)))
    return found


def _as_listed(space: Sequence[Mapping[str, Any]], num_samples: int | None) -> list[dict[str, Any]]:
    if not isinstance(space, Sequence) or not all(isinstance(each, Mapping) for each in space) or not len(space):
        raise TypeError(
            "sweep needs a mapping such as {'learning_rate': [1e-4, 1e-3]}, or a list of at least one mapping such as "
            f"{{'learning_rate': 1e-4}}, got {space!r}."
        )
    if num_samples is not None:
        raise ValueError(
            f"num_samples={num_samples} was given, and a list of settings is tried as it is; leave it out."
        )
    return [dict(each) for each in space]


def _plain(values: Any) -> list[Any]:
    return (
        values if isinstance(values, list) else [value.item() if hasattr(value, "item") else value for value in values]
    )
