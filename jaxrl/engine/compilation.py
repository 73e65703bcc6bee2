"""Compiling ahead of the run, so that its time is known apart, and keeping compiled programs on disk."""

import contextlib
import contextvars
import os
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import jax
from jax.experimental.compilation_cache import compilation_cache

CACHE_DIR = "jax_compilation_cache_dir"
DETERMINISTIC: Mapping[str, Any] = MappingProxyType({"xla_gpu_deterministic_ops": True})
"""On a GPU: no sums whose order its threads decide, and no choice of kernels by how long they take just now."""

ON_CPU: Mapping[str, Any] = MappingProxyType(
    {
        "xla_backend_optimization_level": 2,  # quicker to compile than the highest level, and no slower to run
        "xla_cpu_prefer_vector_width": 512,  # where the processor has such vectors, which XLA halves
    }
)
"""On a CPU. One that XLA_FLAGS names goes before."""

_options: contextvars.ContextVar[Mapping[str, Any]] = contextvars.ContextVar("options", default=MappingProxyType({}))


class Program(NamedTuple):
    """What to compile."""

    function: Callable[..., Any]
    args: tuple[Any, ...]
    """Or their shapes."""
    donate: tuple[int, ...] = ()


def compile_ahead(function: Callable[..., Any], *args: Any, donate: tuple[int, ...] = ()) -> tuple[Any, float]:
    """`function` compiled for arguments like `args`, and the seconds that tracing and compiling took."""
    (compiled,), seconds = compile_together(Program(function, args, donate))
    return compiled, seconds


def compile_together(*programs: Program) -> tuple[list[Any], float]:
    """The programs compiled at the same time, and the seconds that tracing and compiling took."""
    began = time.perf_counter()
    options = {**_options_of_device(), **_options.get()}
    with ThreadPoolExecutor(len(programs)) as threads:
        started = [threads.submit(_compile, _lowered(each), options) for each in programs]
        compiled = [each.result() for each in started]
    return compiled, time.perf_counter() - began


def _lowered(program: Program) -> jax.stages.Lowered:
    return jax.jit(program.function, donate_argnums=program.donate).lower(*program.args)


def _compile(lowered: jax.stages.Lowered, options: Mapping[str, Any]) -> jax.stages.Compiled:
    return lowered.compile(compiler_options=dict(options))


def _options_of_device() -> Mapping[str, Any]:
    if jax.default_backend() != "cpu":
        return {}
    return {name: value for name, value in ON_CPU.items() if name not in os.environ.get("XLA_FLAGS", "")}


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
