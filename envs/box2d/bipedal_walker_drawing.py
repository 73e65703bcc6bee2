"""The walker on its hills, seen as Gymnasium shows them."""

import math
from typing import Any

import numpy as np

from jaxrl.envs.drawing.shapes import (
    BLUE,
    GREEN,
    INK,
    ORANGE,
    RED,
    TEAL,
    VIOLET,
    Color,
    Line,
    Picture,
    Point,
    Polygon,
    Shape,
    Sheet,
)

from . import terrain
from .bipedal_walker import HEIGHT, HULL, LOWER_0, LOWER_1, RAYS, SCALE, UPPER_0, UPPER_1, WIDTH, WORLD

_SKY = (215, 215, 255)
_COLORS = ((UPPER_0, BLUE), (LOWER_0, BLUE), (UPPER_1, TEAL), (LOWER_1, TEAL), (HULL, VIOLET))


def draw(state: Any) -> Picture:
    """A picture of `state`, uint8 [400, 600, 3]; the walker's hull stands at a fifth of the width."""
    x, y = _hull_origin(state.world)
    left = x - WIDTH / 5
    sheet = Sheet(round(WIDTH * SCALE), round(HEIGHT * SCALE), SCALE, (-left * SCALE, 0))
    ground = np.asarray(state.ground, np.float64)
    seen = ground[(ground[:, 0] > left - 1) & (ground[:, 0] < left + WIDTH + 1)]
    hills = [(float(x), float(y)) for x, y in seen]
    rays = [
        Line([(x, y), (x + part * dx, y + part * dy)], 1, RED)
        for part, (dx, dy) in zip(state.rays.tolist(), RAYS.tolist(), strict=True)
    ]
    bodies = (_body(state.world, body, color) for body, color in _COLORS)
    earth = [Polygon([*hills, (hills[-1][0], 0.0), (hills[0][0], 0.0)], GREEN)] if hills else []
    return sheet.paint([*rays, *earth, *_flag(), *bodies], background=_SKY)


def _hull_origin(world: Any) -> Point:
    return _corners(world, HULL, [-WORLD.polygons[HULL].center])[0]


def _body(world: Any, body: int, color: Color) -> Shape:
    return Polygon(_corners(world, body, WORLD.polygons[body].vertices), color)


def _corners(world: Any, body: int, points: Any) -> list[Point]:
    """Points of a body, from its centre of mass, in the world."""
    x, y = (float(entry) for entry in world.position[body])
    angle = float(world.angle[body])
    sin, cos = math.sin(angle), math.cos(angle)
    return [(x + cos * float(a) - sin * float(b), y + sin * float(a) + cos * float(b)) for a, b in points]


def _flag() -> list[Shape]:
    x, top, pixel = 3 * terrain.SPACING, terrain.LEVEL + 50 / SCALE, 1 / SCALE
    cloth = Polygon([(x, top), (x, top - 10 * pixel), (x + 25 * pixel, top - 5 * pixel)], ORANGE)
    return [Line([(x, terrain.LEVEL), (x, top)], 2, INK), cloth]
