"""Statistics over seeds, in numpy: the mean, the interquartile mean, and how far another draw of seeds might lie."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

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
    """The mean over the last axis without its lowest and its highest quarter (a quarter of n rounded down).

    Agarwal et al. 2021, "Deep Reinforcement Learning at the Edge of the Statistical Precipice".
    """
    cut = values.shape[-1] // 4
    kept = np.sort(values, axis=-1)[..., cut : values.shape[-1] - cut]
    return np.asarray(kept.mean(axis=-1))


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
    if not 0.0 < confidence < 1.0:
        raise ValueError(f"confidence must lie between 0 and 1, got {confidence}.")
    if sample.size < 2:
        return Interval(float(sample[0]) if sample.size else np.nan, np.nan, np.nan)
    generator = np.random.default_rng(seed)
    block = max(1, 1_000_000 // sample.size)  # resamples at once: memory stays bounded for thousands of seeds
    resampled = np.concatenate(
        [
            statistic(sample[generator.integers(sample.size, size=(min(block, num_resamples - done), sample.size))])
            for done in range(0, num_resamples, block)
        ]
    )
    tail = (1.0 - confidence) / 2.0
    low, high = np.quantile(resampled, (tail, 1.0 - tail))
    return Interval(float(statistic(sample)), float(low), float(high))


def band(values: ArrayLike, *, confidence: float = 0.95) -> tuple[NDArray[np.float64], ...]:
    """`(middle, low, high)` [num_reports] of `values` [num_seeds, num_reports]: mean and bootstrap interval per report.

    Entries that are not finite are left out (no episode ended, or the seed diverged); NaN where nothing is left.
    """
    columns = np.asarray(values, np.float64).T
    intervals = [
        bootstrap_interval(column[np.isfinite(column)], confidence=confidence, num_resamples=1_000)
        for column in columns
    ]
    middle, low, high = (np.array(part, np.float64) for part in zip(*intervals, strict=True))
    return middle, low, high
