"""Progress for the person who waits: a live bar in a terminal, a line now and then where there is none."""

import contextlib
import math
import sys
import time
from collections.abc import Callable, Iterator
from typing import Protocol, TextIO

Report = Callable[[int, float], None]
"""`report(steps, value)`: environment steps done per seed, and the current value of the curve (may be NaN)."""

NUM_LINES = 10
"""How many lines a run writes where there is no terminal."""


class _Stream(Protocol):
    def isatty(self) -> bool: ...


@contextlib.contextmanager
def progress(total_steps: int, seeds: int, label: str, *, show: bool = True) -> Iterator[Report]:
    """Yield the function to report with; `total_steps` per seed. Everything goes to stderr, so that stdout stays data.

    Speed counts the steps of all seeds, and neither compiling nor what happens after the last report.
    """
    if not show:
        yield lambda steps, value: None
    elif _is_terminal(sys.stderr):
        with _bar(total_steps, seeds, label) as report:
            yield report
    else:
        yield _lines(total_steps, seeds, label, sys.stderr)


def _is_terminal(stream: _Stream) -> bool:
    return stream.isatty()


@contextlib.contextmanager
def _bar(total_steps: int, seeds: int, label: str) -> Iterator[Report]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=None),  # what the other columns leave
        TaskProgressColumn(),
        TextColumn("{task.fields[speed]} steps/s"),
        TimeRemainingColumn(compact=True),
        TextColumn("return {task.fields[value]}"),
    )
    with Progress(*columns, console=Console(stderr=True), expand=True) as bar:
        task = bar.add_task(label, total=total_steps, speed="-", value="-")
        began = time.perf_counter()

        def report(steps: int, value: float) -> None:
            speed = steps * seeds / max(time.perf_counter() - began, 1e-9)
            bar.update(task, completed=steps, speed=f"{speed:,.0f}", value=_number(value))

        yield report


def _lines(total_steps: int, seeds: int, label: str, stream: TextIO) -> Report:
    began = time.perf_counter()
    lines_written = 0

    def report(steps: int, value: float) -> None:
        nonlocal lines_written
        if steps * NUM_LINES < (lines_written + 1) * total_steps and steps < total_steps:
            return
        lines_written = steps * NUM_LINES // total_steps
        elapsed = time.perf_counter() - began
        left = elapsed * (total_steps - steps) / max(steps, 1)
        print(
            f"{label}  {steps:>12,} of {total_steps:,} steps  {steps * seeds / max(elapsed, 1e-9):>12,.0f} steps/s  "
            f"{left:>5.0f} s left  return {_number(value)}",
            file=stream,
            flush=True,
        )

    return report


def _number(value: float) -> str:
    return f"{value:.1f}" if math.isfinite(value) else "-"
