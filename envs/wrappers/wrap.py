"""The settings that every environment takes, as wrappers in a fixed order."""

import inspect
from typing import Any

from .action_repeat import ActionRepeat
from .clip_reward import ClipReward
from .flatten_observation import FlattenObservation
from .frame_stack import FrameStack
from .reset_mode import ResetMode
from .sticky_actions import StickyActions
from .time_limit import TimeLimit


def wrap(
    env: Any,
    *,
    max_steps: int | None = None,
    sticky_actions: float | None = None,
    action_repeat: int | None = None,
    clip_reward: float | tuple[float, float] | bool | None = None,
    flatten: bool = False,
    frame_stack: int | None = None,
    reset_mode: str | None = None,
) -> Any:
    """`env` inside the wrappers asked for, the first named innermost.

    `max_steps` limits the environment's own steps; `sticky_actions` is a probability; `action_repeat` and
    `frame_stack` are numbers of steps and frames; `clip_reward` is a (low, high), a number c for (-c, c) or True for
    (-1, 1); `flatten` shows one float32 vector; `reset_mode` is "fresh", "optimistic" or "cached".
    """
    if max_steps is not None:
        env = TimeLimit(env, max_steps)
    if sticky_actions is not None:
        env = StickyActions(env, sticky_actions)
    if action_repeat is not None:
        env = ActionRepeat(env, action_repeat)
    if clip_reward is not None and clip_reward is not False:
        env = ClipReward(env, *_reward_bounds(clip_reward))
    if not isinstance(flatten, bool):
        raise TypeError(f"The setting flatten must be True or False, got {flatten!r}.")
    if flatten:
        env = FlattenObservation(env)
    if frame_stack is not None:
        env = FrameStack(env, frame_stack)
    if reset_mode is not None:
        env = ResetMode(env, reset_mode)  # type: ignore[arg-type]  # the class checks the choice
    return env


COMMON_SETTINGS = tuple(inspect.signature(wrap).parameters)[1:]


def _reward_bounds(bounds: Any) -> tuple[float, float]:
    if bounds is True:
        return (-1.0, 1.0)
    if isinstance(bounds, (tuple, list)):
        if len(bounds) != 2:
            raise ValueError(f"The setting clip_reward must be a number or a pair (low, high), got {bounds!r}.")
        return (bounds[0], bounds[1])
    return (-bounds, bounds)
