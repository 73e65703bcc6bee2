"""Work that only a few of many lanes need."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

_LEAST_LANES = 64


def only_where(needed: jax.Array, function: Callable[[Any], Any], argument: Any, otherwise: Any) -> Any:
    """`function(argument)` where `needed` (bool []), else `otherwise`, a tree of the same shapes.

    Under `vmap` a branch runs on both sides in every lane. Here the lanes that need the function are brought together,
    and it runs on so many at a time, as often as there are such lanes. `function` must take all arrays that it uses in
    `argument`.
    """
    lanes = jax.tree.map(lambda leaf: jnp.asarray(leaf)[None], (needed, argument, otherwise))
    return jax.tree.map(lambda leaf: leaf[0], _in_lanes(function)(*lanes))


def _in_lanes(function: Callable[[Any], Any]) -> Any:
    """The same with a leading axis [N] everywhere; further `vmap`s make it longer."""
    in_lanes = jax.custom_batching.custom_vmap(functools.partial(_some_at_a_time, function))

    @in_lanes.def_vmap
    def rule(axis_size: int, in_batched: Any, *arguments: Any) -> Any:
        found = in_lanes(*jax.tree.map(functools.partial(_merged, axis_size), arguments, tuple(in_batched)))
        found = jax.tree.map(lambda leaf: leaf.reshape(axis_size, -1, *leaf.shape[1:]), found)
        return found, jax.tree.map(lambda _: True, found)

    return in_lanes


def _merged(axis_size: int, leaf: Any, is_batched: bool) -> Any:
    """[A * N, ...] from [A, N, ...], or from [N, ...] where it is not batched."""
    leaf = leaf if is_batched else jnp.broadcast_to(leaf, (axis_size, *leaf.shape))
    return leaf.reshape(leaf.shape[0] * leaf.shape[1], *leaf.shape[2:])


def _some_at_a_time(function: Callable[[Any], Any], needed: jax.Array, argument: Any, otherwise: Any) -> Any:
    num = len(needed)
    size = min(num, max(_LEAST_LANES, num // 8))

    def some(carry: Any) -> Any:
        waiting, result = carry
        (lanes,) = jnp.nonzero(waiting, size=size, fill_value=num)
        found = jax.vmap(function)(jax.tree.map(lambda leaf: leaf.at[lanes].get(mode="clip"), argument))
        result = jax.tree.map(lambda old, new: old.at[lanes].set(new, mode="drop"), result, found)
        return waiting.at[lanes].set(False, mode="drop"), result

    return jax.lax.while_loop(lambda carry: carry[0].any(), some, (needed, otherwise))[1]
