"""One of several processes: `distributed_run.py LOST WORDS`, with the words of a command line.

The process whose number is LOST is killed after five reports, once there is a checkpoint to go on from.
"""

import os
import signal
import sys
import time
from typing import Any

from jaxrl.cli.main import main
from jaxrl.engine import checkpoints
from jaxrl.engine.saving import Saver


def kill_after_reports(number: int) -> None:
    after = Saver.after

    def after_or_die(saver: Any, chunks: Any, reports: Any, seconds: float) -> bool:
        is_over = after(saver, chunks, reports, seconds)
        if len(reports) == number:
            saves = saver._options.folder / "checkpoints"
            while not any(path.name.isdecimal() for path in saves.iterdir()):
                time.sleep(0.01)
            os.kill(os.getpid(), signal.SIGKILL)
        return is_over

    Saver.after = after_or_die


if __name__ == "__main__":
    checkpoints.MOST_OF_TIME = 1e6  # save as often as it can
    if sys.argv[1] == os.environ["JAX_PROCESS_ID"]:
        kill_after_reports(5)
    sys.exit(main(sys.argv[2:]))
