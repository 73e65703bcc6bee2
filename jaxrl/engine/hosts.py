"""Several processes that train together: how they find one another, who speaks for all, and the loss of one of them.

Every process carries out the same program. The first alone shows and writes; what it meets there, all of them get.
"""

import contextlib
import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import jax
import numpy as np
from jax.experimental import multihost_utils

from jaxrl.engine import run_folder

T = TypeVar("T")

HEARTBEAT_SECONDS = 30
"""A process that was not heard of for so long is lost."""
SHUTDOWN_SECONDS = 30
"""How long a process that is over waits for the others: all come to their end together."""
_LOSS = ("Gloo", "NCCL", "oordination service", "oordinationService", "heartbeat", "Socket closed", "Connection reset")
_WATCH = "import sys; sys.stdin.read() or print(sys.argv[1], file=sys.stderr)"


class LostProcess(RuntimeError):
    """Another process of this training ended before its time."""


def start() -> None:
    """Join the other processes, before anything else is asked of JAX.

    JAX finds them by itself under SLURM, Open MPI and GKE, and on TPU pods. Elsewhere they are told of one another by
    JAX_COORDINATOR_ADDRESS (the first one's, as host:port), which JAX reads, and by JAX_NUM_PROCESSES and
    JAX_PROCESS_ID, which are read here. Raises ValueError or RuntimeError with one sentence.
    """
    try:
        jax.distributed.initialize(
            num_processes=_number("JAX_NUM_PROCESSES"),
            process_id=_number("JAX_PROCESS_ID"),
            heartbeat_timeout_seconds=HEARTBEAT_SECONDS,
            shutdown_timeout_seconds=SHUTDOWN_SECONDS,
        )
    except (ValueError, RuntimeError) as error:
        raise type(error)(
            f"The processes of a distributed run could not find one another ({' '.join(str(error).split())}); start "
            "them with srun, mpirun or as a pod, or set JAX_COORDINATOR_ADDRESS=HOST:PORT, JAX_NUM_PROCESSES and "
            "JAX_PROCESS_ID for each."
        ) from None
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # JAX only notes it, and a process that compiles could not be ended


def _number(variable: str) -> int | None:
    value = os.environ.get(variable)
    if value is not None and not value.isdecimal():
        raise ValueError(f"{variable} is not a whole number: {value!r}")
    return None if value is None else int(value)


def is_first() -> bool:
    """Whether this process is the one that shows and writes."""
    return jax.process_index() == 0


def tell(sentence: str) -> None:
    """Print on stderr, once for all processes."""
    if is_first():
        print(sentence, file=sys.stderr, flush=True)


def on_first(action: Callable[[], T]) -> T:
    """`action()` as the first process carries it out: all get its result, or the exception that it raises there."""
    if jax.process_count() == 1:
        return action()
    outcome: tuple[Any, Exception | None] = (None, None)
    if is_first():
        try:
            outcome = (action(), None)
        except Exception as error:  # whatever it is, the others would wait for ever
            outcome = (None, error)
    written = np.frombuffer(pickle.dumps(outcome), np.uint8)
    length = int(multihost_utils.broadcast_one_to_all(np.int32(len(written))))
    shared = multihost_utils.broadcast_one_to_all(np.resize(written, length))
    result, problem = pickle.loads(np.asarray(shared).tobytes())
    if problem is not None:
        raise problem
    return result


def least(number: float) -> float:
    """The smallest of the processes' numbers, as a float32."""
    return number if jax.process_count() == 1 else float(np.min(multihost_utils.process_allgather(np.float32(number))))


@contextlib.contextmanager
def held_by_all(folder: Path) -> Iterator[None]:
    """`run_folder.held` by the first process."""
    with contextlib.ExitStack() as stack:
        on_first(lambda: stack.enter_context(run_folder.held(folder)))
        yield


@contextlib.contextmanager
def losses_told(folder: Path | None) -> Iterator[None]:
    """Say in one sentence that a process was lost, as `LostProcess`, or where JAX ends this process, after its end."""
    if jax.process_count() == 1:
        yield
        return
    how = "nothing was saved" if folder is None else f"go on from the last checkpoint with `jaxrl resume {folder}`"
    sentence = f"A process of this training was lost, which ends all of them; {how}."
    # JAX's runtime aborts a process that misses another one, and leaves it no chance to say anything.
    command = [sys.executable, "-S", "-c", _WATCH, f"jaxrl: {sentence}"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True) as watcher:
        assert watcher.stdin is not None
        try:
            yield
        except Exception as error:
            if not any(sign in f"{error} {error.__cause__}" for sign in _LOSS):
                raise
            raise LostProcess(sentence) from error
        finally:
            watcher.stdin.write(b"over")
            watcher.stdin.close()
