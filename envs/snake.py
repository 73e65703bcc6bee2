"""Snake: a game on a board of cells, as it is played on telephones."""

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl.pytree import dataclass, static

from .drawing import boards
from .drawing.shapes import Picture
from .environment import TimeStep
from .spaces import Box, Discrete

MOVES = np.array([[-1, 0], [0, 1], [1, 0], [0, -1]])  # up, right, down, left


@dataclass
class SnakeState:
    """Where the snake lies."""

    steps_left: jax.Array
    """int32 [rows, columns]: the steps until a cell is free; the length at the head, 1 at the tail, 0 if it is free."""
    head: jax.Array
    """int32 []: a cell, counted by rows."""
    fruit: jax.Array
    """int32 []."""


@dataclass
class Snake:
    """Up (0), right (1), down (2) or left (3); a fruit gives 1 and makes the snake a cell longer.

    An episode ends where the head leaves the board or meets the body (the tail moves out of its way first), or where
    the snake fills the board. It starts as one cell, anywhere; a new fruit lies on any free cell, each as likely.
    The observation has three planes: the snake (steps until the cell is free, as a part of its length), its head, and
    the fruit.
    """

    num_rows: int = static(12, minimum=2)
    num_columns: int = static(12, minimum=2)

    action_space = Discrete(4)
    name, frame_rate = "Snake-v0", 10.0

    @property
    def observation_space(self) -> Box:
        return Box(0.0, 1.0, (self.num_rows, self.num_columns, 3))

    def reset(self, key: jax.Array) -> tuple[SnakeState, jax.Array]:
        head_key, fruit_key = jax.random.split(key)
        nothing = jnp.zeros((self.num_rows, self.num_columns), jnp.int32)
        head = free_cell(head_key, nothing)
        steps_left = nothing.at[self._place(head)].set(1)
        state = SnakeState(steps_left, head, free_cell(fruit_key, steps_left))
        return state, self._obs(state)

    def step(self, key: jax.Array, state: SnakeState, action: jax.Array) -> tuple[SnakeState, TimeStep]:
        row, column = self._place(state.head)
        move = jnp.asarray(MOVES)[action]
        row, column = row + move[0], column + move[1]
        is_outside = (row < 0) | (row >= self.num_rows) | (column < 0) | (column >= self.num_columns)
        head = (row * self.num_columns + column).astype(jnp.int32)
        eats = ~is_outside & (head == state.fruit)
        length = state.steps_left[self._place(state.head)] + eats
        moved = jnp.where(eats, state.steps_left, jnp.maximum(state.steps_left - 1, 0))
        dies = is_outside | (moved[row, column] > 0)
        moved = moved.at[row, column].set(length)
        fruit = jnp.where(eats, free_cell(key, moved), state.fruit)
        after = SnakeState(moved, head, fruit)
        # A dead snake stays where it was: outside there is nothing to see.
        state = jax.tree.map(lambda old, new: jnp.where(dies, old, new), state, after)
        return state, TimeStep(
            obs=self._obs(state),
            reward=eats.astype(jnp.float32),
            terminated=dies | (moved > 0).all(),
            truncated=jnp.bool_(False),
            info={},
        )

    def draw(self, state: SnakeState) -> Picture:
        """The snake and the fruit."""
        return boards.snake(np.asarray(state.steps_left), int(state.fruit))

    def _place(self, cell: jax.Array) -> tuple[jax.Array, jax.Array]:
        return jnp.divmod(cell, self.num_columns)

    def _obs(self, state: SnakeState) -> jax.Array:
        shape, cells = state.steps_left.shape, jnp.arange(state.steps_left.size)
        head, fruit = ((cells == cell).reshape(shape) for cell in (state.head, state.fruit))
        body = state.steps_left / state.steps_left.max()
        is_free = state.steps_left == 0  # no fruit is left where the snake fills the board
        return jnp.stack([body, head, fruit & is_free], axis=-1).astype(jnp.float32)


def free_cell(key: jax.Array, steps_left: jax.Array) -> jax.Array:
    """int32 []: one of the cells of `steps_left` that are 0, each as likely; the first cell where there is none."""
    num_free_so_far = jnp.cumsum((steps_left == 0).ravel())
    chosen = jax.random.randint(key, (), 0, jnp.maximum(num_free_so_far[-1], 1))
    return jnp.argmax(num_free_so_far > chosen).astype(jnp.int32)
