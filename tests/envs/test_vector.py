import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrl.envs import vectorize
from jaxrl.envs.template import Corridor


def test_every_lane_is_the_environment_alone():
    env = Corridor(slip=0.5)
    vector = vectorize(env, 5)
    keys, step_keys = jax.random.split(jax.random.key(0), (2, 5))
    states, obs = vector.reset(keys)
    actions = jnp.arange(5) % 2
    next_states, timestep = jax.jit(vector.step)(step_keys, states, actions)
    for lane in range(5):
        state, first = env.reset(keys[lane])
        state, alone = env.step(step_keys[lane], state, actions[lane])
        np.testing.assert_array_equal(first, obs[lane])
        np.testing.assert_array_equal(state["position"], next_states["position"][lane])
        np.testing.assert_allclose(alone.obs, timestep.obs[lane], rtol=1e-6)


def test_resets_come_in_any_number():
    vector = vectorize(Corridor(), 2)
    assert vector.reset(jax.random.split(jax.random.key(0), 7))[1].shape == (7, 1)
    assert vector.observation_space == Corridor().observation_space
    assert vector.action_space == Corridor().action_space
    assert vectorize(Corridor(), 2) == vector


def test_a_batch_needs_a_whole_positive_number_of_environments():
    with pytest.raises(ValueError, match="num_envs must be at least 1, got 0"):
        vectorize(Corridor(), 0)
