"""The hills of BipedalWalker: points at equal distances, each from the one before."""

from typing import Any

import jax
import jax.numpy as jnp

NUM_POINTS, SPACING = 200, 14 / 30
START_PAD = 20
"""Points of the flat beginning."""
LEVEL = 400 / 30 / 4
"""The height, m, to which the hills are drawn back."""
_LEAST_BETWEEN, _MOST_BETWEEN = 5, 9
"""Points from one at which the ground stays level to the next."""


def draw_heights(key: jax.Array, roughness: Any) -> jax.Array:
    """Heights [200], m: the slope is a random walk that decays, pushed by up to `roughness` m, and up or down to LEVEL.

    Here and there a point repeats the height of the one before, after which the slope goes on.
    """
    push_key, between_key = jax.random.split(key)
    pushes = roughness * jax.random.uniform(push_key, (NUM_POINTS,), minval=-1.0, maxval=1.0)
    between = jax.random.randint(between_key, (NUM_POINTS // _LEAST_BETWEEN,), _LEAST_BETWEEN, _MOST_BETWEEN + 1)
    levels = START_PAD + jnp.concatenate([jnp.zeros(1, jnp.int32), jnp.cumsum(between)])
    is_level = jnp.zeros(NUM_POINTS, bool).at[levels].set(True, mode="drop")
    pushes = jnp.where(jnp.arange(NUM_POINTS) > START_PAD, pushes, 0.0)
    return heights(pushes, is_level)


def heights(pushes: Any, is_level: Any) -> jax.Array:
    """The heights that these pushes [P] give, where the points `is_level` [P] repeat the one before."""

    def climb(carry: Any, point: Any) -> Any:
        (height, slope), (push, stays) = carry, point
        steeper = 0.8 * slope + 0.01 * jnp.sign(LEVEL - height) + push
        slope = jnp.where(stays, slope, steeper)
        height = height + jnp.where(stays, 0.0, slope)
        return (height, slope), height

    return jax.lax.scan(climb, (jnp.float32(LEVEL), jnp.float32(0.0)), (pushes, is_level))[1]
