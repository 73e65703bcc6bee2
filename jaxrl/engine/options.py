"""What a run is asked to do besides training: how many agents, where, what is measured, shown and saved."""

import dataclasses
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl.algorithm import Algorithm
from jaxrl.engine import run_folder
from jaxrl.engine.hosts import on_first
from jaxrl.engine.parallel import device_mesh, num_columns, over_data
from jaxrl.engine.programs import state_shape
from jaxrl.engine.replay_memory import replay_bytes
from jaxrl.engine.reporting.logs import check_logs
from jaxrl.engine.train import typed_key
from jaxrl.envs.vector import is_host_stepped
from jaxrl.pytree import unknown_name
from jaxrl.settings import plain

PRNGS = ("threefry2x32", "rbg", "unsafe_rbg")


@dataclasses.dataclass(frozen=True)
class Options:
    """The arguments of `run`, which explains them."""

    seeds: int = 1
    seed: Any = 0
    prng: str | None = None
    deterministic: bool = False
    devices: int | None = None
    devices_per_agent: int | None = None
    max_memory: float | None = None
    directory: Any = None
    num_reports: int = 100
    eval_episodes: int = 128
    eval_every: int | None = None
    target_return: float | None = None
    progress: bool = True
    log: Any = ()
    """A tuple of names, however it was given."""
    log_seeds: bool = False
    profile: bool = False
    checkpoint_every: float | None = 60.0
    keep_checkpoints: int = 2
    checkpoint_replay: bool = True
    search: Any = None
    """How a sweep changes its population while it trains."""

    def __post_init__(self) -> None:
        """Numpy's numbers become Python's, which settings.yaml can hold, and one log a list of one."""
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if isinstance(value, np.generic):
                object.__setattr__(self, field.name, value.item())
        if isinstance(self.log, (str, list)) or self.log is None:
            object.__setattr__(self, "log", (self.log,) if isinstance(self.log, str) else tuple(self.log or ()))

    @property
    def folder(self) -> Path | None:
        """Where everything is written; None keeps it in memory."""
        return None if self.directory is None else Path(self.directory)

    @property
    def key(self) -> jax.Array:
        """What all randomness comes from."""
        if isinstance(self.seed, dict):  # as the settings of a run have it
            self._check_own_prng()
            return jax.random.wrap_key_data(jnp.asarray(self.seed["data"], jnp.uint32), impl=self.seed["impl"])
        if isinstance(self.seed, bool) or not isinstance(self.seed, (int, jax.Array, np.ndarray)):
            raise TypeError(f"seed must be a whole number or a JAX key, got {self.seed!r}.")
        if self.prng not in (None, *PRNGS):
            raise ValueError(f"prng must be None or one of {', '.join(map(repr, PRNGS))}, got {self.prng!r}.")
        if not isinstance(self.seed, int):
            self._check_own_prng()
            return typed_key(self.seed)
        if not -(2**63) <= self.seed < 2**63:
            raise ValueError(f"seed must be a whole number of at most 64 bits, got {self.seed}.")
        return jax.random.key(self.seed, impl=self.prng)

    def _check_own_prng(self) -> None:
        if self.prng is not None:
            raise ValueError(f"A JAX key given as seed has a PRNG of its own; leave prng at None, got {self.prng!r}.")

    def as_settings(self) -> dict[str, Any]:
        """Plain data for settings.yaml; it names the PRNG, also where that is the default of JAX."""
        key, seed, prng = self.key, self.seed, None
        impl = str(jax.random.key_impl(key))
        if isinstance(seed, int):
            prng = impl
        else:
            seed = {"impl": impl, "data": jax.random.key_data(key).tolist()}
        written = {
            "directory": str(self.directory),
            "seed": seed,
            "prng": prng,
            "log": list(self.log),
            "search": plain(self.search),
        }
        return dataclasses.asdict(dataclasses.replace(self, seed=0, search=None)) | written


def options_of(**given: Any) -> Options:
    """The options that are given by name; TypeError with one sentence where there is none of a name."""
    known = [field.name for field in dataclasses.fields(Options)]
    for name in given:
        if name not in known:
            raise TypeError(unknown_name("There is no option", name, known))
    return Options(**given)


def check_options(algorithm: Algorithm[Any] | Any, options: Options) -> None:
    """Raise TypeError, ValueError or OSError with one sentence where `run` could not do it; nothing is begun."""
    _check_values(algorithm, options)
    if options.directory is not None:
        on_first(lambda: run_folder.check_new(options.directory))
    elif options.log or options.profile:
        wanted = f"log={list(options.log)}" if options.log else "profile=True"
        raise ValueError(f"{wanted} writes into the folder of the run, and there is none; give it a directory.")
    if not options.checkpoint_replay and replay_bytes(algorithm) and not hasattr(algorithm, "replay_capacity"):
        raise ValueError(
            "checkpoint_replay=False needs an algorithm with a field replay_capacity, which "
            f"{type(algorithm).__name__} has not; leave it at True."
        )


def check_resumed(algorithm: Algorithm[Any], options: Options) -> None:
    """The same for a run that goes on in its folder."""
    _check_values(algorithm, options)
    on_first(lambda: run_folder.check_writable(Path(options.directory)))


def _check_values(algorithm: Any, options: Options) -> None:
    _check_algorithm(algorithm)
    for name, minimum in (("seeds", 1), ("num_reports", 1), ("eval_episodes", 0), ("keep_checkpoints", 1)):
        _check_whole(name, getattr(options, name), minimum)
    if options.eval_every is not None:
        _check_whole("eval_every", options.eval_every, 1)
        if options.eval_episodes == 0:
            raise ValueError("eval_every plays eval_episodes greedy episodes each time, got eval_episodes=0; raise it.")
    for name in ("deterministic", "progress", "log_seeds", "profile", "checkpoint_replay"):
        if not isinstance(getattr(options, name), bool):
            raise TypeError(f"{name} must be true or false, got {getattr(options, name)!r}.")
    _check_number("target_return", options.target_return, "a return", -np.inf)
    _check_number("max_memory", options.max_memory, "a number of GiB of at least 0", 0)
    _check_number("checkpoint_every", options.checkpoint_every, "a number of seconds of at least 0", 0)
    if options.search is not None and options.target_return is not None:
        raise ValueError("A search decides itself who goes on; use target_return=None beside it.")
    if options.search is not None and jax.process_count() > 1:
        raise ValueError(
            f"A search changes the population of one process, and {jax.process_count()} train together; use "
            "search=None."
        )
    if is_host_stepped(algorithm.env):
        _check_host_stepped(algorithm, options)
    key = options.key  # making it checks the seed
    mesh = device_mesh(options.devices, options.devices_per_agent, options.seeds)
    if num_columns(mesh) > 1:
        state_shape(over_data(algorithm), key, num_columns(mesh))  # refuses sizes that the devices do not divide
    check_logs(options.log)


def _check_host_stepped(algorithm: Algorithm[Any], options: Options) -> None:
    """What is in the middle of something outside of JAX can be had once."""
    for name, is_refused, wanted in (
        ("seeds", options.seeds > 1, "1, or train one run after another"),
        ("devices", (options.devices or 1) > 1, "None or 1"),
        (
            "checkpoint_every",
            options.directory is not None and options.checkpoint_every is not None,
            "None (in a shell null)",
        ),
    ):
        if is_refused:
            raise ValueError(
                f"{algorithm.env} is stepped outside of JAX, where it can be neither copied nor saved: {name} must be "
                f"{wanted}, got {getattr(options, name)}."
            )


def _check_algorithm(algorithm: Any) -> None:
    missing = [name for name in ("init", "step", "policy", "env", "total_steps") if not hasattr(algorithm, name)]
    if isinstance(algorithm, type) or missing:
        found = f"the class {algorithm.__name__}" if isinstance(algorithm, type) else type(algorithm).__name__
        raise TypeError(f"run needs an algorithm such as jaxrl.PPO(env), got {found}.")
    if getattr(algorithm, "axis", None) is not None:
        raise ValueError(f"run names the axis of the devices itself and needs axis=None, got axis={algorithm.axis!r}.")


def _check_whole(name: str, value: Any, minimum: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < minimum:
        raise ValueError(f"{name} must be a whole number of at least {minimum}, got {value!r}.")


def _check_number(name: str, value: Any, what: str, minimum: float) -> None:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if value is not None and not (is_number and value >= minimum and value < np.inf):
        raise ValueError(f"{name} must be None or {what}, got {value!r}.")
