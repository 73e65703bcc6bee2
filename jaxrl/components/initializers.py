"""Initialising networks, also a thousand of them at once."""

import math
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

Initializer = Callable[..., jax.Array]


def orthogonal(gain: float = 1.0) -> Initializer:
    """Kernels [..., rows, columns] whose singular values all equal `gain` (Saxe et al. 2014)."""
    return jax.nn.initializers.orthogonal(gain)


def init_network(module: nn.Module, key: jax.Array, *args: Any) -> Any:
    """`module.init(key, *args)`, one agent after another where it is vmapped."""

    @jax.custom_batching.sequential_vmap
    def init(key: jax.Array, args: tuple[Any, ...]) -> Any:
        return module.init(key, *args)

    return init(key, args)
