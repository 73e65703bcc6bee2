"""`jaxrl plot RUN [RUN ...]`: pictures that compare run folders."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from jaxrl.analysis.plots import save_intervals, save_learning_curves, save_performance_profiles
from jaxrl.analysis.statistics import Statistic, bootstrap_interval, interquartile_mean, mean, median
from jaxrl.cli.arguments import diverged_lines, one_of, output_path, runs_and_settings
from jaxrl.cli.errors import UsageError, as_usage_error
from jaxrl.engine.reporting.report import curve_name
from jaxrl.engine.saved_run import SavedRun, labels

HELP = """\
jaxrl plot RUN [RUN ...] [output=curves.png] [kind=curves] [metric=NAME] [statistic=mean] [by=run]

Draws the run folders into one picture, a PNG, SVG or PDF by its name. Seeds that diverged are left out and named.

  kind=curves      learning curves with the 95 % bootstrap band over seeds, a panel for each environment
  kind=profiles    the share of seeds that score above each return, with the 95 % band
  kind=intervals   mean, median and interquartile mean of the scores with their 95 % intervals
  metric=NAME      a column of metrics.csv; the default is the episodes' return, and for profiles and intervals the
                   return of the final evaluation
  statistic=iqm    curves show the interquartile mean over seeds in place of the mean
  by=algorithm     one line for all runs of an algorithm, with their seeds put together

  jaxrl plot runs/ppo runs/a2c output=curves.svg
  jaxrl plot runs/sweep/* metric=episode_length statistic=iqm output=lengths.pdf
"""

KINDS = ("curves", "profiles", "intervals")
STATISTICS: dict[str, Statistic] = {"mean": mean, "iqm": interquartile_mean}
Curve = tuple[ArrayLike, ArrayLike]


def plot(arguments: Sequence[str]) -> int:
    """Draw the runs that `arguments` name."""
    if {"-h", "--help"} & set(arguments):
        print(HELP, end="")
        return 0
    runs, settings = runs_and_settings("plot", arguments, ("output", "kind", "metric", "statistic", "by"))
    kind, statistic = one_of(settings, "kind", KINDS), one_of(settings, "statistic", list(STATISTICS))
    names = labels(runs) if one_of(settings, "by", ("run", "algorithm")) == "run" else [run.algorithm for run in runs]
    path, metric = output_path(settings, "output", f"{kind}.png", (".png", ".svg", ".pdf")), settings.get("metric")
    with as_usage_error():
        if kind == "curves":
            ylabel = (metric or curve_name(runs[0].metrics)).replace("_", " ")
            save_learning_curves(path, curves(runs, names, metric), ylabel=ylabel, statistic=STATISTICS[statistic])
        else:
            _save_scores(path, kind, runs, pooled_scores(runs, names, metric), metric)
    for line in diverged_lines(runs):
        print(line)
    print(f"  picture    {path}")
    return 0


def curves(runs: Sequence[SavedRun], names: Sequence[str], metric: str | None) -> dict[str, dict[str, Curve]]:
    """Environment -> name -> `(steps, values)`; the seeds of runs with one name are put together."""
    panels: dict[str, dict[str, Curve]] = {}
    for run, name in zip(runs, names, strict=True):
        panel = panels.setdefault(run.environment, {})
        steps, values = panel.get(name, (run.steps, np.empty((0, len(run.steps)))))
        if not np.array_equal(steps, run.steps):
            raise ValueError(f"The runs of {name} on {run.environment} reported at different steps; use by=run.")
        panel[name] = (steps, np.concatenate([values, run.curve(metric)]))
    return panels


def pooled_scores(runs: Sequence[SavedRun], names: Sequence[str], metric: str | None) -> dict[str, NDArray[np.float64]]:
    """Name -> the scores of its seeds, those of runs with one name put together; names without any are left out."""
    scores: dict[str, NDArray[np.float64]] = {}
    for run, name in zip(runs, names, strict=True):
        scores[name] = np.concatenate([scores.get(name, np.empty(0)), run.scores(metric)])
    return {name: each for name, each in scores.items() if each.size}


def _save_scores(
    path: Path, kind: str, runs: Sequence[SavedRun], scores: Mapping[str, NDArray[np.float64]], metric: str | None
) -> None:
    environments = list(dict.fromkeys(run.environment for run in runs))
    if len(environments) > 1:
        raise UsageError(f"kind={kind} compares runs on one environment, got {' and '.join(environments)}.")
    if not scores:
        raise UsageError("There is nothing to draw: every seed of every run diverged.")
    title, xlabel = environments[0], (metric or "return").replace("_", " ")
    if kind == "profiles":
        save_performance_profiles(path, scores, title=title, xlabel=xlabel)
        return
    statistics: dict[str, Statistic] = {"mean": mean, "median": median, "interquartile mean": interquartile_mean}
    intervals = {
        name: {label: bootstrap_interval(each, statistic=statistic) for label, each in scores.items()}
        for name, statistic in statistics.items()
    }
    save_intervals(path, intervals, title=title, xlabel=xlabel)
