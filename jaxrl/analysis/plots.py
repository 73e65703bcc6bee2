"""Pictures of runs, drawn through matplotlib's objects: no window, and nothing of the caller's `pyplot` changes."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from jaxrl.analysis.statistics import band

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def learning_curve(axes: "Axes", steps: ArrayLike, values: ArrayLike, *, label: str | None = None) -> None:
    """Draw the mean of `values` [num_seeds, num_reports] over `steps` [num_reports] into `axes`.

    The band is the 95 % bootstrap interval of the mean over seeds; one seed has none. Reports without a value are
    bridged.
    """
    middle, low, high = band(values)
    measured = np.isfinite(middle)
    steps = np.asarray(steps)[measured]
    (line,) = axes.plot(steps, middle[measured], label=label)
    if np.isfinite(low).any():
        # A report that a single seed reached has no interval of its own: the band pinches to the mean there.
        low, high = (np.where(np.isfinite(end), end, middle)[measured] for end in (low, high))
        axes.fill_between(steps, low, high, color=line.get_color(), alpha=0.25, linewidth=0.0)


def save_learning_curve(
    path: str | Path, steps: ArrayLike, values: ArrayLike, *, title: str = "", ylabel: str = "episode return"
) -> None:
    """Write one learning curve as a picture; the format follows the name (`.png`, `.svg`, `.pdf`)."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 4.0), layout="constrained")
    axes = figure.add_subplot()
    learning_curve(axes, steps, values)
    axes.set_title(title)
    axes.set_xlabel("environment steps per seed")
    axes.set_ylabel(ylabel)
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    num_seeds = len(np.asarray(values))
    if num_seeds > 1:
        axes.text(0.99, 0.02, f"mean of {num_seeds} seeds, 95 % band", transform=axes.transAxes, ha="right", alpha=0.6)
    figure.savefig(path, dpi=150)
