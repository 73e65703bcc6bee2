"""A recurrent actor-critic: encoder and heads see a whole rollout at once, only the memory goes step by step."""

from typing import Any, Literal

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxrl.components.networks import ActorOutputs
from jaxrl.components.torsos import dense

Memory = Any
"""[..., H] of a GRU, a pair (hidden, cell) of [..., H] of an LSTM."""


class RecurrentActorCritic(nn.Module):
    """Encoder, recurrent core, and the two heads on what the core gives.

    The products with the encoded observations are taken outside the scan, so that a step of it is one small matrix
    product.
    """

    torso: nn.Module
    """The encoder."""
    num_outputs: int
    num_free: int = 0
    core: Literal["gru", "lstm"] = "gru"
    hidden_size: int = 128

    def setup(self) -> None:
        """The core's recurrent kernel holds one orthogonal square per gate."""
        if self.core not in ("gru", "lstm"):
            raise ValueError(f"The core of a recurrent network must be 'gru' or 'lstm', got '{self.core}'.")
        num_gates = 3 if self.core == "gru" else 4
        self.encoder = self.torso.copy(name=None)
        self.input_layer = dense(num_gates * self.hidden_size, 1.0)
        self.recurrent_kernel = self.param("recurrent_kernel", self._init_kernel, num_gates)
        if self.core == "gru":
            self.candidate_bias = self.param("candidate_bias", nn.initializers.zeros, (self.hidden_size,))
        self.policy_head = dense(self.num_outputs, 0.01)
        self.value_head = dense(1, 1.0)
        if self.num_free:
            self.free = self.param("free", nn.initializers.zeros, (self.num_free,))

    def __call__(self, obs: Any, first: jax.Array, memory: Memory) -> tuple[ActorOutputs, jax.Array, Memory]:
        """Run over time: ((outputs, free), value [T, N], memory after the last step).

        `obs` is [T, N, ...], `memory` [N, ...] is that before the first step. `first` [T, N] says where an episode
        starts: there the memory is reset before the core reads the observation.
        """
        inputs = self.input_layer(self.encoder(obs))
        fresh = self.initial_memory(first.shape[1:])

        def advance(memory: Memory, row: tuple[jax.Array, jax.Array]) -> tuple[Memory, jax.Array]:
            inputs, first = row
            memory = jax.tree.map(lambda new, old: jnp.where(first[..., None], new, old), fresh, memory)
            memory = self._cell(inputs, memory)
            return memory, self._output(memory)

        memory, features = jax.lax.scan(advance, memory, (inputs, first))
        outputs, value = self._heads(features)
        return outputs, value, memory

    def step(self, obs: Any, memory: Memory) -> tuple[ActorOutputs, jax.Array, Memory]:
        """One step, of observations and memories with any leading axes; the caller resets the memory."""
        memory = self._cell(self.input_layer(self.encoder(obs)), memory)
        outputs, value = self._heads(self._output(memory))
        return outputs, value, memory

    def initial_memory(self, shape: tuple[int, ...]) -> Memory:
        """Zeros with leading axes `shape`; needs no parameters."""
        zeros = jnp.zeros((*shape, self.hidden_size), jnp.float32)
        return zeros if self.core == "gru" else (zeros, zeros)

    def _init_kernel(self, key: jax.Array, num_gates: int) -> jax.Array:
        shape, square = (self.hidden_size, self.hidden_size), nn.initializers.orthogonal()
        # One gate after another: jax's orthogonal initialiser must not be vmapped (see `networks.init_network`).
        return jnp.concatenate([square(key, shape) for key in jax.random.split(key, num_gates)], axis=-1)

    def _cell(self, inputs: jax.Array, memory: Memory) -> Memory:
        return self._gru(inputs, memory) if self.core == "gru" else self._lstm(inputs, memory)

    def _gru(self, inputs: jax.Array, hidden: jax.Array) -> jax.Array:
        """Cho et al. 2014, in the variant of cuDNN: the reset gate acts on the recurrent product."""
        reset_in, update_in, candidate_in = jnp.split(inputs, 3, axis=-1)
        reset_re, update_re, candidate_re = jnp.split(hidden @ self.recurrent_kernel, 3, axis=-1)
        reset = jax.nn.sigmoid(reset_in + reset_re)
        update = jax.nn.sigmoid(update_in + update_re)
        bias = jnp.broadcast_to(self.candidate_bias, candidate_re.shape)
        candidate = jnp.tanh(candidate_in + reset * (candidate_re + bias))
        return (1.0 - update) * candidate + update * hidden

    def _lstm(self, inputs: jax.Array, memory: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        """Hochreiter & Schmidhuber 1997, with forget gates (Gers et al. 2000)."""
        hidden, cell = memory
        gates = jnp.split(inputs + hidden @ self.recurrent_kernel, 4, axis=-1)
        write, forget, candidate, read = gates
        cell = jax.nn.sigmoid(forget) * cell + jax.nn.sigmoid(write) * jnp.tanh(candidate)
        return jax.nn.sigmoid(read) * jnp.tanh(cell), cell

    def _output(self, memory: Memory) -> jax.Array:
        hidden: jax.Array = memory if self.core == "gru" else memory[0]
        return hidden

    def _heads(self, features: jax.Array) -> tuple[ActorOutputs, jax.Array]:
        free = self.free if self.num_free else None
        return (self.policy_head(features), free), self.value_head(features)[..., 0]
