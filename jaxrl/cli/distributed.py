"""`distributed=true`: the word that makes this process one of several that train together."""

import os
import sys
import traceback
from collections.abc import Sequence
from types import TracebackType
from typing import NoReturn

from jaxrl.cli.errors import UsageError, as_usage_error
from jaxrl.engine.hosts import LostProcess, is_first, start

WORD = "distributed="


def is_for_hydra(word: str) -> bool:
    """Whether `word` says how jobs are launched, and not what they train."""
    return word.lstrip("+").startswith(("hydra/", "hydra."))


def names_launcher(words: Sequence[str]) -> bool:
    """Whether a launcher of Hydra is to train, each combination in a job of its own."""
    return any(word.startswith("hydra/launcher=") for word in words)


def joined(words: Sequence[str]) -> list[str]:
    """`words` without `distributed=...`; where it is true, this process has joined the others.

    Nothing of JAX may be in use before. All but the first process are silent on stdout from here on.
    """
    if names_launcher(words):  # the jobs join one another, and not this process
        return list(words)
    given = [word.removeprefix(WORD) for word in words if word.startswith(WORD)]
    rest = [word for word in words if not word.startswith(WORD)]
    if any(value.lower() not in ("true", "false") for value in given):
        raise UsageError(f"distributed must be true or false, got '{given[-1]}'.")
    if not given or given[-1].lower() == "false" or {"-h", "--help", "--settings"} & set(rest):
        return rest
    with as_usage_error():
        start()
    sys.excepthook = _leave
    if not is_first():
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    return rest


def _leave(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> NoReturn:
    """End at once, without waiting on the way out for the others, which are lost or wait for this process."""
    if isinstance(error, LostProcess):
        print(f"jaxrl: {error}", file=sys.stderr)
    else:
        traceback.print_exception(kind, error, trace)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(1)
