"""The random walk of Sutton & Barto (2018), examples 6.2 and 7.1: values that can be written down."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl.envs.drawing import boards
from jaxrl.envs.drawing.shapes import Picture
from jaxrl.envs.environment import TimeStep
from jaxrl.envs.spaces import Discrete
from jaxrl.pytree import Scalar, dataclass, hyperparameter, static

from .outcomes import Outcomes, draw_outcome, draw_start


@dataclass
class RandomWalk:
    """Left (0) or right (1) along `length` states, from the one in the middle; an end lies beyond each side.

    With probability `slip` a step goes the other way. At 1/2, the default, the action counts for nothing, and state k
    of n has the value k / (n + 1) whoever walks; at 0 it is a chain to walk to the right. Beyond the right side the
    reward is 1, beyond the left one `left_reward` (-1 in example 7.1, where `length` is 19).
    """

    length: int = static(5, minimum=1)
    """n; the states are 1 to n, and the ends 0 and n + 1."""
    slip: Scalar = hyperparameter(0.5, minimum=0.0, maximum=1.0)
    left_reward: Scalar = hyperparameter(0.0)

    action_space = Discrete(2)
    name, frame_rate = "RandomWalk-v0", 4.0

    @property
    def observation_space(self) -> Discrete:
        return Discrete(self.length + 2)

    @property
    def starts(self) -> np.ndarray[Any, Any]:
        return np.eye(self.length + 2)[(self.length + 1) // 2]

    @property
    def terminal(self) -> np.ndarray[Any, Any]:
        return np.isin(np.arange(self.length + 2), [0, self.length + 1])

    def reset(self, key: jax.Array) -> tuple[jax.Array, jax.Array]:
        return draw_start(key, self)

    def step(self, key: jax.Array, state: jax.Array, action: jax.Array) -> tuple[jax.Array, TimeStep]:
        return draw_outcome(key, self, state, action)

    def outcomes(self, state: jax.Array, action: jax.Array) -> Outcomes:
        other_way = jnp.float32(self.slip)
        right = jnp.where(action == 1, 1.0 - other_way, other_way)
        is_last, is_first = state == self.length, state == 1
        reward = jnp.stack([is_first * jnp.float32(self.left_reward), is_last.astype(jnp.float32)])
        next_state = jnp.clip(jnp.stack([state - 1, state + 1]), 0, self.length + 1).astype(jnp.int32)
        return Outcomes(jnp.stack([1.0 - right, right]), next_state, reward)

    def draw(self, state: Any) -> Picture:
        """The states, the two ends and the walker."""
        return boards.walk(self.length, int(state))
