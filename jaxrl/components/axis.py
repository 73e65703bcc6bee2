"""Data parallelism inside an algorithm: one agent whose environments are spread over the devices of a named axis.

Every function takes `axis`, the name given to `shard_map`, `pmap` or `vmap`, or None for a single device, and is then
the identity. Counts in an algorithm's fields are global; what a device holds is its `share`.
"""

from typing import TypeVar

import jax

T = TypeVar("T")


def share(count: int, axis: str | None, name: str) -> int:
    """This device's part of a global count; raises ValueError where the devices do not divide it."""
    if axis is None:
        return count
    size = jax.lax.axis_size(axis)
    if count % size:
        raise ValueError(f"{name} must be a multiple of the {size} devices of axis '{axis}', got {count}.")
    return count // size


def own_key(key: jax.Array, axis: str | None) -> jax.Array:
    """A key that differs from device to device, for worlds, exploration and shuffles."""
    return key if axis is None else jax.random.fold_in(key, jax.lax.axis_index(axis))


def mean_over(axis: str | None, tree: T) -> T:
    """Average every leaf over the devices."""
    return tree if axis is None else jax.lax.pmean(tree, axis)


def of_first(axis: str | None, tree: T) -> T:
    """The first device's value of every leaf, on all devices."""
    if axis is None:
        return tree
    chosen: T = jax.tree.map(lambda leaf: jax.lax.all_gather(leaf, axis)[0], tree)
    return chosen
