"""Training for people: a host loop over one compiled program, with progress, a folder, an evaluation and a summary.

A run with a folder saves itself as it goes; `resume` goes on with it bit for bit.
"""

import contextlib
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh

from jaxrl.algorithm import Algorithm, num_iterations
from jaxrl.engine import run_folder
from jaxrl.engine.compilation import disk_cache
from jaxrl.engine.host_loop import Report, Trained, prepare, train_with_reports
from jaxrl.engine.load import load_policy as load_policy
from jaxrl.engine.parallel import place_seeds, seed_mesh
from jaxrl.engine.programs import compile_evaluate
from jaxrl.engine.progress import progress as show_progress
from jaxrl.engine.record import Run as Run
from jaxrl.engine.record import Timing, count, curve_name, label_of
from jaxrl.engine.replay_memory import check_replays, replay_bytes
from jaxrl.engine.saving import restored, saving
from jaxrl.engine.train import typed_key
from jaxrl.memory import size


def run(  # noqa: PLR0913  # the options of the one public door, each by name
    algorithm: Algorithm[Any],
    *,
    seeds: int = 1,
    seed: int | jax.Array = 0,
    devices: int | None = None,
    directory: str | os.PathLike[str] | None = None,
    num_reports: int = 100,
    eval_episodes: int = 128,
    progress: bool = True,
    checkpoint_every: float | None = 60.0,
    keep_checkpoints: int = 2,
) -> Run:
    """Train `seeds` agents at once, evaluate them, and leave a folder behind.

    Agent k is the one that `train(algorithm, jax.random.split(jax.random.key(seed), seeds)[k])` gives, up to rounding.

    Args:
        algorithm: any `Algorithm`.
        seeds: how many agents, trained in one program.
        seed: a number, or a JAX key in place of `jax.random.key(seed)`.
        devices: over how many devices the seeds are spread; None for the default device alone.
        directory: a new folder for settings.yaml, metrics.csv, evaluation.csv, policies.npz, learning_curve.png and
            summary.txt; None keeps everything in memory.
        num_reports: how many rows each metric gets, lowered to the number of iterations.
        eval_episodes: greedy episodes per agent at the end; 0 for none.
        progress: show on stderr how far the run is.
        checkpoint_every: seconds between two checkpoints at the least, for a run with a directory; None for none. They
            are written while the training goes on, and rarer where they would take more than a twentieth of its time.
        keep_checkpoints: how many of the newest are kept.

    Raises:
        TypeError, ValueError, OSError: one sentence, before anything is compiled.
        Interrupted: Ctrl-C or SIGTERM came, and the run with a directory has saved where it was.
    """
    options: dict[str, Any] = {"seeds": seeds, "seed": seed, "devices": devices, "directory": directory}
    options |= {"num_reports": num_reports, "eval_episodes": eval_episodes, "progress": progress}
    options |= {"checkpoint_every": checkpoint_every, "keep_checkpoints": keep_checkpoints}
    check_options(algorithm, **options)
    folder = None
    if directory is not None:
        from jaxrl.engine.results import open_folder  # pictures and files only for those who want them

        options["directory"] = str(directory)
        options["seed"] = seed if isinstance(seed, int) else jax.random.key_data(_key(seed)).tolist()
        folder = open_folder(directory, algorithm, options)
    return carry_out(algorithm, options, folder, is_resumed=False)


def carry_out(algorithm: Algorithm[Any], options: dict[str, Any], folder: Path | None, *, is_resumed: bool) -> Run:
    """Train, save, evaluate and write down what `options` say, from the beginning or from the newest checkpoint."""
    seeds, show = options["seeds"], options["progress"]
    mesh, key = seed_mesh(options["devices"], seeds), _key(options["seed"])
    with disk_cache():
        keys = place_seeds(jax.random.split(key, seeds), mesh)
        if show:
            print(_announcement(algorithm, seeds), file=sys.stderr, flush=True)
        prepared = prepare(algorithm, keys, mesh)
        saved = None
        if is_resumed and folder is not None:
            prepared, saved = restored(prepared, folder)
        with (
            _reporting(algorithm, seeds, folder, show=show) as on_report,
            saving(algorithm, folder, options) as after,
        ):
            trained = train_with_reports(
                prepared,
                options["num_reports"],
                on_report,
                reports=saved.reports if saved else (),
                seconds=saved.seconds_training if saved else 0.0,
                after=after,
            )
        finished = _evaluated(algorithm, trained, keys, mesh, options["eval_episodes"], folder)
    if folder is not None:
        from jaxrl.engine.results import write_results

        write_results(folder, finished)
    return finished


def check_options(algorithm: Any, **options: Any) -> None:
    """Refuse what `run` would refuse, with the same sentence, and begin nothing; `options` are all of run's."""
    missing = [name for name in ("init", "step", "policy", "env", "total_steps") if not hasattr(algorithm, name)]
    if isinstance(algorithm, type) or missing:
        found = f"the class {algorithm.__name__}" if isinstance(algorithm, type) else type(algorithm).__name__
        raise TypeError(f"run needs an algorithm such as jaxrl.PPO(env), got {found}.")
    if getattr(algorithm, "axis", None) is not None:
        raise ValueError(f"run trains seeds side by side and needs axis=None, got axis={algorithm.axis!r}.")
    for name, minimum in (("seeds", 1), ("num_reports", 1), ("eval_episodes", 0)):
        value = options[name]
        if isinstance(value, bool) or not isinstance(value, int) or value < minimum:
            raise ValueError(f"{name} must be a whole number of at least {minimum}, got {value!r}.")
    _check_saving(options["checkpoint_every"], options["keep_checkpoints"])
    if not isinstance(options["progress"], bool):
        raise TypeError(f"progress must be true or false, got {options['progress']!r}.")
    _key(options["seed"])
    seed_mesh(options["devices"], options["seeds"])
    if options["directory"] is not None:
        run_folder.check_new(options["directory"])
    check_replays(algorithm, options["seeds"], options["devices"])


def _check_saving(every: Any, keep: Any) -> None:
    if every is not None and (isinstance(every, bool) or not isinstance(every, (int, float)) or not every >= 0):
        raise ValueError(f"checkpoint_every must be None or a number of seconds of at least 0, got {every!r}.")
    if isinstance(keep, bool) or not isinstance(keep, int) or keep < 1:
        raise ValueError(f"keep_checkpoints must be a whole number of at least 1, got {keep!r}.")


def _announcement(algorithm: Algorithm[Any], seeds: int) -> str:
    replay = replay_bytes(algorithm)
    memory = f", each with a replay of {size(replay)}" if replay else ""
    return f"Compiling {label_of(algorithm)} for {count(seeds, 'seed')}{memory} ..."


def _key(seed: Any) -> jax.Array:
    if isinstance(seed, list):  # as the settings of a run have it
        return jax.random.wrap_key_data(np.asarray(seed, np.uint32))
    if isinstance(seed, bool) or not isinstance(seed, (int, jax.Array, np.ndarray)):
        raise TypeError(f"seed must be a whole number or a JAX key, got {seed!r}.")
    return jax.random.key(seed) if isinstance(seed, int) else typed_key(seed)


@contextlib.contextmanager
def _reporting(
    algorithm: Algorithm[Any], seeds: int, folder: Path | None, *, show: bool
) -> Iterator[Callable[[Report], None]]:
    """What is to happen after each stretch: a sign of life, and rows on the disk."""
    total_steps = num_iterations(algorithm) * algorithm.steps_per_iteration
    with show_progress(total_steps, seeds, label_of(algorithm), show=show) as report_progress:

        def on_report(report: Report) -> None:
            values = report.metrics[curve_name(report.metrics)]
            values = values[np.isfinite(values) & report.is_finite]
            report_progress(report.steps, float(values.mean()) if values.size else np.nan)
            if folder is not None:
                from jaxrl.engine.results import append_metrics

                append_metrics(folder, report)

        yield on_report


def _evaluated(
    algorithm: Algorithm[Any],
    trained: Trained,
    keys: jax.Array,
    mesh: Mesh | None,
    num_episodes: int,
    folder: Path | None,
) -> Run:
    evaluation, seconds_compiling, seconds_evaluating = None, 0.0, 0.0
    if num_episodes > 0:
        program, seconds_compiling = compile_evaluate(algorithm, keys, trained.states, num_episodes, mesh)
        began = time.perf_counter()
        evaluation = jax.device_get(program(algorithm, keys, trained.states))
        seconds_evaluating = time.perf_counter() - began
    return Run(
        algorithm=algorithm,
        state=trained.states,
        iteration=trained.reports[-1].iteration,
        steps=np.asarray([report.steps for report in trained.reports], np.int64),
        metrics=trained.metrics,
        diverged=trained.diverged,
        evaluation=evaluation,
        directory=folder,
        timing=Timing(trained.seconds_compiling + seconds_compiling, trained.seconds_training, seconds_evaluating),
    )
