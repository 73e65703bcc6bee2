import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrl.envs import make, names
from jaxrl.envs.probes import PROBES

NAMES = [name for name in names() if name.startswith("Probe/")]
DISCOUNT = 0.9


def test_all_are_registered_discrete_and_continuous():
    assert len(NAMES) == 2 * len(PROBES) == 12


@pytest.mark.parametrize("name", NAMES)
def test_the_known_value_is_what_the_best_actions_collect(name):
    env = make(name)
    state, obs = env.reset(jax.random.key(0))
    claimed = env.value(obs, DISCOUNT)
    collected, weight = 0.0, 1.0
    for index in range(8):
        best = env.best_action(obs)
        action = env.action_space.sample(jax.random.key(index)) if best is None else best
        state, timestep = env.step(jax.random.key(index), state, action)
        collected += weight * timestep.reward
        weight *= DISCOUNT
        if timestep.terminated or timestep.truncated:
            break
        obs = timestep.obs
    if timestep.truncated:
        collected += weight * env.value(timestep.obs, DISCOUNT)
    np.testing.assert_allclose(collected, claimed, rtol=1e-5)


@pytest.mark.parametrize("name", ["Probe/ActionReward", "Probe/MatchObservation"])
def test_no_other_action_is_as_good(name):
    key = jax.random.key(3)
    for env, actions in (
        (make(f"{name}-v0"), jnp.arange(2)),
        (make(f"{name}Continuous-v0"), jnp.linspace(-2, 2, 41)[:, None]),
    ):
        state, obs = env.reset(key)
        rewards = jax.vmap(env.step, (None, None, 0))(key, state, actions)[1].reward
        best = env.step(key, state, env.best_action(obs))[1].reward
        assert best >= rewards.max()
        assert (rewards < best - 1e-4).sum() >= len(actions) - 1


def test_values_and_actions_take_leading_axes():
    env = make("Probe/MatchObservation-v0")
    obs = jnp.array([[[-1.0], [1.0]], [[1.0], [1.0]]])
    np.testing.assert_array_equal(env.best_action(obs), [[0, 1], [1, 1]])
    assert env.value(obs, DISCOUNT).shape == (2, 2)


def test_the_infinite_horizon_is_only_ever_truncated():
    env = make("Probe/InfiniteHorizon-v0")
    assert float(env.value(jnp.eye(4)[0], 0.98)) == pytest.approx(50.0, rel=1e-5)
    state, obs = env.reset(jax.random.key(0))
    visited = [obs]
    for step in range(8):
        state, timestep = env.step(jax.random.key(0), state, 0)
        visited.append(timestep.obs)
        assert not timestep.terminated
        assert bool(timestep.truncated) == (step == 7)
    np.testing.assert_array_equal(np.argmax(visited, -1), [0, 1, 2, 3, 0, 1, 2, 3, 0])
