"""The matrix product of a layer, whose gradient by the kernel a CPU would otherwise compute slowly.

That gradient sums over all rows of a batch into a small matrix. XLA's CPU backend has quick routines for products whose
left side is contracted over its last axis; this one is contracted over its first and goes to a slower one, on one core.
The limits below are where training was quickest on two cores with AVX-512.
"""

from typing import Any

import jax
import jax.numpy as jnp

NARROW = 8
"""Up to so many outputs a sum for each of them is quicker than a product."""
CHUNK = 64
"""Rows that are multiplied at once."""
SMALL = 128 * 128
"""Up to so many entries a kernel per chunk stays in the cache."""


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


def kernel_gradient(inputs: jax.Array, errors: jax.Array) -> jax.Array:
    """The gradient by the kernel [I, O], from inputs [..., I] and the gradient by the outputs [..., O]."""
    rows = inputs.reshape(-1, inputs.shape[-1]), errors.reshape(-1, errors.shape[-1])
    gradient: jax.Array = jax.lax.platform_dependent(*rows, cpu=_kernel_gradient_on_cpu, default=_kernel_gradient)
    return gradient


def _kernel_gradient(inputs: jax.Array, errors: jax.Array) -> jax.Array:
    return jnp.dot(inputs.T, errors)


def _kernel_gradient_on_cpu(inputs: jax.Array, errors: jax.Array) -> jax.Array:
    num_inputs, num_outputs = inputs.shape[1], errors.shape[1]
    if num_outputs <= NARROW:
        return jnp.stack([(inputs * errors[:, i, None]).sum(axis=0) for i in range(num_outputs)], axis=-1)
    if len(inputs) < 2 * CHUNK or len(inputs) % CHUNK or num_inputs * num_outputs > SMALL:
        return _kernel_gradient(inputs, errors)
    inputs, errors = (rows.reshape(-1, CHUNK, rows.shape[-1]) for rows in (inputs, errors))
    turned = jax.lax.optimization_barrier(jnp.swapaxes(inputs, 1, 2))  # else the product takes them as they were
    return jnp.matmul(turned, errors).sum(axis=0)
