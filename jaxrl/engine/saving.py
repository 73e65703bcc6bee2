"""A run that saves itself as it goes: when, what it says it was made with, and how it comes back."""

import contextlib
import dataclasses
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax

from jaxrl.algorithm import Algorithm, num_iterations
from jaxrl.engine import run_folder
from jaxrl.engine.checkpoints import Checkpoints, Saved, restore_newest
from jaxrl.engine.host_loop import AfterReport, Prepared, Report
from jaxrl.engine.interrupts import Interrupted, deferred
from jaxrl.settings import TARGET, describe, path_of


@contextlib.contextmanager
def saving(algorithm: Algorithm[Any], folder: Path | None, options: dict[str, Any]) -> Iterator[AfterReport]:
    """Save now and then, at the end, and where a signal asks to stop: `Interrupted` then, once all is written."""
    every = options["checkpoint_every"]
    if folder is None or every is None:
        yield lambda states, reports, seconds: False
        return
    keep, last = options["keep_checkpoints"], num_iterations(algorithm)
    checkpoints = Checkpoints(folder, keep=keep, every=every, made_with=made_with(algorithm, options))
    stopped_at = None
    with deferred() as signal_number:

        def after(states: Any, reports: list[Report], seconds: float) -> bool:
            nonlocal stopped_at
            is_over, is_stopped = reports[-1].iteration == last, signal_number() is not None
            if is_over or is_stopped or checkpoints.is_due:
                checkpoints.save(states, reports, seconds)
            if is_stopped:
                stopped_at = reports[-1].iteration
            return is_stopped

        yield after
        checkpoints.close()
        number = signal_number()
    if stopped_at is not None and number is not None:
        message = f"stopped at iteration {stopped_at:,} of {last:,}, and saved; go on with `jaxrl resume {folder}`."
        raise Interrupted(message, number)


def restored(prepared: Prepared, folder: Path) -> tuple[Prepared, Saved | None]:
    """With the states of the newest checkpoint in place of the first ones, where there is a checkpoint."""
    template = jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=leaf.sharding), prepared.states
    )
    saved = restore_newest(folder, template)
    from jaxrl.engine.results import rewrite_metrics

    rewrite_metrics(folder, saved.reports if saved else [])
    if saved is None:
        print(f"'{folder}' holds no checkpoint yet: the run begins anew.", file=sys.stderr)
        return prepared, None
    for sentence in saved.skipped:
        print(sentence, file=sys.stderr)
    return dataclasses.replace(prepared, states=saved.states), saved


def made_with(algorithm: Algorithm[Any], options: dict[str, Any]) -> dict[str, Any]:
    """What decides the bits of a run, as plain data."""
    settings = {TARGET: path_of(type(algorithm)), **describe(algorithm)}
    names = ("seeds", "seed", "num_reports")
    surroundings = {"versions": run_folder.versions(), "device": jax.devices()[0].device_kind}
    return {"algorithm": settings, "run": {name: options[name] for name in names}, **surroundings}


def check_same(folder: Path, before: dict[str, Any] | None, now: dict[str, Any], *, exact: bool) -> None:
    """Refuse other settings than those of the checkpoints, and where it is to be exact other surroundings."""
    if before is None:
        return
    for group in ("algorithm", "run"):
        for name, value in now[group].items():
            if before[group].get(name) != value:
                raise ValueError(
                    f"The run in '{folder}' was made with {name}={before[group].get(name)!r}, and now it is {value!r}: "
                    "a run goes on with its own settings; change it back, or begin a new run."
                )
    then = {**before["versions"], "device": before["device"]}
    for name, value in {**now["versions"], "device": now["device"]}.items():
        if exact and then.get(name) != value:
            raise ValueError(
                f"The run in '{folder}' was made with {name} {then.get(name)}, and this is {name} {value}, so it would "
                "not go on to the same bits; go back to that one, or say exact=False."
            )
