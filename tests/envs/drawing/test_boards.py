"""The oracle is the observation: a cell is painted where it shows something, and nowhere else."""

import dataclasses
import itertools

import jax
import numpy as np
import pytest

import jaxrl
from jaxrl.envs.drawing import boards, draw
from jaxrl.envs.drawing.shapes import PAPER, RED

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


@pytest.mark.parametrize("name", ["MemoryChain-bsuite", "UmbrellaChain-bsuite"])
def test_the_mark_of_a_chain_moves_to_the_right(name):
    env, state, _ = played(name, 1, action=1)
    pictures = [draw(env, dataclasses.replace(state, time=time)).astype(int) for time in (1, 2, 3)]
    size = 2 * pictures[0].shape[0] // 3 // 2
    for time, (before, after) in enumerate(itertools.pairwise(pictures), 1):
        columns = np.unique(np.argwhere((before != after).any(axis=-1))[:, 1] // size)
        assert columns.tolist() == [time, time + 1]
