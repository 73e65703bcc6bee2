import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrl.envs.probe_suite import actions_agree, probe_suite, values_agree
from jaxrl.envs.probes import PROBES


@pytest.mark.parametrize("continuous", [False, True])
@pytest.mark.parametrize("which", range(len(PROBES)))
def test_the_suite_plays_as_the_probe_alone(which, continuous):
    suite, probe = probe_suite(continuous), PROBES[which](continuous=continuous)
    suite = suite.__class__(suite.probes, which)
    width = probe.observation_space.shape[0]
    reset_key, step_key = jax.random.split(jax.random.key(which))
    (state, obs), (own_state, own_obs) = suite.reset(reset_key), probe.reset(reset_key)
    for step in range(3):
        np.testing.assert_array_equal(obs, np.pad(own_obs, (0, 4 - width)))
        action = probe.action_space.sample(jax.random.key(step))
        state, timestep = suite.step(step_key, state, action)
        own_state, own = probe.step(step_key, own_state, action)
        assert timestep.reward == own.reward
        assert timestep.terminated == own.terminated
        assert timestep.truncated == own.truncated
        obs, own_obs = timestep.obs, own.obs


@pytest.mark.parametrize("probe", PROBES)
def test_what_is_shown_is_what_an_episode_shows_in_its_order(probe):
    env = probe()
    played = set()
    for seed in range(8):
        state, obs = env.reset(jax.random.key(seed))
        is_first, is_over = True, False
        while not is_over and len(played) < 9:
            played.add((*np.asarray(obs).tolist(), is_first))
            state, timestep = env.step(jax.random.key(seed), state, 0)
            obs, is_over, is_first = timestep.obs, bool(timestep.terminated | timestep.truncated), False
    shown = {(*row.tolist(), bool(first)) for row, first in zip(env.shown, env.first, strict=True)}
    assert shown <= played
    assert env.part


def test_the_rows_of_each_probe_are_its_own():
    suite = probe_suite()
    assert suite.shown.shape == (12, 4)
    for index, probe in enumerate(suite.probes):
        here = suite.rows(index)
        width = probe.shown.shape[1]
        np.testing.assert_array_equal(suite.shown[here, :width], probe.shown)
        np.testing.assert_array_equal(suite.first[here], probe.first)
    assert not suite.shown[:8, 1:].any()


def test_how_near_is_near_enough():
    assert values_agree([0.95, 50.9], [1.0, 50.0])
    assert not values_agree([0.85, 50.0], [1.0, 50.0])
    assert not values_agree([jnp.nan], [1.0])
    assert actions_agree([1, 0], [1, 0], continuous=False)
    assert not actions_agree([1, 1], [1, 0], continuous=False)
    assert actions_agree([0.4], [0.5], continuous=True)
    assert not actions_agree([0.2], [0.5], continuous=True)
