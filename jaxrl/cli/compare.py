"""`jaxrl compare RUN RUN ...`: the numbers of run folders side by side, with their intervals."""

import functools
import json
import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from jaxrl.analysis.aggregates import probability_of_improvement
from jaxrl.analysis.statistics import (
    Interval,
    Statistic,
    bootstrap_interval,
    interquartile_mean,
    mean,
    median,
    optimality_gap,
)
from jaxrl.cli.arguments import diverged_lines, output_path, runs_and_settings
from jaxrl.cli.errors import UsageError, as_usage_error
from jaxrl.engine.saved_run import labels, marl_eval

HELP = """\
jaxrl compare RUN [RUN ...] [target=NUMBER] [metric=NAME] [export=results.json]

Prints a table for each environment: how many seeds each run has, and the mean, median and interquartile mean (IQM) of
their scores, each with its 95 % bootstrap interval over seeds. The score of a seed is the mean return of its final
evaluation. P(X > first) is the probability that a seed of the run scores above a seed of the first run; ties count
half. Seeds that diverged are left out and named.

  target=475             adds the optimality gap: by how much scores miss 475 on average, those above it counted as 475
  metric=episode_return  the last value of a column of metrics.csv is the score, in place of the evaluation
  export=results.json    also writes the runs in the JSON form of marl-eval, which draws and tabulates many of them

  jaxrl compare runs/ppo runs/a2c target=475
"""


def compare(arguments: Sequence[str]) -> int:
    """Compare the runs that `arguments` name."""
    if {"-h", "--help"} & set(arguments):
        print(HELP, end="")
        return 0
    runs, settings = runs_and_settings("compare", arguments, ("target", "metric", "export"))
    statistics: dict[str, Statistic] = {"mean": mean, "median": median, "IQM": interquartile_mean}
    if "target" in settings:
        statistics["optimality gap"] = functools.partial(optimality_gap, target=_target(settings["target"]))
    path = output_path(settings, "export", "results.json", (".json",)) if "export" in settings else None
    metric = settings.get("metric")
    names = labels(runs)
    with as_usage_error():
        tables = [
            f"{environment}, {_what(metric)} and its 95 % bootstrap interval over seeds\n"
            + table(
                {
                    name: run.scores(metric)
                    for name, run in zip(names, runs, strict=True)
                    if run.environment == environment
                },
                statistics,
            )
            for environment in dict.fromkeys(run.environment for run in runs)
        ]
        if path is not None:
            path.write_text(json.dumps(marl_eval(runs), indent=1) + "\n", encoding="utf-8")
    print("\n\n".join(tables))
    for line in diverged_lines(runs):
        print(line)
    if path is not None:
        print(f"  exported   {path}")
    return 0


def table(scores: dict[str, NDArray[np.float64]], statistics: dict[str, Statistic]) -> str:
    """A row for each run of `scores`, name -> [num_seeds], and a column for each statistic."""
    first = next(iter(scores.values()))
    header = ["run", "seeds", *statistics, *([f"P(X > {next(iter(scores))})"] if len(scores) > 1 else [])]
    rows = [header]
    for number, (name, each) in enumerate(scores.items()):
        row = [name, f"{len(each)}"]
        row += [_cell(bootstrap_interval(each, statistic=statistic)) for statistic in statistics.values()]
        if len(scores) > 1:
            is_compared = number > 0 and each.size > 0 and first.size > 0
            row.append(_cell(probability_of_improvement(each, first)) if is_compared else "-")
        rows.append(row)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  " + "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def _cell(interval: Interval) -> str:
    if not math.isfinite(interval.estimate):
        return "-"
    ends = f" [{_shown(interval.low)}, {_shown(interval.high)}]" if math.isfinite(interval.low) else ""
    return _shown(interval.estimate) + ends


def _shown(number: float) -> str:
    return f"{number:.2f}" if abs(number) >= 0.1 or number == 0.0 else f"{number:.2g}"


def _what(metric: str | None) -> str:
    return "return of the final greedy evaluation" if metric is None else f"last {metric} of the training"


def _target(value: str) -> float:
    try:
        target = float(value)
    except ValueError:
        target = math.nan
    if not math.isfinite(target):
        raise UsageError(f"target must be a number, got '{value}'.")
    return target
