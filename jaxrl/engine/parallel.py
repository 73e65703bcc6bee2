"""Agents over devices, and one agent over several of them.

The devices lie in a mesh of two axes. Along `agents` each row of devices trains its share of the agents, and the rows
never talk to one another. Along `data` the devices of one agent share its environments and its replay, and average
what they learn (`jaxrl/components/axis.py`): all of them hold the same learner.
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from jaxrl.algorithm import Algorithm

AGENTS, DATA = "agents", "data"


def device_mesh(devices: int | None, devices_per_agent: int | None, agents: int, *, even: bool = False) -> Mesh | None:
    """The devices for `agents` agents as a mesh (agents, data); None for the default device alone.

    `devices` None is all that JAX has, as far as there are agents for them. `devices_per_agent` None is one, but for a
    single agent all of the `devices` that were asked for. With `even` all devices get equally many agents. Raises
    ValueError with one sentence.
    """
    for name, value in (("devices", devices), ("devices_per_agent", devices_per_agent)):
        if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
            raise ValueError(f"{name} must be None or a whole number of at least 1, got {value!r}.")
    available = jax.devices()
    if devices is not None and devices > len(available):
        raise ValueError(f"devices={devices} was asked for, and JAX sees {len(available)} ({available[0].platform}).")
    total = devices or len(available)
    each = devices_per_agent or (total if agents == 1 and devices else 1)
    if each > total or (devices is not None and devices % each):
        raise ValueError(f"devices must be a multiple of devices_per_agent, got {total} and {each}.")
    rows = min(total // each, agents)
    if even:
        rows = max(count for count in range(1, rows + 1) if agents % count == 0)
    _require_all_hosts(available[: rows * each])
    if rows * each == 1 and devices is None:
        return None
    return Mesh(np.asarray(available[: rows * each]).reshape(rows, each), (AGENTS, DATA))


def _require_all_hosts(devices: Sequence[jax.Device]) -> None:
    taking_part = len({device.process_index for device in devices})
    if taking_part < jax.process_count():
        raise ValueError(
            f"The agents take {len(devices)} of {jax.device_count()} devices, which only {taking_part} of "
            f"{jax.process_count()} processes have; train more seeds, raise devices_per_agent, or start fewer of them."
        )


def num_rows(mesh: Mesh | None) -> int:
    """Among how many rows of devices the agents are dealt out."""
    return 1 if mesh is None else mesh.shape[AGENTS]


def num_columns(mesh: Mesh | None) -> int:
    """How many devices share one agent."""
    return 1 if mesh is None else mesh.shape[DATA]


def over_data(algorithm: Algorithm[Any]) -> Algorithm[Any]:
    """`algorithm` as each of several devices runs it; ValueError where it cannot be run so."""
    if not hasattr(algorithm, "axis"):
        raise ValueError(
            f"Several devices can share an agent whose algorithm has a field axis, which {type(algorithm).__name__} "
            "has not; use devices_per_agent=1."
        )
    return _with_axis(algorithm, DATA)


def alone(algorithm: Algorithm[Any]) -> Algorithm[Any]:
    """`algorithm` as a single device runs it."""
    return algorithm if getattr(algorithm, "axis", None) is None else _with_axis(algorithm, None)


def _with_axis(algorithm: Any, axis: str | None) -> Any:
    return dataclasses.replace(algorithm, axis=axis)  # the contract asks for no dataclass, but who has an axis is one


def hardware_of(mesh: Mesh | None) -> str:
    """`8 x NVIDIA H100`."""
    devices = jax.devices()[:1] if mesh is None else mesh.devices.ravel().tolist()
    return f"{len(devices)} x {devices[0].device_kind}"


def over_agents(
    function: Callable[..., Any], in_axes: Sequence[Any], mesh: Mesh | None, in_specs: Sequence[Any], out_specs: Any
) -> Callable[..., Any]:
    """`vmap` of `function`, which is written for one agent, spread over the devices of `mesh` where there is one.

    The second argument are keys [m]. A single agent, of all or of a device, is not mapped: its products are quicker so,
    its branches stay branches, and its environments may be ones that cannot be copied.
    """
    mapped = jax.vmap(function, in_axes=tuple(in_axes))

    def on_one_device(*arguments: Any) -> Any:
        if len(arguments[1]) > 1:
            return mapped(*arguments)
        found = function(*map(_only, in_axes, arguments))
        return jax.tree.map(lambda leaf: leaf[None], found)

    if mesh is None:
        return on_one_device
    # shard_map, not a sharded jit: no compiler's choice can put a collective between agents.
    return jax.shard_map(on_one_device, mesh=mesh, in_specs=tuple(in_specs), out_specs=out_specs, check_vma=False)


def _only(axes: Any, tree: Any) -> Any:
    """`tree` without the axis that vmap's `axes` give it, which has one entry."""
    if axes is None:
        return tree
    if isinstance(axes, int):
        return jax.tree.map(lambda leaf: leaf[0], tree)
    return jax.tree.map(_only, axes, tree, is_leaf=lambda axis: axis is None)


def state_specs(state: Any, mesh: Mesh | None) -> Any:
    """How the leaves of states [M, ...] lie on the devices.

    Where several devices share an agent they all hold its learner, and each its own part of the rest, which has them
    as its second axis: [M, D, ...].
    """
    if num_columns(mesh) == 1:
        return P(AGENTS)
    return dataclasses.replace(jax.tree.map(lambda _: P(AGENTS, DATA), state), learner=P(AGENTS))


def own_part(state: Any, mesh: Mesh | None) -> Any:
    """An agent's state on one device, without the axis of its devices."""
    return _outside_of_learner(lambda leaf: leaf[0], state) if num_columns(mesh) > 1 else state


def with_device_axis(state: Any, mesh: Mesh | None) -> Any:
    """The reverse of `own_part`."""
    return _outside_of_learner(lambda leaf: leaf[None], state) if num_columns(mesh) > 1 else state


def _outside_of_learner(change: Callable[[Any], Any], state: Any) -> Any:
    rest = jax.tree.map(change, dataclasses.replace(state, learner=None))
    return dataclasses.replace(rest, learner=state.learner)


def place(tree: Any, mesh: Mesh | None) -> Any:
    """`tree`, whose leaves have the agents as their first axis, on the devices of `mesh`."""
    if mesh is None:
        return tree
    sharding = NamedSharding(mesh, P(AGENTS))
    return jax.tree.map(lambda leaf: put(leaf, sharding), tree)


def put(leaf: Any, sharding: Any) -> jax.Array:
    """An array, which every host has whole or its part of, where `sharding` says."""
    if sharding.is_fully_addressable:
        return jax.device_put(leaf, sharding)
    if getattr(leaf, "sharding", None) == sharding:
        return leaf
    # device_put takes no PRNG keys there, and compares the numbers of all hosts each time.
    if not _is_here(leaf):
        return jax.jit(_same, out_shardings=sharding)(leaf)
    if not jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        return jax.jit(_same, out_shardings=sharding)(np.asarray(leaf))
    wrap = jax.jit(jax.random.wrap_key_data, static_argnames="impl", out_shardings=sharding)
    return wrap(np.asarray(jax.random.key_data(leaf)), impl=jax.random.key_impl(leaf))


def _same(leaf: jax.Array) -> jax.Array:
    return leaf


def fetch(tree: Any) -> Any:
    """`tree` in numpy, on every host, wherever its parts lie."""
    return jax.tree.map(_fetched, tree) if jax.process_count() > 1 else jax.device_get(tree)


def _fetched(leaf: Any) -> Any:
    return jax.device_get(leaf) if _is_here(leaf) else multihost_utils.process_allgather(leaf, tiled=True)


def _is_here(leaf: Any) -> bool:
    """Whether this host has the whole of it."""
    return not isinstance(leaf, jax.Array) or leaf.is_fully_addressable


def agreed(number: int, flag: bool) -> tuple[int, bool]:
    """What all hosts go by: the largest number that one of them has, and the first one's flag."""
    if jax.process_count() == 1:
        return number, flag
    found = multihost_utils.process_allgather(np.array([number, flag]))
    return int(found[:, 0].max()), bool(found[0, 1])
