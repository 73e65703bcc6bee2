"""Scores of many seeds on several tasks, [num_seeds, num_tasks], put into a few numbers with their intervals.

The scores of the tasks must be comparable: normalise them first, as by a human's or the best known score. Agarwal et
al. 2021, "Deep Reinforcement Learning at the Edge of the Statistical Precipice" (https://arxiv.org/abs/2108.13264),
and Gorsane et al. 2022, "Towards a Standardised Performance Evaluation Protocol for Cooperative MARL"
(https://arxiv.org/abs/2209.10485). The numbers are those of the authors' library, rliable.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from jaxrl.analysis.bootstrap import ScoreStatistic, check_confidence, percentile_ends, resampled_statistics
from jaxrl.analysis.statistics import Interval, interquartile_mean, mean, optimality_gap


def aggregate_mean(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """The mean over the last two axes, [..., num_seeds, num_tasks] -> [...]."""
    return mean(_runs(scores))


def aggregate_median(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """The median over tasks of the mean over seeds, [..., num_seeds, num_tasks] -> [...]; for one task, its mean."""
    return np.asarray(np.median(scores.mean(axis=-2), axis=-1))


def aggregate_iqm(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """The interquartile mean of all runs, [..., num_seeds, num_tasks] -> [...].

    The runs of all tasks are sorted together, and a quarter is cut at each end of the whole: hard tasks lose their
    worst runs and easy tasks their best. It is not the mean over tasks of each task's interquartile mean.
    """
    return interquartile_mean(_runs(scores))


def aggregate_optimality_gap(scores: NDArray[np.float64], target: float = 1.0) -> NDArray[np.float64]:
    """By how much all runs miss `target` on average, [..., num_seeds, num_tasks] -> [...]; less is better."""
    return optimality_gap(_runs(scores), target)


def _runs(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    return scores.reshape(*scores.shape[:-2], -1)


def stratified_interval(
    scores: ArrayLike,
    statistic: ScoreStatistic = aggregate_iqm,
    *,
    confidence: float = 0.95,
    num_resamples: int = 10_000,
    seed: int = 0,
) -> Interval:
    """`statistic` of `scores` [num_seeds, num_tasks] (or [num_seeds], one task) with its stratified bootstrap interval.

    Each resample draws the seeds anew within each task (Agarwal et al. 2021, section 4.1). One seed has no interval:
    its ends are NaN. Raises ValueError where a score is not finite: name the seeds that diverged, and leave them out.
    """
    table = _checked(scores, "stratified_interval", confidence)
    estimate = float(statistic(table))
    if len(table) < 2:
        return Interval(estimate, np.nan, np.nan)
    resampled = resampled_statistics(table, statistic, num_resamples=num_resamples, seed=seed)
    low, high = percentile_ends(resampled, confidence)
    return Interval(estimate, float(low), float(high))


def performance_profile(
    scores: ArrayLike,
    thresholds: ArrayLike,
    *,
    confidence: float = 0.95,
    num_resamples: int = 2_000,
    seed: int = 0,
) -> tuple[NDArray[np.float64], ...]:
    """`(share, low, high)` [num_thresholds]: the share of all runs that score above each threshold.

    The run-score distribution of Agarwal et al. 2021, section 4.2, of `scores` [num_seeds, num_tasks] (or
    [num_seeds]); the interval is the stratified bootstrap's at each threshold, NaN for one seed.
    """
    table = _checked(scores, "performance_profile", confidence)
    bounds = np.asarray(thresholds, np.float64)

    def share(scores: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.stack([(scores > bound).mean(axis=(-2, -1)) for bound in bounds], axis=-1)

    middle = share(table)
    if len(table) < 2:
        return middle, np.full_like(middle, np.nan), np.full_like(middle, np.nan)
    low, high = percentile_ends(resampled_statistics(table, share, num_resamples=num_resamples, seed=seed), confidence)
    return middle, low, high


def probability_of_improvement(
    scores_x: ArrayLike,
    scores_y: ArrayLike,
    *,
    confidence: float = 0.95,
    num_resamples: int = 10_000,
    seed: int = 0,
) -> Interval:
    """The mean over tasks of P(X > Y): that a run of X scores above a run of Y on the same task; ties count half.

    `scores_x` [num_seeds_x, num_tasks] and `scores_y` [num_seeds_y, num_tasks] (or one axis, one task). P is the
    Mann-Whitney statistic over the number of pairs (Agarwal et al. 2021, section 4.3); seeds of X and of Y are drawn
    anew within each task, independently. Where X or Y has one seed there is no interval: its ends are NaN.
    """
    x, y = (_checked(scores, "probability_of_improvement", confidence) for scores in (scores_x, scores_y))
    if x.shape[1] != y.shape[1]:
        raise ValueError(
            f"probability_of_improvement needs the same tasks for both, got {x.shape[1]} and {y.shape[1]} tasks."
        )
    difference = x.T[:, :, None] - y.T[:, None, :]
    wins = (np.sign(difference) + 1.0) / 2.0  # [num_tasks, num_seeds_x, num_seeds_y]
    estimate = float(wins.mean())
    if min(len(x), len(y)) < 2:
        return Interval(estimate, np.nan, np.nan)
    generator = np.random.default_rng(seed)
    # A resample matters only by how often it holds each seed, [num_tasks, num_resamples, num_seeds].
    drawn_x, drawn_y = (
        generator.multinomial(len(z), np.full(len(z), 1.0 / len(z)), size=(x.shape[1], num_resamples)) / len(z)
        for z in (x, y)
    )
    resampled = ((drawn_x @ wins) * drawn_y).sum(axis=-1).mean(axis=0)
    low, high = percentile_ends(resampled, confidence)
    return Interval(estimate, float(low), float(high))


def sample_efficiency_curve(
    scores: ArrayLike,
    statistic: ScoreStatistic = aggregate_iqm,
    *,
    confidence: float = 0.95,
    num_resamples: int = 2_000,
    seed: int = 0,
) -> tuple[NDArray[np.float64], ...]:
    """`(middle, low, high)` [num_reports]: `statistic` at each report of `scores` [num_seeds, num_tasks, num_reports].

    Agarwal et al. 2021, figure 7. For the seeds of one task, [num_seeds, num_reports], with gaps or not: `band`.
    """
    curves = np.asarray(scores, np.float64)
    if curves.ndim != 3:
        raise ValueError(
            f"sample_efficiency_curve needs scores [num_seeds, num_tasks, num_reports], got {curves.shape}."
        )
    intervals = [
        stratified_interval(
            curves[..., report], statistic, confidence=confidence, num_resamples=num_resamples, seed=seed
        )
        for report in range(curves.shape[-1])
    ]
    middle, low, high = (np.array(part, np.float64) for part in zip(*intervals, strict=True))
    return middle, low, high


def _checked(scores: ArrayLike, what: str, confidence: float) -> NDArray[np.float64]:
    """`scores` as [num_seeds, num_tasks]."""
    check_confidence(confidence)
    table = np.asarray(scores, np.float64)
    table = table[:, None] if table.ndim == 1 else table
    if table.ndim != 2 or not table.size:
        raise ValueError(f"{what} needs scores [num_seeds, num_tasks], at least one of each, got {table.shape}.")
    if not np.isfinite(table).all():
        raise ValueError(f"{what} needs finite scores; leave out the seeds that diverged, and name them.")
    return table
