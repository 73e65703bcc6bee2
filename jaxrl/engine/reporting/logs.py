"""Where the reports of a run go: metrics.csv always, JSON lines, TensorBoard, Weights & Biases where asked for."""

import contextlib
import importlib.util
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from jaxrl.engine import run_folder
from jaxrl.engine.reporting import tables, tensorboard, weights_and_biases
from jaxrl.engine.reporting.report import Report
from jaxrl.pytree import unknown_name

if TYPE_CHECKING:
    from jaxrl.engine.options import Options

Log = Callable[[Report], None]

LOGS = ("jsonl", "tensorboard", "wandb")
_PACKAGES = {"tensorboard": "tensorboardX", "wandb": "wandb"}


def check_logs(names: Any) -> None:
    """Raise ValueError where there is no such log, or ImportError where its package is missing; one sentence each."""
    if isinstance(names, str) or not isinstance(names, Sequence):
        raise TypeError(f"log must be a list of some of {', '.join(LOGS)}, got {names!r}.")
    for name in names:
        if name not in LOGS:
            raise ValueError(unknown_name("There is no log", str(name), list(LOGS)))
        package = _PACKAGES.get(name)
        if package and importlib.util.find_spec(package) is None:
            raise ImportError(f"log={name} needs the package {package}, which is not installed: pip install {package}")


@contextlib.contextmanager
def logs(options: "Options", label: str) -> Iterator[Log]:
    """Yield what is to be called with each report; everything is written when the context is left.

    `label` is what people call the run.
    """
    folder = options.folder
    if folder is None:
        yield lambda report: None
        return
    chosen: list[Log] = [partial(tables.append_csv, folder / run_folder.METRICS)]
    with contextlib.ExitStack() as stack:
        if "jsonl" in options.log:
            chosen.append(partial(tables.append_json_lines, folder / run_folder.JSON_LINES))
        if "tensorboard" in options.log:
            chosen.append(stack.enter_context(tensorboard.streams(folder, options.log_seeds)))
        if "wandb" in options.log:
            chosen.append(stack.enter_context(weights_and_biases.streams(folder, label, options.log_seeds)))

        def log(report: Report) -> None:
            for each in chosen:
                each(report)

        yield log
