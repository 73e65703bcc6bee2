"""Batch renormalisation (Ioffe 2017, https://arxiv.org/abs/1702.03275), and critics that have it before every layer."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxrl.components.activations import activation_function
from jaxrl.components.axis import mean_over
from jaxrl.components.critics import ensemble_of
from jaxrl.components.torsos import dense


class BatchRenorm(nn.Module):
    """Entries [..., F] with the mean and deviation of their batch, corrected towards the running ones:

        x = (x - batch mean) / batch std * r + d
        r = clip(batch std / running std, 1 / max_scale, max_scale)
        d = clip((batch mean - running mean) / running std, -max_shift, max_shift)

    then scaled and shifted by parameters. No gradient goes through r and d, which are 1 and 0 for the first `warm_up`
    batches. Where it is not `training`, the running statistics (collection "batch_stats") stand in for the batch's.
    """

    training: bool
    axis: str | None = None
    """The devices over which a batch is spread."""
    momentum: float = 0.99
    warm_up: int = 100_000
    max_scale: float = 3.0
    max_shift: float = 5.0
    epsilon: float = 1e-3

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """The same shape."""
        shape = x.shape[-1:]
        running_mean = self.variable("batch_stats", "mean", jnp.zeros, shape)
        running_variance = self.variable("batch_stats", "variance", jnp.ones, shape)
        count = self.variable("batch_stats", "count", jnp.zeros, ())
        scale = self.param("scale", nn.initializers.ones, shape)
        bias = self.param("bias", nn.initializers.zeros, shape)
        running_std = jnp.sqrt(running_variance.value + self.epsilon)
        if self.training:
            mean, variance = self._statistics(x)
            std = jnp.sqrt(variance + self.epsilon)
            is_warm = count.value >= self.warm_up
            r = jnp.clip(std / running_std, 1.0 / self.max_scale, self.max_scale)
            d = jnp.clip((mean - running_mean.value) / running_std, -self.max_shift, self.max_shift)
            r, d = jax.lax.stop_gradient((jnp.where(is_warm, r, 1.0), jnp.where(is_warm, d, 0.0)))
            x = (x - _against(mean, x)) * _against(r / std, x) + _against(d, x)
            if not self.is_initializing():
                running_mean.value += (1.0 - self.momentum) * (mean - running_mean.value)
                running_variance.value += (1.0 - self.momentum) * (variance - running_variance.value)
                count.value += 1.0
        else:
            x = (x - _against(running_mean.value, x)) / _against(running_std, x)
        return x * _against(scale, x) + _against(bias, x)

    def _statistics(self, x: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Mean and variance of the batch [F], over the devices too."""
        leading = tuple(range(x.ndim - 1))
        mean = mean_over(self.axis, x.mean(axis=leading))
        return mean, mean_over(self.axis, jnp.square(x - _against(mean, x)).mean(axis=leading))


class RenormalizedCritic(nn.Module):
    """Q(s, a) [...], every layer's inputs batch-renormalised."""

    encoder: nn.Module
    hidden_sizes: tuple[int, ...]
    activation: str
    training: bool
    axis: str | None
    warm_up: int

    @nn.compact
    def __call__(self, obs: Any, action: jax.Array) -> jax.Array:
        """`action` [..., D], scaled to [-1, 1]."""
        activation = activation_function(self.activation)
        features = jnp.concatenate([self.encoder(obs), action], axis=-1)
        features = BatchRenorm(self.training, self.axis, warm_up=self.warm_up)(features)
        for size in self.hidden_sizes:
            features = activation(dense(size, 2.0**0.5)(features))
            features = BatchRenorm(self.training, self.axis, warm_up=self.warm_up)(features)
        return dense(1, 1.0)(features)[..., 0]


class RenormalizedCritics(nn.Module):
    """`num_critics` of them, with weights and statistics of their own: [E, ...]."""

    encoder: nn.Module
    num_critics: int
    hidden_sizes: tuple[int, ...]
    activation: str = "relu"
    training: bool = False
    axis: str | None = None
    warm_up: int = 100_000

    @nn.compact
    def __call__(self, obs: Any, action: jax.Array) -> jax.Array:
        """As each of them, with a leading axis E."""
        networks = ensemble_of(RenormalizedCritic, self.num_critics)
        style = self.hidden_sizes, self.activation, self.training, self.axis, self.warm_up
        values: jax.Array = networks(self.encoder.clone(parent=None), *style, name="ensemble")(obs, action)
        return values


def _against(vector: jax.Array, leaf: jax.Array) -> jax.Array:
    """A vector [F] with as many axes as `leaf` [..., F]."""
    return vector.reshape((1,) * (leaf.ndim - 1) + vector.shape)
