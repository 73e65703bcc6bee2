"""Distributions over discrete actions: one choice, or several independent ones."""

import jax
import jax.numpy as jnp

from jaxrl.pytree import dataclass

FORBIDDEN = -1e9
"""The logit of a masked action: its probability underflows to an exact 0, yet its log-probability stays finite."""


def masked(logits: jax.Array, mask: jax.Array | None) -> jax.Array:
    """Forbid the actions where `mask` (of the logits' shape) is False; a row without any True counts as all True."""
    if mask is None:
        return logits
    mask = mask.astype(bool)
    return jnp.where(mask | ~mask.any(axis=-1, keepdims=True), logits, FORBIDDEN)


@dataclass
class Categorical:
    """Actions 0 .. A-1, int32 [...]."""

    logits: jax.Array
    """[..., A], unnormalised."""

    @property
    def batch_shape(self) -> tuple[int, ...]:
        """The leading axes."""
        return self.logits.shape[:-1]

    @property
    def log_probs(self) -> jax.Array:
        """[..., A], normalised."""
        return jax.nn.log_softmax(self.logits)

    def sample(self, noise: jax.Array) -> jax.Array:
        """The Gumbel-max trick: argmax(logits + noise), noise [..., A]."""
        return jnp.argmax(self.logits + noise, axis=-1).astype(jnp.int32)

    def log_prob(self, action: jax.Array) -> jax.Array:
        """[...]: log p(action)."""
        # A comparison instead of a gather: it fuses, and its gradient is no scatter.
        chosen = jax.nn.one_hot(action, self.logits.shape[-1], dtype=bool)
        return jnp.where(chosen, self.log_probs, 0.0).sum(axis=-1)

    def sample_and_log_prob(self, noise: jax.Array) -> tuple[jax.Array, jax.Array]:
        """The action that `noise` selects, and its log-probability."""
        action = self.sample(noise)
        return action, self.log_prob(action)

    def entropy(self) -> jax.Array:
        """[...]: -sum p log p."""
        return -(jax.nn.softmax(self.logits) * self.log_probs).sum(axis=-1)

    def mode(self) -> jax.Array:
        """The likeliest action."""
        return jnp.argmax(self.logits, axis=-1).astype(jnp.int32)

    def kl(self, other: "Categorical") -> jax.Array:
        """[...]: sum p (log p - log q)."""
        return (jax.nn.softmax(self.logits) * (self.log_probs - other.log_probs)).sum(axis=-1)


@dataclass
class MultiCategorical:
    """K independent categoricals; actions int32 [..., K]."""

    logits: jax.Array
    """[..., K, max(nvec)], unnormalised, forbidden where a choice has fewer actions."""

    @property
    def batch_shape(self) -> tuple[int, ...]:
        """The leading axes."""
        return self.logits.shape[:-2]

    def sample(self, noise: jax.Array) -> jax.Array:
        """Each choice by the Gumbel-max trick; noise [..., K, max(nvec)]."""
        return Categorical(self.logits).sample(noise)

    def log_prob(self, action: jax.Array) -> jax.Array:
        """[...]: the sum over the choices."""
        return Categorical(self.logits).log_prob(action).sum(axis=-1)

    def sample_and_log_prob(self, noise: jax.Array) -> tuple[jax.Array, jax.Array]:
        """The action that `noise` selects, and its log-probability."""
        action = self.sample(noise)
        return action, self.log_prob(action)

    def entropy(self) -> jax.Array:
        """[...]: the sum over the choices."""
        return Categorical(self.logits).entropy().sum(axis=-1)

    def mode(self) -> jax.Array:
        """The likeliest action of each choice."""
        return Categorical(self.logits).mode()

    def kl(self, other: "MultiCategorical") -> jax.Array:
        """[...]: the sum over the choices."""
        return Categorical(self.logits).kl(Categorical(other.logits)).sum(axis=-1)
