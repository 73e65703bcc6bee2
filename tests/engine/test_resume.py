"""A run that was killed goes on bit for bit: processes are really killed, at random moments, also during a save."""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

HERE = Path(__file__).parent
SAME = ("metrics.csv", "evaluation.csv")


def start(mode: str, case: str, folder: Path) -> "subprocess.Popen[str]":
    command = [sys.executable, str(HERE / "killed_run.py"), mode, case, str(folder)]
    environment = {**os.environ, "PYTHONPATH": str(HERE.parents[1])}
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finish(process: "subprocess.Popen[str]") -> str:
    _, errors = process.communicate(timeout=300)
    return errors


def killed_after(process: "subprocess.Popen[str]", folder: Path, num_lines: int, by: signal.Signals) -> str:
    """Its standard error; the signal came when metrics.csv had that many lines."""
    metrics = folder / "metrics.csv"
    while process.poll() is None and not (metrics.exists() and len(metrics.read_text().splitlines()) >= num_lines):
        time.sleep(0.002)
    assert process.poll() is None, process.communicate()[1]
    process.send_signal(by)
    return finish(process)


def assert_same_run(one: Path, other: Path) -> None:
    for name in SAME:
        assert (one / name).read_text() == (other / name).read_text(), name
    with np.load(one / "policies.npz") as a, np.load(other / "policies.npz") as b:
        assert set(a.files) == set(b.files)
        for name in a.files:
            np.testing.assert_array_equal(a[name], b[name], err_msg=name)


@pytest.mark.parametrize("case", ["ppo", "recurrent_ppo", "dqn", "sac"])
def test_a_killed_run_goes_on_bit_for_bit(case: str, tmp_path: Path) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    assert finish(start("run", case, whole)) == ""
    moments = sorted(random.Random(case).sample(range(10, 70), 2))
    killed_after(start("run", case, killed), killed, moments[0], signal.SIGKILL)
    assert not (killed / "summary.txt").exists()
    errors = killed_after(start("resume", case, killed), killed, moments[1], signal.SIGTERM)
    assert "and saved; go on with `jaxrl resume" in errors
    finish(start("resume", case, killed))
    assert_same_run(whole, killed)
