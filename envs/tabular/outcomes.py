"""What a tabular world is: for each state and action all that can come of it, of which a step draws one.

So the transition matrices, which list the outcomes, and the play, which draws them, cannot disagree.
"""

from typing import Any, Protocol

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl.envs.environment import TimeStep
from jaxrl.envs.spaces import Discrete
from jaxrl.pytree import Scalar, dataclass


@dataclass
class Outcomes:
    """The K things that can come of one action; some may be equal, and some impossible."""

    probability: jax.Array
    """float32 [K]."""
    next_state: jax.Array
    """int32 [K]."""
    reward: jax.Array
    """float32 [K]."""


class TabularEnvironment(Protocol):
    """An environment whose state is its observation: an int32 [] below `observation_space.n`."""

    @property
    def observation_space(self) -> Discrete: ...

    @property
    def action_space(self) -> Discrete: ...

    @property
    def starts(self) -> np.ndarray[Any, Any]:
        """float [S]: with which probability an episode starts in each state."""
        ...

    @property
    def terminal(self) -> np.ndarray[Any, Any]:
        """bool [S]: the states that end an episode."""
        ...

    def outcomes(self, state: jax.Array, action: jax.Array) -> Outcomes:
        """All that can come of `action` in `state`, which is not terminal."""
        ...


def draw_start(key: jax.Array, world: TabularEnvironment) -> tuple[jax.Array, jax.Array]:
    """A first state of `world`, which is also its observation."""
    state = _draw(key, jnp.asarray(world.starts, jnp.float32))
    return state, state


def draw_outcome(
    key: jax.Array, world: TabularEnvironment, state: jax.Array, action: jax.Array
) -> tuple[jax.Array, TimeStep]:
    """Play `action`: one of the outcomes."""
    outcomes = world.outcomes(state, action)
    index = _draw(key, outcomes.probability)
    state = outcomes.next_state[index]
    terminated = jnp.asarray(world.terminal)[state]
    return state, TimeStep(state, outcomes.reward[index], terminated, truncated=jnp.bool_(False), info={})


def slips(success_rate: Scalar) -> jax.Array:
    """float32 [3]: the probabilities of moving to the left of the direction chosen, in it, and to the right of it."""
    aside = (1.0 - jnp.float32(success_rate)) / 2.0
    return jnp.stack([aside, jnp.float32(success_rate), aside])


def slide(state: jax.Array, action: jax.Array, moves: np.ndarray[Any, Any], shape: tuple[int, int]) -> jax.Array:
    """int32 [3]: the cells to which a slip, the move, and the other slip lead on a board of `shape`, whose edge holds.

    `moves` [4, 2] are the rows and columns that each action adds, turning by a right angle from one to the next.
    """
    directions = (action + jnp.arange(-1, 2)) % 4
    place = jnp.stack(jnp.divmod(state, shape[1]))[None]
    row, column = jnp.clip(place + jnp.asarray(moves)[directions], 0, jnp.array(shape)[None] - 1).T
    return (row * shape[1] + column).astype(jnp.int32)


def _draw(key: jax.Array, probability: jax.Array) -> jax.Array:
    """int32 []: an index, by the inverse of the cumulative distribution, which never gives an impossible one."""
    cumulative = jnp.cumsum(probability)
    point = jax.random.uniform(key) * cumulative[-1]
    return jnp.argmax(cumulative > point).astype(jnp.int32)
