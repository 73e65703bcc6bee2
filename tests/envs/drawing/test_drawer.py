import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxrl
from jaxrl.envs.drawing import draw, drawer_of
from jaxrl.envs.drawing.drawer import GYMNAX
from jaxrl.envs.environment import TimeStep
from jaxrl.envs.registry import GYMNAX_NAMES
from jaxrl.envs.spaces import Box, Discrete
from jaxrl.envs.wrappers import ResetMode, SelectObservation
from jaxrl.pytree import dataclass

NOT_DRAWN = {
    "BernoulliBandit-misc",
    "GaussianBandit-misc",
    "MNISTBandit-bsuite",
    "SimpleBandit-bsuite",
}
RENAMED = {"DiscountingChain-v0": "DiscountingChain-bsuite"}


@dataclass
class Plain:
    """Counts; nobody knows how it looks."""

    observation_space = Box(0.0, 100.0, (1,))
    action_space = Discrete(2)

    def reset(self, key):
        return jnp.int32(3), jnp.zeros(1)

    def step(self, key, state, action):
        no = jnp.bool_(False)
        return state + 1, TimeStep(jnp.float32(state)[None], jnp.float32(0), no, no, {})


@dataclass
class Drawn:
    """The same, and draws itself as a grey of its number."""

    observation_space = Box(0.0, 100.0, (1,))
    action_space = Discrete(2)
    frame_rate = 7

    def reset(self, key):
        return Plain().reset(key)

    def step(self, key, state, action):
        return Plain().step(key, state, action)

    def draw(self, state):
        return np.full((4, 6, 3), int(state), np.uint8)


def test_every_environment_is_drawn_or_known_not_to_be():
    assert {RENAMED.get(name, name) for name in GYMNAX} == set(GYMNAX_NAMES) - NOT_DRAWN


@pytest.mark.parametrize(
    "name",
    [
        *sorted(set(GYMNAX_NAMES) - NOT_DRAWN),
        *("Probe/DelayedReward-v0", "Probe/MatchObservationContinuous-v0", "CliffWalking-v1", "FrozenLake8x8-v1"),
        *("LQR-v0", "PendulumNoVel-v1", "RandomWalk-v0", "Snake-v0"),
    ],
)
def test_a_picture_has_even_sides_and_shows_something(name):
    env = jaxrl.make(name)
    with jax.numpy_rank_promotion("allow"):
        state, _ = jax.device_get(jax.jit(env.reset)(jax.random.key(1)))
    picture = draw(env, state)
    assert picture.dtype == np.uint8
    assert picture.ndim == 3
    assert picture.shape[2] == 3
    assert all(side % 2 == 0 and 100 <= side <= 600 for side in picture.shape[:2])
    assert len(np.unique(picture.reshape(-1, 3), axis=0)) > 2
    assert drawer_of(env).frame_rate > 0


def test_a_probe_shows_what_it_observes():
    env = jaxrl.make("Probe/DelayedReward-v0")
    start, _ = env.reset(jax.random.key(0))
    after, _ = env.step(jax.random.key(0), start, 0)
    marks = [np.argwhere((draw(env, state) == (62, 107, 166)).all(axis=-1))[:, 1].mean() for state in (start, after)]
    assert marks == pytest.approx([50, 200], abs=1)  # 0 and 1 on a line from 0 to 2, 300 pixels long


SETTINGS = {"sticky_actions": 0.2, "action_repeat": 2, "clip_reward": 1.0, "frame_stack": 3, "reset_mode": "cached"}


def test_wrappers_are_looked_through():
    inner, outer = jaxrl.make("CartPole-v1"), jaxrl.make("CartPole-v1", **SETTINGS)
    key = jax.random.key(0)
    state, _ = outer.reset(key)
    state, _ = outer.step(key, state, 1)
    np.testing.assert_array_equal(draw(outer, state), draw(inner, state.env_state.env_state))
    assert drawer_of(outer).frame_rate == drawer_of(inner).frame_rate / 2
    no_velocities = jaxrl.make("CartPoleNoVel-v1")
    start, _ = inner.reset(key)
    np.testing.assert_array_equal(draw(no_velocities, no_velocities.reset(key)[0]), draw(inner, start))


def test_wrappers_without_a_state_stand_outside_those_with_one():
    env = ResetMode(SelectObservation(jaxrl.make(Drawn(), max_steps=9, frame_stack=2), (0,)), "cached")
    state, _ = env.reset(jax.random.key(0))
    state, _ = env.step(jax.random.key(0), state, 0)
    assert (draw(env, state) == 4).all()


def test_an_environment_draws_itself():
    assert (draw(Drawn(), 9) == 9).all()
    assert drawer_of(Drawn()).frame_rate == 7


@pytest.mark.parametrize(
    ("picture", "found"),
    [(np.zeros((4, 6, 3)), r"float64 \[4, 6, 3\]"), (np.zeros((4, 6), np.uint8), r"uint8 \[4, 6\]")],
)
def test_an_own_picture_that_is_none_is_refused(picture, found, monkeypatch):
    monkeypatch.setattr(Drawn, "draw", lambda self, state: picture)
    with pytest.raises(TypeError, match=rf"^Drawn\.draw must return a picture, uint8 \[height, .*\], got {found}\.$"):
        draw(Drawn(), 9)


@pytest.mark.parametrize(
    ("env", "name"), [(Plain(), "Plain"), (jaxrl.make(Plain(), max_steps=3), "Plain"), ("SimpleBandit-bsuite",) * 2]
)
def test_what_cannot_be_drawn_is_said_in_a_sentence(env, name):
    with pytest.raises(
        TypeError, match=rf"^{name} cannot be drawn: it needs a method draw\(state\) .* gymnasium=NAME\.$"
    ):
        drawer_of(jaxrl.make(env))
