"""Ctrl-C and SIGTERM, put off until a run can be left without losing anything."""

import contextlib
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from types import FrameType


class Interrupted(KeyboardInterrupt):
    """A run was asked to end, and has saved where it was; `signal_number` says by what."""

    def __init__(self, message: str, signal_number: int) -> None:
        super().__init__(message)
        self.signal_number = signal_number


@contextlib.contextmanager
def deferred(*, show: bool) -> Iterator[Callable[[], int | None]]:
    """Yield a function that gives the signal that came, or None; a second one of a kind ends the process as ever.

    With `show` it is answered on stderr at once. Outside the main thread, where Python allows no handlers, nothing is
    put off.
    """
    came: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield lambda: None
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    # What a background job was started to ignore stays ignored.
    before = {number: handler for number, handler in before.items() if handler is not signal.SIG_IGN}

    def note(number: int, frame: FrameType | None) -> None:
        came.append(number)
        signal.signal(number, before[signal.Signals(number)])
        if show:
            print("\nStopping and saving at the next report; once more to stop at once.", file=sys.stderr)

    for number in before:
        signal.signal(number, note)
    try:
        yield lambda: came[0] if came else None
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
