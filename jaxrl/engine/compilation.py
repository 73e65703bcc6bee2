"""Compiling ahead of the run, so that its time is known apart, and keeping compiled programs on disk."""

import contextlib
import contextvars
import os
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import jax
from jax.experimental.compilation_cache import compilation_cache

CACHE_DIR = "jax_compilation_cache_dir"
DETERMINISTIC: Mapping[str, Any] = MappingProxyType({"xla_gpu_deterministic_ops": True})
"""On a GPU: no sums whose order its threads decide, and no choice of kernels by how long they take just now."""

RUNS_ONCE: Mapping[str, Any] = MappingProxyType({"xla_backend_optimization_level": 1})
"""On a CPU, for a program that runs once: a third less time to compile, and hardly more to run."""

_options: contextvars.ContextVar[Mapping[str, Any]] = contextvars.ContextVar("options", default=MappingProxyType({}))


def compile_ahead(
    function: Callable[..., Any], *args: Any, donate: tuple[int, ...] = (), runs_once: bool = False
) -> tuple[Any, float]:
    """`function` compiled for arguments like `args`, and the seconds that tracing and compiling took."""
    began = time.perf_counter()
    options = {**_options.get(), **(RUNS_ONCE if runs_once and jax.default_backend() == "cpu" else {})}
    compiled = jax.jit(function, donate_argnums=donate).lower(*args).compile(compiler_options=options)
    return compiled, time.perf_counter() - began


def deterministic(is_wanted: bool) -> Mapping[str, Any]:
    """The compiler options for the same bits in every run, where the default device needs some."""
    return DETERMINISTIC if is_wanted and jax.default_backend() == "gpu" else {}


@contextlib.contextmanager
def compiler_options(options: Mapping[str, Any]) -> Iterator[None]:
    """Give XLA these options for all that `compile_ahead` compiles inside."""
    token = _options.set({**_options.get(), **options})
    try:
        yield
    finally:
        _options.reset(token)


def cache_directory() -> Path | None:
    """Where compiled programs are kept between processes: `$JAXRL_CACHE`, else `~/.cache/jaxrl`.

    None where that cannot be written, or there is no home.
    """
    try:
        directory = Path(os.environ.get("JAXRL_CACHE") or Path.home() / ".cache" / "jaxrl")
        directory.mkdir(parents=True, exist_ok=True)
    except (OSError, RuntimeError):
        return None
    return directory if os.access(directory, os.W_OK) else None


@contextlib.contextmanager
def disk_cache() -> Iterator[None]:
    """Keep what is compiled inside on disk, and take from there what was compiled before.

    A cache of JAX's own that the user has set stays in charge. Nothing of JAX's configuration is changed afterwards.
    A directory that cannot be written only means compiling again.
    """
    directory = cache_directory() if getattr(jax.config, CACHE_DIR) is None else None
    if directory is None:
        yield
        return
    settings = {
        CACHE_DIR: str(directory),
        "jax_persistent_cache_min_compile_time_secs": 0.0,
        "jax_persistent_cache_min_entry_size_bytes": -1,
    }
    before = {name: getattr(jax.config, name) for name in settings}
    for name, value in settings.items():
        jax.config.update(name, value)
    try:
        yield
    finally:
        for name, value in before.items():
            jax.config.update(name, value)
        compilation_cache.reset_cache()  # JAX otherwise goes on writing to the directory it has opened
