"""Where a new episode starts: fresh draws made in bulk, draws that some share, or a lane's own first state.

A reset sampled at every step for every lane is most of the cost of a cheap environment, and nearly all of them are
thrown away. Here they are drawn many at a time, when the first of them is needed.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxrl.envs.environment import reset_mode
from jaxrl.envs.vector import VectorEnvironment
from jaxrl.pytree import dataclass


@jax.custom_batching.custom_vmap
def any_lane(flags: jax.Array) -> jax.Array:
    """`flags.any()`, but over all vmapped lanes too, so that a branch on it stays a branch under `vmap`."""
    return flags.any()


@any_lane.def_vmap
def _any_lane_rule(axis_size: int, in_batched: list[bool], flags: jax.Array) -> tuple[jax.Array, bool]:
    return any_lane(flags), False


class Restarts(NamedTuple):
    """A source of episode starts for the lanes of one rollout."""

    pool: Any
    """What the rollout carries for it from step to step."""
    take: Callable[[Any, jax.Array, jax.Array, Any], tuple[Any, Any]]
    """`take(pool, ended_before, done, states) -> (pool, starts)`: starts (env_state, obs) [N, ...], to be read where
    `done` [N]. `ended_before` [] counts the rollout's earlier ends; `states` [N, ...] are those after the step."""


@dataclass
class Pool:
    """Fresh starts that were drawn together."""

    first: jax.Array
    """int32 []: which start of the rollout is the pool's first."""
    starts: Any
    """(env_state, obs), leaves [size, ...]."""


def restarts(key: jax.Array, env: VectorEnvironment, num_steps: int, current: Any, cached: Any) -> Restarts:
    """The source that `env` asks for (its `reset_mode`), for a rollout of `num_steps`.

    `current` is (env_state, obs) of the N environments now; `cached` is `World.starts`, what the cached mode goes back
    to. A batch that starts its episodes anew itself says where they begin.
    """
    if hasattr(env, "restart"):
        return Restarts((), lambda pool, ended_before, done, states: (pool, env.restart(states)))
    mode = reset_mode(env.env)
    if mode == "cached":
        return Restarts((), lambda pool, ended_before, done, states: (pool, cached))
    least = env.num_envs if mode == "fresh" else max(1, env.num_envs // 8)
    return _drawn(key, env, max(least, num_steps * env.num_envs // 64), current)


def _draws(key: jax.Array, env: VectorEnvironment, indices: jax.Array) -> Any:
    return env.reset(jax.vmap(jax.random.fold_in, in_axes=(None, 0))(key, indices))


def _take(starts: Any, indices: jax.Array) -> Any:
    return jax.tree.map(lambda leaf: leaf[indices], starts)


def _drawn(key: jax.Array, env: VectorEnvironment, size: int, current: Any) -> Restarts:
    """The j-th episode to end takes the j-th draw; `size` of them are made together, when one of them is first needed.

    So a program has the code of the environment's reset once, and the size changes the speed and never a bit, unless
    more episodes end at one step: these share the draws in turn.
    """

    def take(pool: Pool, ended_before: jax.Array, done: jax.Array, states: Any) -> tuple[Pool, Any]:
        is_short = done.any() & (ended_before + done.sum(dtype=jnp.int32) > pool.first + size)
        pool = jax.lax.cond(
            any_lane(is_short),
            lambda: Pool(ended_before, _draws(key, env, ended_before + jnp.arange(size))),
            lambda: pool,
        )
        index = ended_before - pool.first + jnp.cumsum(done) - 1
        return pool, _take(pool.starts, index % size)

    # Of the right form, and never handed out.
    no_starts = current if size == env.num_envs else _take(current, jnp.arange(size) % env.num_envs)
    return Restarts(Pool(jnp.int32(-size), no_starts), take)
