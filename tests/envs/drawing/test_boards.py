"""The oracle is the observation: a cell is painted where it shows something, and nowhere else."""

import dataclasses
import itertools

import jax
import numpy as np
import pytest

import jaxrl
from jaxrl.envs.drawing import boards, draw
from jaxrl.envs.drawing.shapes import GREEN, INK, PAPER, RED
from jaxrl.envs.wrappers.time_limit import TimeLimitState

# name -> how it is drawn, on what, and its channels (those of the aliens' direction lie under the aliens)
GAMES = {
    "Asterix": (boards.ASTERIX, boards.NIGHT, [0, 1, 2, 3]),
    "Breakout": (boards.BREAKOUT, boards.NIGHT, [0, 1, 2, 3]),
    "Freeway": (boards.FREEWAY, boards.ROAD, [0, 1, 2, 3, 4, 5, 6]),
    "Seaquest": (boards.SEAQUEST, boards.WATER, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]),
    "SpaceInvaders": (boards.SPACE_INVADERS, boards.NIGHT, [0, 1, 4, 5]),
    "Pong": (boards.PONG, boards.NIGHT, [0, 1, 2]),
}


def played(name, num_steps, action=None):
    """A state some random (or given) actions after the start, and its observation."""
    env = jaxrl.make(name)
    start_key, play_key = jax.random.split(jax.random.key(4))
    state, obs = env.reset(start_key)
    step = jax.jit(env.step)
    for step_key in jax.random.split(play_key, num_steps):
        state, timestep = step(step_key, state, env.action_space.sample(step_key) if action is None else action)
        obs = timestep.obs
    return env, jax.device_get(state), np.asarray(obs)


def cells(picture, shape):
    """The pixels of each cell, [rows, columns, pixels, 3]."""
    rows, columns = shape[:2]
    size = picture.shape[0] // rows
    assert picture.shape == (rows * size, columns * size, 3)
    blocks = picture.reshape(rows, size, columns, size, 3).swapaxes(1, 2)
    return blocks.reshape(rows, columns, size * size, 3)


@pytest.mark.parametrize("name", GAMES)
def test_the_painted_cells_are_those_of_the_image(name):
    layers, background, channels = GAMES[name]
    image = np.random.default_rng(0).random((10, 10, channels[-1] + 1)) < 0.1
    is_empty = (cells(boards.layered(image, layers, background), image.shape) == background).all(axis=(-1, -2))
    np.testing.assert_array_equal(is_empty, ~image[..., channels].any(axis=-1))


@pytest.mark.parametrize("name", GAMES)
def test_every_channel_looks_different(name):
    layers, background, channels = GAMES[name]
    pictures = {
        boards.layered(np.eye(channels[-1] + 1)[[[channel]]], layers, background).tobytes() for channel in channels
    }
    assert len(pictures) == len(channels)


def test_a_game_shows_what_is_observed():
    env, state, obs = played("Breakout-MinAtar", 12)
    picture = draw(env, state)
    np.testing.assert_array_equal(picture, boards.layered(obs, boards.BREAKOUT))
    bricks = (cells(picture, obs.shape) == RED).all(axis=-1).any(axis=-1)
    np.testing.assert_array_equal(bricks[1], obs[1, :, 3] > 0)


def test_the_ball_and_the_paddle_of_catch():
    env, state, obs = played("Catch-bsuite", 4)
    is_empty = (cells(draw(env, state), obs.shape) == boards.NIGHT).all(axis=(-1, -2))
    np.testing.assert_array_equal(is_empty, obs == 0)


def test_the_diver_of_deep_sea():
    env, state, obs = played("DeepSea-bsuite", 3)
    is_white = (cells(draw(env, state), obs.shape) == boards.WHITE).all(axis=-1).any(axis=-1)
    np.testing.assert_array_equal(is_white, obs == 1)


def red_cell(picture, shape):
    """(row, column) of the one cell with a red disc."""
    is_red = (cells(picture, shape) == RED).all(axis=-1).any(axis=-1)
    ((row, column),) = np.argwhere(is_red)
    return row, column


def test_the_walker_and_the_walls_of_the_mazes():
    env, state, obs = played("FourRooms-misc", 12)
    walls = np.asarray(env.rules.env.occupied_map)
    picture = draw(env, state)
    assert red_cell(picture, walls.shape) == tuple(obs[:2])
    is_free = (cells(picture, walls.shape) == PAPER).any(axis=(-1, -2))
    np.testing.assert_array_equal(is_free, walls == 0)
    env, state, _ = played("MetaMaze-misc", 3)
    assert red_cell(draw(env, state), env.rules.env.occupied_map.shape) == tuple(np.asarray(state.pos))


def test_the_walker_of_frozen_lake():
    env, state, obs = played("FrozenLake-misc", 2)
    assert red_cell(draw(env, state), (4, 4)) == divmod(int(obs), 4)


def is_colored(picture, shape, color):
    """bool [rows, columns]: whether a cell shows that color."""
    return (cells(picture, shape) == color).all(axis=-1).any(axis=-1)


@pytest.mark.parametrize("name", ["FrozenLake-v1", "FrozenLake8x8-v1"])
def test_our_lake_shows_its_map(name):
    env = jaxrl.make(name)
    letters = env.env.letters
    for state in (0, 9):
        picture = draw(env, TimeLimitState(env_state=np.int32(state), time=np.int32(0)))
        assert red_cell(picture, letters.shape) == divmod(state, letters.shape[1])
        np.testing.assert_array_equal(is_colored(picture, letters.shape, GREEN), letters == "G")
        np.testing.assert_array_equal(is_colored(picture, letters.shape, (47, 84, 122)), letters == "H")


def test_the_cliff_lies_between_start_and_goal():
    env = jaxrl.make("CliffWalking-v1")
    state, _ = env.reset(jax.random.key(0))
    picture = draw(env, state)
    assert red_cell(picture, (4, 12)) == (3, 0)
    np.testing.assert_array_equal(np.argwhere(is_colored(picture, (4, 12), GREEN)), [[3, 11]])
    is_dark = is_colored(picture, (4, 12), INK)
    np.testing.assert_array_equal(np.argwhere(is_dark), [[3, column] for column in range(1, 11)])


@pytest.mark.parametrize("state", [0, 3, 6])
def test_the_walker_of_the_random_walk(state):
    env = jaxrl.make("RandomWalk-v0")
    assert red_cell(draw(env, np.int32(state)), (3, 7)) == (1, state)


def test_the_snake_and_its_fruit():
    env, state, obs = played("Snake-v0", 0)
    body = np.zeros((12, 12), np.int32)
    body[4, 2:6] = [1, 2, 3, 4]
    snake = dataclasses.replace(state.env_state, steps_left=body, head=np.int32(4 * 12 + 5), fruit=np.int32(100))
    picture = draw(env, dataclasses.replace(state, env_state=snake))
    assert red_cell(picture, (12, 12)) == (8, 4)
    is_empty = (cells(picture, (12, 12)) == boards.NIGHT).all(axis=(-1, -2))
    np.testing.assert_array_equal(~is_empty, (body > 0) | (np.arange(144).reshape(12, 12) == 100))
    assert np.argwhere(is_colored(picture, (12, 12), boards.WHITE)).tolist() == [[4, 5]]
    greens = cells(picture, (12, 12))[4, 2:5, 300, 1].astype(int)  # beside the middle of each cell
    assert (np.diff(greens) > 0).all()
    assert obs.shape == (12, 12, 3)


@pytest.mark.parametrize("name", ["MemoryChain-bsuite", "UmbrellaChain-bsuite"])
def test_the_mark_of_a_chain_moves_to_the_right(name):
    env, state, _ = played(name, 1, action=1)
    pictures = [draw(env, dataclasses.replace(state, time=time)).astype(int) for time in (1, 2, 3)]
    size = 2 * pictures[0].shape[0] // 3 // 2
    for time, (before, after) in enumerate(itertools.pairwise(pictures), 1):
        columns = np.unique(np.argwhere((before != after).any(axis=-1))[:, 1] // size)
        assert columns.tolist() == [time, time + 1]
