"""Weights & Biases, whose own settings decide where it sends what: WANDB_MODE=offline, WANDB_PROJECT, WANDB_ENTITY."""

import contextlib
import hashlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from jaxrl.engine import run_folder
from jaxrl.engine.reporting.report import Report


@contextlib.contextmanager
def streams(folder: Path, label: str, log_seeds: bool) -> Iterator[Callable[[Report], None]]:
    """A run for the mean over agents and with `log_seeds` for each, in one group; a resumed run goes on with its own.

    Offline files are in `wandb/` of the run folder, for `wandb sync`.
    """
    import wandb  # an extra

    # The settings hold the moment of the beginning: no other run has the same.
    unique = hashlib.sha256((folder / run_folder.SETTINGS).read_bytes()).hexdigest()[:12]
    runs: dict[str, Any] = {}

    def begin(stream: str) -> Any:
        return wandb.init(
            project=os.environ.get("WANDB_PROJECT", "jaxrl"),
            dir=folder,
            group=folder.name,
            name=f"{label}, {stream}",
            id=f"{unique}-{stream}",
            config=run_folder.read_settings(folder),
            resume="allow",
            reinit="create_new",
            settings=wandb.Settings(console="off"),
        )

    def log(report: Report) -> None:
        for stream, measured in report.streams(log_seeds):
            if stream not in runs:
                runs[stream] = begin(stream)
            runs[stream].log(measured, step=report.steps)

    try:
        yield log
    finally:
        for run in runs.values():
            run.finish()
