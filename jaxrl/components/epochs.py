"""Several passes over one batch, in shuffled minibatches, ended early where the policy has moved too far."""

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import jax
import jax.numpy as jnp

from jaxrl.components.minibatches import shuffled_minibatches
from jaxrl.metrics import Mean, Metrics, over_axis, values
from jaxrl.pytree import Scalar

L = TypeVar("L")


class Passes(NamedTuple):
    """How a batch is used."""

    num_epochs: int
    num_minibatches: int
    target_kl: Scalar | None = None
    """Stop before the next epoch once the mean of the metric `approximate_kl` over an epoch exceeds this."""
    axis: str | None = None


def run_epochs(
    key: jax.Array,
    learner: L,
    batch: Any,
    update: Callable[[L, Any], tuple[L, Metrics]],
    passes: Passes,
    prepare: Callable[[Any], Any] = lambda minibatches: minibatches,
) -> tuple[L, Metrics]:
    """Apply `update(learner, minibatch)` over all minibatches of all epochs; returns the learner and its metrics.

    `batch` has leaves [B, ...], cut along the leading axis; `prepare` sees the M minibatches of an epoch at once, as
    leaves [M, B / M, ...]. An epoch after the stop changes nothing and weighs nothing.
    """

    def epoch(carry: tuple[L, jax.Array], shuffle_key: jax.Array) -> tuple[tuple[L, jax.Array], Metrics]:
        learner, going = carry
        minibatches = shuffled_minibatches(shuffle_key, batch, passes.num_minibatches)
        updated, metrics = jax.lax.scan(update, learner, prepare(minibatches))
        metrics = jax.tree.map(lambda leaf: leaf.sum(axis=0), metrics)
        if passes.target_kl is None:
            return (updated, going), metrics
        learner = jax.tree.map(lambda new, old: jnp.where(going, new, old), updated, learner)
        metrics = {name: Mean(jnp.where(going, m.total, 0.0), m.weight * going) for name, m in metrics.items()}
        kl = values(over_axis({"kl": metrics["approximate_kl"]}, passes.axis))["kl"]  # every device must decide alike
        return (learner, going & ~(kl > passes.target_kl)), metrics

    (learner, _), metrics = jax.lax.scan(epoch, (learner, jnp.bool_(True)), jax.random.split(key, passes.num_epochs))
    return learner, jax.tree.map(lambda leaf: leaf.sum(axis=0), metrics)
