"""The stratified bootstrap: what a statistic of scores would have been with other seeds on the same tasks.

Agarwal et al. 2021, "Deep Reinforcement Learning at the Edge of the Statistical Precipice", section 4.1
(https://arxiv.org/abs/2108.13264); Efron 1979 for the percentile interval.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

ScoreStatistic = Callable[[NDArray[np.float64]], NDArray[np.float64]]
"""Reduces the last two axes, [..., num_seeds, num_tasks] -> [...] or [..., num_points]."""

BLOCK = 1_000_000
"""Scores resampled at once: memory stays bounded for thousands of seeds."""


def resampled_statistics(
    scores: NDArray[np.float64], statistic: ScoreStatistic, *, num_resamples: int, seed: int
) -> NDArray[np.float64]:
    """`statistic` [num_resamples, ...] of `scores` [num_seeds, num_tasks] with the seeds of each task drawn anew."""
    generator = np.random.default_rng(seed)
    block = max(1, BLOCK // scores.size)
    tasks = np.arange(scores.shape[1])
    return np.concatenate(
        [
            statistic(
                scores[generator.integers(len(scores), size=(min(block, num_resamples - done), *scores.shape)), tasks]
            )
            for done in range(0, num_resamples, block)
        ]
    )


def percentile_ends(resampled: NDArray[np.float64], confidence: float) -> NDArray[np.float64]:
    """`(low, high)`, [2, ...]: what lies between them is the share `confidence` of `resampled` [num_resamples, ...]."""
    tail = (1.0 - confidence) / 2.0
    return np.asarray(np.quantile(resampled, (tail, 1.0 - tail), axis=0))


def check_confidence(confidence: float) -> None:
    """Raise ValueError where `confidence` is no share between 0 and 1."""
    if not 0.0 < confidence < 1.0:
        raise ValueError(f"confidence must lie between 0 and 1, got {confidence}.")
