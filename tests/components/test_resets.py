"""Episode starts: the pool never changes a bit, modes do what they say, and branches stay branches under vmap."""

from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import jaxrl
from jaxrl.components import resets
from jaxrl.components.resets import any_lane
from jaxrl.components.rollouts import Actor, begin, unroll
from jaxrl.envs import wrappers
from jaxrl.envs.vector import vectorize

NUM_STEPS, NUM_ENVS = 40, 6


def _cartpole(mode: str) -> Any:
    return jaxrl.make("CartPole-v1", reset_mode=mode)


def _play(env: Any, key: int = 0) -> Any:
    """A rollout of a random walk whose episodes end often; records where episodes start and what is seen there."""
    env = vectorize(env, NUM_ENVS)
    world = begin(jax.random.key(1), env)
    actions = jax.random.randint(jax.random.key(2), (NUM_STEPS, NUM_ENVS), 0, 2)

    return world, unroll(jax.random.key(key), env, world, Actor(_play_noise), actions, lambda step: step)


def _play_noise(obs: Any, memory: Any, noise: Any) -> Any:
    return noise, memory, ()


def _starts(rollout: Any) -> np.ndarray:
    """Observations that start an episode, but those of the first step."""
    return np.asarray(rollout.obs)[1:][np.asarray(rollout.first)[1:]]


def test_fresh_starts_are_all_different() -> None:
    _, (_, rollout, _) = _play(_cartpole("fresh"))
    starts = _starts(rollout)
    assert len(starts) > 5
    assert len(np.unique(starts, axis=0)) == len(starts)


def test_the_size_of_the_pool_changes_no_bit(monkeypatch: Any) -> None:
    _, (_, whole, _) = _play(_cartpole("fresh"))
    drawn = resets._drawn
    for size in (NUM_ENVS, NUM_ENVS + 1, 100):
        monkeypatch.setattr(resets, "_drawn", lambda key, env, _, now, size=size: drawn(key, env, size, now))
        _, (_, rollout, _) = _play(_cartpole("fresh"))
        np.testing.assert_array_equal(rollout.obs, whole.obs)


def test_optimistic_starts_are_shared_by_those_who_end_together(monkeypatch: Any) -> None:
    drawn = resets._drawn
    monkeypatch.setattr(resets, "_drawn", lambda key, env, _, now: drawn(key, env, 2, now))
    together = wrappers.TimeLimit(jaxrl.make("CartPole-v1", reset_mode="optimistic"), 5)  # all end at the same steps
    _, (_, rollout, _) = _play(together)
    starts = np.asarray(rollout.obs)[5::5]
    for each in starts:
        np.testing.assert_array_equal(each, each[np.arange(NUM_ENVS) % 2])
    assert len(np.unique(starts.reshape(-1, 4), axis=0)) == 2 * len(starts)  # and drawn anew each time


def test_cached_starts_are_each_lanes_first() -> None:
    world, (after, rollout, _) = _play(_cartpole("cached"))
    for lane in range(NUM_ENVS):
        starts = np.asarray(rollout.obs)[:, lane][np.asarray(rollout.first)[:, lane]]
        np.testing.assert_array_equal(starts, np.broadcast_to(world.obs[lane], starts.shape))
    assert jax.tree.structure(after) == jax.tree.structure(world)


def test_any_lane_sees_all_lanes_and_keeps_the_branch() -> None:
    def branch(flags: jax.Array) -> jax.Array:
        return jax.lax.cond(any_lane(flags), lambda: jnp.float32(1.0), lambda: jnp.float32(0.0))

    flags = jnp.array([[[False, False], [False, True]], [[False, False], [False, False]]])
    np.testing.assert_array_equal(jax.vmap(jax.vmap(branch))(flags), np.ones((2, 2)))
    np.testing.assert_array_equal(jax.vmap(jax.vmap(branch))(flags & False), np.zeros((2, 2)))
    assert " cond" in str(jax.make_jaxpr(jax.vmap(jax.vmap(branch)))(flags))
    # What it is for: plain any() becomes a select, and both sides run.
    plain = jax.vmap(lambda f: jax.lax.cond(f.any(), lambda: jnp.float32(1.0), lambda: jnp.float32(0.0)))
    assert " cond" not in str(jax.make_jaxpr(plain)(flags[0]))


def test_a_vmapped_rollout_starts_the_same_episodes() -> None:
    env = vectorize(jaxrl.make("CartPole-v1"), NUM_ENVS)
    actions = jax.random.randint(jax.random.key(2), (NUM_STEPS, NUM_ENVS), 0, 2)

    def play(key: jax.Array) -> Any:
        world = begin(key, env)
        rollout = unroll(key, env, world, Actor(_play_noise), actions, lambda s: s.obs)[1]
        return replace(world, obs=()), rollout

    keys = jax.random.split(jax.random.key(5), 3)
    _, together = jax.vmap(play)(keys)
    for seed in range(3):
        np.testing.assert_allclose(together[seed], play(keys[seed])[1], rtol=1e-5, atol=1e-6)
