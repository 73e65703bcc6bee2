"""`distributed=true`: the word that makes this process one of several that train together."""

import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from jaxrl.cli.errors import UsageError, as_usage_error
from jaxrl.engine.hosts import is_first, start

WORD = "distributed="


def joined(words: Sequence[str]) -> list[str]:
    """`words` without `distributed=...`; where it is true, this process has joined the others.

    Nothing of JAX may be in use before. All but the first process keep silent on stdout from here on.
    """
    given = [word.removeprefix(WORD) for word in words if word.startswith(WORD)]
    rest = [word for word in words if not word.startswith(WORD)]
    if any(value.lower() not in ("true", "false") for value in given):
        raise UsageError(f"distributed must be true or false, got '{given[-1]}'.")
    if not given or given[-1].lower() == "false" or {"-h", "--help", "--settings"} & set(rest):
        return rest
    with as_usage_error():
        start()
    if not is_first():
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    return rest


def leave(status: int) -> NoReturn:
    """End this process at once, without waiting for those that are lost, as JAX does on the way out."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)
