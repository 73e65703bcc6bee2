"""Recurrent networks: encoder and heads see a whole rollout at once, only the memory goes step by step."""

import math
import operator
from typing import Any, Literal

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxrl.components.cells import Memory, gru, lstm, output, over_time
from jaxrl.components.initializers import orthogonal_kernel
from jaxrl.components.networks import ActorOutputs
from jaxrl.components.torsos import dense


def initial_memory(core: str, hidden_size: int, shape: tuple[int, ...]) -> Memory:
    """Zeros with leading axes `shape`."""
    zeros = jnp.zeros((*shape, hidden_size), jnp.float32)
    return zeros if core == "gru" else (zeros, zeros)


def by_environment(tree: Any) -> Any:
    """Leaves [T, N, ...] as [N, T, ...], and back."""
    return jax.tree.map(lambda leaf: jnp.swapaxes(leaf, 0, 1), tree)


class RecurrentCore(nn.Module):
    """A GRU or an LSTM: features [..., F] to [..., H].

    The products with the features are taken outside the scan, so that a step of it is one small matrix product.
    """

    kind: Literal["gru", "lstm"] = "gru"
    hidden_size: int = 128

    def setup(self) -> None:
        """The recurrent kernel holds one orthogonal square per gate."""
        if self.kind not in ("gru", "lstm"):
            raise ValueError(f"The core of a recurrent network must be 'gru' or 'lstm', got '{self.kind}'.")
        num_gates = 3 if self.kind == "gru" else 4
        self.cell = gru if self.kind == "gru" else lstm
        self.input_layer = dense(num_gates * self.hidden_size, 1.0)
        self.recurrent_kernel = self.param("recurrent_kernel", self._init_kernel, num_gates)
        if self.kind == "gru":
            self.candidate_bias = self.param("candidate_bias", nn.initializers.zeros, (self.hidden_size,))

    def __call__(self, features: jax.Array, first: jax.Array, memory: Memory) -> tuple[jax.Array, Memory]:
        """Run over time: (outputs [T, N, H], memory after the last step).

        `features` is [T, N, F], `memory` [N, ...] is that before the first step. `first` [T, N] says where an episode
        starts: there the memory is reset before the core reads the features.
        """
        outputs, _, memory = self.unroll(features, first, memory)
        return outputs, memory

    def unroll(self, features: jax.Array, first: jax.Array, memory: Memory) -> tuple[jax.Array, Memory, Memory]:
        """As a call, and between its two results the memory after every step, [T, N, ...]."""
        inputs = self.input_layer(features)
        memories = over_time(self.cell, self.recurrent_kernel, self._bias(), inputs, first, memory)
        return output(memories), memories, jax.tree.map(operator.itemgetter(-1), memories)

    def step(self, features: jax.Array, memory: Memory) -> tuple[jax.Array, Memory]:
        """One step, with any leading axes; the caller resets the memory."""
        inputs = self.input_layer(features)
        recurrent = jnp.dot(output(memory), self.recurrent_kernel)
        memory = self.cell(inputs, recurrent + jnp.broadcast_to(self._bias(), recurrent.shape), memory)
        return output(memory), memory

    def _init_kernel(self, key: jax.Array, num_gates: int) -> jax.Array:
        shape = (self.hidden_size, self.hidden_size)
        normals = jax.random.normal(key, (num_gates, math.prod(shape)))
        # One gate after another: the decompositions must not be batched (see `initializers.init_network`).
        return jnp.concatenate([orthogonal_kernel(each, shape, gain=1.0) for each in normals], axis=-1)

    def _bias(self) -> jax.Array:
        """Of the recurrent product; the biases of gates that only add are the input layer's."""
        if self.kind == "gru":
            return jnp.pad(self.candidate_bias, (2 * self.hidden_size, 0))
        return jnp.zeros(4 * self.hidden_size)


class RecurrentActorCritic(nn.Module):
    """Encoder, recurrent core, and the two heads on what the core gives."""

    torso: nn.Module
    """The encoder."""
    num_outputs: int
    num_free: int = 0
    core: Literal["gru", "lstm"] = "gru"
    hidden_size: int = 128

    def setup(self) -> None:
        """Name the parts; the core's parameters stand among the network's own."""
        self.encoder = self.torso.copy(name=None)
        self.recurrent_core = RecurrentCore(self.core, self.hidden_size)
        nn.share_scope(self, self.recurrent_core)
        self.policy_head = dense(self.num_outputs, 0.01)
        self.value_head = dense(1, 1.0)
        if self.num_free:
            self.free = self.param("free", nn.initializers.zeros, (self.num_free,))

    def __call__(self, obs: Any, first: jax.Array, memory: Memory) -> tuple[ActorOutputs, jax.Array, Memory]:
        """Run over time: ((outputs, free), value [T, N], memory after the last step); arguments as of the core."""
        features, memory = self.recurrent_core(self.encoder(obs), first, memory)
        outputs, value = self._heads(features)
        return outputs, value, memory

    def step(self, obs: Any, memory: Memory) -> tuple[ActorOutputs, jax.Array, Memory]:
        """One step, of observations and memories with any leading axes; the caller resets the memory."""
        features, memory = self.recurrent_core.step(self.encoder(obs), memory)
        outputs, value = self._heads(features)
        return outputs, value, memory

    def initial_memory(self, shape: tuple[int, ...]) -> Memory:
        """Zeros with leading axes `shape`; needs no parameters."""
        return initial_memory(self.core, self.hidden_size, shape)

    def _heads(self, features: jax.Array) -> tuple[ActorOutputs, jax.Array]:
        free = self.free if self.num_free else None
        return (self.policy_head(features), free), self.value_head(features)[..., 0]
