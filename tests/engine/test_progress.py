import io
import sys

import numpy as np

from jaxrl.engine import progress as module
from jaxrl.engine.progress import NUM_LINES, progress


def test_without_a_terminal_there_are_a_few_lines(capsys):
    with progress(1_000, 4, "PPO on CartPole-v1") as report:
        for steps in range(10, 1_001, 10):
            report(steps, 2.5)
    out, err = capsys.readouterr()
    lines = err.splitlines()
    assert out == ""
    assert len(lines) == NUM_LINES
    assert [int(line.split()[3].replace(",", "")) for line in lines] == list(range(100, 1_001, 100))
    assert "steps/s" in lines[0]
    assert "s left" in lines[0]
    assert lines[-1].endswith("return 2.5")


def test_fewer_reports_than_lines_give_a_line_each(capsys):
    with progress(70, 1, "run") as report:
        report(30, np.nan)
        report(70, 1.0)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2
    assert lines[0].endswith("return -")


def test_the_speed_counts_all_seeds_and_the_time_left_is_in_proportion(capsys, monkeypatch):
    clock = iter([100.0, 102.0])
    monkeypatch.setattr(module.time, "perf_counter", lambda: next(clock))
    with progress(1_000, 8, "run") as report:
        report(200, 0.0)
    line = capsys.readouterr().err
    assert " 800 steps/s" in line  # 8 x 200 in 2 seconds
    assert " 8 s left" in line  # 800 steps at 100 a second


def test_a_terminal_gets_a_bar(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "120")
    with progress(1_000, 2, "PPO on CartPole-v1") as report:
        report(500, 21.25)
        report(1_000, 42.0)
    text = terminal.getvalue()
    assert "PPO on CartPole-v1" in text
    assert "100%" in text
    assert "steps/s" in text
    assert "return 42.0" in text


def test_silence_is_possible(capsys):
    with progress(10, 1, "run", show=False) as report:
        report(10, 1.0)
    assert capsys.readouterr() == ("", "")
