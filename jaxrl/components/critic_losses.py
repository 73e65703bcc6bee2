"""Losses of the off-policy actor-critics."""

import jax
import jax.numpy as jnp

from jaxrl.pytree import Scalar


def squared_error(values: jax.Array, target: jax.Array, weight: jax.Array) -> jax.Array:
    """sum over critics of mean(weight * (Q_e - y)^2 / 2), for values [E, B], a target [B] and weights [B]."""
    error = values - jax.lax.stop_gradient(target)[None]
    return (weight[None] * 0.5 * jnp.square(error)).mean(axis=-1).sum()


def mean_error(values: jax.Array, target: jax.Array) -> jax.Array:
    """[B]: the mean over critics of |Q_e - y|, the priority of a transition."""
    return jnp.abs(values - target[None]).mean(axis=0)


def temperature_loss(log_temperature: jax.Array, log_prob: jax.Array, target_entropy: Scalar) -> jax.Array:
    """-log alpha * mean(log pi + target entropy): alpha grows where the entropy -log pi [B] is below its target.

    Haarnoja et al. 2018b, eq. 18, in log alpha as their code has it.
    """
    return -log_temperature * jax.lax.stop_gradient(log_prob + target_entropy).mean()
