"""The compiled programs of a run: begin, go on for a stretch of iterations, evaluate; each for all seeds at once."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import Mesh

from jaxrl.algorithm import Algorithm
from jaxrl.engine.compilation import compile_ahead
from jaxrl.engine.evaluate import Episodes, evaluate
from jaxrl.engine.parallel import over_seeds, place_seeds
from jaxrl.engine.train import advance, all_finite, initial_state
from jaxrl.metrics import values


def compile_begin(algorithm: Algorithm[Any], keys: jax.Array, mesh: Mesh | None) -> tuple[Any, float]:
    """`(program, seconds)`; program(algorithm, keys [S]) -> (states, run keys), leaves [S, ...]."""
    return compile_ahead(over_seeds(initial_state, (None, 0), mesh), algorithm, keys)


def compile_advance(
    algorithm: Algorithm[Any], run_keys: jax.Array, states: Any, mesh: Mesh | None
) -> tuple[Any, float]:
    """`(program, seconds)`; program(algorithm, run_keys, states, is_active, start, stop) -> (states, measured).

    `is_active` is bool [S]: the other seeds stay as they are. `measured` is (metrics, diverged): name -> [S], and int32
    [S], the iteration by which the learner held NaN or infinity, or -1. The states given are used up. `start` and
    `stop` are int32 scalars, so that one program serves every stretch of iterations.
    """

    def stretch(
        algorithm: Algorithm[Any],
        run_key: jax.Array,
        state: Any,
        is_active: jax.Array,
        start: jax.Array,
        stop: jax.Array,
    ) -> tuple[Any, tuple[dict[str, jax.Array], jax.Array]]:
        after, metrics, suspect = advance(algorithm, run_key, state, start, stop)
        is_finite = all_finite(getattr(after, "learner", after))
        diverged_at = jnp.where(is_finite, -1, jnp.minimum(suspect, stop))
        return _where(is_active, after, state), (values(metrics), diverged_at)

    program = over_seeds(stretch, (None, 0, 0, 0, None, None), mesh)
    everyone = place_seeds(jnp.ones(len(run_keys), bool), mesh)
    arguments = (algorithm, run_keys, states, everyone, jnp.int32(0), jnp.int32(1))
    return compile_ahead(program, *arguments, donate=(2,))


def compile_refill(algorithm: Any, run_keys: jax.Array, states: Any, mesh: Mesh | None) -> Any:
    """program(algorithm, run_keys, states, start, stop) -> states: what was played, played again by today's learner.

    It fills a replay that was not saved with what the learner, which stays as it is, would have put there.
    """

    def again(algorithm: Any, run_key: jax.Array, state: Any, start: jax.Array, stop: jax.Array) -> Any:
        def body(iteration: jax.Array, latest: Any) -> Any:
            played, _ = algorithm.step(jax.random.fold_in(run_key, iteration), latest, iteration)
            return dataclasses.replace(played, learner=state.learner)

        return jax.lax.fori_loop(start, stop, body, state)

    arguments = (algorithm, run_keys, states, jnp.int32(0), jnp.int32(1))
    return compile_ahead(over_seeds(again, (None, 0, 0, None, None), mesh), *arguments, donate=(2,))[0]


def compile_evaluate(
    algorithm: Algorithm[Any], keys: jax.Array, states: Any, num_episodes: int, mesh: Mesh | None
) -> tuple[Any, float]:
    """`(program, seconds)`; program(algorithm, keys, states) -> Episodes, leaves [S, num_episodes]."""

    def play(algorithm: Algorithm[Any], key: jax.Array, state: Any) -> Episodes:
        # The third child: `initial_state` uses the first two, and a child does not depend on how many were split off.
        eval_key = jax.random.split(key, 3)[2]
        return evaluate(algorithm.policy(state), algorithm.env, eval_key, num_episodes=num_episodes)

    return compile_ahead(over_seeds(play, (None, 0, 0), mesh), algorithm, keys, states)


def _where(condition: jax.Array, one: Any, other: Any) -> Any:
    """`one` or `other`; their replay is that of `one` in any case, since choosing would copy it."""
    if hasattr(one, "replay"):
        one, other, replay = dataclasses.replace(one, replay=None), dataclasses.replace(other, replay=None), one.replay
        return dataclasses.replace(_where_leaf(condition, one, other), replay=replay)
    return _where_leaf(condition, one, other)


def _where_leaf(condition: jax.Array, one: Any, other: Any) -> Any:
    return jax.tree.map(lambda a, b: jnp.where(condition, a, b), one, other)
