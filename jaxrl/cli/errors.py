"""What a person got wrong, as one sentence."""

import contextlib
from collections.abc import Iterator


class UsageError(Exception):
    """Printed without a traceback; the command ends with status 2."""


@contextlib.contextmanager
def as_usage_error() -> Iterator[None]:
    """Around code that checks what a person gave: what it raises becomes a `UsageError` with the same sentence."""
    try:
        yield
    except (TypeError, ValueError, LookupError, OSError, RuntimeError, ImportError) as error:
        raise UsageError(" ".join(str(error).split())) from error
