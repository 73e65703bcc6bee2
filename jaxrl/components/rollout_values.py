"""Values of a whole rollout, computed after it in one batch, with the true successor where an episode was cut."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jaxrl.components.resets import any_lane


def successor_values(
    values: jax.Array, last: jax.Array, truncated: jax.Array, successors: Callable[[], jax.Array]
) -> jax.Array:
    """V(next_obs) [T, N], given V(obs) [T, N] and V(next_obs) of the last step [N].

    The successor of a step is the observation of the next one, except where an episode ended. Of those ends only
    truncations need a value (a termination's is multiplied by zero), and most rollouts have none: `successors()`,
    V(next_obs) for all steps, is behind a branch.
    """
    shifted = jnp.concatenate([values[1:], last[None]])
    return jax.lax.cond(any_lane(truncated[:-1]), lambda: jnp.where(truncated, successors(), shifted), lambda: shifted)


def rollout_values(
    value: Callable[[Any], jax.Array], obs: Any, next_obs: Any, truncated: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """`(V(obs), V(next_obs))`, both [T, N], for a value function without memory."""
    values = value(obs)
    last = value(jax.tree.map(lambda leaf: leaf[-1], next_obs))
    return values, successor_values(values, last, truncated, lambda: value(next_obs))
