"""Where a new episode starts: fresh draws made in bulk, a few draws handed out in turn, or a lane's own first state.

A reset sampled at every step for every lane is most of the cost of a cheap environment, and nearly all of them are
thrown away. Here the starts of a whole rollout are drawn before its scan, as one batch.
"""

from typing import Any, Protocol

import jax
import jax.numpy as jnp

from jaxrl.envs.environment import reset_mode
from jaxrl.envs.vector import VectorEnvironment


@jax.custom_batching.custom_vmap
def any_lane(flags: jax.Array) -> jax.Array:
    """`flags.any()`, but over all vmapped lanes too, so that a branch on it stays a branch under `vmap`."""
    return flags.any()


@any_lane.def_vmap
def _any_lane_rule(axis_size: int, in_batched: list[bool], flags: jax.Array) -> tuple[jax.Array, bool]:
    return any_lane(flags), False


class Restarts(Protocol):
    """A source of episode starts for the lanes of one rollout."""

    def __call__(self, ended_before: jax.Array, done: jax.Array, states: Any) -> Any:
        """Starts (env_state, obs) [N, ...], to be read where `done` [N].

        `ended_before` [] counts earlier ends; `states` [N, ...] are those after the step.
        """
        ...


def restarts(key: jax.Array, env: VectorEnvironment, num_steps: int, starts: Any) -> Restarts:
    """The source that `env` asks for (its `reset_mode`), for a rollout of `num_steps`.

    `starts` is `World.starts`, what the cached mode goes back to. A batch that starts its episodes anew itself says
    where they begin.
    """
    if hasattr(env, "restart"):
        return lambda ended_before, done, states: env.restart(states)
    mode = reset_mode(env.env)
    if mode == "cached":
        return lambda ended_before, done, states: starts
    # The j-th episode to end takes the j-th draw. The pool's size changes the speed and never a bit of a fresh start.
    size = num_steps * env.num_envs // 8 if num_steps > 1 else 0
    if mode == "optimistic":
        return _optimistic(key, env, max(1, size))
    return _fresh(key, env, size)


def _draws(key: jax.Array, env: VectorEnvironment, indices: jax.Array) -> Any:
    return env.reset(jax.vmap(jax.random.fold_in, in_axes=(None, 0))(key, indices))


def _take(pool: Any, indices: jax.Array) -> Any:
    return jax.tree.map(lambda leaf: leaf[indices], pool)


def _fresh(key: jax.Array, env: VectorEnvironment, size: int) -> Restarts:
    """Draw `size` starts now; past them, a branch that is rarely taken draws the very same one when it is needed."""
    pool = _draws(key, env, jnp.arange(max(1, size)))

    def restart(ended_before: jax.Array, done: jax.Array, states: Any) -> Any:
        index = ended_before + jnp.cumsum(done) - 1
        return jax.lax.cond(
            any_lane(done & (index >= size)),
            lambda: _draws(key, env, index),
            lambda: _take(pool, jnp.clip(index, 0, max(1, size) - 1)),
        )

    return restart


def _optimistic(key: jax.Array, env: VectorEnvironment, size: int) -> Restarts:
    """Draw `size` starts per rollout and hand them out in turn: cheaper, but starts repeat once they run out."""
    pool = _draws(key, env, jnp.arange(size))
    return lambda ended_before, done, states: _take(pool, (ended_before + jnp.cumsum(done) - 1) % size)
