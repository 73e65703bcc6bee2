"""Gymnasium's hand-written controllers, with which it demonstrates its tasks."""

from typing import Any

import jax.numpy as jnp


def lunar_lander(obs: Any, continuous: bool = False) -> Any:
    """An action for the observation [8] of LunarLander; lands about nine times in ten."""
    x, y, x_speed, y_speed, angle, spin, leg_0, leg_1 = obs
    wanted_angle = jnp.clip(0.5 * x + x_speed, -0.4, 0.4)
    has_contact = (leg_0 > 0) | (leg_1 > 0)
    turn = jnp.where(has_contact, 0.0, (wanted_angle - angle) * 0.5 - spin)
    lift = jnp.where(has_contact, -0.5 * y_speed, (0.55 * jnp.abs(x) - y) * 0.5 - 0.5 * y_speed)
    if continuous:
        return jnp.clip(jnp.stack([20 * lift - 1, -20 * turn]), -1.0, 1.0)
    side = jnp.where(turn < -0.05, 3, jnp.where(turn > 0.05, 1, 0))
    return jnp.where((lift > jnp.abs(turn)) & (lift > 0.05), 2, side)
