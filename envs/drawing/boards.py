"""Worlds of rows and columns: MinAtar, and the small ones of bsuite and gymnax."""

import functools
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import jax
import numpy as np

from .shapes import (
    BLUE,
    GOLD,
    GREEN,
    GREY,
    INK,
    ORANGE,
    PALE,
    PAPER,
    RED,
    VIOLET,
    Color,
    Disc,
    Picture,
    Shape,
    Sheet,
    rectangle,
)

NIGHT, WATER, ROAD, SKY, WHITE = (24, 28, 40), (23, 52, 84), (46, 49, 58), (120, 190, 225), (240, 240, 236)
SIZE = 400
"""Pixels of the longer side."""

Piece = Callable[[int, int], Shape]
"""What lies in a cell, by its row and column."""


def board(size: tuple[int, ...], shapes: Iterable[Shape], background: Color = NIGHT) -> Picture:
    """A picture of `size` (rows, columns, ...) cells; rows go down, and a cell is one unit wide."""
    num_rows, num_columns = size[:2]
    cell = 2 * max(1, SIZE // (2 * max(num_rows, num_columns)))  # even, as videos want it
    height = num_rows * cell
    return Sheet(num_columns * cell, height, cell, (0, height)).paint(shapes, background)


def square(color: Color, margin: float = 0.03) -> Piece:
    """A square in the middle of its cell."""
    return lambda row, column: rectangle(column + margin, -row - 1 + margin, column + 1 - margin, -row - margin, color)


def dot(color: Color, radius: float = 0.36) -> Piece:
    """A disc in the middle of its cell."""
    return lambda row, column: Disc((column + 0.5, -row - 0.5), radius, color)


def bar(color: Color) -> Piece:
    """A bullet: a narrow upright bar."""
    return lambda row, column: rectangle(column + 0.4, -row - 0.85, column + 0.6, -row - 0.15, color)


def brick(row: int, column: int) -> Shape:
    """A brick, whose color tells its row."""
    return square((GOLD, RED, ORANGE)[row % 3])(row, column)


def filled(where: Any, piece: Piece) -> list[Shape]:
    """`piece` in every cell of `where` [rows, columns] that is not zero."""
    return [piece(int(row), int(column)) for row, column in np.argwhere(np.asarray(where))]


BREAKOUT = ((2, square((52, 60, 80), 0.3)), (3, brick), (0, square(SKY)), (1, dot(WHITE)))
SPACE_INVADERS = ((1, square(GREEN, 0.1)), (0, square(GOLD, 0.06)), (4, bar(WHITE)), (5, bar(RED)))
ASTERIX = ((2, square((62, 66, 84), 0.3)), (1, square(RED, 0.1)), (3, dot(GOLD)), (0, square(SKY, 0.06)))
FREEWAY = (
    *((speed + 1, square((118 + 14 * speed, 80, 80), 0.45 - 0.05 * speed)) for speed in range(1, 6)),
    (1, square(RED, 0.1)),
    (0, dot(GOLD)),
)
SEAQUEST = (
    (3, square((46, 84, 120), 0.3)),
    (5, dot(GREEN)),
    (6, square(RED, 0.12)),
    (9, dot(WHITE, 0.25)),
    (1, square((186, 140, 48), 0.12)),
    (0, square(GOLD, 0.06)),
    (2, bar(WHITE)),
    (4, bar(ORANGE)),
    (7, square(SKY, 0.25)),
    (8, dot(WHITE, 0.2)),
)
PONG = ((2, dot((62, 66, 84))), (0, square(VIOLET, 0.05)), (1, dot(WHITE, 0.47)))
"""(channel, what it is drawn as), from the back to the front; trails say where something comes from."""


Layers = Sequence[tuple[int, Piece]]


def minatar(layers: Layers, background: Color) -> Callable[[Any, Any, Any], Picture]:
    """The drawer of a MinAtar game: the channels of its image as pieces on a board."""

    def draw(rules: Any, params: Any, state: Any) -> Picture:
        return layered(np.asarray(_image(rules, params, state)), layers, background)

    return draw


def layered(image: Any, layers: Layers, background: Color = NIGHT) -> Picture:
    """The channels of `image` [rows, columns, channels] that `layers` name, later ones over earlier ones."""
    shapes = [shape for channel, piece in layers for shape in filled(image[..., channel], piece)]
    return board(image.shape, shapes, background)


@functools.partial(jax.jit, static_argnums=0)
def _image(rules: Any, params: Any, state: Any) -> jax.Array:
    with jax.numpy_rank_promotion("allow"):  # as the adapter does for gymnax's own code
        return rules.env.get_obs(state, params)


def catch(rules: Any, params: Any, state: Any) -> Picture:
    """The ball that falls, and the paddle."""
    ball, paddle = (int(state.ball_y), int(state.ball_x)), (int(state.paddle_y), int(state.paddle_x))
    shapes = [square(GOLD, 0.06)(*paddle), dot(WHITE)(*ball)]
    return board((rules.env.rows, rules.env.columns), shapes)


def deep_sea(rules: Any, params: Any, state: Any) -> Picture:
    """The diver, who sinks by a row at every step, and the treasure at the lower right."""
    size, row, column = rules.env.size, int(state.row), int(state.column)
    reachable = [square((34, 72, 112))(r, c) for r in range(size) for c in range(r + 1)]
    diver = dot(WHITE)(min(row, size - 1), min(column, size - 1))
    return board((size, size), [*reachable, square(GOLD, 0.15)(size - 1, size - 1), diver], WATER)


def maze(rules: Any, params: Any, state: Any) -> Picture:
    """Walls, the goal and the agent: FourRooms and MetaMaze."""
    walls = np.asarray(rules.env.occupied_map)
    (row, column), (goal_row, goal_column) = np.asarray(state.pos), np.asarray(state.goal)
    shapes = [*filled(walls, square(INK, 0)), square(GREEN, 0.1)(int(goal_row), int(goal_column))]
    return board(walls.shape, [*shapes, dot(RED)(int(row), int(column))], PAPER)


def frozen_lake(rules: Any, params: Any, state: Any) -> Picture:
    """gymnax's lake, whose map is in numbers."""
    return lake(np.array(list("SFHG"))[np.asarray(rules.env.desc)], int(state.position))


def lake(letters: Any, cell: int) -> Picture:
    """Ice, holes, the goal and the walker; `letters` [rows, columns] are S, F, H and G, `cell` counts by rows."""
    kinds = (("S", PALE), ("F", (205, 224, 236)), ("H", (47, 84, 122)), ("G", GREEN))
    shapes = [shape for letter, color in kinds for shape in filled(letters == letter, square(color))]
    return board(letters.shape, [*shapes, walker(cell, letters.shape[1])], GREY)


def walker(cell: int, num_columns: int) -> Shape:
    """A red disc in the cell of that number."""
    return dot(RED)(*divmod(cell, num_columns))


def cliff(is_cliff: Any, goal: int, cell: int) -> Picture:
    """The cliff [rows, columns], the goal and the walker."""
    shapes = [*filled(~is_cliff, square(PALE)), *filled(is_cliff, square(INK, 0))]
    at_goal = square(GREEN)(*divmod(goal, is_cliff.shape[1]))
    return board(is_cliff.shape, [*shapes, at_goal, walker(cell, is_cliff.shape[1])], PAPER)


def walk(length: int, state: int) -> Picture:
    """`length` states between an end that is worth nothing and one that is worth something, and the walker."""
    path = [square(PALE)(1, column) for column in range(1, length + 1)]
    return board((3, length + 2), [*path, square(GREY)(1, 0), square(GREEN)(1, length + 1), dot(RED)(1, state)], PAPER)


def snake(steps_left: Any, fruit: int) -> Picture:
    """The snake, darker towards its tail, and the fruit; `steps_left` [rows, columns] is largest at the head."""
    length = max(int(steps_left.max()), 1)
    num_columns = steps_left.shape[1]
    body = []
    for row, column in np.argwhere(steps_left):
        age = steps_left[row, column] / length
        body.append(square((int(40 + 36 * age), int(90 + 83 * age), int(60 + 63 * age)), 0.06)(int(row), int(column)))
    (head, *_) = np.argwhere(steps_left == length)
    eye = dot(WHITE, 0.16)(int(head[0]), int(head[1]))
    return board(steps_left.shape, [dot(RED)(*divmod(fruit, num_columns)), *body, eye])


def pong(rules: Any, params: Any, state: Any) -> Picture:
    """The paddles at both sides, the ball, and where it was."""
    return layered(np.asarray(_image(rules, params, state)), PONG)


def memory_chain(rules: Any, params: Any, state: Any) -> Picture:
    """A bit at the left, seen at the first step alone and asked for at the last; the mark moves to the right."""
    length, time = int(params.memory_length), int(state.time)
    bit = square(GOLD if int(np.asarray(state.context)[int(state.query)]) else BLUE)
    path = [square(PALE)(1, column) for column in range(length + 1)]
    return board((3, length + 1), [*path, bit(1, 0), dot(INK)(1, min(time, length))], PAPER)


def umbrella_chain(rules: Any, params: Any, state: Any) -> Picture:
    """The way to the right; above it what the weather will be, at the mark whether there is an umbrella."""
    length, time = int(params.chain_length), int(state.time)
    path = [square(PALE)(1, column) for column in range(length + 1)]
    weather = square(BLUE if int(state.need_umbrella) else GOLD, 0.2)(0, length)
    return board((3, length + 1), [*path, weather, dot(BLUE if int(state.has_umbrella) else GOLD)(1, time)], PAPER)
