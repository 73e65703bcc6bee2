"""Points in a plane: gymnax's robots and swimmers, the probes and the regulator."""

import itertools
import math
from typing import Any

import numpy as np

from .shapes import BLUE, GOLD, GREEN, GREY, INK, PALE, RED, TEAL, Disc, Line, Picture, Sheet, rod


def point_robot(rules: Any, params: Any, state: Any) -> Picture:
    """The half circle of goals, the goal and the robot."""
    reach, radius = float(params.circle_radius), float(params.goal_radius)
    arc = [(reach * math.cos(math.pi * part / 48), reach * math.sin(math.pi * part / 48)) for part in range(49)]
    x, y = np.asarray(state.pos)
    goal_x, goal_y = np.asarray(state.goal)
    return Sheet(400, 240, 400 / (3 * reach), (200, 40)).paint(
        [Disc((goal_x, goal_y), radius, (196, 226, 205)), Line(arc, 2, GREY), Disc((x, y), 0.05 * reach, RED)]
    )


def reacher(rules: Any, params: Any, state: Any) -> Picture:
    """The arm, each of its links one unit long with an angle of its own, and the goal."""
    angles = np.asarray(state.angles)
    joints = np.concatenate([np.zeros((1, 2)), np.cumsum(np.stack([np.cos(angles), np.sin(angles)], -1), 0)])
    links = [rod(tuple(a), tuple(b), 0.12, TEAL) for a, b in itertools.pairwise(joints)]
    shapes = [Disc(tuple(np.asarray(state.goal_xy)), 0.12, GREEN), *(shape for link in links for shape in link)]
    num_links = len(angles)
    return Sheet(400, 400, 200 / (num_links + 0.3), (200, 200)).paint([*shapes, Disc((0, 0), 0.08, INK)])


def swimmer(rules: Any, params: Any, state: Any) -> Picture:
    """The swimmer, its goal and the urchins between them."""
    urchins = [Disc(tuple(urchin), 0.12, (222, 170, 170)) for urchin in np.asarray(state.urchin_xys)]
    goal, place = tuple(np.asarray(state.goal_xy)), tuple(np.asarray(state.xy))
    return Sheet(400, 400, 200 / 1.4, (200, 200)).paint([*urchins, Disc(goal, 0.1, GREEN), Disc(place, 0.07, BLUE)])


def discounting_chain(rules: Any, params: Any, state: Any) -> Picture:
    """The way to the right, the places where the chains pay, each once, that of the chosen one, and the mark."""
    length, chosen = int(params.max_steps_in_episode), int(state.context)
    prizes = [
        Disc((float(time), 0), 0.03 * length, GOLD if chain == chosen else GREY)
        for chain, time in enumerate(np.asarray(params.reward_timestep))
    ]
    path, mark = Line([(0, 0), (length, 0)], 4, PALE), Disc((float(state.time), 0), 0.015 * length, INK)
    return Sheet(400, 120, 360 / length, (20, 60)).paint([path, *prizes, mark])


def probe(env: Any, state: Any) -> Picture:
    """The number that is observed, on the line of those that can be; below it a dot for every step taken."""
    low, high = float(env.observation_space.low.min()), float(env.observation_space.high.max())
    low, high = (low - 1, high + 1) if low == high else (low, high)
    place = 4 * (float(np.asarray(state.obs)[0]) - low) / (high - low)
    steps = [Disc((0.4 * step, -0.6), 0.07, GREY) for step in range(int(state.time))]
    return Sheet(400, 160, 75, (50, 100)).paint([Line([(0, 0), (4, 0)], 4, PALE), Disc((place, 0), 0.18, BLUE), *steps])


def regulator(state: Any, bound: float) -> Picture:
    """The first two numbers of `state` as a place, the circle of zero, and the axes up to `bound`."""
    x, y = (*(float(number) for number in state[:2]), 0.0)[:2]
    axes = [Line([(-bound, 0), (bound, 0)], 2, PALE), Line([(0, -bound), (0, bound)], 2, PALE)]
    goal, place = Disc((0, 0), 0.05 * bound, GREEN), Disc((x, y), 0.04 * bound, BLUE)
    return Sheet(400, 400, 200 / (1.05 * bound), (200, 200)).paint(
        [*axes, goal, Line([(0, 0), (x, y)], 2, GREY), place]
    )
