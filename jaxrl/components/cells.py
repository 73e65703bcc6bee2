"""Recurrent cells, and a cell over time with its gradient.

A memory is an array [..., H] of a GRU, a pair (hidden, cell) of them of an LSTM.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from jaxrl.components.products import kernel_gradient

Memory = Any
Cell = Callable[[jax.Array, jax.Array, Memory], Memory]
"""(products with the features [..., gates * H], products with the memory [..., gates * H], memory) -> memory."""


def gru(inputs: jax.Array, recurrent: jax.Array, hidden: jax.Array) -> jax.Array:
    """Cho et al. 2014, in the variant of cuDNN: the reset gate acts on the recurrent product."""
    reset_in, update_in, candidate_in = jnp.split(inputs, 3, axis=-1)
    reset_re, update_re, candidate_re = jnp.split(recurrent, 3, axis=-1)
    update = jax.nn.sigmoid(update_in + update_re)
    candidate = jnp.tanh(candidate_in + jax.nn.sigmoid(reset_in + reset_re) * candidate_re)
    return (1.0 - update) * candidate + update * hidden


def lstm(inputs: jax.Array, recurrent: jax.Array, memory: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
    """Hochreiter & Schmidhuber 1997, with forget gates (Gers et al. 2000)."""
    write, forget, candidate, read = jnp.split(inputs + recurrent, 4, axis=-1)
    cell = jax.nn.sigmoid(forget) * memory[1] + jax.nn.sigmoid(write) * jnp.tanh(candidate)
    return jax.nn.sigmoid(read) * jnp.tanh(cell), cell


def output(memory: Memory) -> jax.Array:
    """What of a memory the network sees, and the recurrent kernel."""
    hidden: jax.Array = memory[0] if isinstance(memory, tuple) else memory
    return hidden


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def over_time(
    cell: Cell, kernel: jax.Array, bias: jax.Array, inputs: jax.Array, first: jax.Array, memory: Memory
) -> Memory:
    """The memory after every step, [T, N, ...]: memory = cell(inputs, output(memory) kernel + bias, memory).

    `inputs` is [T, N, gates * H], `memory` that before the first step. Where `first` [T, N] says that an episode
    starts, the memory is zeros before the step. The gradient is of reverse mode, and collects the errors of all steps
    for a single product that gives the kernel's; JAX's own would add up a matrix in every step.
    """

    def advance(memory: Memory, row: tuple[jax.Array, jax.Array]) -> tuple[Memory, Memory]:
        inputs, first = row
        memory = _reset(first, memory)
        memory = cell(inputs, jnp.dot(output(memory), kernel) + _like(bias, inputs), memory)
        return memory, memory

    return jax.lax.scan(advance, memory, (inputs, first))[1]


def _forward(
    cell: Cell, kernel: jax.Array, bias: jax.Array, inputs: jax.Array, first: jax.Array, memory: Memory
) -> tuple[Memory, tuple[Any, ...]]:
    """`over_time`, and what its gradient needs: the memory before every step, and how to go back through its cell."""

    def advance(memory: Memory, row: tuple[jax.Array, jax.Array]) -> tuple[Memory, tuple[Any, ...]]:
        inputs, first = row
        before = _reset(first, memory)
        memory, pull = jax.vjp(cell, inputs, jnp.dot(output(before), kernel) + _like(bias, inputs), before)
        return memory, (memory, output(before), pull)

    memories, before, pulls = jax.lax.scan(advance, memory, (inputs, first))[1]
    return memories, (kernel, first, before, pulls)


def _backward(cell: Cell, saved: tuple[Any, ...], errors: Memory) -> tuple[Any, ...]:
    kernel, first, before, pulls = saved
    turned = jax.lax.optimization_barrier(kernel.T)  # written out once, else in every step

    def back(later: Memory, row: Any) -> tuple[Memory, Any]:
        pull, first, errors = row
        by_inputs, by_recurrent, by_memory = pull(jax.tree.map(jnp.add, later, errors))
        (by_output,) = jax.linear_transpose(output, by_memory)(jnp.dot(by_recurrent, turned))
        return _reset(first, jax.tree.map(jnp.add, by_memory, by_output)), (by_inputs, by_recurrent)

    nothing = jax.tree.map(lambda leaf: jnp.zeros_like(leaf[0]), errors)
    rows = (pulls, first, errors)
    by_memory, (by_inputs, by_recurrent) = jax.lax.scan(back, nothing, rows, reverse=True)
    by_kernel = kernel_gradient(before, by_recurrent)
    return by_kernel, by_recurrent.sum(axis=(0, 1)), by_inputs, None, by_memory


over_time.defvjp(_forward, _backward)


def _reset(first: jax.Array, memory: Memory) -> Memory:
    """`memory`, or zeros where an episode starts."""
    return jax.tree.map(lambda leaf: jnp.where(first[..., None], jnp.zeros_like(leaf), leaf), memory)


def _like(bias: jax.Array, inputs: jax.Array) -> jax.Array:
    return jnp.broadcast_to(bias, inputs.shape)
