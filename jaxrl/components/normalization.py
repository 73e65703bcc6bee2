"""Running statistics of observations, and the scaling of rewards by the spread of their discounted sum.

Statistics are frozen while they are used, through a rollout and its epochs, and take the new data in at the end of an
iteration: else the first ratio of an update is not 1. Fresh ones (mean 0, variance 1) leave the data as it is.
"""

import math
from typing import Any

import jax
import jax.numpy as jnp

from jaxrl.components.axis import mean_over
from jaxrl.pytree import Scalar, dataclass

_MASK = "action_mask"


@dataclass
class RunningStats:
    """Mean and variance of every entry seen so far, per leaf of an observation (or of any pytree)."""

    mean: Any
    """The structure of one observation, float32."""
    variance: Any
    """The same; the population's, not the sample's."""
    count: jax.Array
    """float32 []: how many rows were merged. In long runs its last digits round, which only means that a new batch's
    weight, batch / count, does: neither mean nor variance is a sum that grows."""

    @classmethod
    def of(cls, batch: Any) -> "RunningStats":
        """Fresh statistics for rows like those of `batch`, leaves [N, ...]; its values are not used."""
        return cls(
            mean=jax.tree.map(lambda leaf: jnp.zeros(leaf.shape[1:], jnp.float32), batch),
            variance=jax.tree.map(lambda leaf: jnp.ones(leaf.shape[1:], jnp.float32), batch),
            count=jnp.float32(0.0),
        )


def update(stats: RunningStats, batch: Any, axis: str | None = None) -> RunningStats:
    """Merge `batch`, rows with any leading axes, over the devices of `axis` too (Chan et al. 1979).

    With weight w = batch size / new count and d = batch mean - mean:
    mean += w d, variance = (1 - w) variance + w batch variance + w (1 - w) d^2.
    """
    rows = _num_rows(stats, batch) * (1 if axis is None else jax.lax.axis_size(axis))
    count = stats.count + rows
    weight = rows / count
    batch = jax.tree.map(lambda leaf: leaf.astype(jnp.float32), batch)
    batch_mean = _over_rows(batch, stats.mean, axis)
    squares = jax.tree.map(lambda leaf, mean: jnp.square(leaf - _against(leaf, mean)), batch, batch_mean)
    batch_variance = _over_rows(squares, stats.mean, axis)
    gap = jax.tree.map(jnp.subtract, batch_mean, stats.mean)
    mean = jax.tree.map(lambda mean, gap: mean + weight * gap, stats.mean, gap)
    variance = jax.tree.map(
        lambda old, new, gap: (1.0 - weight) * old + weight * new + weight * (1.0 - weight) * jnp.square(gap),
        stats.variance,
        batch_variance,
        gap,
    )
    return RunningStats(mean, variance, count)


def normalize(stats: RunningStats, obs: Any, clip: float = 10.0) -> Any:
    """(obs - mean) / std, clipped to [-clip, clip]; any leading axes.

    Floating-point and uint8 entries are normalised. Integers (indices) and booleans pass through, as does everything
    under the name "action_mask".
    """

    def normalized(path: Any, leaf: jax.Array, mean: jax.Array, variance: jax.Array) -> jax.Array:
        if not _is_normalized(path, leaf):
            return leaf
        scale = jax.lax.rsqrt(variance + 1e-8)
        return jnp.clip((leaf - _against(leaf, mean)) * _against(leaf, scale), -clip, clip)

    return jax.tree_util.tree_map_with_path(normalized, obs, stats.mean, stats.variance)


def accumulate_returns(
    start: jax.Array, rewards: jax.Array, terminated: jax.Array, truncated: jax.Array, discount: Scalar
) -> tuple[jax.Array, jax.Array]:
    """The discounted sums of rewards so far, R <- gamma R + r, restarted from 0 where an episode ended.

    `start` [N] is what the previous rollout left; the others are [T, N]. Returns (the next `start` [N], all R [T, N]).
    """

    def forward(total: jax.Array, row: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        reward, goes_on = row
        total = discount * total + reward
        return total * goes_on, total

    goes_on = 1.0 - (terminated | truncated).astype(jnp.float32)
    return jax.lax.scan(forward, start, (rewards, goes_on))


def scale_rewards(stats: RunningStats, rewards: jax.Array, clip: float = 10.0) -> jax.Array:
    """Divide by the standard deviation of the discounted sums (`stats` of `accumulate_returns`), and clip.

    The mean is not subtracted, which would change what is optimal where episodes end.
    """
    return jnp.clip(rewards * jax.lax.rsqrt(stats.variance + 1e-8), -clip, clip)


def _is_normalized(path: Any, leaf: jax.Array) -> bool:
    if any(getattr(entry, "key", None) == _MASK for entry in path):
        return False
    return bool(jnp.issubdtype(leaf.dtype, jnp.floating)) or leaf.dtype == jnp.uint8


def _against(leaf: jax.Array, per_entry: jax.Array) -> jax.Array:
    """Give `per_entry` the leading axes of `leaf`, with size 1."""
    return per_entry.reshape((1,) * (leaf.ndim - per_entry.ndim) + per_entry.shape)


def _num_rows(stats: RunningStats, batch: Any) -> int:
    leaf, mean = jax.tree.leaves(batch)[0], jax.tree.leaves(stats.mean)[0]
    return math.prod(leaf.shape[: leaf.ndim - mean.ndim])


def _over_rows(batch: Any, shapes: Any, axis: str | None) -> Any:
    """The mean over the leading axes of every leaf, and over the devices."""
    means = jax.tree.map(lambda leaf, one: leaf.mean(axis=tuple(range(leaf.ndim - one.ndim))), batch, shapes)
    return mean_over(axis, means)
