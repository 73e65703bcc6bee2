"""Two real processes train together over the loopback: as one process with two devices, and until one of them is lost.

Each has a CPU as its one device.
"""

import dataclasses
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest
from distributed_run import numbers

import jaxrl
from jaxrl.cli.main import main
from jaxrl.engine.parallel import device_mesh
from jaxrl.engine.saved_run import load_run

HERE = Path(__file__).parent

TIME = 120
"""Seconds after which processes are killed whatever they do; they take a tenth of it."""
PPO = ("num_envs=4", "num_steps=32", "num_minibatches=1", "hidden_sizes=[8]", "total_steps=2560")
WORDS = [*(f"algorithm.{word}" for word in PPO), "num_reports=10", "eval_episodes=2", "checkpoint_every=0"]
LOST = "A process of this training was lost, which ends all of them; go on from the last checkpoint with `jaxrl resume "


@dataclasses.dataclass
class Ended:
    status: int
    out: str
    err: str


def in_two_processes(tmp_path: Path, *words: object, lost: int | None = None) -> list[Ended]:
    """What came of two processes with these words each; the one with the number `lost` is killed midway."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    surroundings = {**os.environ, "PYTHONPATH": str(HERE.parents[1])}
    surroundings["XLA_FLAGS"] += " --xla_force_host_platform_device_count=1"
    surroundings["JAX_COMPILATION_CACHE_DIR"] = str(jax.config.jax_compilation_cache_dir)
    surroundings["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0.1"
    surroundings["JAX_NUMPY_RANK_PROMOTION"] = "raise"
    surroundings |= {"JAX_COORDINATOR_ADDRESS": address, "JAX_COORDINATOR_BIND_ADDRESS": address}
    command = [sys.executable, str(HERE / "distributed_run.py"), str(lost), *map(str, words), "distributed=true"]
    files = [(tmp_path / f"{number}.out", tmp_path / f"{number}.err") for number in range(2)]
    processes = []
    try:
        for number, (out, err) in enumerate(files):
            ids = {"JAX_NUM_PROCESSES": "2", "JAX_PROCESS_ID": str(number)}
            with out.open("w") as stdout, err.open("w") as stderr:
                processes.append(subprocess.Popen(command, env=surroundings | ids, stdout=stdout, stderr=stderr))
        statuses = [process.wait(TIME) for process in processes]
    finally:
        for process in processes:  # SIGTERM would only be noted
            process.kill()
            process.wait()
    return [Ended(status, *(file.read_text() for file in pair)) for status, pair in zip(statuses, files, strict=True)]


def assert_same_measures(one: Path, other: Path) -> None:
    a, b = load_run(one), load_run(other)
    np.testing.assert_array_equal(a.steps, b.steps)
    assert set(a.metrics) == set(b.metrics)
    for name, values in a.metrics.items():
        np.testing.assert_allclose(values, b.metrics[name], rtol=1e-4, atol=1e-6, err_msg=name)
    assert a.episodes == b.episodes


@pytest.mark.parametrize("several", ["seeds=3", "devices_per_agent=2"])
def test_two_processes_train_what_two_devices_of_one_do(several: str, tmp_path: Path) -> None:
    words = ["train", "seeds=1", *WORDS, several]
    first, second = in_two_processes(tmp_path, *words, f"directory={tmp_path / 'two'}")
    assert (first.status, second.status) == (0, 0), first.err + second.err
    assert "(2 x cpu)" in first.out
    assert "Compiling PPO on CartPole-v1" in first.err
    assert (second.out, second.err) == ("", "")
    assert main([*words, "devices=2", "progress=false", f"directory={tmp_path / 'one'}"]) == 0
    assert_same_measures(tmp_path / "one", tmp_path / "two")
    names = [{path.name for path in (tmp_path / run).iterdir()} for run in ("one", "two")]
    assert names[0] | {"checkpoints"} == names[1] | {"checkpoints"}
    assert len((tmp_path / "two" / "metrics.csv").read_text().splitlines()) == 1 + 10 * (3 if "seeds" in several else 1)


def newest(folder: Path) -> int:
    return max(map(int, numbers(folder / "checkpoints")))


def test_a_lost_process_ends_the_other_and_the_run_goes_on(tmp_path: Path) -> None:
    folder, words = tmp_path / "lost", ["train", "seeds=3", *WORDS, "eval_episodes=0"]
    first, second = in_two_processes(tmp_path, *words, f"directory={folder}", lost=0)  # whom the other reports to
    assert (first.status, second.status in (0, -signal.SIGKILL)) == (-signal.SIGKILL, False)
    assert f"{LOST}{folder}`." in second.err
    before = newest(folder)
    first, second = in_two_processes(tmp_path, "resume", folder, lost=1)
    assert (first.status in (0, -signal.SIGKILL), second.status) == (False, -signal.SIGKILL)
    assert f"{LOST}{folder}`." in first.err
    assert newest(folder) > before

    jaxrl.resume(folder, devices=1, progress=False)
    main([*words, "devices=2", "progress=false", f"directory={tmp_path / 'whole'}"])
    assert_same_measures(tmp_path / "whole", folder)


def test_what_the_first_process_refuses_ends_all(tmp_path: Path) -> None:
    (tmp_path / "settings.yaml").touch()
    for ended in in_two_processes(tmp_path, "train", *WORDS, f"directory={tmp_path}"):
        assert ended.status == 2
        assert "already holds a run (settings.yaml), and nothing is overwritten" in ended.err


def test_a_process_without_an_agent_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jax, "process_count", lambda: 2)
    with pytest.raises(ValueError, match="take 1 of 8 devices, which only 1 of 2 processes have; train more seeds"):
        device_mesh(None, None, 1)


@pytest.mark.parametrize(
    ("word", "sentence"),
    [
        ("distributed=maybe", "distributed must be true or false, got 'maybe'."),
        (
            "distributed=true",
            "could not find one another (JAX_NUM_PROCESSES is not a whole number: 'two'); start them with",
        ),
    ],
)
def test_what_cannot_be_distributed_is_refused(
    word: str, sentence: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("JAX_NUM_PROCESSES", "two")
    assert main(["train", word]) == 2
    assert sentence in capsys.readouterr().err
