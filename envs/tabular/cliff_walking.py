"""CliffWalking: example 6.6 of Sutton & Barto (2018), with the rules of Gymnasium's CliffWalking-v1."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl.envs.drawing import boards
from jaxrl.envs.drawing.shapes import Picture
from jaxrl.envs.environment import TimeStep
from jaxrl.envs.spaces import Discrete
from jaxrl.pytree import dataclass, static

from .outcomes import Outcomes, draw_outcome, draw_start, slide, slips

SHAPE = (4, 12)
START, GOAL = 36, 47
CLIFF = np.isin(np.arange(48), np.arange(37, 47))
MOVES = np.array([[-1, 0], [0, 1], [1, 0], [0, -1]])  # up, right, down, left


@dataclass
class CliffWalking:
    """Up (0), right (1), down (2) or left (3) on 4 x 12 cells, from the lower left to the lower right.

    -1 per step; -100 for a step onto the cliff between the two, which leads back to the start. Only the goal ends an
    episode. The best return is -13; with `is_slippery`, two moves in three go to a side of the direction chosen.
    """

    is_slippery: bool = static(False)

    observation_space = Discrete(48)
    action_space = Discrete(4)
    starts = np.eye(48)[START]
    terminal = np.arange(48) == GOAL
    frame_rate = 4.0

    @property
    def name(self) -> str:
        return "CliffWalkingSlippery-v1" if self.is_slippery else "CliffWalking-v1"

    def reset(self, key: jax.Array) -> tuple[jax.Array, jax.Array]:
        return draw_start(key, self)

    def step(self, key: jax.Array, state: jax.Array, action: jax.Array) -> tuple[jax.Array, TimeStep]:
        return draw_outcome(key, self, state, action)

    def outcomes(self, state: jax.Array, action: jax.Array) -> Outcomes:
        cells = slide(state, action, MOVES, SHAPE)
        falls = jnp.asarray(CLIFF)[cells]
        return Outcomes(
            probability=slips(1 / 3 if self.is_slippery else 1.0),
            next_state=jnp.where(falls, START, cells),
            reward=jnp.where(falls, jnp.float32(-100.0), jnp.float32(-1.0)),
        )

    def draw(self, state: Any) -> Picture:
        """The cliff, the goal and the walker."""
        return boards.cliff(CLIFF.reshape(SHAPE), GOAL, int(state))
