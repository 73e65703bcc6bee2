"""A trace of a stretch of training, by JAX's own profiler."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import jax

from jaxrl.engine import run_folder
from jaxrl.engine.reporting.report import Report


@contextlib.contextmanager
def profiled(folder: Path | None, on_report: Callable[[Report], None]) -> Iterator[Callable[[Report], None]]:
    """`on_report`, which also traces from its first call to its second into profile/ of `folder`, if there is one.

    The first stretch pays for what happens once; a run of a single report has nothing to trace.
    """
    if folder is None:
        yield on_report
        return
    num_reports = 0

    def traced(report: Report) -> None:
        nonlocal num_reports
        num_reports += 1
        if num_reports == 2:
            jax.profiler.stop_trace()
        on_report(report)
        if num_reports == 1:
            jax.profiler.start_trace(str(folder / run_folder.PROFILE))

    try:
        yield traced
    finally:
        if num_reports == 1:
            jax.profiler.stop_trace()
