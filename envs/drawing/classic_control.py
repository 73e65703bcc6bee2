"""The classic control tasks, seen as Gymnasium shows them."""

import math
from typing import Any

from .shapes import (
    BLUE,
    GOLD,
    GREEN,
    GREY,
    INK,
    ORANGE,
    PALE,
    RED,
    TEAL,
    WOOD,
    Disc,
    Line,
    Picture,
    Point,
    Polygon,
    Shape,
    Sheet,
    rectangle,
    rod,
)


def cart_pole(rules: Any, params: Any, state: Any) -> Picture:
    """The cart on its track, which leaves the picture where the episode ends, and the pole, as long as it is."""
    scale = 600 / (2 * float(params.x_threshold))
    pixel, x, theta = 1 / scale, float(state.x), float(state.theta)
    axle = (x, 7.5 * pixel)
    length = 2 * float(params.length) - 5 * pixel  # the round end belongs to it
    tip = (x + length * math.sin(theta), axle[1] + length * math.cos(theta))
    return Sheet(600, 400, scale, (300, 100)).paint(
        [
            Line([(-300 * pixel, 0), (300 * pixel, 0)], 2, GREY),
            rectangle(x - 25 * pixel, -15 * pixel, x + 25 * pixel, 15 * pixel, INK),
            *rod(axle, tip, 10 * pixel, WOOD),
            Disc(axle, 4 * pixel, BLUE),
        ]
    )


def acrobot(rules: Any, params: Any, state: Any) -> Picture:
    """The two links, hanging from the middle, and the height that the lower end has to reach."""
    first, second = float(params.link_length_1), float(params.link_length_2)
    upper, lower = float(state.joint_angle1), float(state.joint_angle1) + float(state.joint_angle2)
    elbow = (first * math.sin(upper), -first * math.cos(upper))
    tip = (elbow[0] + second * math.sin(lower), elbow[1] - second * math.cos(lower))
    bound = first + second + 0.2
    return Sheet(400, 400, 200 / bound, (200, 200)).paint(
        [
            Line([(-bound, 1), (bound, 1)], 2, GREY),
            *rod((0, 0), elbow, 0.2, TEAL),
            *rod(elbow, tip, 0.2, TEAL),
            Disc((0, 0), 0.1, GOLD),
            Disc(elbow, 0.1, GOLD),
        ]
    )


def pendulum(rules: Any, params: Any, state: Any) -> Picture:
    """The pendulum, and an arrow around its axle: the torque."""
    length, theta = float(params.l), float(state.theta)
    tip = (-length * math.sin(theta), length * math.cos(theta))
    return Sheet(400, 400, 200 / (2.2 * length), (200, 200)).paint(
        [
            *rod((0, 0), tip, 0.2 * length, RED),
            *_torque(float(state.last_u) / float(params.max_torque), 0.45 * length),
            Disc((0, 0), 0.05 * length, INK),
        ]
    )


def _torque(torque: float, radius: float) -> list[Shape]:
    """An arrow of up to half a turn, as far as `torque` is of the most; counter-clockwise where it is positive."""
    if abs(torque) < 0.02:
        return []
    start = math.pi / 2 - torque * math.pi / 2  # in the middle stands the upper side
    angles = [start + torque * math.pi * part / 24 for part in range(25)]
    arc = [(radius * math.cos(angle), radius * math.sin(angle)) for angle in angles]
    (x, y), along = arc[-1], angles[-1] + math.copysign(math.pi / 2, torque)
    head = [(x + 0.32 * radius * math.cos(along + turn), y + 0.32 * radius * math.sin(along + turn)) for turn in _HEAD]
    return [Line(arc, 4, BLUE), Polygon(head, BLUE)]


_HEAD = (0, 2.3, -2.3)
"""The corners of an arrow's head, as turns from the direction that it points in."""


def mountain_car(rules: Any, params: Any, state: Any) -> Picture:
    """The car between its hills, and the flag that it has to reach."""
    low, high, goal = float(params.min_position), float(params.max_position), float(params.goal_position)
    scale, position = 600 / (high - low), float(state.position)
    pixel = 1 / scale
    ground = [(low + (high - low) * part / 100, 0.0) for part in range(101)]
    ground = [(x, _height(x)) for x, _ in ground]
    flag = _height(goal)
    slope = math.atan(1.35 * math.cos(3 * position))  # the derivative of the height

    def placed(across: float, up: float) -> Point:
        """A point of the car, in pixels from where it stands, in the world."""
        x = across * math.cos(slope) - up * math.sin(slope)
        y = across * math.sin(slope) + up * math.cos(slope)
        return position + x * pixel, _height(position) + y * pixel

    body = [(-20, 10), (-20, 20), (-11, 29), (9, 29), (20, 20), (20, 10)]
    wheels = [Disc(placed(across, 8), 8 * pixel, GREY) for across in (-10, 10)]
    return Sheet(600, 400, scale, (-low * scale, 0)).paint(
        [
            Polygon([*ground, (high, 0), (low, 0)], PALE),
            Line(ground, 2, GREY),
            Line([(goal, flag), (goal, flag + 50 * pixel)], 2, INK),
            Polygon([(goal, flag + y * pixel) for y in (50, 36)] + [(goal + 24 * pixel, flag + 43 * pixel)], GREEN),
            Polygon([placed(*corner) for corner in body], ORANGE),
            *wheels,
            *(Disc(wheel.center, 3 * pixel, INK) for wheel in wheels),
        ]
    )


def _height(position: float) -> float:
    return 0.45 * math.sin(3 * position) + 0.55
