"""Shapes on a sheet: what every drawing is made of. Drawn larger and shrunk, so that edges are smooth."""

import dataclasses
import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]
"""[H, W, 3], red, green and blue."""
Color = tuple[int, int, int]
Point = tuple[float, float]
"""(x to the right, y upwards), in the units of the world."""

PAPER, INK, GREY, PALE = (250, 250, 247), (38, 50, 56), (144, 158, 166), (222, 227, 228)
BLUE, RED, GREEN, GOLD = (62, 107, 166), (205, 76, 76), (76, 153, 103), (235, 178, 62)
WOOD, TEAL, VIOLET, ORANGE = (202, 152, 101), (74, 160, 168), (129, 132, 203), (226, 127, 65)

_ENLARGED = 4
"""How many times larger a picture is drawn."""


@dataclasses.dataclass(frozen=True)
class Polygon:
    """A filled polygon."""

    points: Sequence[Point]
    color: Color


@dataclasses.dataclass(frozen=True)
class Disc:
    """A filled circle."""

    center: Point
    radius: float
    color: Color


@dataclasses.dataclass(frozen=True)
class Line:
    """A line through points."""

    points: Sequence[Point]
    width: float
    """Pixels."""
    color: Color


Shape = Polygon | Disc | Line


@dataclasses.dataclass(frozen=True)
class Sheet:
    """Where the world lies in a picture."""

    width: int
    """Pixels."""
    height: int
    """Pixels."""
    scale: float
    """Pixels per unit of the world."""
    origin: Point
    """Where the world's (0, 0) lies: pixels from the lower left corner."""

    def paint(self, shapes: Iterable[Shape], background: Color = PAPER) -> Picture:
        """The picture of `shapes`, later ones over earlier ones, uint8 [height, width, 3]."""
        from PIL import Image, ImageDraw

        image = Image.new("RGB", (self.width * _ENLARGED, self.height * _ENLARGED), background)
        pen = ImageDraw.Draw(image)
        for shape in shapes:
            self._draw(pen, shape)
        return np.asarray(image.reduce(_ENLARGED))

    def _draw(self, pen: Any, shape: Shape) -> None:
        if isinstance(shape, Disc):
            (x, y), radius = self._pixel(shape.center), shape.radius * self.scale * _ENLARGED
            pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=shape.color)
        elif isinstance(shape, Polygon):
            pen.polygon([self._pixel(point) for point in shape.points], fill=shape.color)
        else:
            width = max(1, round(shape.width * _ENLARGED))
            pen.line([self._pixel(point) for point in shape.points], fill=shape.color, width=width, joint="curve")

    def _pixel(self, point: Point) -> Point:
        """Where `point` lies in the enlarged picture, whose rows go down."""
        x, y = (float(entry) for entry in point)
        across, up = self.origin[0] + x * self.scale, self.origin[1] + y * self.scale
        return across * _ENLARGED - 0.5, (self.height - up) * _ENLARGED - 0.5  # a pixel's number is that of its middle


def rectangle(left: float, bottom: float, right: float, top: float, color: Color) -> Polygon:
    """An upright rectangle."""
    return Polygon([(left, bottom), (left, top), (right, top), (right, bottom)], color)


def rod(start: Point, end: Point, width: float, color: Color) -> tuple[Shape, ...]:
    """A bar of `width` from `start` to `end`, with round ends."""
    (x, y), (end_x, end_y) = start, end
    angle = math.atan2(end_y - y, end_x - x)
    aside, up = -math.sin(angle) * width / 2, math.cos(angle) * width / 2
    corners = [(x + aside, y + up), (end_x + aside, end_y + up), (end_x - aside, end_y - up), (x - aside, y - up)]
    return Polygon(corners, color), Disc(start, width / 2, color), Disc(end, width / 2, color)
