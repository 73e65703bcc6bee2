"""The interaction loop against a plain Python loop over one environment at a time."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import jaxrl
from jaxrl.components.rollout_values import rollout_values
from jaxrl.components.rollouts import Actor, begin, unroll
from jaxrl.envs.vector import vectorize
from jaxrl.metrics import values

NUM_STEPS, NUM_ENVS = 30, 3
ENV = jaxrl.make("CartPole-v1", max_steps=12)


def _act(obs: Any, memory: Any, noise: Any) -> Any:
    return noise, memory + 1, {"twice": 2 * noise}


def _play_noise(obs: Any, memory: Any, noise: Any) -> Any:
    return noise, memory, ()


def _rollout() -> Any:
    env = vectorize(ENV, NUM_ENVS)
    world = begin(jax.random.key(0), env, memory=jnp.zeros(NUM_ENVS))
    actions = jax.random.randint(jax.random.key(2), (NUM_STEPS, NUM_ENVS), 0, 2)
    fresh = jnp.full(NUM_ENVS, 100.0)
    return world, actions, unroll(jax.random.key(1), env, world, Actor(_act, fresh), actions, lambda step: step)


def test_rollout_against_a_plain_loop() -> None:
    world, actions, (after, rollout, episodes) = _rollout()
    ends, truncations = [], 0
    for lane in range(NUM_ENVS):
        state = jax.tree.map(lambda leaf, lane=lane: leaf[lane], world.env_state)
        memory, first, total, length = 0.0, True, 0.0, 0
        for t in range(NUM_STEPS):
            memory = 100.0 if first else memory
            assert float(rollout.memory[t, lane]) == memory
            assert bool(rollout.first[t, lane]) == first
            memory += 1
            state, timestep = ENV.step(jax.random.key(0), state, actions[t, lane])
            np.testing.assert_allclose(rollout.next_obs[t, lane], timestep.obs, rtol=1e-5, atol=1e-6)
            assert bool(rollout.terminated[t, lane]) == bool(timestep.terminated)
            assert bool(rollout.truncated[t, lane]) == bool(timestep.truncated)
            assert int(rollout.extras["twice"][t, lane]) == 2 * int(actions[t, lane])
            total, length = total + float(timestep.reward), length + 1
            first = bool(timestep.terminated | timestep.truncated)
            if first:
                ends.append((total, length))
                truncations += bool(timestep.truncated)
                total, length = 0.0, 0
                if t + 1 < NUM_STEPS:  # go on from the start that the rollout drew
                    obs = rollout.obs[t + 1, lane]
                    assert not np.allclose(obs, timestep.obs), "the successor must not be the next episode's start"
                    state = jax.tree.map(lambda leaf: leaf * 0, state)
                    state = state.replace(x=obs[0], x_dot=obs[1], theta=obs[2], theta_dot=obs[3])
            elif t + 1 < NUM_STEPS:
                np.testing.assert_array_equal(rollout.obs[t + 1, lane], rollout.next_obs[t, lane])
        assert float(after.episode_return[lane]) == total
        assert int(after.episode_length[lane]) == length
    assert truncations > 0
    measured = values(episodes)
    np.testing.assert_allclose(measured["episode_return"], np.mean([total for total, _ in ends]))
    np.testing.assert_allclose(measured["episode_length"], np.mean([length for _, length in ends]))
    assert float(episodes["episode_return"].weight) == len(ends)


def test_nothing_is_stored_that_is_not_asked_for() -> None:
    env = vectorize(ENV, NUM_ENVS)
    world = begin(jax.random.key(0), env)
    actions = jnp.zeros((NUM_STEPS, NUM_ENVS), jnp.int32)

    def play(key: jax.Array) -> Any:
        return unroll(key, env, world, Actor(_play_noise), actions, lambda s: s.reward)

    _, recorded, _ = jax.eval_shape(play, jax.random.key(0))
    assert [leaf.shape for leaf in jax.tree.leaves(recorded)] == [(NUM_STEPS, NUM_ENVS)]


def test_true_successors_are_valued_where_an_episode_was_cut() -> None:
    _, _, (_, rollout, _) = _rollout()
    cut = np.asarray(rollout.truncated[:-1])
    assert cut.any()
    weights = jnp.array([1.0, 2.0, 3.0, 4.0])
    values, successors = rollout_values(lambda obs: obs @ weights, rollout.obs, rollout.next_obs, rollout.truncated)
    np.testing.assert_allclose(values, rollout.obs @ weights, rtol=1e-5)
    known = np.asarray(rollout.next_obs @ weights)
    relevant = ~np.asarray(rollout.terminated)  # a termination's value is multiplied by zero
    np.testing.assert_allclose(np.asarray(successors)[relevant], known[relevant], rtol=1e-5)
    assert np.abs(np.asarray(values)[1:][cut] - known[:-1][cut]).min() > 1e-3, "the next row must not be the successor"
