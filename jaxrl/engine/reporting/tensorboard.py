"""TensorBoard's event files, in `tensorboard/` of the run folder: `tensorboard --logdir RUN/tensorboard`."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from jaxrl.engine.reporting.report import Report


@contextlib.contextmanager
def streams(folder: Path, log_seeds: bool) -> Iterator[Callable[[Report], None]]:
    """A line for the mean over agents (`tensorboard/mean`), with `log_seeds` also one for each (`tensorboard/seed_0`).

    What an earlier process wrote of the same steps, its readers forget.
    """
    from tensorboardX import SummaryWriter  # an extra

    writers: dict[str, Any] = {}

    def log(report: Report) -> None:
        for stream, measured in report.streams(log_seeds):
            if stream not in writers:
                place = str(folder / "tensorboard" / stream)
                suffix = f".{report.steps}"  # else those of one second have the same name
                writers[stream] = SummaryWriter(place, purge_step=report.steps, filename_suffix=suffix)
            for name, value in measured.items():
                writers[stream].add_scalar(name, value, report.steps)

    try:
        yield log
    finally:
        for writer in writers.values():
            writer.close()
