"""Reward clipping."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp

from jaxrl.pytree import Scalar, dataclass, hyperparameter

from ..environment import TimeStep
from ..spaces import Space


@dataclass
class ClipReward:
    """Brings every reward into [low, high]. Returns measured through it are those of the clipped task."""

    env: Any
    low: Scalar = hyperparameter(-1.0)
    high: Scalar = hyperparameter(1.0)

    @property
    def observation_space(self) -> Space:
        return self.env.observation_space  # type: ignore[no-any-return]  # any Environment has one

    @property
    def action_space(self) -> Space:
        return self.env.action_space  # type: ignore[no-any-return]  # the same

    def reset(self, key: jax.Array) -> tuple[Any, Any]:
        return self.env.reset(key)  # type: ignore[no-any-return]  # the same

    def step(self, key: jax.Array, state: Any, action: Any) -> tuple[Any, TimeStep]:
        state, timestep = self.env.step(key, state, action)
        return state, dataclasses.replace(timestep, reward=jnp.clip(timestep.reward, self.low, self.high))
