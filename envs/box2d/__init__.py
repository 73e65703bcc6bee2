"""The tasks of Gymnasium's Box2D family, and the part of Box2D 2.3's solver that they need."""

from .bipedal_walker import BipedalWalker as BipedalWalker
from .lunar_lander import LunarLander as LunarLander
