"""Which picture belongs to which environment."""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np

from jaxrl.envs.probes import PROBES
from jaxrl.envs.wrappers.action_repeat import ActionRepeat
from jaxrl.envs.wrappers.frame_stack import FrameStack
from jaxrl.envs.wrappers.sticky_actions import StickyActions
from jaxrl.envs.wrappers.time_limit import TimeLimit

from . import boards, classic_control, points
from .shapes import Picture

FRAME_RATE = 10.0
"""Steps per second of an environment that says nothing else."""


@dataclasses.dataclass(frozen=True)
class Drawer:
    """How to draw an environment."""

    draw: Callable[[Any], Picture]
    """State -> uint8 [H, W, 3]."""
    frame_rate: float
    """Steps per second, where pictures of an episode are shown as a film."""


GYMNAX: dict[str, tuple[Callable[[Any, Any, Any], Picture], float]] = {
    "CartPole-v1": (classic_control.cart_pole, 50.0),
    "Acrobot-v1": (classic_control.acrobot, 15.0),
    "Pendulum-v1": (classic_control.pendulum, 20.0),
    "MountainCar-v0": (classic_control.mountain_car, 30.0),
    "MountainCarContinuous-v0": (classic_control.mountain_car, 30.0),
    "Asterix-MinAtar": (boards.minatar(boards.ASTERIX, boards.NIGHT), 12.0),
    "Breakout-MinAtar": (boards.minatar(boards.BREAKOUT, boards.NIGHT), 12.0),
    "Freeway-MinAtar": (boards.minatar(boards.FREEWAY, boards.ROAD), 15.0),
    "Seaquest-MinAtar": (boards.minatar(boards.SEAQUEST, boards.WATER), 12.0),
    "SpaceInvaders-MinAtar": (boards.minatar(boards.SPACE_INVADERS, boards.NIGHT), 12.0),
    "Catch-bsuite": (boards.catch, 5.0),
    "DeepSea-bsuite": (boards.deep_sea, 4.0),
    "MemoryChain-bsuite": (boards.memory_chain, 2.0),
    "UmbrellaChain-bsuite": (boards.umbrella_chain, 4.0),
    "DiscountingChain-v0": (points.discounting_chain, 10.0),  # gymnax's own name of the one of bsuite
    "FourRooms-misc": (boards.maze, 8.0),
    "FrozenLake-misc": (boards.frozen_lake, 4.0),
    "MetaMaze-misc": (boards.maze, 8.0),
    "Pong-misc": (boards.pong, 25.0),
    "PointRobot-misc": (points.point_robot, 20.0),
    "Reacher-misc": (points.reacher, 20.0),
    "Swimmer-misc": (points.swimmer, 20.0),
}
"""gymnax's name -> (how it is drawn from its rules, params and state, steps per second)."""


def draw(env: Any, state: Any) -> Picture:
    """A picture of `env` in `state`, uint8 [H, W, 3]: by its own method `draw(state)`, or as this folder knows it.

    Wrappers are looked through: `state` is that of the outermost one. Raises TypeError where nobody knows how.
    """
    return drawer_of(env).draw(state)


def drawer_of(env: Any) -> Drawer:
    """How to draw `env`; TypeError where neither it nor this folder knows.

    An environment of your own is drawn by its method `draw(state)`, at `frame_rate` steps per second if it has that.
    """
    if callable(getattr(env, "draw", None)):
        return Drawer(lambda state: _own_picture(env, state), float(getattr(env, "frame_rate", FRAME_RATE)))
    if isinstance(env, PROBES):
        return Drawer(lambda state: points.probe(env, state), 2.0)
    if hasattr(getattr(env, "rules", None), "env"):
        return _gymnax_drawer(env)
    if not hasattr(env, "env"):
        raise TypeError(_cannot(type(env).__name__))
    inner = drawer_of(env.env)
    if isinstance(env, ActionRepeat):
        return dataclasses.replace(inner, frame_rate=inner.frame_rate / env.num_repeats)
    if isinstance(env, (FrameStack, StickyActions, TimeLimit)):
        return dataclasses.replace(inner, draw=lambda state: inner.draw(state.env_state))
    return inner


def _own_picture(env: Any, state: Any) -> Picture:
    picture = np.asarray(env.draw(state))
    if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3 or not picture.size:
        raise TypeError(
            f"{type(env).__name__}.draw must return a picture, uint8 [height, width, 3], "
            f"got {picture.dtype} {list(picture.shape)}."
        )
    return picture


def _gymnax_drawer(env: Any) -> Drawer:
    name = env.rules.env.name
    if name not in GYMNAX:
        raise TypeError(_cannot(name))
    drawer, frame_rate = GYMNAX[name]
    return Drawer(lambda state: drawer(env.rules, env.params, state), frame_rate)


def _cannot(name: str) -> str:
    return (
        f"{name} cannot be drawn: it needs a method draw(state) that returns a picture, uint8 [height, width, 3]; "
        "where Gymnasium has the same task, ask for its pictures with gymnasium=NAME."
    )
