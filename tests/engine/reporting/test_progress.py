import io
import sys

import numpy as np
import pytest
from rich.console import Console

from jaxrl.engine.reporting import progress as module
from jaxrl.engine.reporting.progress import NUM_LINES, progress, table_of
from jaxrl.engine.reporting.report import Report


def report(steps, returns=(0.0,), *, diverged_at=None, active=None, **metrics):
    seeds = len(returns)
    return Report(
        iteration=steps // 10,
        steps=steps,
        metrics={
            name: np.asarray(values, np.float32) for name, values in (metrics | {"episode_return": returns}).items()
        },
        diverged_at=np.full(seeds, -1) if diverged_at is None else np.asarray(diverged_at),
        is_active=np.ones(seeds, bool) if active is None else np.asarray(active),
    )


def test_without_a_terminal_there_are_a_few_lines(capsys):
    with progress(1_000, 2, "PPO on CartPole-v1") as show:
        for steps in range(10, 1_001, 10):
            show(report(steps, (2.0, 3.0)))
    out, err = capsys.readouterr()
    lines = err.splitlines()
    assert out == ""
    assert len(lines) == NUM_LINES
    assert [int(line.split()[3].replace(",", "")) for line in lines] == list(range(100, 1_001, 100))
    assert "steps/s" in lines[0]
    assert "s left" in lines[0]
    assert lines[-1].endswith("return 2.5")


def test_fewer_reports_than_lines_give_a_line_each(capsys):
    with progress(70, 1, "run") as show:
        show(report(30, (np.nan,)))
        show(report(70, (1.0,)))
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2
    assert lines[0].endswith("return -")


def test_the_speed_counts_all_seeds_and_the_time_left_is_in_proportion(capsys, monkeypatch):
    clock = iter([100.0, 102.0])
    monkeypatch.setattr(module.time, "perf_counter", lambda: next(clock))
    with progress(1_000, 8, "run") as show:
        show(report(200, (0.0,) * 8))
    line = capsys.readouterr().err
    assert " 800 steps/s" in line  # 8 x 200 in 2 seconds
    assert " 8 s left" in line  # 800 steps at 100 a second


def test_what_an_earlier_process_did_takes_no_time_of_this_one(capsys, monkeypatch):
    clock = iter([100.0, 102.0])
    monkeypatch.setattr(module.time, "perf_counter", lambda: next(clock))
    with progress(1_000, 8, "run", done=600) as show:
        show(report(800, (0.0,) * 8))
    line = capsys.readouterr().err
    assert " 800 steps/s" in line
    assert " 2 s left" in line


def test_the_last_line_comes_where_every_seed_has_stopped(capsys):
    with progress(1_000, 2, "run") as show:
        show(report(110, (9.0, 9.0)))
        show(report(120, (9.0, np.nan), diverged_at=[-1, 11], active=[False, False]))
    lines = capsys.readouterr().err.splitlines()
    assert lines[-1].endswith("return 9.0, 1 diverged, 1 at the target return")


def test_a_return_stays_in_sight_while_no_episode_ends(capsys):
    with progress(30, 2, "run") as show:
        show(report(10, (1.0, 3.0)))
        show(report(20, (5.0, np.nan)))
        show(report(30, (5.0, np.nan), diverged_at=[-1, 3]))
    endings = [line.split("return ")[1] for line in capsys.readouterr().err.splitlines()]
    assert endings == ["2.0", "4.0", "5.0, 1 diverged"]


def test_the_last_evaluation_stays_in_sight(capsys):
    with progress(30, 1, "run") as show:
        for steps, evaluated in ((10, np.nan), (20, 7.0), (30, np.nan)):
            show(report(steps, (1.0,), evaluation_return=(evaluated,)))
    endings = [line.split("return ")[1] for line in capsys.readouterr().err.splitlines()]
    assert endings == ["1.0", "1.0, evaluation 7.0", "1.0, evaluation 7.0"]


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_terminal_gets_a_table_and_a_bar(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "120")
    with progress(1_000, 2, "PPO on CartPole-v1") as show:
        show(report(500, (21.25, 30.0)))
        show(report(1_000, (42.0, 51.0)))
    text = terminal.getvalue()
    assert "PPO on CartPole-v1" in text
    assert "100%" in text
    assert "steps/s" in text
    assert "46.5" in text  # the mean
    assert "51.0" in text


def lines_of(table):
    console = Console(file=io.StringIO(), width=120)
    console.print(table)
    return [" ".join(line.split()) for line in console.file.getvalue().splitlines()]


def test_the_table_has_a_row_for_each_seed_and_says_what_became_of_it():
    latest = report(
        900,
        (1.0, np.nan, 500.0),
        diverged_at=[-1, 42, -1],
        active=[True, False, False],
        loss=(0.5, np.nan, 0.25),
        evaluation_return=(2.0, np.nan, 499.0),
    )
    assert lines_of(table_of(latest)) == [
        "seed episode return evaluation return loss",
        "mean 250.5 250.5 0.375 1 training",
        "0 1.0 2.0 0.5",
        "1 - - - diverged by iteration 42",
        "2 500.0 499.0 0.25 at the target return",
    ]


def test_of_many_seeds_the_table_shows_the_best_the_median_and_the_worst():
    values = np.arange(21.0)[np.random.default_rng(0).permutation(21)]
    rows = lines_of(table_of(report(900, values)))[2:]
    where = {value: seed for seed, value in enumerate(values)}
    assert rows == [
        f"best ({where[20]}) 20.0",
        f"median ({where[10]}) 10.0",
        f"worst ({where[0]}) 0.0",
    ]


def test_silence_is_possible(capsys):
    with progress(10, 1, "run", show=False) as show:
        show(report(10))
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(("value", "text"), [(np.nan, "-"), (0.0, "0.0"), (12.34, "12.3"), (0.012345, "0.0123")])
def test_numbers_are_short(value, text):
    assert module.number(value) == text
