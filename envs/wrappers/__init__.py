"""What changes a world without changing its rules: one final class per file, each holding the environment it wraps."""

from .action_repeat import ActionRepeat as ActionRepeat
from .auto_reset import AutoReset as AutoReset
from .clip_reward import ClipReward as ClipReward
from .flatten_observation import FlattenObservation as FlattenObservation
from .frame_stack import FrameStack as FrameStack
from .reset_mode import ResetMode as ResetMode
from .select_observation import SelectObservation as SelectObservation
from .sticky_actions import StickyActions as StickyActions
from .time_limit import TimeLimit as TimeLimit
from .wrap import wrap as wrap
