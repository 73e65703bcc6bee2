"""Progress for the person who waits: a live table in a terminal, a line now and then where there is none."""

import contextlib
import dataclasses
import math
import sys
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Protocol, TextIO

import numpy as np
from numpy.typing import NDArray

from jaxrl.engine.reporting.report import EVALUATION_RETURN, Report

if TYPE_CHECKING:
    from rich.table import Table

Show = Callable[[Report], None]

NUM_LINES = 10
"""How many lines a run writes where there is no terminal."""
NUM_ROWS = 10
"""How many seeds the live table shows one by one; of more, the best, the median and the worst."""
NUM_COLUMNS = 4
"""How many metrics the live table shows."""


class _Stream(Protocol):
    def isatty(self) -> bool: ...


@contextlib.contextmanager
def progress(total_steps: int, agents: int, label: str, *, show: bool = True, done: float = 0) -> Iterator[Show]:
    """Yield the function to report with; `total_steps` per agent, of which `done` were done by an earlier process.

    Everything goes to stderr, so that stdout stays data. Steps are the mean over all agents, also where they are
    trained in waves. Speed counts the steps of all agents, and neither compiling nor
    what happens after the last report.
    """
    if not show:
        yield lambda report: None
    elif _is_terminal(sys.stderr):
        with _live_table(total_steps, agents, label, done) as table:
            yield _with_last_values(table)
    else:
        yield _with_last_values(_lines(total_steps, agents, label, sys.stderr, done))


def _with_last_values(show: Show) -> Show:
    """What was measured last stays in sight where nothing was since: no episode ended, or none were evaluated."""
    last: dict[str, NDArray[np.float32]] = {}

    def show_report(report: Report) -> None:
        for name, values in report.metrics.items():
            is_new = np.isfinite(values) | ~report.is_finite
            last[name] = np.where(is_new, values, last.get(name, values))
        show(dataclasses.replace(report, metrics=dict(last)))

    return show_report


def _is_terminal(stream: _Stream) -> bool:
    return stream.isatty()


@contextlib.contextmanager
def _live_table(total_steps: int, agents: int, label: str, done: float) -> Iterator[Show]:
    from rich.console import Console, Group
    from rich.live import Live
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=None),  # what the other columns leave
        TaskProgressColumn(),
        TextColumn("{task.fields[speed]} steps/s"),
        TimeRemainingColumn(compact=True),
    )
    bar = Progress(*columns, expand=True)
    task = bar.add_task(label, total=total_steps, completed=int(done), speed="-")
    began = time.perf_counter()
    with Live(bar, console=Console(stderr=True), refresh_per_second=4) as live:

        def show(report: Report) -> None:
            steps = mean_steps(report, total_steps, agents)
            speed = (steps - done) * agents / max(time.perf_counter() - began, 1e-9)
            bar.update(task, completed=steps, speed=f"{speed:,.0f}")
            live.update(Group(table_of(report), bar))

        yield show


def table_of(report: Report) -> "Table":
    """The latest values of the seeds, or of the best, the median and the worst, and their means."""
    from rich.table import Table

    others = [name for name in report.metrics if name not in (report.curve, EVALUATION_RETURN)]
    names = [report.curve, *(name for name in (EVALUATION_RETURN,) if name in report.metrics), *others][:NUM_COLUMNS]
    table = Table("/".join(report.index(0)), *(name.replace("_", " ") for name in names), "", box=None, pad_edge=False)
    for column in table.columns[1:-1]:
        column.justify = "right"
    means = report.measured()
    num_active = int(report.is_active.sum())
    table.add_row("mean", *(number(means.get(name, np.nan)) for name in names), f"{num_active} training")
    for seed, title in _shown(report).items():
        values = (number(float(report.metrics[name][seed])) for name in names)
        table.add_row(title, *values, _state(report, seed))
    return table


def _shown(report: Report) -> dict[int, str]:
    """Place -> what its row is called: the seed, or in a sweep setting/seed."""
    num_agents = len(report.is_active)
    names = ["/".join(map(str, report.index(agent).values())) for agent in report.members.tolist()]
    if num_agents <= NUM_ROWS:
        return dict(enumerate(names))
    values = np.where(report.is_finite, report.metrics[report.curve], np.nan)
    ranked = np.argsort(np.nan_to_num(values, nan=-np.inf))[::-1]
    places = {"best": 0, "median": num_agents // 2, "worst": -1}
    return {int(ranked[place]): f"{name} ({names[ranked[place]]})" for name, place in places.items()}


def _state(report: Report, seed: int) -> str:
    if report.diverged_at[seed] >= 0:
        return f"diverged by iteration {report.diverged_at[seed]}"
    return "" if report.is_active[seed] else report.stopped_as


def _lines(total_steps: int, agents: int, label: str, stream: TextIO, done: float) -> Show:
    began = time.perf_counter()
    lines_written = int(done * NUM_LINES // total_steps)

    def show(report: Report) -> None:
        nonlocal lines_written
        steps = mean_steps(report, total_steps, agents)
        is_last = report.first + len(report.is_active) == agents
        is_over = is_last and (report.steps >= total_steps or not report.is_active.any())
        if steps * NUM_LINES < (lines_written + 1) * total_steps and not is_over:
            return
        lines_written = int(steps * NUM_LINES // total_steps)
        elapsed = time.perf_counter() - began
        left = elapsed * (total_steps - steps) / max(steps - done, 1)
        speed = (steps - done) * agents / max(elapsed, 1e-9)
        print(
            f"{label}  {steps:>12,.0f} of {total_steps:,} steps  {speed:>12,.0f} steps/s  {left:>5.0f} s left  "
            f"{_values(report)}",
            file=stream,
            flush=True,
        )

    return show


def mean_steps(report: Report, total_steps: int, agents: int) -> float:
    """Steps that an agent has done in the mean; those of the waves before are at the end."""
    return (report.first * total_steps + len(report.is_active) * report.steps) / agents


def _values(report: Report) -> str:
    """`return 21.3, evaluation 25.0, 1 diverged, 3 at the target`."""
    means = report.measured()
    parts = [f"return {number(means.get(report.curve, np.nan))}"]
    if EVALUATION_RETURN in means:
        parts.append(f"evaluation {number(means[EVALUATION_RETURN])}")
    diverged, stopped = ~report.is_finite, report.is_finite & ~report.is_active
    parts += [
        f"{seeds.sum()} {what}" for seeds, what in ((diverged, "diverged"), (stopped, report.stopped_as)) if seeds.any()
    ]
    return ", ".join(parts)


def number(value: float) -> str:
    """For people: few digits, a dash where nothing was measured."""
    if not math.isfinite(value):
        return "-"
    return f"{value:.1f}" if abs(value) >= 1 or value == 0 else f"{value:.3g}"
