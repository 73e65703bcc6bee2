"""Seeds over devices: each device trains its share of them, and they never talk to one another."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P


def seed_mesh(devices: int | None, seeds: int) -> Mesh | None:
    """A mesh whose one axis holds the seeds; None for the default device alone.

    Raises ValueError where there are fewer devices than asked for, or the seeds cannot be shared evenly.
    """
    if devices is None:
        return None
    if isinstance(devices, bool) or not isinstance(devices, int) or devices < 1:
        raise ValueError(f"devices must be None (the default device) or a number of at least 1, got {devices!r}.")
    available = jax.devices()
    if devices > len(available):
        raise ValueError(f"devices={devices} was asked for, and JAX sees {len(available)} ({available[0].platform}).")
    if seeds == 1 and devices > 1:
        raise NotImplementedError(
            f"Spreading the environments of one agent over {devices} devices is not built yet; use devices=None, or at "
            f"least {devices} seeds."
        )
    if seeds % devices:
        raise ValueError(f"seeds must be a multiple of devices, got {seeds} seeds for {devices} devices.")
    return Mesh(np.asarray(available[:devices]), ("seeds",))


def over_seeds(function: Callable[..., Any], in_axes: Sequence[int | None], mesh: Mesh | None) -> Callable[..., Any]:
    """`vmap` of `function` over the arguments whose axis is 0, the seeds spread over the devices of `mesh`."""
    mapped = jax.vmap(function, in_axes=tuple(in_axes))
    if mesh is None:
        return mapped
    specs = tuple(P() if axis is None else P("seeds") for axis in in_axes)
    # shard_map, not a sharded jit: no compiler's choice can put a collective between seeds.
    return jax.shard_map(mapped, mesh=mesh, in_specs=specs, out_specs=P("seeds"), check_vma=False)


def place_seeds(tree: Any, mesh: Mesh | None) -> Any:
    """`tree`, whose leaves have the seeds as their first axis, on the devices of `mesh`."""
    return tree if mesh is None else jax.device_put(tree, NamedSharding(mesh, P("seeds")))
