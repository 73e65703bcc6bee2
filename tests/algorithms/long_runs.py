"""`jax.jit` for programs that train until something is learned."""

from functools import partial

import jax

# The other tests compile with no optimisation at all (conftest.py), which makes programs two to five times slower.
OPTIONS = {"xla_backend_optimization_level": 2}
jit = partial(jax.jit, compiler_options=OPTIONS)
