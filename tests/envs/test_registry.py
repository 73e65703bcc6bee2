import subprocess
import sys

import gymnax
import jax
import pytest

from jaxrl.envs import as_environment, make, names, register, registry, reset_mode, wrappers
from jaxrl.envs.spaces import Box
from jaxrl.envs.template import Corridor


@pytest.fixture
def corridor(monkeypatch):
    monkeypatch.setattr(registry, "_factories", dict(registry._factories))
    register("Corridor-v0", Corridor)
    return "Corridor-v0"


def test_names_lists_gymnax_ours_and_what_is_registered(corridor):
    assert {"CartPole-v1", "CartPoleNoVel-v1", "Probe/ConstantReward-v0", corridor} <= set(names())
    assert names() == sorted(names())


def test_a_registered_factory_takes_its_own_and_the_common_settings(corridor):
    env = make(corridor, length=5, slip=0, max_steps=3, frame_stack=2)
    assert env == make(corridor, length=5, slip=0.0, max_steps=3, frame_stack=2)
    assert hash(env) == hash(make(corridor, length=5, slip=0.0, max_steps=3, frame_stack=2))
    assert isinstance(env, wrappers.FrameStack)
    assert env.env == wrappers.TimeLimit(Corridor(length=5, slip=0.0), 3)


def test_a_factory_may_give_a_gymnax_instance(monkeypatch):
    monkeypatch.setattr(registry, "_factories", {"Mine": lambda: gymnax.make("CartPole-v1")[0]})
    assert make("Mine") == make("CartPole-v1")


def test_the_common_settings_become_wrappers_in_their_order():
    settings = {"sticky_actions": 0.25, "action_repeat": 2, "clip_reward": 2, "flatten": True, "frame_stack": 3}
    env = make("CartPole-v1", max_steps=7, reset_mode="cached", **settings)
    assert env == make("CartPole-v1", max_steps=7, reset_mode="cached", **settings)
    kinds = []
    while hasattr(env, "env"):
        kinds.append(type(env).__name__)
        env = env.env
    order = ["ResetMode", "FrameStack", "FlattenObservation", "ClipReward", "ActionRepeat", "StickyActions"]
    assert kinds == order  # and no TimeLimit: CartPole has a limit of its own, which may be longer too
    assert env.params.max_steps_in_episode == 7
    assert make("CartPole-v1", max_steps=9000).params.max_steps_in_episode == 9000


def test_a_time_limit_replaces_that_of_a_gymnax_instance():
    theirs, params = gymnax.make("Pendulum-v1")
    assert make(theirs, params.replace(g=9.0), max_steps=900) == make("Pendulum-v1", g=9.0, max_steps=900)


def test_the_reset_mode_is_found_through_wrappers():
    assert reset_mode(make("CartPole-v1")) == "fresh"
    assert reset_mode(wrappers.TimeLimit(make("CartPole-v1", reset_mode="optimistic"), 5)) == "optimistic"


def test_cart_pole_without_velocities_shows_the_two_positions():
    env, whole = make("CartPoleNoVel-v1", gravity=5.0, max_steps=9), make("CartPole-v1", gravity=5.0, max_steps=9)
    assert env == make("CartPoleNoVel-v1", gravity=5.0, max_steps=9)
    assert env.observation_space == Box(whole.observation_space.low[[0, 2]], whole.observation_space.high[[0, 2]])
    state, obs = env.reset(jax.random.key(0))
    _, full = whole.reset(jax.random.key(0))
    assert (obs == full[jax.numpy.array([0, 2])]).all()
    assert env.step(jax.random.key(0), state, 1)[1].obs.shape == (2,)


def test_pendulum_without_velocity_shows_the_angle_alone():
    env, whole = make("PendulumNoVel-v1", g=5.0), make("Pendulum-v1", g=5.0)
    assert env.observation_space == Box(-1.0, 1.0, (2,))
    key = jax.random.key(0)
    (state, obs), (_, full) = env.reset(key), whole.reset(key)
    assert (obs == full[:2]).all()
    after, whole_after = env.step(key, state, jax.numpy.ones(1))[1], whole.step(key, state, jax.numpy.ones(1))[1]
    assert (after.obs == whole_after.obs[:2]).all()
    assert after.reward == whole_after.reward


@pytest.mark.parametrize(
    ("name", "limit"), [("FrozenLake-v1", 100), ("FrozenLake8x8-v1", 200), ("LQR-v0", 100), ("Snake-v0", 4000)]
)
def test_a_limit_of_its_own_is_replaced_or_taken_away(name, limit):
    assert make(name).max_steps == limit
    assert make(name, max_steps=9 * limit) == wrappers.TimeLimit(make(name).env, 9 * limit)
    assert make(name, max_steps=None) == make(name).env


def test_as_environment_takes_ours_names_and_gymnax_instances():
    env = Corridor()
    assert as_environment(env) is env
    assert as_environment("CartPole-v1") == make("CartPole-v1")
    theirs, params = gymnax.make("CartPole-v1")
    assert as_environment(theirs, params) == as_environment(theirs) == make("CartPole-v1")


@pytest.mark.parametrize(
    ("call", "error", "sentence"),
    [
        (lambda: make("Cartpole-v1"), ValueError, "There is no environment 'Cartpole-v1'; did you mean 'CartPole-v1'"),
        (
            lambda: make("CartPole-v1", gravty=1),
            TypeError,
            "CartPole-v1 has no setting 'gravty'; did you mean 'gravity'",
        ),
        (lambda: make("CartPole-v1", frame_stak=1), TypeError, "did you mean 'frame_stack'"),
        (lambda: make("CartPole-v1", total_mass=1), TypeError, "computes 'total_mass' from masscart and masspole"),
        (lambda: make("CartPole-v1", gravity="9"), TypeError, "gravity must be a number, got '9'"),
        (lambda: make("CartPole-v1", max_steps=2.5), TypeError, "must be a whole number, got 2.5"),
        (lambda: make("CartPole-v1", max_steps=0), ValueError, "max_steps must be at least 1, got 0"),
        (lambda: make("DeepSea-bsuite", deterministic=1), TypeError, "deterministic must be True or False, got 1"),
        (lambda: make("CartPole-v1", None, action_repeat=0), ValueError, "num_repeats must be at least 1, got 0"),
        (lambda: make("CartPole-v1", sticky_actions=1.5), ValueError, "probability must be at most 1.0, got 1.5"),
        (lambda: make("CartPole-v1", clip_reward=(1, 2, 3)), ValueError, "a number or a pair"),
        (lambda: make("CartPole-v1", clip_reward="yes"), TypeError, "a number or a pair"),
        (lambda: make("CartPole-v1", flatten="yes"), TypeError, "flatten must be True or False, got 'yes'"),
        (lambda: make("CartPole-v1", reset_mode="often"), ValueError, "must be one of 'fresh', 'optimistic', 'cached'"),
        (lambda: make("FrozenLake-misc", frame_stack=2), TypeError, "needs a Box observation .* flatten it first"),
        (lambda: make("Probe/ActionReward-v0", taget=1), TypeError, "no setting 'taget'; did you mean 'target'"),
        (lambda: make(Corridor(), length=3), TypeError, "already built has no setting 'length'"),
        (lambda: make("CartPole-v1", {"gravity": 1}), TypeError, "give each param by its name"),
        (lambda: make(Corridor(), params=1), TypeError, "`params` belong to a gymnax instance, got Corridor"),
        (lambda: make(Corridor), TypeError, "got the class Corridor; build it first"),
        (lambda: make(3), TypeError, r"got 3 \(int\); add reset"),
        (lambda: register("CartPole-v1", Corridor), ValueError, "'CartPole-v1' is already taken"),
        (lambda: register("New-v0", 3), TypeError, "needs a callable that returns an environment, got int"),
    ],
)
def test_bad_input_gets_one_sentence(call, error, sentence):
    with pytest.raises(error, match=sentence) as raised:
        call()
    assert "\n" not in str(raised.value)


def test_importing_the_worlds_does_not_import_gymnax():
    code = "import jaxrl.envs, sys; jaxrl.envs.names(); assert 'gymnax' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
