"""Values of a whole rollout, computed after it in one batch, with the true successor where an episode was cut."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jaxrl.components.resets import any_lane


def rollout_values(
    value: Callable[[Any], jax.Array], obs: Any, next_obs: Any, truncated: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """`(values, next_values)` [T, N]: V(obs) and V(next_obs).

    The successor of a step is the observation of the next one, except where an episode ended. Of those ends only
    truncations need a value (a termination's is multiplied by zero), and most rollouts have none: the second pass
    over all successors is behind a branch.
    """
    values = value(obs)
    last = value(jax.tree.map(lambda leaf: leaf[-1], next_obs))
    shifted = jnp.concatenate([values[1:], last[None]])
    return values, jax.lax.cond(
        any_lane(truncated[:-1]), lambda: jnp.where(truncated, value(next_obs), shifted), lambda: shifted
    )
