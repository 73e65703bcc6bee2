"""The oracle is a snake in plain Python, a list of cells, given the same actions and fruits."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrl.envs.snake import MOVES, Snake, SnakeState, free_cell


class PlainSnake:
    def __init__(self, num_rows, num_columns, head, fruit):
        self.shape, self.body, self.fruit, self.is_dead = (num_rows, num_columns), [head], fruit, False

    def step(self, action):
        """The reward; the body's last entry is the head."""
        head = (self.body[-1][0] + int(MOVES[action][0]), self.body[-1][1] + int(MOVES[action][1]))
        is_inside = 0 <= head[0] < self.shape[0] and 0 <= head[1] < self.shape[1]
        body = self.body if head == self.fruit else self.body[1:]
        if not is_inside or head in body:
            self.is_dead = True
            return 0.0
        self.body = [*body, head]
        return float(head == self.fruit)

    @property
    def planes(self):
        picture = np.zeros((*self.shape, 3), np.float32)
        for age, cell in enumerate(self.body, 1):
            picture[cell][0] = age / len(self.body)
        picture[self.body[-1]][1] = 1
        if self.fruit not in self.body:
            picture[self.fruit][2] = 1
        return picture


def towards_the_fruit(snake, generator):
    """An action that comes nearer without dying where there is one, and now and then any."""
    (row, column), (fruit_row, fruit_column) = snake.body[-1], snake.fruit
    wanted = [a for a, d in enumerate(MOVES) if np.dot(d, (fruit_row - row, fruit_column - column)) > 0]
    alive = [a for a, d in enumerate(MOVES) if is_free(snake, (row + int(d[0]), column + int(d[1])))]
    if generator.random() < 0.01 or not alive:
        return int(generator.integers(4))
    return int(generator.choice([a for a in wanted if a in alive] or alive))


def is_free(snake, cell):
    return 0 <= cell[0] < snake.shape[0] and 0 <= cell[1] < snake.shape[1] and cell not in snake.body[1:]


@pytest.mark.parametrize("shape", [(12, 12), (3, 5), (2, 2)])
def test_every_step_is_that_of_a_snake_in_plain_python(shape):
    env, generator = Snake(*shape), np.random.default_rng(0)
    reset, step = jax.jit(env.reset), jax.jit(env.step)
    num_fruits, num_deaths, num_full = 0, 0, 0
    for episode in range(12):
        state, obs = reset(jax.random.key(episode))
        plain = PlainSnake(*shape, *(divmod(int(cell), shape[1]) for cell in (state.head, state.fruit)))
        np.testing.assert_allclose(obs, plain.planes, rtol=1e-6)
        for time in range(400):
            action = towards_the_fruit(plain, generator)
            state, timestep = step(jax.random.key(time), state, action)
            reward = plain.step(action)
            if reward:
                num_fruits += 1
                plain.fruit = divmod(int(state.fruit), shape[1])
            assert timestep.reward == reward
            np.testing.assert_allclose(timestep.obs, plain.planes, rtol=1e-6)
            is_full = len(plain.body) == env.num_rows * env.num_columns
            assert bool(timestep.terminated) == (plain.is_dead or is_full)
            assert not timestep.truncated
            if timestep.terminated:
                num_deaths, num_full = num_deaths + plain.is_dead, num_full + is_full
                break
    assert num_fruits > 15
    assert num_deaths or shape == (2, 2)
    assert num_full or shape != (2, 2)


def test_a_fruit_lies_on_every_free_cell_as_often_and_on_no_other():
    steps_left = jnp.asarray(np.random.default_rng(2).integers(0, 2, (4, 5)), jnp.int32)
    num_draws = 20_000
    cells = jax.vmap(free_cell, (0, None))(jax.random.split(jax.random.key(0), num_draws), steps_left)
    counts = np.bincount(np.asarray(cells), minlength=20)
    free = np.asarray(steps_left).ravel() == 0
    assert (counts[~free] == 0).all()
    expected = num_draws / free.sum()
    chi_squared = ((counts[free] - expected) ** 2 / expected).sum()
    degrees = free.sum() - 1
    assert chi_squared < degrees + 4 * (2 * degrees) ** 0.5


def test_the_start_is_uniform_and_fresh():
    env = Snake(3, 4)
    states, _ = jax.jit(jax.vmap(env.reset))(jax.random.split(jax.random.key(3), 24_000))
    pairs = np.bincount(np.asarray(states.head) * 12 + np.asarray(states.fruit), minlength=144).reshape(12, 12)
    assert (np.diag(pairs) == 0).all()
    expected = 24_000 / 132
    chi_squared = ((pairs[~np.eye(12, dtype=bool)] - expected) ** 2 / expected).sum()
    assert chi_squared < 131 + 4 * (2 * 131) ** 0.5


def test_the_head_may_follow_the_tail_and_not_turn_back_into_the_neck():
    ring = SnakeState(jnp.int32([[1, 4, 0], [2, 3, 0]]), jnp.int32(1), jnp.int32(5))  # the head is beside the tail
    step = jax.jit(Snake(2, 3).step)
    key = jax.random.key(0)
    after, timestep = step(key, ring, 3)
    assert not timestep.terminated
    np.testing.assert_array_equal(after.steps_left, [[4, 3, 0], [1, 2, 0]])
    stays, timestep = step(key, ring, 2)
    assert timestep.terminated
    np.testing.assert_array_equal(stays.steps_left, ring.steps_left)
