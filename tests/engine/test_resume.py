"""A run that was killed goes on bit for bit: processes are really killed, at random moments, also during a save."""

import contextlib
import dataclasses
import json
import os
import random
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
import yaml
from drift import DRIFT
from killed_run import CASES, OPTIONS, after_reports

import jaxrl
from jaxrl.engine import checkpoints, run_folder
from jaxrl.engine.interrupts import Interrupted
from jaxrl.engine.reporting import tables

HERE = Path(__file__).parent


def in_a_process(*arguments: object) -> "subprocess.CompletedProcess[str]":
    """What came of `killed_run.py ARGUMENTS`."""
    command = [sys.executable, str(HERE / "killed_run.py"), *map(str, arguments)]
    # What the tests compiled is taken from their cache.
    environment = {**os.environ, "PYTHONPATH": str(HERE.parents[1])}
    environment["JAX_COMPILATION_CACHE_DIR"] = str(jax.config.jax_compilation_cache_dir)
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)


def assert_same_run(one: Path, other: Path) -> None:
    for name in ("metrics.csv", "evaluation.csv"):
        assert (one / name).read_text() == (other / name).read_text(), name
    with np.load(one / "policies.npz") as a, np.load(other / "policies.npz") as b:
        assert set(a.files) == set(b.files)
        for name in a.files:
            np.testing.assert_array_equal(a[name], b[name], err_msg=name)


@pytest.mark.parametrize("case", list(CASES))
def test_a_killed_run_goes_on_bit_for_bit(case: str, tmp_path: Path) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    jaxrl.run(CASES[case](), **OPTIONS, directory=whole, progress=False)
    moment = "saving" if case == "dqn" else random.randint(5, 30)
    assert in_a_process("run", case, killed, "SIGKILL", moment).returncode == -signal.SIGKILL
    names = [path.name for path in (killed / "checkpoints").iterdir()]
    if moment == "saving":
        assert len(names) == 2
        assert sum(name.isdecimal() for name in names) == 1  # the other has not got its name
    stopped = in_a_process("resume", case, killed, random.choice(["SIGTERM", "SIGINT"]), 3)
    assert "and saved; go on with `jaxrl resume" in stopped.stderr
    jaxrl.resume(killed, progress=False)
    assert_same_run(whole, killed)


def stop_at(monkeypatch: pytest.MonkeyPatch, report: int, what: Any) -> None:
    """`what()` happens once that many reports are written."""
    append, calls = tables.append_csv, []

    def append_and_count(*arguments: Any) -> None:
        append(*arguments)
        calls.append(arguments)
        if len(calls) == report:
            what()

    monkeypatch.setattr(tables, "append_csv", append_and_count)


def terminate() -> None:
    signal.raise_signal(signal.SIGTERM)


SMALL: dict[str, Any] = {"seeds": 2, "num_reports": 7, "eval_episodes": 2, "progress": False}


@pytest.fixture
def stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run that was asked to end after 4 of its 7 reports, with checkpoints at 3 and 4."""
    folder = tmp_path / "stopped"
    with monkeypatch.context() as patch:
        stop_at(patch, 4, terminate)
        patch.setattr(checkpoints.Checkpoints, "is_due", property(lambda self: True))
        with pytest.raises(Interrupted, match="stopped at iteration 4 of 7, and saved; go on with `jaxrl resume"):
            jaxrl.run(DRIFT, **SMALL, directory=folder)
    assert sorted(path.name for path in (folder / "checkpoints").iterdir()) == ["3", "4"]
    return folder


def damage(checkpoint: Path) -> None:
    """Cut every file of it in half, as a disk that loses what it was given."""
    for path in checkpoint.rglob("*"):
        if path.is_file():
            path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def test_a_damaged_checkpoint_is_left_out_and_the_one_before_is_used(
    stopped: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    damage(stopped / "checkpoints" / "4")
    jaxrl.resume(stopped, progress=False)
    assert "The checkpoint at iteration 4 is damaged and was left out" in capsys.readouterr().err
    jaxrl.run(DRIFT, **SMALL, directory=tmp_path / "whole")
    assert_same_run(tmp_path / "whole", stopped)


def test_where_every_checkpoint_is_damaged_nothing_is_touched(stopped: Path) -> None:
    for checkpoint in (stopped / "checkpoints").iterdir():
        damage(checkpoint)
    rows = (stopped / "metrics.csv").read_text()
    with pytest.raises(
        ValueError, match=r"No checkpoint in '.*' can be read\. The checkpoint at iteration 4 is damaged"
    ):
        jaxrl.resume(stopped, progress=False)
    assert (stopped / "metrics.csv").read_text() == rows


def test_the_checkpoints_of_another_run_are_refused(stopped: Path, tmp_path: Path) -> None:
    settings = yaml.safe_load((stopped / "settings.yaml").read_text())
    settings["algorithm"]["rate"] = 0.25
    (stopped / "settings.yaml").write_text(yaml.safe_dump(settings))
    with pytest.raises(ValueError, match=r"was made with rate=0\.5, and now it is 0\.25: a run goes on with its own"):
        jaxrl.resume(stopped, progress=False)


@pytest.mark.parametrize(("name", "value"), [("jax", "0.0.1"), ("device", "abacus")])
def test_another_version_or_device_is_refused_unless_asked_for(name: str, value: str, stopped: Path) -> None:
    (about,) = (stopped / "checkpoints" / "4").glob("about/metadata")
    found = json.loads(about.read_text())
    (found["made_with"] if name == "device" else found["made_with"]["versions"])[name] = value
    about.write_text(json.dumps(found))
    with pytest.raises(ValueError, match=f"was made with {name} {value}, and this is {name} .* say exact=false"):
        jaxrl.resume(stopped, progress=False)
    assert jaxrl.resume(stopped, progress=False, exact=False).iteration == 7


def test_a_run_without_a_checkpoint_begins_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def break_off() -> None:
        raise RuntimeError

    with monkeypatch.context() as patch:
        stop_at(patch, 2, break_off)
        with pytest.raises(RuntimeError):
            jaxrl.run(DRIFT, **SMALL, directory=tmp_path / "broken")
    jaxrl.resume(tmp_path / "broken", progress=False)
    assert "holds no checkpoint yet: the run begins anew" in capsys.readouterr().err
    jaxrl.run(DRIFT, **SMALL, directory=tmp_path / "whole")
    assert_same_run(tmp_path / "whole", tmp_path / "broken")


def test_a_finished_run_and_a_folder_without_one_are_refused(tmp_path: Path) -> None:
    jaxrl.run(DRIFT, **SMALL, directory=tmp_path / "whole")
    assert not (tmp_path / "whole" / "checkpoints").exists()  # it was over before one was due
    with pytest.raises(ValueError, match="came to its end; there is nothing to go on with"):
        jaxrl.resume(tmp_path / "whole")
    with pytest.raises(FileNotFoundError, match=r"holds no run: settings\.yaml is missing"):
        jaxrl.resume(tmp_path)


def test_a_folder_that_cannot_be_written_is_refused(stopped: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(PermissionError, match="cannot be written"):
        jaxrl.resume(stopped)


def test_settings_of_another_version_are_refused(stopped: Path) -> None:
    settings = yaml.safe_load((stopped / "settings.yaml").read_text())
    del settings["run"]["keep_checkpoints"]
    (stopped / "settings.yaml").write_text(yaml.safe_dump(settings))
    with pytest.raises(ValueError, match="does not hold the options of a run of this version"):
        jaxrl.resume(stopped)


def test_on_another_number_of_devices_it_goes_on_as_it_would_have(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options, agent = {**OPTIONS, "progress": False, "eval_every": None}, CASES["ppo"]()
    with monkeypatch.context() as patch:
        stop_at(patch, 30, terminate)
        with pytest.raises(Interrupted):
            jaxrl.run(agent, **options, directory=tmp_path / "stopped")
    spread = jaxrl.resume(tmp_path / "stopped", progress=False, devices=2)
    whole = jaxrl.run(agent, **options)
    assert all(len(leaf.devices()) == 2 for leaf in jax.tree.leaves(spread.state))
    for name, values in whole.metrics.items():
        np.testing.assert_array_equal(spread.metrics[name][:, :30], values[:, :30], err_msg=name)
        np.testing.assert_allclose(spread.metrics[name][:, 30:34], values[:, 30:34], rtol=1e-3, atol=1e-6, err_msg=name)


@contextlib.contextmanager
def no_file_larger_than(limit: int) -> Iterator[None]:
    """For this process, as on a disk that is full: writing more fails."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_leaves_the_last_checkpoint_to_go_on_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options, case = {**OPTIONS, "progress": False}, CASES["dqn"]
    with monkeypatch.context() as patch, contextlib.ExitStack() as stack:
        patch.setattr(checkpoints, "MOST_OF_TIME", 1e6)
        patch.setattr(tables, "append_csv", tables.append_csv)  # to be brought back afterwards
        after_reports(10, tmp_path / "full", lambda: stack.enter_context(no_file_larger_than(20_000)))
        with pytest.raises(OSError, match=r"could not be written .*; those before it are whole: make room, then go on"):
            jaxrl.run(case(), **options, directory=tmp_path / "full")
    jaxrl.resume(tmp_path / "full", progress=False)
    jaxrl.run(case(), **options, directory=tmp_path / "whole")
    assert_same_run(tmp_path / "whole", tmp_path / "full")


def test_a_full_disk_is_named_where_a_table_is_written(tmp_path: Path) -> None:
    (tmp_path / "metrics.csv").symlink_to("/dev/full")
    with pytest.raises(OSError, match=r"metrics\.csv' could not be written \(No space left on device\); make room"):
        run_folder.append_rows(tmp_path / "metrics.csv", ("a",), [(1,)])


def test_a_replay_left_out_is_played_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    agent = dataclasses.replace(CASES["dqn"](), learning_rate=0.0)  # what a learner that stands still does is known
    options = {**OPTIONS, "progress": False}
    with monkeypatch.context() as patch:
        stop_at(patch, 30, terminate)
        with pytest.raises(Interrupted):
            jaxrl.run(agent, **options, checkpoint_replay=False, directory=tmp_path / "small")
    replay_bytes = 2 * 2_000 * (4 + 4) * 4  # two seeds: observation and successor alone
    newest = max((tmp_path / "small" / "checkpoints").iterdir(), key=lambda path: int(path.name))
    assert sum(path.stat().st_size for path in newest.rglob("*") if path.is_file()) < replay_bytes / 2
    resumed = jaxrl.resume(tmp_path / "small", progress=False)
    assert "leaves out the replay, which is played anew: the run goes on approximately" in capsys.readouterr().err
    rows = jax.device_get(resumed.state.replay.rows)
    assert (np.abs(rows.obs).sum(axis=-1) > 0).all()  # every row was filled
    assert {*np.unique(rows.reward)} == {1.0}
