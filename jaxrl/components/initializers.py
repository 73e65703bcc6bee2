"""The first parameters of a network, with all its orthogonal kernels from one draw."""

import contextlib
import contextvars
import math
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxrl.pytree import dataclass, static

Initializer = Callable[[jax.Array, tuple[int, ...]], Any]


# The jits here are for the time that tracing takes: flax evaluates a layer's initialiser abstractly wherever the layer
# is applied, and what is traced is kept for kernels of one shape.
@partial(jax.jit, static_argnames=("shape", "gain"))
def orthogonal_kernel(normals: jax.Array, shape: tuple[int, ...], gain: float) -> jax.Array:
    """The kernel of that shape that as many standard normals give; no direction is likelier (Mezzadri 2007)."""
    *lead, rows, columns = shape
    q, r = jnp.linalg.qr(normals.reshape(*lead, max(rows, columns), min(rows, columns)))
    q = q * jnp.where(jnp.diagonal(r, axis1=-2, axis2=-1) < 0, -gain, gain)[..., None, :]
    return q if rows >= columns else jnp.swapaxes(q, -1, -2)


@dataclass
class Kernel(nn.meta.AxisMetadata[jax.Array]):
    """The place of an orthogonal kernel that is still to be drawn, in the parameters of a network."""

    value: jax.Array
    gain: float = static()

    def unbox(self) -> jax.Array:
        """What layers see of it."""
        return self.value

    def replace_boxed(self, val: jax.Array) -> "Kernel":
        """The same place, of another shape."""
        return Kernel(val, self.gain)

    def add_axis(self, index: int, params: dict[Any, Any]) -> "Kernel":
        """An ensemble's; `value` has it already."""
        return self

    def remove_axis(self, index: int, params: dict[Any, Any]) -> "Kernel":
        """One network of an ensemble."""
        return self


_is_drawn_later = contextvars.ContextVar("is_drawn_later", default=False)


def orthogonal(gain: float = 1.0) -> Initializer:
    """Kernels [..., in, out] with orthonormal rows or columns, times `gain` (Saxe et al. 2014)."""

    def initialize(key: jax.Array, shape: tuple[int, ...], dtype: Any = jnp.float32) -> Any:
        if _is_drawn_later.get():
            return Kernel(jnp.zeros(shape, dtype), gain)
        return _lone_kernel(key, shape, gain)

    return initialize


@partial(jax.jit, static_argnames=("shape", "gain"))
def _lone_kernel(key: jax.Array, shape: tuple[int, ...], gain: float) -> jax.Array:
    return orthogonal_kernel(jax.random.normal(key, (math.prod(shape),)), shape, gain)


def init_network(module: nn.Module, key: jax.Array, *args: Any, method: str = "__call__") -> Any:
    """`module.init(key, *args)`: parameters of any network, or of what `method` uses, under any number of vmaps.

    The kernels of `orthogonal` come from a single draw: a draw for each layer is most of the time in which a training's
    first program compiles. Vmapped, agents are initialised one after another. The batched QR decompositions of a
    vmapped initialiser can wait for each other for ever on a CPU, and the sequence costs little: 0.5 ms per agent with
    six layers, a third of what an initialiser made of matrix products alone (Newton-Schulz) costs there.
    """

    @jax.custom_batching.sequential_vmap
    def init(key: jax.Array, args: tuple[Any, ...]) -> Any:
        other_key, kernel_key = jax.random.split(key)
        with _drawn_later():
            params = module.init(other_key, *args, method=method)
        return _with_kernels(kernel_key, params)

    return init(key, args)


@contextlib.contextmanager
def _drawn_later() -> Iterator[None]:
    token = _is_drawn_later.set(True)
    try:
        yield
    finally:
        _is_drawn_later.reset(token)


def _with_kernels(key: jax.Array, params: Any) -> Any:
    """`params` with each `Kernel` drawn."""
    leaves, structure = jax.tree.flatten(params, is_leaf=lambda leaf: isinstance(leaf, Kernel))
    sizes = [leaf.value.size if isinstance(leaf, Kernel) else 0 for leaf in leaves]
    normals, used = jax.random.normal(key, (sum(sizes),)), 0
    for place, (leaf, size) in enumerate(zip(leaves, sizes, strict=True)):
        if isinstance(leaf, Kernel):
            leaves[place] = orthogonal_kernel(normals[used : used + size], leaf.value.shape, leaf.gain)
            used += size
    return jax.tree.unflatten(structure, leaves)
