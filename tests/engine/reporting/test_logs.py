import json
import struct
from types import SimpleNamespace

import numpy as np
import pytest

from jaxrl.engine.reporting.logs import LOGS, check_logs, logs
from jaxrl.engine.reporting.report import Report
from jaxrl.engine.reporting.tables import rewrite


def report(number, first=0):
    """Of three seeds from the `first` on, the last of which has diverged; seed k returns k - first + number."""
    returns = np.array([0, 1, 100], np.float32) + number
    metrics = {"episode_return": returns, "loss": np.array([0.1, np.nan, 1.0], np.float32)}
    return Report(number, 10 * number, metrics, np.array([-1, -1, 1]), np.array([True, True, False]), first)


def write(folder, names, numbers=(1, 2), *, seeds=True, first=0):
    options = SimpleNamespace(folder=folder, log=names, log_seeds=seeds)
    with logs(options, "PPO on CartPole-v1") as log:
        for number in numbers:
            log(report(number, first))


def test_metrics_csv_is_always_written(tmp_path):
    write(tmp_path, ())
    rows = (tmp_path / "metrics.csv").read_text().splitlines()
    assert rows[:3] == ["seed,iteration,steps,episode_return,loss", "0,1,10,1.0,0.1", "1,1,10,2.0,nan"]
    assert len(rows) == 7
    assert {path.name for path in tmp_path.iterdir()} == {"metrics.csv"}


def test_json_lines_hold_the_same_with_null_for_nothing(tmp_path):
    write(tmp_path, ("jsonl",))
    rows = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert rows[1] == {"seed": 1, "iteration": 1, "steps": 10, "episode_return": 2.0, "loss": None}
    assert rows[0]["loss"] == 0.1
    assert len(rows) == 6


def test_tables_are_brought_back_to_what_a_checkpoint_knows(tmp_path):
    write(tmp_path, ("jsonl",), (1, 2, 3))
    rewrite(tmp_path, [report(1), report(2)])
    write(tmp_path, ("jsonl",), (3,))
    for name, header in (("metrics.csv", 1), ("metrics.jsonl", 0)):
        assert len((tmp_path / name).read_text().splitlines()) == 9 + header
    rewrite(tmp_path, [])
    assert not list(tmp_path.iterdir())


def scalars(folder):
    """(tag, step) -> value, as a reader of the event files in `folder` sees them.

    They are records of length, checksum, event, checksum; a start purges what has its step or a later one.
    """
    from tensorboardX.proto.event_pb2 import Event, SessionLog

    found = {}
    for path in sorted(folder.glob("events.*"), key=lambda path: path.stat().st_mtime_ns):
        data = path.read_bytes()
        while data:
            (length,) = struct.unpack("<Q", data[:8])
            event = Event.FromString(data[12 : 12 + length])
            if event.session_log.status == SessionLog.START:
                found = {(tag, step): value for (tag, step), value in found.items() if step < event.step}
            found |= {(value.tag, event.step): value.simple_value for value in event.summary.value}
            data = data[12 + length + 4 :]
    return found


def test_tensorboard_has_a_stream_for_the_mean_and_for_each_seed(tmp_path):
    write(tmp_path, ("tensorboard",))
    folder = tmp_path / "tensorboard"
    assert scalars(folder / "mean") == pytest.approx(
        {
            ("episode_return", 10): 1.5,  # of the two that did not diverge
            ("loss", 10): 0.1,
            ("episode_return", 20): 2.5,
            ("loss", 20): 0.1,
        }
    )
    assert scalars(folder / "seed_1") == {("episode_return", 10): 2.0, ("episode_return", 20): 3.0}
    assert {path.name for path in folder.iterdir()} == {"mean", "seed_0", "seed_1", "seed_2"}


@pytest.mark.parametrize("done", [0, 1])
def test_tensorboard_forgets_what_a_resumed_run_does_again(done, tmp_path):
    write(tmp_path, ("tensorboard",), (1, 2), seeds=False)
    write(tmp_path, ("tensorboard",), range(1 + done, 4), seeds=False)
    found = scalars(tmp_path / "tensorboard" / "mean")
    assert sorted(step for tag, step in found if tag == "loss") == [10, 20, 30]


def test_a_later_wave_of_agents_has_streams_of_its_own(tmp_path):
    for first in (0, 3):
        write(tmp_path, ("tensorboard",), first=first)
    folder = tmp_path / "tensorboard"
    assert {path.name for path in folder.iterdir()} == {"mean", "mean_from_3", *(f"seed_{seed}" for seed in range(6))}
    assert scalars(folder / "seed_4") == {("episode_return", 10): 2.0, ("episode_return", 20): 3.0}


def test_without_log_seeds_there_is_the_mean_alone(tmp_path):
    write(tmp_path, ("tensorboard",), seeds=False)
    assert {path.name for path in (tmp_path / "tensorboard").iterdir()} == {"mean"}


def test_weights_and_biases_writes_offline(tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    (tmp_path / "settings.yaml").write_text("algorithm: {_target_: jaxrl.PPO}\n")
    write(tmp_path, ("wandb",))
    streams = sorted(path.name.rpartition("-")[2] for path in (tmp_path / "wandb").glob("offline-run-*"))
    assert streams == ["mean", "seed_0", "seed_1", "seed_2"]
    (mean,) = (tmp_path / "wandb").glob("offline-run-*-mean/*.wandb")
    data = mean.read_bytes()
    assert b"episode_return" in data
    assert b"1.5" in data


@pytest.mark.parametrize(
    ("names", "error", "sentence"),
    [
        (("tensorbord",), ValueError, "There is no log 'tensorbord'; did you mean 'tensorboard'"),
        (3, TypeError, "log must be a list of some of jsonl, tensorboard, wandb, got 3"),
    ],
)
def test_wrong_logs_are_refused_in_a_sentence(names, error, sentence):
    with pytest.raises(error, match=sentence):
        check_logs(names)


@pytest.mark.parametrize(("name", "package"), [("tensorboard", "tensorboardX"), ("wandb", "wandb")])
def test_a_missing_package_is_named(name, package, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ImportError, match=f"log={name} needs the package {package}, .*: pip install {package}"):
        check_logs([name])
    check_logs(["jsonl"])
    assert set(LOGS) == {"jsonl", "tensorboard", "wandb"}
