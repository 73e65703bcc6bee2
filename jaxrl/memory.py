"""How much memory there is, and how much a tree of arrays takes."""

import importlib.util
import math
import os
import sys
from typing import Any

import jax


def device_bytes() -> int:
    """Memory of the default device; of the host where that is the device."""
    stats = jax.local_devices()[0].memory_stats() or {}
    return stats.get("bytes_limit") or os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def peak_bytes() -> int:
    """The most memory that the default device held at once in this process; where it is the CPU, the process itself."""
    stats = jax.local_devices()[0].memory_stats() or {}
    if "peak_bytes_in_use" in stats or importlib.util.find_spec("resource") is None:  # Windows has none
        return int(stats.get("peak_bytes_in_use", 0))
    import resource

    in_process = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return int(in_process)


def program_bytes(compiled: Any) -> int:
    """Bytes that a compiled program holds on a device while it runs, its arguments and results included."""
    found = compiled.memory_analysis()
    if found is None:  # not every backend tells
        return 0
    return int(
        found.argument_size_in_bytes + found.output_size_in_bytes - found.alias_size_in_bytes + found.temp_size_in_bytes
    )


def require_memory(capacity: int, needed: int) -> None:
    """Raise ValueError where one agent's replay of `capacity` transitions, `needed` bytes, cannot fit."""
    available = device_bytes()
    if needed > available:
        raise ValueError(
            f"replay_capacity={capacity} takes {size(needed)} for each agent, and a device has {size(available)}; "
            "lower it."
        )


def tree_bytes(tree: Any) -> int:
    """Bytes of a tree of arrays, or of their shapes."""
    return sum(math.prod(leaf.shape) * leaf.dtype.itemsize for leaf in jax.tree.leaves(tree))


def size(number: int) -> str:
    """A number of bytes for people, such as 1.5 GiB."""
    units = ("B", "KiB", "MiB", "GiB")
    power = min(int(math.log2(max(number, 1)) // 10), len(units) - 1)
    return f"{number / 1024**power:,.1f} {units[power]}" if power else f"{number} B"
