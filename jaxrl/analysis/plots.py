"""Pictures of runs, drawn through matplotlib's objects: no window, and nothing of the caller's `pyplot` changes.

The format follows the name: `.png`, `.svg`, `.pdf`.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from jaxrl.analysis.aggregates import performance_profile
from jaxrl.analysis.statistics import Interval, Statistic, band, mean

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""Told apart by the colour-blind too (Okabe and Ito 2008); beyond them the lines are dashed."""
DASHES = ("-", "--", ":")


def learning_curve(
    axes: "Axes", steps: ArrayLike, values: ArrayLike, *, label: str | None = None, statistic: Statistic = mean
) -> None:
    """Draw `statistic` of `values` [num_seeds, num_reports] over `steps` [num_reports] into `axes`.

    The band is its 95 % bootstrap interval over seeds; one seed has none. Reports without a value are bridged.
    """
    middle, low, high = band(values, statistic=statistic)
    measured = np.isfinite(middle)
    # A report that a single seed reached has no interval of its own: the band pinches to the line there.
    pinched = (np.where(np.isfinite(end), end, middle)[measured] for end in (low, high))
    ends = tuple(pinched) if np.isfinite(low).any() else None
    _line_with_band(axes, np.asarray(steps)[measured], middle[measured], ends, label)


def _line_with_band(
    axes: "Axes",
    x: NDArray[np.float64],
    middle: NDArray[np.float64],
    ends: Iterable[ArrayLike] | None,
    label: str | None,
) -> None:
    (line,) = axes.plot(x, middle, label=label)
    if ends is not None:
        low, high = ends
        axes.fill_between(x, low, high, color=line.get_color(), alpha=0.2, linewidth=0.0)


def save_learning_curve(
    path: str | Path, steps: ArrayLike, values: ArrayLike, *, title: str = "", ylabel: str = "episode return"
) -> None:
    """Write the learning curve of one run, `values` [num_seeds, num_reports] over `steps` [num_reports]."""
    figure = _figure(6.4, 4.0)
    axes = figure.add_subplot()
    _prepare_curves(axes, title, ylabel)
    learning_curve(axes, steps, values)
    num_seeds = len(np.asarray(values))
    if num_seeds > 1:
        axes.text(0.99, 0.02, f"mean of {num_seeds} seeds, 95 % band", transform=axes.transAxes, ha="right", alpha=0.6)
    _save(figure, path)


def save_learning_curves(
    path: str | Path,
    panels: Mapping[str, Mapping[str, tuple[ArrayLike, ArrayLike]]],
    *,
    ylabel: str = "episode return",
    statistic: Statistic = mean,
) -> None:
    """Write the learning curves of several runs, one panel per environment: `panels[environment][label]`.

    Each curve is `(steps, values)`, [num_reports] and [num_seeds, num_reports], drawn as `learning_curve` does.
    """
    columns = min(len(panels), 3)
    rows = -(-len(panels) // columns)
    name: str = getattr(statistic, "__name__", "estimate")
    figure = _figure(6.4 if columns == 1 else 4.0 * columns, 4.0 if columns == 1 else 3.2 * rows)
    for number, (environment, curves) in enumerate(panels.items(), start=1):
        axes = figure.add_subplot(rows, columns, number)
        _prepare_curves(axes, environment, ylabel)
        for label, (steps, values) in curves.items():
            learning_curve(axes, steps, values, label=label, statistic=statistic)
        _legend(axes, f"{name.replace('_', ' ')} and 95 % band")
    _save(figure, path)


def save_performance_profiles(
    path: str | Path,
    scores: Mapping[str, ArrayLike],
    *,
    thresholds: ArrayLike | None = None,
    title: str = "",
    xlabel: str = "score",
) -> None:
    """Write the share of runs above each score, with its 95 % band: `scores[label]` [num_seeds, num_tasks].

    Or [num_seeds]; `thresholds` default to 101 from the lowest score to the highest. See `performance_profile`.
    """
    if thresholds is None:
        pooled = np.concatenate([np.ravel(each) for each in scores.values()])
        thresholds = np.linspace(pooled.min(), pooled.max(), 101)
    bounds = np.asarray(thresholds, np.float64)
    figure = _figure(6.4, 4.0)
    axes = figure.add_subplot()
    _prepare(axes, title, f"{xlabel} (threshold)", "share of runs above it")
    for label, each in scores.items():
        share, *ends = performance_profile(each, bounds)
        _line_with_band(axes, bounds, share, ends if np.isfinite(ends).all() else None, label)
    axes.set_ylim(-0.02, 1.02)
    _legend(axes, "95 % band")
    _save(figure, path)


def save_intervals(
    path: str | Path, intervals: Mapping[str, Mapping[str, Interval]], *, title: str = "", xlabel: str = "score"
) -> None:
    """Write estimates with their intervals as bars, one panel per statistic: `intervals[statistic][label]`.

    The estimate is the line across the bar; one without an interval is a line alone. Every panel has the same labels,
    the first one on top.
    """
    labels = list(next(iter(intervals.values())))
    figure = _figure(1.6 + 2.4 * len(intervals), 1.3 + 0.4 * len(labels))
    for number, (statistic, each) in enumerate(intervals.items(), start=1):
        axes = figure.add_subplot(1, len(intervals), number)
        _prepare(axes, statistic, "", "")
        for row, label in enumerate(labels):
            color = COLORS[row % len(COLORS)]
            estimate, low, high = each[label]
            if np.isfinite(low):
                axes.barh(row, high - low, left=low, height=0.6, color=color, alpha=0.6)
            axes.vlines(estimate, row - 0.3, row + 0.3, color="black", linewidth=1.5)
        axes.set_yticks(range(len(labels)), labels if number == 1 else [""] * len(labels))
        axes.set_ylim(len(labels) - 0.5, -0.5)
        axes.locator_params(axis="x", nbins=4)
        axes.use_sticky_edges = False  # or a bar that is the leftmost would touch the frame
    figure.suptitle(title)
    figure.supxlabel(f"{xlabel} (line) and 95 % interval (bar)", fontsize="medium")
    _save(figure, path)


def _figure(width: float, height: float) -> "Figure":
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def _prepare(axes: "Axes", title: str, xlabel: str, ylabel: str) -> None:
    axes.set_prop_cycle(color=COLORS * len(DASHES), linestyle=[dash for dash in DASHES for _ in COLORS])
    axes.set_title(title)
    axes.set_xlabel(xlabel)
    axes.set_ylabel(ylabel)
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)


def _prepare_curves(axes: "Axes", title: str, ylabel: str) -> None:
    from matplotlib.ticker import EngFormatter

    _prepare(axes, title, "environment steps per seed", ylabel)
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))  # 100k


def _legend(axes: "Axes", title: str) -> None:
    axes.legend(frameon=False, fontsize="small", title=title, title_fontsize="small", alignment="left")


def _save(figure: "Figure", path: str | Path) -> None:
    import matplotlib as mpl

    with mpl.rc_context({"pdf.fonttype": 42}):  # fonts that publishers accept
        figure.savefig(path, dpi=200)
