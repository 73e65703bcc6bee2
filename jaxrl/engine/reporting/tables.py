"""The metrics as tables on disk: a row per agent and report, in CSV always, as JSON lines where asked for."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jaxrl.engine import run_folder
from jaxrl.engine.reporting.report import Report


def append_csv(path: Path, report: Report) -> None:
    """One row per agent; on disk when this returns."""
    rows = list(_rows(report))
    run_folder.append_rows(path, tuple(rows[0]), [tuple(row.values()) for row in rows])


def append_json_lines(path: Path, report: Report) -> None:
    """One object per agent, null where nothing was measured; on disk when this returns."""
    with run_folder.writing(path), path.open("a", encoding="utf-8") as file:
        for row in _rows(report):
            file.write(json.dumps({name: _plain(value) for name, value in row.items()}) + "\n")


def rewrite(folder: Path, reports: Sequence[Report]) -> None:
    """Bring the tables that are in `folder` back to `reports`; each is whole at any moment."""
    for name, append in ((run_folder.METRICS, append_csv), (run_folder.JSON_LINES, append_json_lines)):
        path, new = folder / name, folder / f"{name}.new"
        if not path.exists():
            continue
        new.unlink(missing_ok=True)
        for report in reports:
            append(new, report)
        if reports:
            new.replace(path)
        else:
            path.unlink()


def _rows(report: Report) -> Iterator[dict[str, Any]]:
    for agent, values in zip(report.members.tolist(), zip(*report.metrics.values(), strict=True), strict=True):
        row: dict[str, Any] = {**report.index(agent), "iteration": report.iteration, "steps": report.steps}
        yield row | dict(zip(report.metrics, values, strict=True))


def _plain(value: Any) -> int | float | None:
    if isinstance(value, int):
        return value
    return float(str(value)) if np.isfinite(value) else None  # the few digits that tell a float32 apart
