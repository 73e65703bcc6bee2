"""`jax.jit` for programs that train until something is learned."""

import contextlib
from collections.abc import Iterator
from functools import partial
from typing import Any
from unittest import mock

import jax

# The other tests compile with no optimisation at all (conftest.py), which makes programs two to five times slower.
jit = partial(jax.jit, compiler_options={"xla_backend_optimization_level": 2})


@contextlib.contextmanager
def engine() -> Iterator[None]:
    """The same for what `jaxrl.run` and `jaxrl.sweep` compile."""
    compile_lowered = jax.stages.Lowered.compile

    def optimised(lowered: Any, compiler_options: Any = None) -> Any:
        return compile_lowered(lowered, {"xla_backend_optimization_level": 2} | (compiler_options or {}))

    with mock.patch.object(jax.stages.Lowered, "compile", optimised):
        yield
