"""JAX for the tests: the CPU as eight virtual devices, silent broadcasting refused, programs kept between runs."""

import os
from pathlib import Path
from typing import Any

import pytest

os.environ.setdefault("JAX_PLATFORMS", "cpu")
# Nearly every program runs for a moment, so that compiling is what takes time; for the others there is long_runs.py.
os.environ["XLA_FLAGS"] = " ".join(
    [
        "--xla_force_host_platform_device_count=8",
        "--xla_backend_optimization_level=0",
        "--xla_llvm_disable_expensive_passes=true",
        "--xla_cpu_use_fusion_emitters=false",
        os.environ.get("XLA_FLAGS", ""),  # of two that contradict each other the last counts
    ]
)

import jax

jax.config.update("jax_numpy_rank_promotion", "raise")
# A second run of the tests, and the other workers, take their compiled programs from here.
jax.config.update("jax_compilation_cache_dir", str(Path(__file__).parents[1] / ".pytest_cache" / "jax"))
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.1)

_group: str | None = None


@pytest.fixture(autouse=True)
def _programs_go_with_their_group(request: pytest.FixtureRequest) -> None:
    """Drop what was compiled for a group of tests once it is over.

    A process has room for some 65,000 memory maps (Linux), of which every program takes a few; beyond them it aborts.
    """
    global _group
    mark = request.node.get_closest_marker("xdist_group")
    group = mark.args[0] if mark else None
    if group != _group:
        jax.clear_caches()
        _group = group


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The figures that are saved, in their order."""
    from matplotlib.figure import Figure

    figures: list[Any] = []
    savefig = Figure.savefig

    def keep(self: Figure, *arguments: Any, **options: Any) -> None:
        figures.append(self)
        savefig(self, *arguments, **options)

    monkeypatch.setattr(Figure, "savefig", keep)
    return figures
