"""The settings that every environment takes, as wrappers in a fixed order."""

import dataclasses
from typing import Any

from jaxrl.envs.environment import ResetMode as Mode

from .action_repeat import ActionRepeat
from .clip_reward import ClipReward
from .flatten_observation import FlattenObservation
from .frame_stack import FrameStack
from .reset_mode import ResetMode
from .sticky_actions import StickyActions
from .time_limit import TimeLimit


@dataclasses.dataclass(frozen=True)
class CommonSettings:
    """What any environment can be asked for; the first named is the innermost wrapper."""

    max_steps: int | None = None
    """The time limit, in the environment's own steps; it replaces that of a gymnax environment."""
    sticky_actions: float | None = None
    """The probability that the action before is played again."""
    action_repeat: int | None = None
    """How many times every action is played."""
    clip_reward: float | tuple[float, float] | bool | None = None
    """(low, high), or c for (-c, c), or True for (-1, 1)."""
    flatten: bool = False
    """Whether an observation is one float32 vector."""
    frame_stack: int | None = None
    """How many observations are shown side by side."""
    reset_mode: Mode | None = None
    """"fresh", "optimistic" or "cached"; `environment.reset_mode` says what they are."""


COMMON_SETTINGS = tuple(field.name for field in dataclasses.fields(CommonSettings))


def wrap(env: Any, settings: CommonSettings) -> Any:
    """`env` inside the wrappers that `settings` ask for. Raises TypeError or ValueError for a value that cannot be."""
    if settings.max_steps is not None:
        env = TimeLimit(env, settings.max_steps)
    if settings.sticky_actions is not None:
        env = StickyActions(env, settings.sticky_actions)
    if settings.action_repeat is not None:
        env = ActionRepeat(env, settings.action_repeat)
    if settings.clip_reward is not None and settings.clip_reward is not False:
        env = ClipReward(env, *_reward_bounds(settings.clip_reward))
    if not isinstance(settings.flatten, bool):
        raise TypeError(f"The setting flatten must be True or False, got {settings.flatten!r}.")
    if settings.flatten:
        env = FlattenObservation(env)
    if settings.frame_stack is not None:
        env = FrameStack(env, settings.frame_stack)
    if settings.reset_mode is not None:
        env = ResetMode(env, settings.reset_mode)
    return env


def _reward_bounds(bounds: Any) -> tuple[float, float]:
    if bounds is True:
        return (-1.0, 1.0)
    if isinstance(bounds, (tuple, list)):
        if len(bounds) != 2:
            raise ValueError(f"The setting clip_reward must be a number or a pair (low, high), got {bounds!r}.")
        return (bounds[0], bounds[1])
    if isinstance(bounds, str):
        raise TypeError(f"The setting clip_reward must be a number or a pair (low, high), got {bounds!r}.")
    return (-bounds, bounds)
