"""How an environment wants its episodes to start."""

from typing import Any

import jax

from jaxrl.pytree import dataclass, static

from ..environment import ResetMode as Mode
from ..environment import TimeStep
from ..spaces import Space


@dataclass
class ResetMode:
    """Declares the reset mode and changes nothing else; `environment.reset_mode` says what each mode costs."""

    env: Any
    reset_mode: Mode = static(choices=("fresh", "optimistic", "cached"))

    @property
    def observation_space(self) -> Space:
        return self.env.observation_space  # type: ignore[no-any-return]  # any Environment has one

    @property
    def action_space(self) -> Space:
        return self.env.action_space  # type: ignore[no-any-return]  # the same

    def reset(self, key: jax.Array) -> tuple[Any, Any]:
        return self.env.reset(key)  # type: ignore[no-any-return]  # the same

    def step(self, key: jax.Array, state: Any, action: Any) -> tuple[Any, TimeStep]:
        return self.env.step(key, state, action)  # type: ignore[no-any-return]  # the same
