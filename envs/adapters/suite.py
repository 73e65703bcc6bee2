"""What the adapters of other suites share: a package that may be missing, and an object made once for each name."""

import importlib
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jaxrl.envs.environment import TimeStep

Settings = tuple[tuple[str, Any], ...]
"""Keyword arguments, sorted, as a value that can be hashed."""


def package(suite: str, name: str | None = None) -> Any:
    """The module `name` (the suite's own) of an optional package; ImportError with one sentence where it is missing."""
    try:
        return importlib.import_module(name or suite)
    except ImportError as error:
        raise ImportError(
            f"The environments {suite}/... need the package {suite}, which cannot be imported ({error}); "
            f'install it with pip install "jaxrl[{suite}]".'
        ) from error


def made(suite: str, name: str, make: Callable[..., Any], settings: Settings) -> Any:
    """`make(name, **settings)`; ValueError with one sentence where it raises anything."""
    try:
        return make(name, **dict(settings))
    except Exception as error:  # another library's constructor raises whatever it likes
        what = " ".join(f"{type(error).__name__}: {error}".split())
        raise ValueError(f"{suite} cannot make '{name}' ({what}).") from error


def as_settings(settings: dict[str, Any]) -> Settings:
    """Keyword arguments as a value."""
    return tuple(sorted(settings.items()))


def theirs(function: Callable[..., Any], *args: Any) -> Any:
    """What `function` gives, strong; it may broadcast over a missing axis, which JAX can be told to refuse."""
    with jax.numpy_rank_promotion("allow"):
        return strong(function(*args))


def strong(tree: Any) -> Any:
    """Every leaf as an array whose dtype does not depend on what it meets (no weak types)."""
    return jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.result_type(leaf)), tree)


def timestep(obs: Any, reward: Any, terminated: Any, truncated: Any) -> TimeStep:
    """A step as the contract has it, without diagnostics."""
    return TimeStep(
        obs=strong(obs),
        reward=jnp.asarray(reward, jnp.float32),
        terminated=jnp.asarray(terminated, bool),
        truncated=jnp.asarray(truncated, bool),
        info={},
    )
