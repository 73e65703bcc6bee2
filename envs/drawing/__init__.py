"""Pictures of worlds: `draw(env, state)`. Nothing here is needed for training."""

from .drawer import FRAME_RATE as FRAME_RATE
from .drawer import Drawer as Drawer
from .drawer import draw as draw
from .drawer import drawer_of as drawer_of
