"""Distributions over real-valued actions: a diagonal Gaussian, and one squashed by tanh into the bounds of a Box."""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl.pytree import dataclass, static

_HALF_LOG_2PI = 0.5 * math.log(2.0 * math.pi)

_NODES, _WEIGHTS = (np.float32(values) for values in np.polynomial.hermite_e.hermegauss(32))
_WEIGHTS /= _WEIGHTS.sum()
"""Gauss-Hermite quadrature of an expectation under a standard normal."""


@dataclass
class Gaussian:
    """A diagonal Gaussian; actions float32 [..., *shape], unclipped: clip a copy for the environment only."""

    mean: jax.Array
    """[..., D] with D = prod(shape)."""
    log_std: jax.Array
    """[..., D]."""
    shape: tuple[int, ...] = static()

    @property
    def batch_shape(self) -> tuple[int, ...]:
        """The leading axes."""
        return self.mean.shape[:-1]

    def sample(self, noise: jax.Array) -> jax.Array:
        """mean + std * noise, noise [..., D]."""
        return _shaped(self.mean + jnp.exp(self.log_std) * noise, self.shape)

    def log_prob(self, action: jax.Array) -> jax.Array:
        """[...]: -sum((a - mean)^2 / (2 std^2) + log std + log(2 pi) / 2)."""
        deviation = (_flat(action, self.shape) - self.mean) * jnp.exp(-self.log_std)
        return -(0.5 * jnp.square(deviation) + self.log_std + _HALF_LOG_2PI).sum(axis=-1)

    def sample_and_log_prob(self, noise: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Both, differentiable through the action."""
        log_prob = -(0.5 * jnp.square(noise) + self.log_std + _HALF_LOG_2PI).sum(axis=-1)
        return self.sample(noise), log_prob

    def entropy(self) -> jax.Array:
        """[...]: sum(log std + log(2 pi e) / 2)."""
        return (self.log_std + (0.5 + _HALF_LOG_2PI)).sum(axis=-1)

    def mode(self) -> jax.Array:
        """The mean."""
        return _shaped(self.mean, self.shape)

    def kl(self, other: "Gaussian") -> jax.Array:
        """[...]: sum(log(q/p) + (p^2 + (mean - other.mean)^2) / (2 q^2) - 1/2), p and q the two stds."""
        variance_ratio = jnp.exp(2.0 * (self.log_std - other.log_std))
        deviation = (self.mean - other.mean) * jnp.exp(-other.log_std)
        divergence = 0.5 * (variance_ratio + jnp.square(deviation) - 1.0) + other.log_std - self.log_std
        return divergence.sum(axis=-1)


@dataclass
class SquashedGaussian:
    """action = centre + scale * tanh(u), u a diagonal Gaussian; actions float32 [..., *shape] within [low, high].

    Log-densities are those of the action in its own units: they include the term -sum(log scale), so a target entropy
    of -D means what it does for actions in [-1, 1] only after adding sum(log scale).
    """

    mean: jax.Array
    """[..., D], of u."""
    log_std: jax.Array
    """[..., D], of u."""
    shape: tuple[int, ...] = static()
    low: tuple[float, ...] = static()
    high: tuple[float, ...] = static()

    @property
    def batch_shape(self) -> tuple[int, ...]:
        """The leading axes."""
        return self.mean.shape[:-1]

    def sample(self, noise: jax.Array) -> jax.Array:
        """The image of mean + std * noise, noise [..., D]."""
        return self._squashed(self.mean + jnp.exp(self.log_std) * noise)

    def sample_and_log_prob(self, noise: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Both, differentiable through the action and finite however far tanh is saturated."""
        unsquashed = self.mean + jnp.exp(self.log_std) * noise
        log_prob = -(0.5 * jnp.square(noise) + self.log_std + _HALF_LOG_2PI) - self._log_slope(unsquashed)
        return self._squashed(unsquashed), log_prob.sum(axis=-1)

    def log_prob(self, action: jax.Array) -> jax.Array:
        """Finite everywhere, but inverting tanh loses digits near the bounds: prefer `sample_and_log_prob`."""
        flat = _flat(action, self.shape)
        centre, scale = self._centre_and_scale(flat.ndim)
        limit = 1.0 - 2.0**-23  # the last float32 numbers before 1, where the inverse is still finite
        unsquashed = jnp.arctanh(jnp.clip((flat - centre) / scale, -limit, limit))
        deviation = (unsquashed - self.mean) * jnp.exp(-self.log_std)
        log_prob = -(0.5 * jnp.square(deviation) + self.log_std + _HALF_LOG_2PI) - self._log_slope(unsquashed)
        return log_prob.sum(axis=-1)

    def entropy(self) -> jax.Array:
        """H[u] + E[log |d action / d u|], the second term by Gauss-Hermite quadrature (there is no closed form)."""
        nodes, weights = (values.reshape(-1, *[1] * self.mean.ndim) for values in (_NODES, _WEIGHTS))
        slope: jax.Array = (weights * self._log_slope(self.mean[None] + nodes * jnp.exp(self.log_std)[None])).sum(
            axis=0
        )
        return (self.log_std + (0.5 + _HALF_LOG_2PI) + slope).sum(axis=-1)

    def mode(self) -> jax.Array:
        """The image of u's mean: what a greedy policy plays (the density's own mode can lie at a bound)."""
        return self._squashed(self.mean)

    def kl(self, other: "SquashedGaussian") -> jax.Array:
        """That of the two Gaussians, since both are squashed by the same bijection."""
        return Gaussian(self.mean, self.log_std, self.shape).kl(Gaussian(other.mean, other.log_std, other.shape))

    def _squashed(self, unsquashed: jax.Array) -> jax.Array:
        centre, scale = self._centre_and_scale(unsquashed.ndim)
        return _shaped(centre + scale * jnp.tanh(unsquashed), self.shape)

    def _log_slope(self, unsquashed: jax.Array) -> jax.Array:
        _, scale = self._centre_and_scale(unsquashed.ndim)
        return _log_tanh_slope(unsquashed) + jnp.log(scale)

    def _centre_and_scale(self, ndim: int) -> tuple["np.ndarray[Any, Any]", "np.ndarray[Any, Any]"]:
        """Of the last axis, with `ndim` axes."""
        low, high = (np.asarray(bound, np.float32).reshape(*[1] * (ndim - 1), -1) for bound in (self.low, self.high))
        return (high + low) / 2, (high - low) / 2


def _log_tanh_slope(unsquashed: jax.Array) -> jax.Array:
    """log(1 - tanh(u)^2), in a form that neither overflows nor cancels at saturation."""
    return 2.0 * (math.log(2.0) - unsquashed - jax.nn.softplus(-2.0 * unsquashed))


def _shaped(values: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    """[..., D] to [..., *shape]."""
    return values if len(shape) == 1 else values.reshape(*values.shape[:-1], *shape)


def _flat(action: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    """[..., *shape] to [..., D]."""
    return action if len(shape) == 1 else action.reshape(*action.shape[: action.ndim - len(shape)], math.prod(shape))
