"""A run that was killed goes on bit for bit: processes are really killed, at random moments, also during a save."""

import dataclasses
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
import yaml
from drift import DRIFT
from killed_run import CASES, OPTIONS

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


def test_a_damaged_checkpoint_is_written_anew(
    stopped: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    damage(stopped / "checkpoints" / "4")
    monkeypatch.setattr(checkpoints.Checkpoints, "is_due", property(lambda self: True))
    assert jaxrl.resume(stopped, progress=False).iteration == 7
    assert sorted(path.name for path in (stopped / "checkpoints").iterdir()) == ["6", "7"]


def test_a_signal_in_the_last_stretch_lets_the_run_come_to_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stop_at(monkeypatch, 7, terminate)
    with pytest.raises(Interrupted, match="the run had come to its end, and is in"):
        jaxrl.run(DRIFT, **SMALL | {"progress": True}, directory=tmp_path / "run")
    assert (tmp_path / "run" / "summary.txt").exists()
    assert "Stopping and saving at the next report" in capsys.readouterr().err


def test_a_second_process_is_kept_out(stopped: Path) -> None:
    with run_folder.held(stopped), pytest.raises(OSError, match="Another process is at work on the run in"):
        jaxrl.resume(stopped, progress=False)
    assert jaxrl.resume(stopped, progress=False).iteration == 7


@pytest.mark.parametrize("impl", ["rbg", "threefry2x32"])
def test_a_key_in_place_of_a_seed_comes_back(impl: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options = SMALL | {"seed": jax.random.key(5, impl=impl), "target_return": np.float64(1e6)}
    with monkeypatch.context() as patch:
        stop_at(patch, 4, terminate)
        with pytest.raises(Interrupted):
            jaxrl.run(DRIFT, **options, directory=tmp_path / "stopped")
    jaxrl.resume(tmp_path / "stopped", progress=False)
    jaxrl.run(DRIFT, **options, directory=tmp_path / "whole")
    assert_same_run(tmp_path / "whole", tmp_path / "stopped")


def test_where_every_checkpoint_is_damaged_nothing_is_touched(stopped: Path) -> None:
    for checkpoint in (stopped / "checkpoints").iterdir():
        damage(checkpoint)
    rows = (stopped / "metrics.csv").read_text()
    with pytest.raises(OSError, match=r"No checkpoint in '.*' can be read\. The checkpoint at iteration 4 is damaged"):
        jaxrl.resume(stopped, progress=False)
    assert (stopped / "metrics.csv").read_text() == rows


def test_the_checkpoints_of_another_run_are_refused(stopped: Path, tmp_path: Path) -> None:
    settings = yaml.safe_load((stopped / "settings.yaml").read_text())
    settings["algorithm"]["rate"] = 0.25
    (stopped / "settings.yaml").write_text(yaml.safe_dump(settings))
    with pytest.raises(ValueError, match=r"was made with rate=0\.5, and now it is 0\.25: a run goes on with its own"):
        jaxrl.resume(stopped, progress=False)


def test_another_algorithm_is_refused_also_where_there_is_no_checkpoint(stopped: Path) -> None:
    shutil.rmtree(stopped / "checkpoints")
    other = dataclasses.replace(DRIFT, rate=0.25)
    with pytest.raises(ValueError, match=r"was made with rate=0\.5, and now it is 0\.25"):
        jaxrl.resume(stopped, progress=False, algorithm=other)


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


def test_a_full_disk_leaves_the_last_checkpoint_to_go_on_from(tmp_path: Path) -> None:
    failed = in_a_process("run", "dqn", tmp_path / "full", "full", 10)
    assert failed.returncode == 1
    sentence = (
        r"OSError: The checkpoint at .* could not be written .*; those before it are whole: make room, then go on"
    )
    assert re.search(sentence, failed.stderr)
    jaxrl.resume(tmp_path / "full", progress=False)
    jaxrl.run(CASES["dqn"](), **OPTIONS, directory=tmp_path / "whole", progress=False)
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
            jaxrl.run(agent, **options | {"progress": True}, checkpoint_replay=False, directory=tmp_path / "small")
    assert "which checkpoints leave out, so that a resumed run goes on approximately" in capsys.readouterr().err
    replay_bytes = 2 * 2_000 * (4 + 4) * 4  # two seeds: observation and successor alone
    newest = max((tmp_path / "small" / "checkpoints").iterdir(), key=lambda path: int(path.name))
    assert sum(path.stat().st_size for path in newest.rglob("*") if path.is_file()) < replay_bytes / 2
    resumed = jaxrl.resume(tmp_path / "small", progress=False)
    assert "leaves out the replay, which is played anew: the run goes on approximately" in capsys.readouterr().err
    rows = jax.device_get(resumed.state.replay.rows)
    assert (np.abs(rows.obs).sum(axis=-1) > 0).all()  # every row was filled
    assert {*np.unique(rows.reward)} == {1.0}


def test_a_seed_that_had_stopped_stays_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = np.asarray(jaxrl.run(DRIFT, **SMALL).state.learner.twin)  # of the weights, which grow by 0.5 an iteration
    options = SMALL | {"eval_every": 1, "target_return": 4 * float(first.max() + 0.4)}  # the higher one: 1 iteration
    with monkeypatch.context() as patch:
        stop_at(patch, 2, terminate)
        with pytest.raises(Interrupted):
            jaxrl.run(DRIFT, **options, directory=tmp_path / "stopped")
    resumed = jaxrl.resume(tmp_path / "stopped", progress=False)
    whole = jaxrl.run(DRIFT, **options, directory=tmp_path / "whole")
    assert resumed.stopped == whole.stopped
    assert resumed.stopped[int(first.argmax())] == 1
    assert max(resumed.stopped.get(seed, 7) for seed in range(2)) > 2
    assert_same_run(tmp_path / "whole", tmp_path / "stopped")
