"""Statistics over the seeds of one task, in numpy, and how far another draw of seeds might lie.

Agarwal et al. 2021, "Deep Reinforcement Learning at the Edge of the Statistical Precipice"
(https://arxiv.org/abs/2108.13264). Scores of several tasks: `jaxrl.analysis.aggregates`.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from jaxrl.analysis.bootstrap import check_confidence, percentile_ends, resampled_statistics

Statistic = Callable[[NDArray[np.float64]], NDArray[np.float64]]
"""Reduces the last axis."""


class Interval(NamedTuple):
    """An estimate with a confidence interval; the ends are NaN where one value alone gives none."""

    estimate: float
    low: float
    high: float


def mean(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The mean over the last axis."""
    return np.asarray(values.mean(axis=-1))


def interquartile_mean(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The mean over the last axis without its lowest and its highest quarter (a quarter of n rounded down)."""
    cut = values.shape[-1] // 4
    kept = np.sort(values, axis=-1)[..., cut : values.shape[-1] - cut]
    return np.asarray(kept.mean(axis=-1))


def median(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The median over the last axis."""
    return np.asarray(np.median(values, axis=-1))


def optimality_gap(values: NDArray[np.float64], target: float = 1.0) -> NDArray[np.float64]:
    """`target - mean(min(values, target))` over the last axis: by how much `target` is missed; what exceeds it is cut.

    Agarwal et al. 2021, section 4.3.
    """
    return np.asarray(target - np.minimum(values, target).mean(axis=-1))


def bootstrap_interval(
    values: ArrayLike,
    *,
    statistic: Statistic = mean,
    confidence: float = 0.95,
    num_resamples: int = 10_000,
    seed: int = 0,
) -> Interval:
    """The percentile bootstrap of `statistic` over `values` [num_seeds]; the same input gives the same interval.

    One value (or none) has no interval: its ends are NaN. Raises where `values` has other than one axis or is not
    finite: a diverged seed is to be named and left out by the caller, not averaged away here.
    """
    sample = np.asarray(values, np.float64)
    if sample.ndim != 1:
        raise ValueError(f"bootstrap_interval needs one value per seed, an array with one axis, got {sample.shape}.")
    if not np.isfinite(sample).all():
        raise ValueError(
            "bootstrap_interval needs finite values; leave out the seeds that diverged, and the reports in which no "
            "episode ended."
        )
    check_confidence(confidence)
    if sample.size < 2:
        return Interval(float(statistic(sample)) if sample.size else np.nan, np.nan, np.nan)
    resampled = resampled_statistics(
        sample[:, None], lambda draws: statistic(draws[..., 0]), num_resamples=num_resamples, seed=seed
    )
    low, high = percentile_ends(resampled, confidence)
    return Interval(float(statistic(sample)), float(low), float(high))


def band(
    values: ArrayLike, *, statistic: Statistic = mean, confidence: float = 0.95
) -> tuple[NDArray[np.float64], ...]:
    """`(middle, low, high)` [num_reports] of `values` [num_seeds, num_reports], with the bootstrap interval per report.

    `middle` is `statistic`, such as `mean` or `interquartile_mean`. Entries that are not finite are left out (no
    episode ended, or the seed diverged); NaN where nothing is left.
    """
    columns = np.asarray(values, np.float64).T
    intervals = [
        bootstrap_interval(column[np.isfinite(column)], statistic=statistic, confidence=confidence, num_resamples=1_000)
        for column in columns
    ]
    middle, low, high = (np.array(part, np.float64) for part in zip(*intervals, strict=True))
    return middle, low, high
