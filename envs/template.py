"""An environment of one's own, to copy: a walk along a corridor to the exit at its right end.

The class is a frozen pytree: numbers that may vary are `hyperparameter` leaves, what shapes the program is `static`.
`step` answers the true successor and resets nothing. `check_env(Corridor())` finds what is wrong with a copy, and
`register("Corridor-v0", Corridor)` gives it a name; `make("Corridor-v0", slip=0.3, max_steps=20)` then adds settings.
"""

from typing import Any

import jax
import jax.numpy as jnp

from jaxrl.pytree import Scalar, dataclass, hyperparameter, static

from .environment import TimeStep
from .spaces import Box, Discrete


@dataclass
class Corridor:
    """Left (0) or right (1), with probability `slip` the other way; -1 per step until the exit, 50 steps at most."""

    length: int = static(default=8, minimum=2)
    slip: Scalar = hyperparameter(default=0.1, minimum=0.0, maximum=1.0)

    observation_space = Box(low=0.0, high=1.0, shape=(1,))
    action_space = Discrete(2)

    def reset(self, key: jax.Array) -> tuple[Any, Any]:
        """The state is a dict of arrays, the observation an entry of `observation_space`."""
        state = {"position": jax.random.randint(key, (), 0, self.length - 1), "time": jnp.int32(0)}
        return state, self._obs(state)

    def step(self, key: jax.Array, state: Any, action: Any) -> tuple[Any, TimeStep]:
        """The same shapes and dtypes come out as went in."""
        move = jnp.where((action == 1) ^ jax.random.bernoulli(key, self.slip), 1, -1)
        state = {"position": jnp.clip(state["position"] + move, 0, self.length - 1), "time": state["time"] + 1}
        return state, TimeStep(
            obs=self._obs(state),
            reward=jnp.float32(-1.0),
            terminated=state["position"] == self.length - 1,
            truncated=state["time"] >= 50,
            info={},
        )

    def _obs(self, state: Any) -> jax.Array:
        return jnp.float32(state["position"][None]) / (self.length - 1)
