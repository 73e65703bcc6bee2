"""The losses of policy-gradient methods, and the numbers by which their updates are watched."""

import jax
import jax.numpy as jnp

from jaxrl.components.axis import mean_over
from jaxrl.pytree import Scalar


def normalized(advantages: jax.Array, axis: str | None = None) -> jax.Array:
    """Advantages with mean 0 and standard deviation 1 over all entries, and over the devices of `axis`."""
    mean = mean_over(axis, advantages.mean())
    variance = mean_over(axis, jnp.square(advantages - mean).mean())
    return (advantages - mean) / (jnp.sqrt(variance) + 1e-8)


def surrogate_loss(ratio: jax.Array, advantages: jax.Array, clip_range: Scalar | None) -> jax.Array:
    """-mean min(r A, clip(r, 1 - clip_range, 1 + clip_range) A); unclipped for None. Schulman et al. 2017, eq. 6, 7."""
    objective = ratio * advantages
    if clip_range is not None:
        objective = jnp.minimum(objective, jnp.clip(ratio, 1 - clip_range, 1 + clip_range) * advantages)
    return -objective.mean()


def advantage_weights(advantages: jax.Array, temperature: Scalar, max_weight: Scalar) -> jax.Array:
    """min(exp(A / beta), w_max), as constants (Peng et al. 2019, https://arxiv.org/abs/1910.00177, sec. 3.2)."""
    return jnp.minimum(jnp.exp(jax.lax.stop_gradient(advantages) / temperature), max_weight)


def likelihood_loss(log_prob: jax.Array, weights: jax.Array) -> jax.Array:
    """-mean of weight * log pi(a|s), both of one shape; no gradient goes into the weights."""
    return -(jax.lax.stop_gradient(weights) * log_prob).mean()


def value_loss(
    values: jax.Array, targets: jax.Array, old_values: jax.Array | None = None, clip_range: Scalar | None = None
) -> jax.Array:
    """Half the mean squared error; with `clip_range`, the larger of the errors of V and of V kept near `old_values`."""
    error = jnp.square(values - targets)
    if clip_range is not None and old_values is not None:
        near_old = old_values + jnp.clip(values - old_values, -clip_range, clip_range)
        error = jnp.maximum(error, jnp.square(near_old - targets))
    return 0.5 * error.mean()


def approximate_kl(log_ratio: jax.Array) -> jax.Array:
    """KL(pi_old || pi) estimated from actions of pi_old by (r - 1) - log r, which is never negative (Schulman 2020)."""
    return (jnp.expm1(log_ratio) - log_ratio).mean()


def clip_fraction(ratio: jax.Array, clip_range: Scalar | None) -> jax.Array:
    """The share of ratios outside the clip range."""
    if clip_range is None:
        return jnp.float32(0.0)
    return (jnp.abs(ratio - 1) > clip_range).mean(dtype=jnp.float32)


def adapted_coefficient(coefficient: jax.Array, kl: jax.Array, target: Scalar) -> jax.Array:
    """The adaptive KL penalty's rule: halve below target / 1.5, double above 1.5 target. Schulman 2017, sec. 4."""
    halved = jnp.where(kl < target / 1.5, coefficient / 2, coefficient)
    return jnp.where(kl > target * 1.5, coefficient * 2, halved)
