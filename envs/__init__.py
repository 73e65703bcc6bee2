"""Worlds: environments as pure functions, their spaces, wrappers, registry and checks. Knows nothing of learning."""

from . import probes as probes
from . import spaces as spaces
from . import tabular as tabular
from . import wrappers as wrappers
from .check import check_env as check_env
from .drawing import draw as draw
from .environment import Environment as Environment
from .environment import TimeStep as TimeStep
from .environment import reset_mode as reset_mode
from .registry import as_environment as as_environment
from .registry import make as make
from .registry import names as names
from .registry import register as register
from .vector import VectorEnvironment as VectorEnvironment
from .vector import vectorize as vectorize
