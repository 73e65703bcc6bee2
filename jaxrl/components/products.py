"""The matrix product of a layer, whose gradient by the kernel a CPU would otherwise compute slowly.

That gradient sums over all rows of a batch into a small matrix. XLA's CPU backend has quick routines for products whose
left side is contracted over its last axis; this one is contracted over its first and goes to a slower one, on one core.
The limits below are where training was quickest on two cores with AVX-512.
"""

import math
from typing import Any

import jax
import jax.numpy as jnp
from jax.custom_batching import custom_vmap

NARROW = 8
"""Up to so many outputs a sum for each of them is quicker than a product; for one of few rows it is not."""
FEW = 512
"""Up to so many rows are multiplied at once, unless they are a population's."""
CHUNK = 64
"""Rows that are multiplied at once where there are more."""
SMALL = 128 * 128
"""Up to so many entries a kernel per chunk stays in the cache."""
SEVERAL = 4
"""Up to so many networks, as the critics of an agent, are no population yet."""


def dot_general(inputs: jax.Array, kernel: jax.Array, *_: Any, **__: Any) -> jax.Array:
    """`product` as a linen layer calls it, with dimension numbers and a precision, which are those of its own."""
    return product(inputs, kernel)


@jax.custom_vjp
def product(inputs: jax.Array, kernel: jax.Array) -> jax.Array:
    """`inputs` [..., I] times `kernel` [I, O]; its gradients are of reverse mode, and may be taken again."""
    return jnp.dot(inputs, kernel)


def _forward(inputs: jax.Array, kernel: jax.Array) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
    return product(inputs, kernel), (inputs, kernel)


def _backward(saved: tuple[jax.Array, jax.Array], errors: jax.Array) -> tuple[jax.Array, jax.Array]:
    inputs, kernel = saved
    return jnp.dot(errors, kernel.T), kernel_gradient(inputs, errors)


product.defvjp(_forward, _backward)


@jax.custom_vjp
def kernel_gradient(inputs: jax.Array, errors: jax.Array) -> jax.Array:
    """The gradient by the kernel [I, O], from inputs [..., I] and the gradient by the outputs [..., O]."""
    rows = inputs.reshape(-1, inputs.shape[-1]), errors.reshape(-1, errors.shape[-1])
    gradient: jax.Array = jax.lax.platform_dependent(*rows, cpu=_kernel_gradient_on_cpu, default=_kernel_gradient)
    return gradient


def _forward_gradient(inputs: jax.Array, errors: jax.Array) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
    return kernel_gradient(inputs, errors), (inputs, errors)


def _backward_gradient(saved: tuple[jax.Array, jax.Array], direction: jax.Array) -> tuple[jax.Array, jax.Array]:
    inputs, errors = saved
    return product(errors, direction.T), product(inputs, direction)


kernel_gradient.defvjp(_forward_gradient, _backward_gradient)


def _kernel_gradient(inputs: jax.Array, errors: jax.Array) -> jax.Array:
    return jnp.matmul(jnp.swapaxes(inputs, -1, -2), errors)


def _kernel_gradient_on_cpu(inputs: jax.Array, errors: jax.Array) -> jax.Array:
    (num_rows, num_inputs), num_outputs = inputs.shape, errors.shape[1]
    one_or_wide = num_outputs == 1 or num_outputs > NARROW
    if num_rows <= FEW and one_or_wide and num_inputs * num_outputs <= SMALL:
        return _of_few_rows(inputs, errors)
    return _by_chunks(inputs, errors)


@custom_vmap
def _of_few_rows(inputs: jax.Array, errors: jax.Array) -> jax.Array:
    """From [..., rows, I] and [..., rows, O], all rows in one product: the quickest for one agent."""
    if errors.shape[-1] == 1:
        return jnp.swapaxes(jnp.matmul(_turned(errors), inputs), -1, -2)
    return jnp.matmul(_turned(inputs), errors)


@_of_few_rows.def_vmap
def _of_each(_: int, batched: list[bool], inputs: jax.Array, errors: jax.Array) -> tuple[jax.Array, bool]:
    """For the critics of one agent the same; for the agents of a population, who lose by it, chunks."""
    if all(batched) and math.prod(inputs.shape[:-2]) <= SEVERAL:
        return _of_few_rows(inputs, errors), True
    return jax.vmap(_by_chunks, [0 if each else None for each in batched])(inputs, errors), True


def _by_chunks(inputs: jax.Array, errors: jax.Array) -> jax.Array:
    """From [..., rows, I] and [..., rows, O], a product for each chunk of rows, or a sum for each of few outputs."""
    (num_rows, num_inputs), num_outputs = inputs.shape[-2:], errors.shape[-1]
    if num_outputs <= NARROW:
        return jnp.stack([(inputs * errors[..., i, None]).sum(axis=-2) for i in range(num_outputs)], axis=-1)
    if num_rows < 2 * CHUNK or num_rows % CHUNK or num_inputs * num_outputs > SMALL:
        return _kernel_gradient(inputs, errors)
    inputs, errors = (rows.reshape(*rows.shape[:-2], -1, CHUNK, rows.shape[-1]) for rows in (inputs, errors))
    return jnp.matmul(_turned(inputs), errors).sum(axis=-3)


def _turned(rows: jax.Array) -> jax.Array:
    """A barrier follows, or XLA would give the product what was not turned."""
    return jax.lax.optimization_barrier(jnp.swapaxes(rows, -1, -2))
