"""How an environment wants its episodes to start."""

from typing import Any

import jax

from jaxrl.envs.environment import Environment, TimeStep
from jaxrl.envs.environment import ResetMode as Mode
from jaxrl.envs.spaces import Space
from jaxrl.pytree import dataclass, static


@dataclass
class ResetMode:
    """Declares the reset mode and changes nothing else; `environment.reset_mode` says what each mode costs."""

    env: Environment[Any]
    reset_mode: Mode = static(choices=("fresh", "optimistic", "cached"))

    @property
    def observation_space(self) -> Space:
        return self.env.observation_space

    @property
    def action_space(self) -> Space:
        return self.env.action_space

    def reset(self, key: jax.Array) -> tuple[Any, Any]:
        return self.env.reset(key)

    def step(self, key: jax.Array, state: Any, action: Any) -> tuple[Any, TimeStep]:
        return self.env.step(key, state, action)
