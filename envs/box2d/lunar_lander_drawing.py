"""The lander, its pad and the ground, seen as Gymnasium shows them."""

import math
from typing import Any

import numpy as np

from jaxrl.envs.drawing.shapes import GOLD, GREY, PALE, VIOLET, Line, Picture, Point, Polygon, Shape, Sheet

from .lunar_lander import HEIGHT, HULL, LEG_0, LEG_1, PAD_Y, SCALE, WIDTH, WORLD

_NIGHT, _MOON = (17, 22, 34), PALE
_PAD_POINTS = (4, 6)


def draw(state: Any) -> Picture:
    """A picture of `state`, uint8 [400, 600, 3]."""
    ground = np.asarray(state.ground, np.float64)
    points = [(float(x), float(y)) for x, y in ground]
    flags = [shape for point in _PAD_POINTS for shape in _flag(points[point][0])]
    return Sheet(round(WIDTH * SCALE), round(HEIGHT * SCALE), SCALE, (0, 0)).paint(
        [
            Polygon([*points, (WIDTH, 0.0), (0.0, 0.0)], _MOON),
            Line(points, 2, GREY),
            *flags,
            *(_body(state.world, body) for body in (LEG_0, LEG_1, HULL)),
        ],
        background=_NIGHT,
    )


def _body(world: Any, body: int) -> Shape:
    x, y = (float(entry) for entry in world.position[body])
    angle = float(world.angle[body])
    sin, cos = math.sin(angle), math.cos(angle)
    corners: list[Point] = [
        (x + cos * across - sin * up, y + sin * across + cos * up) for across, up in WORLD.polygons[body].vertices
    ]
    return Polygon(corners, VIOLET if body == HULL else GREY)


def _flag(x: float) -> list[Shape]:
    top, pixel = PAD_Y + 50 / SCALE, 1 / SCALE
    cloth = Polygon([(x, top), (x, top - 10 * pixel), (x + 25 * pixel, top - 5 * pixel)], GOLD)
    return [Line([(x, PAD_Y), (x, top)], 2, GREY), cloth]
