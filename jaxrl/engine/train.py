"""Training as one pure function: jit it, vmap it over keys and hyperparameters, go on from where it stopped."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl.algorithm import Algorithm
from jaxrl.algorithm import num_iterations as iterations_of
from jaxrl.metrics import Metrics, add, values
from jaxrl.pytree import dataclass, static


@dataclass
class Result:
    """What `train` gives back; with the key, everything needed to go on."""

    state: Any
    iteration: jax.Array
    """int32 []: iterations done since the beginning, also those before `start`."""
    metrics: dict[str, jax.Array]
    """Name -> [num_reports], each the mean over its stretch of iterations; NaN where nothing was measured."""
    report_iterations: jax.Array
    """int32 [num_reports]: iterations done at each report."""
    steps_per_iteration: int = static()

    @property
    def steps(self) -> Any:
        """Environment steps done since the beginning; exact also beyond the range of int32."""
        return self._steps_of(self.iteration)

    @property
    def report_steps(self) -> Any:
        """[num_reports]: environment steps done at each report, the x axis of a metric's curve."""
        return self._steps_of(self.report_iterations)

    def _steps_of(self, iterations: jax.Array) -> Any:
        if isinstance(iterations, jax.core.Tracer):
            return iterations * self.steps_per_iteration
        return np.asarray(iterations).astype(np.int64) * self.steps_per_iteration


def train(
    algorithm: Algorithm[Any],
    key: jax.Array,
    *,
    state: Any = None,
    start: int | jax.Array = 0,
    num_iterations: int | jax.Array | None = None,
    num_reports: int = 100,
) -> Result:
    """Train one agent; pure, so that `jax.jit` and `jax.vmap` apply to it.

    Runs `num_iterations` iterations (default: up to `algorithm.total_steps`, rounded up to whole iterations) from
    `state` at iteration `start` (default: from the beginning). Going on with `state=result.state,
    start=result.iteration` and the same key gives, bit for bit, what an uninterrupted run gives. `num_reports` is the
    length of each metric and must be static; it is lowered to the number of iterations where that is known and less.
    """
    if not isinstance(num_reports, int) or num_reports < 1:
        raise ValueError(
            f"num_reports must be a positive int that is static under jit, got {num_reports!r}; "
            "bind it with functools.partial or name it in static_argnames."
        )
    if isinstance(num_iterations, int) and num_iterations < 0:
        raise ValueError(f"num_iterations must be at least 0, got {num_iterations}.")
    whole_run = iterations_of(algorithm)
    if num_iterations is None:
        num_iterations = whole_run - start if isinstance(start, int) else jnp.maximum(whole_run - start, 0)
        num_reports = min(num_reports, whole_run)
    if isinstance(num_iterations, int):
        num_reports = min(num_reports, max(num_iterations, 1))

    first_state, run_key = initial_state(algorithm, key) if state is None else (state, run_key_of(key))
    bounds = bounds_of_parts(start, num_iterations, num_reports)
    state, metrics, _ = advance_in_parts(algorithm, run_key, first_state, bounds)
    return Result(
        state=state,
        iteration=bounds[-1],
        metrics=values(metrics),
        report_iterations=bounds[1:],
        steps_per_iteration=algorithm.steps_per_iteration,
    )


def initial_state(algorithm: Algorithm[Any], key: jax.Array) -> tuple[Any, jax.Array]:
    """The state before the first iteration, and the key that the iterations' keys are folded from."""
    init_key, run_key = jax.random.split(typed_key(key))
    state = algorithm.init(init_key)
    # Under vmap a leaf that does not depend on the key (Adam's count) would stay unbatched here and be batched when
    # the state is passed in; the two programs then differ in last digits. Selecting on the key marks every leaf.
    mark = jax.random.key_data(init_key).ravel()[0] == 0
    return jax.tree.map(lambda leaf: jnp.where(mark, leaf, leaf), state), run_key


def run_key_of(key: jax.Array) -> jax.Array:
    """The key that the iterations' keys are folded from, as `initial_state` gives it."""
    return jax.random.split(typed_key(key))[1]


def bounds_of_parts(start: int | jax.Array, num_iterations: int | jax.Array, num_parts: int) -> jax.Array:
    """int32 [num_parts + 1]: where the iterations from `start` on are cut into parts of nearly equal length."""
    part = jnp.arange(num_parts + 1)
    whole, rest = num_iterations // num_parts, num_iterations % num_parts
    # part * num_iterations // num_parts, but for the product, which may not fit in an int32
    return (start + part * whole + part * rest // num_parts).astype(jnp.int32)


def advance_in_parts(
    algorithm: Algorithm[Any], run_key: jax.Array, state: Any, bounds: jax.Array
) -> tuple[Any, Metrics, jax.Array]:
    """`advance` from each of the `bounds`, int32 [num_parts + 1], to the next; metrics and suspects are [num_parts]."""

    def part(state: Any, between: tuple[jax.Array, jax.Array]) -> tuple[Any, tuple[Metrics, jax.Array]]:
        state, metrics, suspect = advance(algorithm, run_key, state, *between)
        return state, (metrics, suspect)

    state, (metrics, suspects) = jax.lax.scan(part, state, (bounds[:-1], bounds[1:]))
    return state, metrics, suspects


def advance(
    algorithm: Algorithm[Any], run_key: jax.Array, state: Any, start: int | jax.Array, stop: int | jax.Array
) -> tuple[Any, Metrics, jax.Array]:
    """Iterations `start` to `stop` (exclusive; both may be traced, so one program serves any chunk), metrics summed.

    The third value, int32 [], is how many iterations the run had done when a metric was first not finite, at most the
    largest int32.
    """
    metrics_shape = jax.eval_shape(_step, algorithm, run_key, state, jnp.int32(0))[1]
    no_metrics = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), metrics_shape)

    def body(iteration: jax.Array, carry: tuple[Any, Metrics, jax.Array]) -> tuple[Any, Metrics, jax.Array]:
        state, metrics, suspect = carry
        state, latest = _step(algorithm, jax.random.fold_in(run_key, iteration), state, iteration)
        is_finite = all_finite(latest)
        return state, add(metrics, latest), jnp.where(is_finite, suspect, jnp.minimum(suspect, iteration + 1))

    stretch = jnp.int32(start), jnp.int32(stop)
    never = jnp.int32(jnp.iinfo(jnp.int32).max)
    return jax.lax.fori_loop(*stretch, body, (state, no_metrics, never))


def all_finite(tree: Any) -> jax.Array:
    """bool []: whether no number of `tree` is NaN or infinite."""
    checks = [jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(tree) if jnp.issubdtype(leaf.dtype, jnp.inexact)]
    return jnp.asarray(checks, bool).all()


@partial(jax.jit, inline=True)  # not for speed: the trace that shows the metrics' shapes is kept for the loop
def _step(algorithm: Algorithm[Any], key: jax.Array, state: Any, iteration: jax.Array) -> tuple[Any, Metrics]:
    return algorithm.step(key, state, iteration)


def typed_key(key: Any) -> jax.Array:
    """`key` as a typed JAX key; a legacy uint32 key is wrapped, anything else is refused."""
    dtype = getattr(key, "dtype", None)
    if dtype is not None and jax.dtypes.issubdtype(dtype, jax.dtypes.prng_key):
        typed = key
    elif dtype == np.uint32 and np.shape(key) == np.shape(jax.random.key_data(jax.random.key(0))):
        typed = jax.random.wrap_key_data(jnp.asarray(key))
    else:
        raise TypeError(f"key must be a JAX random key such as jax.random.key(0), got {key!r}.")
    if typed.shape != ():
        raise ValueError(
            f"key must be a single key, got an array of shape {typed.shape}; for several agents use "
            "jax.vmap(jaxrl.train, in_axes=(None, 0))(algorithm, keys)."
        )
    return typed
