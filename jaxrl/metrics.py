"""Metrics are means that can still be added: a sum and a weight, divided only when they are reported.

Adding pairs over time, environments, minibatches and devices gives the mean over all of them, whatever the order;
a weight of zero (no episode ended) is reported as NaN, which is not a divergence.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp


class Mean(NamedTuple):
    """A weighted mean in two parts; `value = total / weight`."""

    total: jax.Array
    weight: jax.Array


Metrics = dict[str, Mean]
"""A flat dict with the same keys at every iteration."""


def mean(values: jax.Array, where: jax.Array | None = None) -> Mean:
    """The mean of `values` over all axes, or over the entries where `where` is true (same shape)."""
    values = jnp.asarray(values, jnp.float32)
    if where is None:
        return Mean(values.sum(), jnp.float32(values.size))
    return Mean(jnp.where(where, values, 0.0).sum(), where.sum(dtype=jnp.float32))


def add(a: Metrics, b: Metrics) -> Metrics:
    """Entry by entry sum, the mean over both."""
    return jax.tree.map(jnp.add, a, b)


def over_axis(metrics: Metrics, axis: str | None) -> Metrics:
    """Sum over the devices of `axis`; nothing to do when it is None."""
    return metrics if axis is None else jax.lax.psum(metrics, axis)


def over_parts(metrics: Metrics) -> Metrics:
    """The mean over the leading axis of every entry."""
    return jax.tree.map(lambda leaf: leaf.sum(0), metrics)


def values(metrics: Metrics) -> dict[str, jax.Array]:
    """The means themselves; NaN where nothing was weighed."""
    return {
        name: jnp.where(pair.weight > 0, pair.total / jnp.maximum(pair.weight, 1e-30), jnp.nan)
        for name, pair in metrics.items()
    }
