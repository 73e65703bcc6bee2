"""Populations that change while they train: population-based training, and successive halving.

Both go by the score of an agent, its latest evaluation or, without one, the return of its latest training episodes.
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray


@dataclasses.dataclass(frozen=True)
class PBT:
    """Population-based training: the worst agents go on from the best ones, with settings near theirs.

    Truncation selection and perturbation of Jaderberg et al. 2017 (https://arxiv.org/abs/1711.09846), appendix A. The
    settings of a sweep are the population; each seed is a population of its own. What is copied is the learner
    (parameters, optimizer, statistics) and its settings; worlds and replays stay.
    """

    every: int = 5
    """Reports between two selections."""
    fraction: float = 0.25
    """Of the population, how many are replaced, and by how many."""
    factors: tuple[float, float] = (0.8, 1.25)
    """A copied setting is multiplied by one of them.

    It stays between the least and the largest value of the sweep.
    """
    bounds: Any = ()
    """Setting -> (least, largest) value, held as sorted pairs; `sweep` fills it in."""

    def __post_init__(self) -> None:
        """Make it hashable; raise ValueError with one sentence where it makes no sense."""
        object.__setattr__(self, "bounds", tuple(sorted(dict(self.bounds).items())))
        _check_whole("PBT.every", self.every)
        if not 0 < self.fraction <= 0.5:
            raise ValueError(f"PBT.fraction must be above 0 and at most 0.5, got {self.fraction}.")
        if len(self.factors) != 2 or min(self.factors) <= 0:
            raise ValueError(f"PBT.factors must be two numbers above 0, got {self.factors}.")


@dataclasses.dataclass(frozen=True)
class SuccessiveHalving:
    """Settings that are behind are given up: what they took goes to those that are left.

    Jamieson and Talwalkar 2016 (https://arxiv.org/abs/1502.07943). With 3 rungs the best half of the settings, by the
    mean over seeds, goes on after an eighth, a quarter and a half of the training. Their agents are packed into as few
    calls of the program as hold them, so that the training becomes faster by as much.
    """

    rungs: int = 3
    """How many times settings are given up."""
    keep: float = 0.5
    """The share that goes on, and by which the rungs lie apart."""

    def __post_init__(self) -> None:
        """Raise ValueError with one sentence where it makes no sense."""
        _check_whole("SuccessiveHalving.rungs", self.rungs)
        if not 0 < self.keep < 1:
            raise ValueError(f"SuccessiveHalving.keep must be between 0 and 1, got {self.keep}.")

    def survivors(self, num_settings: int, report: int, num_reports: int) -> int | None:
        """How many settings go on after report `report` of `num_reports`, counted from 1; None where it is no rung."""
        places = [max(1, round(num_reports * self.keep ** (self.rungs - rung))) for rung in range(self.rungs)]
        reached = sum(place <= report for place in places)
        return max(1, int(num_settings * self.keep**reached)) if report in places else None


Search = PBT | SuccessiveHalving


def kept_settings(scores: NDArray[np.float64], count: int) -> NDArray[np.bool_]:
    """[K]: the `count` settings with the highest mean of `scores` [S, K]; NaN counts as lowest."""
    means = np.where(np.isfinite(scores), scores, -np.inf).mean(axis=0)
    kept = np.zeros(len(means), bool)
    kept[np.argsort(-means, kind="stable")[:count]] = True
    return kept


def exploit_and_explore(
    key: jax.Array, scores: jax.Array, learner: Any, values: dict[str, jax.Array], search: PBT
) -> tuple[Any, dict[str, jax.Array], jax.Array]:
    """One selection in a population of K: `(learner, values, parents)`, leaves [K, ...], `parents` int32 [K].

    The `fraction` of it with the lowest `scores` [K] takes the learners and values of some of the best `fraction`, and
    multiplies each value by one of the factors. NaN counts as lowest.
    """
    size = len(scores)
    count = max(1, int(search.fraction * size))
    order = jnp.argsort(jnp.where(jnp.isfinite(scores), scores, -jnp.inf))
    worst, best = order[:count], order[size - count :]
    parent_key, explore_key = jax.random.split(key)
    parents = jnp.arange(size).at[worst].set(jax.random.choice(parent_key, best, (count,)))
    is_new = jnp.zeros(size, bool).at[worst].set(True)
    explored = {}
    for number, (name, (low, high)) in enumerate(dict(search.bounds).items()):
        copied = values[name][parents]
        drawn = jax.random.choice(jax.random.fold_in(explore_key, number), jnp.asarray(search.factors), (size,))
        explored[name] = jnp.where(is_new, jnp.clip(copied * drawn, low, high), copied)
    return jax.tree.map(lambda leaf: leaf[parents], learner), explored, parents


def _check_whole(name: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError(f"{name} must be a whole number of at least 1, got {value!r}.")
