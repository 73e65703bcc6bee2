"""The compiled programs of a run: begin, go on for a stretch of iterations, evaluate; each for all seeds at once."""

from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import Mesh

from jaxrl.algorithm import Algorithm
from jaxrl.engine.compilation import compile_ahead
from jaxrl.engine.evaluate import Episodes, evaluate
from jaxrl.engine.parallel import over_seeds
from jaxrl.engine.train import advance, initial_state
from jaxrl.metrics import values


def compile_begin(algorithm: Algorithm[Any], keys: jax.Array, mesh: Mesh | None) -> tuple[Any, float]:
    """`(program, seconds)`; program(algorithm, keys [S]) -> (states, run keys), leaves [S, ...]."""
    return compile_ahead(over_seeds(initial_state, (None, 0), mesh), algorithm, keys)


def compile_advance(
    algorithm: Algorithm[Any], run_keys: jax.Array, states: Any, mesh: Mesh | None
) -> tuple[Any, float]:
    """`(program, seconds)`; program(algorithm, run_keys, states, start, stop) -> (states, metrics, is_finite).

    Metrics are name -> [S]; is_finite is bool [S]. The states given are used up. `start` and `stop` are int32 scalars,
    so that one program serves every stretch of iterations.
    """

    def stretch(
        algorithm: Algorithm[Any], run_key: jax.Array, state: Any, start: jax.Array, stop: jax.Array
    ) -> tuple[Any, dict[str, jax.Array], jax.Array]:
        state, metrics = advance(algorithm, run_key, state, start, stop)
        return state, values(metrics), _is_finite(getattr(state, "learner", state))

    program = over_seeds(stretch, (None, 0, 0, None, None), mesh)
    return compile_ahead(program, algorithm, run_keys, states, jnp.int32(0), jnp.int32(1), donate=(2,))


def compile_evaluate(
    algorithm: Algorithm[Any], keys: jax.Array, states: Any, num_episodes: int, mesh: Mesh | None
) -> tuple[Any, float]:
    """`(program, seconds)`; program(algorithm, keys, states) -> Episodes, leaves [S, num_episodes]."""

    def play(algorithm: Algorithm[Any], key: jax.Array, state: Any) -> Episodes:
        # The third child: `initial_state` uses the first two, and a child does not depend on how many were split off.
        eval_key = jax.random.split(key, 3)[2]
        return evaluate(algorithm.policy(state), algorithm.env, eval_key, num_episodes=num_episodes)

    return compile_ahead(over_seeds(play, (None, 0, 0), mesh), algorithm, keys, states)


def _is_finite(tree: Any) -> jax.Array:
    checks = [jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(tree) if jnp.issubdtype(leaf.dtype, jnp.inexact)]
    return jnp.asarray(checks, bool).all()
