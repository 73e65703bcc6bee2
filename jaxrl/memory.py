"""How much memory there is, and how much a tree of arrays takes."""

import importlib.util
import math
import os
import sys
from pathlib import Path
from typing import Any

import jax


def device_bytes() -> int:
    """Memory of the default device; of the host where that is the device."""
    stats = jax.local_devices()[0].memory_stats() or {}
    return stats.get("bytes_limit") or os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def free_bytes() -> int:
    """Of the memory of the default device, what is not taken; of the host's where that is the device."""
    stats = jax.local_devices()[0].memory_stats() or {}
    if "bytes_limit" in stats:
        return int(stats["bytes_limit"] - stats.get("bytes_in_use", 0))
    return _first_kilobytes("/proc/meminfo", "MemAvailable:") or device_bytes()


def held_bytes() -> int:
    """What the default device holds for this process; where it is the CPU, all that the process holds."""
    stats = jax.local_devices()[0].memory_stats() or {}
    return int(stats.get("bytes_in_use", 0)) or _first_kilobytes("/proc/self/status", "VmRSS:") or 0


def peak_bytes() -> int:
    """The most memory that the default device held at once in this process; where it is the CPU, the process itself."""
    stats = jax.local_devices()[0].memory_stats() or {}
    if "peak_bytes_in_use" in stats or importlib.util.find_spec("resource") is None:  # Windows has none
        return int(stats.get("peak_bytes_in_use", 0))
    import resource

    in_process = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return int(in_process)


def _first_kilobytes(path: str, label: str) -> int | None:
    """The number behind `label` in one of Linux's files on memory, in bytes; None where there is none."""
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(label)), None)


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
