"""Settings in the order of what they reached."""

import csv
import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jaxrl.analysis.statistics import Interval, bootstrap_interval
from jaxrl.engine import run_folder

MOST_LINES = 10
"""Of a ranking, what people are shown."""


@dataclasses.dataclass(frozen=True)
class Ranked:
    """A setting, and what its seeds reached."""

    setting: int
    """Its number, in the order in which the settings were given."""
    values: dict[str, Any]
    result: Interval
    """The mean over the seeds that did not diverge, with its 95 % bootstrap interval over seeds."""
    diverged: int
    """How many seeds are left out."""


def ranked(settings: Sequence[Mapping[str, Any]], returns: NDArray[np.float64]) -> list[Ranked]:
    """The settings with their `returns` [P, S], highest mean first; NaN is a seed that diverged."""
    rows = []
    for number, (values, scores) in enumerate(zip(settings, returns, strict=True)):
        finite = scores[np.isfinite(scores)]
        rows.append(Ranked(number, dict(values), bootstrap_interval(finite), len(scores) - len(finite)))
    return sorted(rows, key=lambda row: -np.nan_to_num(row.result.estimate, nan=-np.inf))


def write_ranking(folder: Path, ranking: Sequence[Ranked]) -> None:
    """sweep.csv, best first."""
    names = list(dict.fromkeys(name for row in ranking for name in row.values))
    with (
        run_folder.writing(folder / run_folder.SWEEP),
        (folder / run_folder.SWEEP).open("w", newline="", encoding="utf-8") as file,
    ):
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["rank", "setting", *names, "return", "low", "high", "diverged"])
        for rank, row in enumerate(ranking, start=1):
            values = [row.values.get(name, "") for name in names]
            writer.writerow([rank, row.setting, *values, *row.result, row.diverged])


def table_lines(rows: Sequence[Ranked], most: int = MOST_LINES) -> list[str]:
    """The best `most` as a table for people."""
    names = list(dict.fromkeys(name for row in rows for name in row.values))
    shown = [[_text(row.values.get(name, "")) for name in names] for row in rows[:most]]
    widths = [max(len(text) for text in column) for column in zip(names, *shown, strict=True)]

    def line(rank: str, texts: Sequence[str], result: str) -> str:
        cells = "  ".join(f"{text:>{width}}" for text, width in zip(texts, widths, strict=True))
        return f"  {rank:>4}  {cells}  {result}".rstrip()

    lines = [line("rank", names, "return [95 % interval over seeds]")]
    for rank, (row, texts) in enumerate(zip(rows[:most], shown, strict=True), start=1):
        lines.append(line(str(rank), texts, _result(row)))
    return lines if len(rows) <= most else [*lines, f"  ... and {len(rows) - most:,} more"]


def _result(row: Ranked) -> str:
    left_out = f", {row.diverged} diverged" if row.diverged else ""
    if np.isnan(row.result.estimate):
        return f"none{left_out}"
    interval = "" if np.isnan(row.result.low) else f" [{row.result.low:.2f}, {row.result.high:.2f}]"
    return f"{row.result.estimate:.2f}{interval}{left_out}"


def _text(value: Any) -> str:
    return f"{float(value):.4g}" if isinstance(value, (float, np.floating)) else str(value)
