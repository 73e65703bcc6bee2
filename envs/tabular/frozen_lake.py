"""FrozenLake, with the rules of Gymnasium's FrozenLake-v1."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl.envs.drawing import boards
from jaxrl.envs.drawing.shapes import Picture
from jaxrl.envs.environment import TimeStep
from jaxrl.envs.spaces import Discrete
from jaxrl.pytree import Scalar, dataclass, hyperparameter, static

from .outcomes import Outcomes, draw_outcome, draw_start, slide, slips

MAPS = {
    "4x4": ("SFFF", "FHFH", "FFFH", "HFFG"),
    "8x8": ("SFFFFFFF", "FFFFFFFF", "FFFHFFFF", "FFFFFHFF", "FFFHFFFF", "FHHFFFHF", "FHFFHFHF", "FFFHFFFG"),
}
MOVES = np.array([[0, -1], [1, 0], [0, 1], [-1, 0]])  # left, down, right, up


@dataclass
class FrozenLake:
    """Left (0), down (1), right (2) or up (3) over the ice, from S to G; H are holes.

    Where it `is_slippery`, a move goes in the direction chosen with probability `success_rate`, else to one of its
    sides. The goal gives 1 and ends the episode, a hole gives 0 and ends it.
    """

    map_name: str = static("4x4", choices=tuple(MAPS))
    desc: tuple[str, ...] | None = static(None)
    """A map of your own, a string of S, F, H and G for each row, in place of the one named."""
    is_slippery: bool = static(True)
    success_rate: Scalar = hyperparameter(1 / 3, minimum=0.0, maximum=1.0)
    goal_reward: Scalar = hyperparameter(1.0)
    hole_reward: Scalar = hyperparameter(0.0)
    step_reward: Scalar = hyperparameter(0.0)
    """Of a step that ends nothing."""

    action_space = Discrete(4)
    frame_rate = 4.0

    def check(self) -> None:
        """Refuse a map on which nobody can play."""
        rows = MAPS[self.map_name] if self.desc is None else tuple(map(str, self.desc))
        letters = set("".join(rows))
        if len(set(map(len, rows))) != 1 or not {"S"} <= letters <= set("SFHG"):
            raise ValueError(
                "FrozenLake.desc must be rows of one length, of the letters S (at least one), F, H and G, "
                f"got {self.desc}."
            )

    @property
    def name(self) -> str:
        return "FrozenLake-v1" if self.map_name == "4x4" else f"FrozenLake{self.map_name}-v1"

    @property
    def letters(self) -> np.ndarray[Any, Any]:
        """The map, one letter in each cell [rows, columns]."""
        return np.array([list(row) for row in self.desc or MAPS[self.map_name]])

    @property
    def observation_space(self) -> Discrete:
        return Discrete(self.letters.size)

    @property
    def starts(self) -> np.ndarray[Any, Any]:
        is_start = self.letters.ravel() == "S"
        return is_start / is_start.sum()

    @property
    def terminal(self) -> np.ndarray[Any, Any]:
        return np.isin(self.letters.ravel(), ["G", "H"])

    def reset(self, key: jax.Array) -> tuple[jax.Array, jax.Array]:
        return draw_start(key, self)

    def step(self, key: jax.Array, state: jax.Array, action: jax.Array) -> tuple[jax.Array, TimeStep]:
        return draw_outcome(key, self, state, action)

    def outcomes(self, state: jax.Array, action: jax.Array) -> Outcomes:
        letters = self.letters
        num_rows, num_columns = letters.shape
        cells = slide(state, action, MOVES, (num_rows, num_columns))
        is_goal, is_hole = (jnp.asarray(letters.ravel() == letter)[cells] for letter in "GH")
        ending = jnp.where(is_goal, self.goal_reward, jnp.where(is_hole, self.hole_reward, self.step_reward))
        return Outcomes(
            probability=slips(self.success_rate if self.is_slippery else 1.0),
            next_state=cells,
            reward=ending.astype(jnp.float32),
        )

    def draw(self, state: Any) -> Picture:
        """Ice, holes, the goal and the walker."""
        return boards.lake(self.letters, int(state))
