"""Schedules as functions of the fraction of a run that is done; every argument may be traced, and so be swept."""

import jax
import jax.numpy as jnp

from jaxrl.pytree import Scalar


def fraction_done(iteration: jax.Array | int, num_iterations: int) -> jax.Array:
    """iteration / num_iterations, float32: 0 in the first iteration."""
    return jnp.asarray(iteration, jnp.float32) / num_iterations


def linear(start: Scalar, end: Scalar, fraction: Scalar) -> jax.Array:
    """From `start` at fraction 0 straight to `end` at fraction 1, and constant beyond."""
    return start + (end - start) * jnp.clip(fraction, 0.0, 1.0)


def constant(value: Scalar, fraction: Scalar) -> jax.Array:
    """`value` at every fraction."""
    return jnp.broadcast_to(jnp.asarray(value, jnp.float32), jnp.shape(fraction))
