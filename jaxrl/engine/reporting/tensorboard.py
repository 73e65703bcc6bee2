"""TensorBoard's event files, in `tensorboard/` of the run folder: `tensorboard --logdir RUN/tensorboard`."""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from jaxrl.engine.reporting.report import Report


@contextlib.contextmanager
def streams(folder: Path, names: Mapping[int | None, str], done: int) -> Iterator[Callable[[Report], None]]:
    """A line for the mean over seeds (`tensorboard/mean`), and one for each agent of `names` (`tensorboard/seed_0`)."""
    from tensorboardX import SummaryWriter  # an extra

    # The reader forgets what an earlier process wrote after the last step that this run knows.
    writers = {
        seed: SummaryWriter(str(folder / "tensorboard" / name), purge_step=done + 1, filename_suffix=f".{done}")
        for seed, name in names.items()
    }

    def log(report: Report) -> None:
        for seed, writer in writers.items():
            for name, value in report.measured(seed).items():
                writer.add_scalar(name, value, report.steps)

    try:
        yield log
    finally:
        for writer in writers.values():
            writer.close()
