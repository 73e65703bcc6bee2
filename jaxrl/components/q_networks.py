"""Networks whose outputs are action values, one per discrete action, or a distribution of returns per action."""

from typing import Any, Literal

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxrl.components.cells import Memory
from jaxrl.components.recurrent import RecurrentCore, initial_memory
from jaxrl.components.torsos import MLP, linear
from jaxrl.components.value_distributions import midpoints


class ActionHead(nn.Module):
    """Features [..., F] to [..., A], or to [..., A, K] with `num_atoms` = K.

    Dueling (Wang et al. 2016, eq. 9, atom by atom), of two streams with weights of their own:

        Q(s, a) = V(s) + A(s, a) - mean over a' of A(s, a')
    """

    num_actions: int
    num_atoms: int | None = None
    dueling: bool = False
    noisy_sigma: float | None = None
    hidden_sizes: tuple[int, ...] = ()
    """Layers before the last one, in each stream."""
    activation: str = "relu"
    gain: float = 1.0
    """Of the last layer's first weights: how far apart action values are before anything is learned."""

    def setup(self) -> None:
        """The streams."""
        num_atoms = 1 if self.num_atoms is None else self.num_atoms
        self.advantage_stream = self._stream(self.num_actions * num_atoms)
        if self.dueling:
            self.value_stream = self._stream(num_atoms)

    def __call__(self, features: jax.Array) -> jax.Array:
        """Action values, or their atoms."""
        num_atoms = 1 if self.num_atoms is None else self.num_atoms
        values = self.advantage_stream(features).reshape(*features.shape[:-1], self.num_actions, num_atoms)
        if self.dueling:
            values = self.value_stream(features)[..., None, :] + values - values.mean(axis=-2, keepdims=True)
        return values[..., 0] if self.num_atoms is None else values

    def _stream(self, num_outputs: int) -> nn.Module:
        last = linear(num_outputs, self.gain, self.noisy_sigma)
        if not self.hidden_sizes:
            return last
        return nn.Sequential([MLP(self.hidden_sizes, self.activation, noisy_sigma=self.noisy_sigma), last])


class QNetwork(nn.Module):
    """Action values Q(s, .), or K atoms of the distribution of returns per action (logits or quantiles)."""

    torso: nn.Module
    num_actions: int
    num_atoms: int | None = None
    dueling: bool = False
    noisy_sigma: float | None = None
    """Of the head's layers; the torso has a setting of its own."""
    head_sizes: tuple[int, ...] = ()
    """Layers of the head before its last one; of each stream if dueling."""
    activation: str = "relu"
    gain: float = 1.0

    def setup(self) -> None:
        """Name the parts; the given torso is a template, copied so that its parameters stand under this name."""
        self.encoder = self.torso.copy(name=None)
        self.head = ActionHead(
            self.num_actions,
            self.num_atoms,
            self.dueling,
            self.noisy_sigma,
            self.head_sizes,
            self.activation,
            self.gain,
        )

    def __call__(self, obs: Any) -> jax.Array:
        """[..., A], or [..., A, K] with `num_atoms` = K, for observations with any leading axes."""
        return self.head(self.encoder(obs))


class CosineEmbedding(nn.Module):
    """phi(tau) = ReLU(W^T cos(pi i tau) + b), i = 0 .. n-1 (Dabney et al. 2018b, eq. 4): [...] to [..., F]."""

    num_cosines: int = 64
    noisy_sigma: float | None = None

    @nn.compact
    def __call__(self, fractions: jax.Array, num_features: int) -> jax.Array:
        """Features of fractions in [0, 1]."""
        angles = jnp.broadcast_to(jnp.pi * jnp.arange(self.num_cosines), (*fractions.shape, self.num_cosines))
        cosines = jnp.cos(angles * fractions[..., None])
        return jax.nn.relu(linear(num_features, 2.0**0.5, self.noisy_sigma)(cosines))


class ImplicitQNetwork(nn.Module):
    """Quantiles of the return at fractions that are chosen anew each time (Dabney et al. 2018b, implicit quantiles).

    Z_tau(s, .) = head(psi(s) * phi(tau)), with the torso's features psi and the embedding phi above.
    """

    torso: nn.Module
    num_actions: int
    num_cosines: int = 64
    dueling: bool = False
    noisy_sigma: float | None = None
    """Of the embedding and the head; the torso has a setting of its own."""
    head_sizes: tuple[int, ...] = ()
    activation: str = "relu"
    gain: float = 1.0
    num_fractions: int = 32
    """How many there are where none are given."""

    def setup(self) -> None:
        """Name the parts."""
        self.encoder = self.torso.copy(name=None)
        self.embedding = CosineEmbedding(self.num_cosines, self.noisy_sigma)
        self.head = ActionHead(
            self.num_actions, None, self.dueling, self.noisy_sigma, self.head_sizes, self.activation, self.gain
        )

    def __call__(self, obs: Any, fractions: jax.Array | None = None) -> jax.Array:
        """[..., A, K]: the quantiles at `fractions` [..., K] in [0, 1], of observations with the same leading axes.

        Where none are given they are drawn from the random stream "noise", or without it are the midpoints
        (i + 0.5) / K: an agent that explores draws its fractions, one that is evaluated needs no luck.
        """
        features = self.encoder(obs)
        if fractions is None:
            fractions = self._fractions((*features.shape[:-1], self.num_fractions))
        embedding = self.embedding(fractions, features.shape[-1])
        return jnp.swapaxes(self.head(features[..., None, :] * embedding), -1, -2)

    def _fractions(self, shape: tuple[int, ...]) -> jax.Array:
        if self.has_rng("noise"):
            return jax.random.uniform(self.make_rng("noise"), shape)
        return jnp.broadcast_to(midpoints(self.num_fractions), shape)


class RecurrentQNetwork(nn.Module):
    """Encoder, recurrent core, and action values on what the core gives."""

    torso: nn.Module
    """The encoder."""
    num_actions: int
    core: Literal["gru", "lstm"] = "gru"
    hidden_size: int = 128
    dueling: bool = False
    head_sizes: tuple[int, ...] = ()
    activation: str = "relu"
    gain: float = 1.0

    def setup(self) -> None:
        """Name the parts."""
        self.encoder = self.torso.copy(name=None)
        self.recurrent_core = RecurrentCore(self.core, self.hidden_size)
        self.head = ActionHead(self.num_actions, None, self.dueling, None, self.head_sizes, self.activation, self.gain)

    def __call__(self, obs: Any, first: jax.Array, memory: Memory) -> tuple[jax.Array, Memory]:
        """Run over time: (Q [T, N, A], memory after the last step).

        `obs` is [T, N, ...], `memory` [N, ...] is that before the first step. `first` [T, N] says where an episode
        starts: there the memory is reset before the core reads the observation.
        """
        outputs, memory = self.recurrent_core(self.encoder(obs), first, memory)
        return self.head(outputs), memory

    def unroll(self, obs: Any, first: jax.Array, memory: Memory) -> tuple[jax.Array, Memory]:
        """As a call, but with the memory after every step, [T, N, ...]."""
        outputs, memories, _ = self.recurrent_core.unroll(self.encoder(obs), first, memory)
        return self.head(outputs), memories

    def step(self, obs: Any, memory: Memory) -> tuple[jax.Array, Memory]:
        """(Q [..., A], memory) after one step, with any leading axes; the caller resets the memory."""
        outputs, memory = self.recurrent_core.step(self.encoder(obs), memory)
        return self.head(outputs), memory

    def initial_memory(self, shape: tuple[int, ...]) -> Memory:
        """Zeros with leading axes `shape`; needs no parameters."""
        return initial_memory(self.core, self.hidden_size, shape)
