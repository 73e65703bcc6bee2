import dataclasses

import gymnax
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from gymnax.utils import load_mnist

from jaxrl.envs import make, vectorize
from jaxrl.envs.adapters.gymnax import Gymnax
from jaxrl.envs.adapters.to_gymnax import to_gymnax
from jaxrl.envs.registry import GYMNAX_NAMES


def few_digits():
    images = np.random.RandomState(0).randint(0, 127, (5, 4, 4)).astype(np.int8)
    return (images, np.arange(5, dtype=np.uint8)), (images, np.arange(5, dtype=np.uint8))


def test_the_names_are_those_of_gymnax():
    assert set(GYMNAX_NAMES) <= set(gymnax.registered_envs)
    assert len(GYMNAX_NAMES) == 26


@pytest.mark.parametrize("name", GYMNAX_NAMES)
def test_every_environment_resets_and_steps_under_jit_vmap_and_scan(name, monkeypatch):
    monkeypatch.setattr(load_mnist, "load_mnist", few_digits)  # the images themselves are a download
    env = make(name)
    again = make(name)
    assert env == again
    assert hash(env) == hash(again)
    vector = vectorize(env, 3)

    @jax.jit
    def play(key):
        keys = jax.random.split(key, (2, 3))

        def step(state, keys):
            action = jax.vmap(env.action_space.sample)(keys)
            return vector.step(keys, state, action)

        state, obs = vector.reset(keys[0])
        return obs, jax.lax.scan(step, state, keys)[1]

    first, timestep = play(jax.random.key(0))
    contains = jax.vmap(env.observation_space.contains)
    assert contains(first).all()
    assert jax.vmap(contains)(timestep.obs).all()
    assert (first.dtype, first.shape[1:]) == (env.observation_space.dtype, env.observation_space.shape)
    assert (timestep.obs.dtype, timestep.reward.dtype) == (first.dtype, jnp.float32)
    assert timestep.reward.shape == timestep.terminated.shape == timestep.truncated.shape == (2, 3)
    assert timestep.terminated.dtype == timestep.truncated.dtype == jnp.bool_
    assert not any(leaf.weak_type for leaf in jax.tree.leaves((first, timestep)))


def test_an_environment_whose_data_cannot_be_had_says_what_it_needs(monkeypatch):
    def no_network():
        raise OSError("no route to host")

    monkeypatch.setattr(load_mnist, "load_mnist", no_network)
    with pytest.raises(RuntimeError, match=r"needs the four MNIST files .* put the files there"):
        make("MNISTBandit-bsuite")


@pytest.mark.parametrize(("name", "params"), [("CartPole-v1", {}), ("Pendulum-v1", {}), ("Catch-bsuite", {})])
def test_a_step_is_gymnaxs_own_up_to_the_reset(name, params):
    theirs, default = gymnax.make(name)
    default = default.replace(max_steps_in_episode=5)
    ours = Gymnax(theirs, default)
    key = jax.random.key(3)
    obs, state = theirs.reset(key, default)
    our_state, our_obs = ours.reset(key)
    np.testing.assert_allclose(our_obs, obs, rtol=1e-6)
    for index in range(5):
        step_key = jax.random.key(index)
        action = ours.action_space.sample(step_key)
        _, state, reward, terminated, truncated, info = theirs.step(step_key, state, action, default)
        our_state, timestep = jax.jit(ours.step)(jax.random.split(step_key)[0], our_state, action)
        np.testing.assert_allclose(timestep.obs, info["final_observation"], rtol=1e-5, atol=1e-6)
        assert (timestep.reward, timestep.terminated, timestep.truncated) == (reward, terminated, truncated)
    assert timestep.truncated
    assert not timestep.terminated


def test_a_time_limit_truncates_and_a_fall_terminates():
    env = make("CartPole-v1", max_steps=3)
    state, _ = env.reset(jax.random.key(0))
    flags = []
    for _ in range(3):
        state, timestep = env.step(jax.random.key(0), state, 1)
        flags.append((bool(timestep.terminated), bool(timestep.truncated)))
    assert flags == [(False, False), (False, False), (False, True)]
    fallen = state.replace(theta=jnp.float32(0.3), time=jnp.int32(0))
    _, timestep = env.step(jax.random.key(0), fallen, 1)
    assert (bool(timestep.terminated), bool(timestep.truncated)) == (True, False)


def test_equal_settings_share_one_trace_and_other_numbers_do_too():
    traces = []

    @jax.jit
    def first_obs(env, key):
        traces.append(env)
        return env.reset(key)[1]

    key = jax.random.key(0)
    for env in (
        make("Pendulum-v1"),
        make("Pendulum-v1"),
        make("Pendulum-v1", g=5),
        make(gymnax.make("Pendulum-v1")[0]),
    ):
        first_obs(env, key)
    assert len(traces) == 1
    first_obs(make("Catch-bsuite", rows=4), key)
    first_obs(make("Catch-bsuite", rows=5), key)
    assert len(traces) == 3


def test_equality_follows_the_settings():
    assert make("Catch-bsuite", rows=4) == make("Catch-bsuite", rows=4)
    assert make("Catch-bsuite", rows=4) != make("Catch-bsuite", rows=5)
    assert make("Pendulum-v1", g=9.0) != make("Pendulum-v1")
    assert make("FourRooms-misc", goal_fixed=[1, 1]) == make("FourRooms-misc", goal_fixed=[1, 1])
    assert make("DeepSea-bsuite", action_mapping_key=jax.random.key(1)) != make("DeepSea-bsuite")
    theirs, params = gymnax.make("Pendulum-v1")
    assert make(theirs, params.replace(g=9)) == make("Pendulum-v1", g=9.0)


def test_numbers_of_the_physics_are_strong_leaves_that_can_be_vmapped():
    env = make("CartPole-v1")
    dtypes = {leaf.dtype for leaf in jax.tree.leaves(env)}
    assert dtypes == {np.dtype(np.float32), np.dtype(np.int32)}
    assert {leaf.dtype for leaf in jax.tree.leaves(make("DeepSea-bsuite"))} >= {np.dtype(bool)}

    def fall(gravity):
        env = make("CartPole-v1")
        env = dataclasses.replace(env, params=env.params.replace(gravity=gravity))
        state, _ = env.reset(jax.random.key(0))
        return env.step(jax.random.key(0), state, 1)[1].obs

    obs = jax.jit(jax.vmap(fall))(jnp.array([0.0, 9.8, 20.0]))
    assert np.unique(obs[:, 3]).size == 3
    np.testing.assert_allclose(obs[1], fall(9.8), rtol=1e-6)  # other programs: up to rounding


def test_cart_poles_derived_numbers_follow_the_masses():
    env = make("CartPole-v1", masspole=0.5, length=2.0)
    np.testing.assert_allclose([env.params.total_mass, env.params.polemass_length], [1.5, 1.0])
    changed = dataclasses.replace(
        make("CartPole-v1"), params=make("CartPole-v1").params.replace(masspole=0.5, length=2.0)
    )
    state, _ = env.reset(jax.random.key(0))
    stale = jax.tree.map(lambda leaf: leaf, make("CartPole-v1"))
    object.__setattr__(stale, "params", stale.params.replace(masspole=jnp.float32(0.5), length=jnp.float32(2.0)))
    for other in (changed, stale):
        np.testing.assert_array_equal(other.step(None, state, 1)[1].obs, env.step(None, state, 1)[1].obs)
    default = make("CartPole-v1")
    assert (default.step(None, state, 1)[1].obs != env.step(None, state, 1)[1].obs).any()


def test_constructor_arguments_and_params_reach_the_environment():
    assert make("MemoryChain-bsuite", memory_length=10).params.memory_length == 10
    assert make("MemoryChain-bsuite", num_bits=3).observation_space.shape == (5,)
    assert make("DeepSea-bsuite", size=5).params.max_steps_in_episode == 5
    assert make("Breakout-MinAtar", use_minimal_action_set=False).action_space.n == 6
    assert make("Pendulum-v1", max_torque=3.0).action_space.high == 3.0


def test_a_gymnax_wrapper_is_refused_since_its_step_would_be_lost():
    from gymnax.wrappers import LogWrapper

    with pytest.raises(TypeError, match="pass the environment inside it"):
        make(LogWrapper(gymnax.make("CartPole-v1")[0]))


def test_to_gymnax_resets_by_itself_and_keeps_the_true_successor():
    inner = make("Pendulum-v1", max_steps=3)
    env = to_gymnax(inner)
    assert env == to_gymnax(make("Pendulum-v1", max_steps=3))
    params = env.default_params
    assert isinstance(env, gymnax.environments.environment.Environment)
    assert env.observation_space(params).shape == (3,)
    _, state = env.reset(jax.random.key(0), params)
    inner_state, _ = inner.reset(jax.random.key(0))
    for index in range(3):
        key, action = jax.random.key(index), jnp.array([0.5])
        obs, state, reward, terminated, truncated, info = env.step(key, state, action, params)
        inner_state, timestep = inner.step(jax.random.split(key)[0], inner_state, action)
        np.testing.assert_allclose(info["final_observation"], timestep.obs, rtol=1e-5)
        np.testing.assert_allclose(reward, timestep.reward, rtol=1e-5)
    assert truncated
    assert not terminated
    assert (obs != info["final_observation"]).any()
    assert state.time == 0


def test_there_and_back_again_is_the_same_world():
    direct, back = make("CartPole-v1"), make(to_gymnax(make("CartPole-v1")))
    assert back.observation_space == direct.observation_space
    state, obs = direct.reset(jax.random.key(0))
    back_state, back_obs = back.reset(jax.random.key(0))
    np.testing.assert_array_equal(obs, back_obs)
    step_key = jax.random.key(1)
    np.testing.assert_allclose(
        back.step(step_key, back_state, 1)[1].obs, direct.step(step_key, state, 1)[1].obs, rtol=1e-6
    )
