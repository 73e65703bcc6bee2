"""One of several processes: `distributed_run.py LOST WORDS`, with the words of a command line.

The process whose number is LOST is killed after some reports, once there is a checkpoint to go on from.
"""

import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

from jaxrl.cli.main import main
from jaxrl.engine import checkpoints
from jaxrl.engine.saving import Saver

KILLED_AT = 3
"""Reports of this process before it is killed."""


def numbers(saves: Path) -> set[str]:
    return {path.name for path in saves.glob("*") if path.name.isdecimal()}


def kill_midway() -> None:
    """At the end of that report, once there is a checkpoint that was not there before."""
    after, found = Saver.after, []

    def after_or_die(saver: Any, chunks: Any, reports: Any, seconds: float) -> bool:
        found.append(numbers(saver._options.folder / "checkpoints"))
        is_over = after(saver, chunks, reports, seconds)
        if len(found) == KILLED_AT:
            while numbers(saver._options.folder / "checkpoints") <= found[0]:
                time.sleep(0.01)
            os.kill(os.getpid(), signal.SIGKILL)
        return is_over

    Saver.after = after_or_die


if __name__ == "__main__":
    checkpoints.MOST_OF_TIME = 1e6  # save as often as it can
    if sys.argv[1] == os.environ["JAX_PROCESS_ID"]:
        kill_midway()
    sys.exit(main(sys.argv[2:]))
