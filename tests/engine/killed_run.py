"""A run in a process of its own that is killed: `killed_run.py run|resume CASE FOLDER SIGNAL REPORT`.

The signal comes when that many reports were written, or for REPORT `saving` in the middle of the second save. For the
SIGNAL `full` no file can get large any more, as on a disk that is full.
"""

import os
import resource
import signal
import sys
import time
from pathlib import Path
from typing import Any

import jaxrl
from jaxrl.engine import checkpoints
from jaxrl.engine.reporting import tables

ON_POLICY: dict[str, Any] = {"env": "CartPole-v1", "total_steps": 8_000, "num_envs": 4, "num_steps": 32}
ON_POLICY |= {"num_minibatches": 1, "hidden_sizes": (8,), "normalize_observations": True}
REPLAY: dict[str, Any] = {"replay_capacity": 2_000, "hidden_sizes": (8,), "normalize_observations": True}

CASES: dict[str, Any] = {
    "ppo": lambda: jaxrl.PPO(**ON_POLICY, normalize_rewards=True),
    "recurrent_ppo": lambda: jaxrl.RecurrentPPO(**ON_POLICY, memory_size=8),
    "dqn": lambda: jaxrl.DQN("CartPole-v1", **REPLAY, total_steps=4_000, prioritized=True, n_step=3),
    "sac": lambda: jaxrl.SAC("Pendulum-v1", **REPLAY, total_steps=2_400, batch_size=16),
}
OPTIONS: dict[str, Any] = {"seeds": 2, "eval_episodes": 2, "eval_every": 10, "num_reports": 40, "checkpoint_every": 0}


def after_reports(number: int, folder: Path, what: Any) -> None:
    """`what()` happens once that many reports are written, and there is a whole checkpoint."""
    append, calls = tables.append_csv, []

    def append_and_count(path: Path, report: Any) -> None:
        append(path, report)
        calls.extend([report] if path.name == "metrics.csv" else [])  # and not what a resumed run writes again
        if len(calls) == number:
            while not any(path.name.isdecimal() for path in (folder / "checkpoints").iterdir()):
                time.sleep(0.01)
            what()

    tables.append_csv = append_and_count


def while_saving(what: Any) -> None:
    """`what()` happens when the second checkpoint is written but for its name."""
    rename, saves = os.rename, []

    def rename_or_die(old: Any, new: Any, **options: Any) -> None:
        if "states.orbax-checkpoint-tmp" in str(old):
            saves.append(old)
            if len(saves) == 2:
                what()
        rename(old, new, **options)

    os.rename = rename_or_die


def main() -> None:
    mode, case, folder, signal_name, report = sys.argv[1:]
    checkpoints.MOST_OF_TIME = 1e6  # save as often as it can

    def send() -> None:
        if signal_name == "full":
            resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, resource.RLIM_INFINITY))
        else:
            os.kill(os.getpid(), signal.Signals[signal_name])

    if report == "saving":
        while_saving(send)
    else:
        after_reports(int(report), Path(folder), send)
    if mode == "run":
        jaxrl.run(CASES[case](), **OPTIONS, directory=folder, progress=False)
    else:
        jaxrl.resume(folder, progress=False)


if __name__ == "__main__":
    main()
