"""Shuffled minibatches without a sort: the order is a keyed bijection of the indices."""

from typing import Any

import jax
import jax.numpy as jnp


def shuffled(key: jax.Array, size: int) -> jax.Array:
    """A random order of 0 .. size-1, int32 [size].

    Each round multiplies by a random odd number, adds a random number (both bijections modulo a power of two) and
    xor-shifts, which carries the well-mixed high bits down. Other sizes walk the cycle of the next power of two: an
    index that lands outside is mapped again until it lands inside, which is a bijection of the inside.
    `jax.random.permutation` sorts, twice for 8,192 entries, and would take much of a run's time on a CPU.
    """
    num_bits = max(size - 1, 1).bit_length()
    mask = jnp.uint32(2**num_bits - 1)
    shift = jnp.uint32((num_bits + 1) // 2)
    num_rounds = 8 if num_bits > 6 else 12  # fewer leave pairs of indices correlated: tested by chi-square
    factors, offsets = jax.random.bits(key, (2, num_rounds), jnp.uint32)

    def mix(index: jax.Array) -> jax.Array:
        for factor, offset in zip(factors | 1, offsets, strict=True):
            index = (index * factor + offset) & mask
            index = index ^ (index >> shift)
        return index

    index = mix(jnp.arange(size, dtype=jnp.uint32))
    if size != 2**num_bits:
        index = jax.lax.while_loop(
            lambda index: jnp.any(index >= size), lambda index: jnp.where(index >= size, mix(index), index), index
        )
    return index.astype(jnp.int32)


def shuffled_minibatches(key: jax.Array, batch: Any, num_minibatches: int) -> Any:
    """Cut `batch`, leaves [size, ...], into random minibatches: leaves [num_minibatches, size / num_minibatches, ...].

    Raises ValueError if the leaves' sizes differ or `num_minibatches` does not divide them.
    """
    sizes = {leaf.shape[0] for leaf in jax.tree.leaves(batch)}
    if len(sizes) != 1:
        raise ValueError(f"Minibatches need leaves of one size along the first axis, got {sorted(sizes)}.")
    (size,) = sizes
    if num_minibatches < 1 or size % num_minibatches:
        raise ValueError(
            f"The number of minibatches must divide the batch of {size}, got {num_minibatches}; "
            "change num_minibatches, num_envs or num_steps."
        )
    order = jax.lax.optimization_barrier(shuffled(key, size))  # else XLA computes it anew for each entry of each leaf

    def cut(leaf: jax.Array) -> jax.Array:
        rows = leaf.at[order].get(mode="promise_in_bounds", unique_indices=True)
        return rows.reshape(num_minibatches, size // num_minibatches, *leaf.shape[1:])

    return jax.tree.map(cut, batch)
