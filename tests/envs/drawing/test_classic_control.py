"""The oracle is Gymnasium: what moves between two states must be the same pixels in its pictures and in ours."""

import dataclasses
import math

import gymnasium
import numpy as np
import pytest

import jaxrl
from jaxrl.envs.drawing import draw
from jaxrl.envs.drawing.shapes import BLUE, GREEN, PAPER, WOOD

STATES = {
    "CartPole-v1": ([-1.2, 0.0, 0.15, 0.0], [0.7, 0.0, -0.2, 0.0]),
    "Acrobot-v1": ([0.4, 0.9, 0.0, 0.0], [-1.9, -0.5, 0.0, 0.0]),
    "Pendulum-v1": ([0.6, 0.0], [-2.4, 0.0]),
    "MountainCar-v0": ([-0.9, 0.0], [0.1, 0.0]),
    "MountainCarContinuous-v0": ([-0.5, 0.0], [0.5, 0.0]),
}
# Our car is no box; on a slope it stands on the ground and not above it, as Gymnasium's does.
ALIKE = {
    "CartPole-v1": 0.8,
    "Acrobot-v1": 0.8,
    "Pendulum-v1": 0.8,
    "MountainCar-v0": 0.5,
    "MountainCarContinuous-v0": 0.7,
}
FIELDS = {"CartPole-v1": ("x", "x_dot", "theta", "theta_dot"), "Pendulum-v1": ("theta", "theta_dot")}
FIELDS |= {"Acrobot-v1": ("joint_angle1", "joint_angle2", "velocity_1", "velocity_2")}


def state_of(env, name, numbers, **others):
    import jax

    state, _ = env.reset(jax.random.key(0))
    values = dict(zip(FIELDS.get(name, ("position", "velocity")), numbers, strict=True))
    return dataclasses.replace(state, **values, **others)


def ours(name, numbers, **settings):
    env = jaxrl.make(name, **settings)
    others = {"last_u": 0.0} if name == "Pendulum-v1" else {}
    return draw(env, state_of(env, name, numbers, **others))


def theirs(name, numbers):
    world = gymnasium.make(name, render_mode="rgb_array").unwrapped
    world.screen_dim = world.SCREEN_DIM = 400
    world.reset(seed=0)
    world.state = np.array(numbers)
    picture = world.render()
    world.close()
    return picture


def moved(first, second):
    return np.abs(first.astype(int) - second.astype(int)).sum(axis=-1) > 60


@pytest.mark.parametrize("name", STATES)
def test_what_moves_is_where_gymnasium_draws_it(name):
    mine, gyms = (moved(*(picture(name, numbers) for numbers in STATES[name])) for picture in (ours, theirs))
    assert mine.shape == gyms.shape
    assert (mine & gyms).sum() / (mine | gyms).sum() > ALIKE[name]


@pytest.mark.parametrize(("x", "theta", "length"), [(0.0, 0.0, 0.5), (-1.5, 0.2, 0.5), (1.0, -0.15, 0.9)])
def test_the_pole_ends_where_its_angle_and_length_say(x, theta, length):
    picture = ours("CartPole-v1", [x, 0.0, theta, 0.0], length=length)

    def at(along):
        """The color at a distance of `along` pixels from the axle, in the direction of the pole."""
        across, up = 300 + x * 125 + along * math.sin(theta), 107.5 + along * math.cos(theta)
        return picture[round(400 - up - 0.5), round(across - 0.5)].tolist()

    assert at(2 * length * 125 - 3) == list(WOOD)
    assert at(2 * length * 125 + 3) == list(PAPER)


def test_a_wider_track_makes_everything_smaller():
    usual, wide = (moved(ours("CartPole-v1", [1.0, 0.0, 0.0, 0.0], x_threshold=t), blank()) for t in (2.4, 4.8))
    assert np.argwhere(usual)[:, 0].min() < np.argwhere(wide)[:, 0].min()  # the tip of the pole, from above


def blank():
    return np.full((400, 600, 3), PAPER, np.uint8)


def test_the_torque_turns_the_way_that_its_arrow_shows():
    env = jaxrl.make("Pendulum-v1")

    def picture(theta, torque):
        return draw(env, state_of(env, "Pendulum-v1", [theta, 0.0], last_u=torque))

    def arrow(torque):
        return (np.abs(picture(math.pi, torque).astype(int) - BLUE).sum(axis=-1) < 20).sum(axis=0)  # [W]

    counter_clockwise = arrow(2.0)
    assert counter_clockwise[:200].sum() > 1.2 * counter_clockwise[200:].sum()  # the head is at the left
    assert arrow(0.0).sum() == 0
    assert 0 < arrow(0.5).sum() < arrow(2.0).sum()
    mirrored = picture(-0.8, -1.0)[:, ::-1].astype(int)
    assert np.abs(picture(0.8, 1.0).astype(int) - mirrored).mean() < 1


def test_the_flag_stands_at_the_goal():
    names = ("MountainCar-v0", "MountainCarContinuous-v0")
    flags = [np.argwhere((ours(name, [-0.5, 0.0]) == GREEN).all(axis=-1))[:, 1].min() for name in names]
    assert flags == pytest.approx([(1.2 + goal) * 600 / 1.8 for goal in (0.5, 0.45)], abs=2)
