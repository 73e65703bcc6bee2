"""`jax.jit`, and the engine's compiling, for programs that train until something is learned."""

from functools import partial

import jax

from jaxrl.engine.compilation import compiler_options

# The other tests compile with no optimisation at all (conftest.py), which makes programs two to five times slower.
OPTIONS = {"xla_backend_optimization_level": 2}
jit = partial(jax.jit, compiler_options=OPTIONS)
engine = partial(compiler_options, OPTIONS)
"""A context for `jaxrl.run` and `jaxrl.sweep`."""
