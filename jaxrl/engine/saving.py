"""A run that saves itself as it goes: when, what it says it was made with, and how it comes back."""

import contextlib
import dataclasses
import sys
from collections.abc import Callable, Iterator
from typing import Any

import jax
from jax.sharding import Mesh

from jaxrl.algorithm import Algorithm, num_iterations
from jaxrl.engine import run_folder
from jaxrl.engine.checkpoints import Checkpoints, Saved, has_checkpoint, restore_newest
from jaxrl.engine.host_loop import Prepared
from jaxrl.engine.interrupts import Interrupted, deferred
from jaxrl.engine.options import Options
from jaxrl.engine.programs import compile_refill
from jaxrl.engine.reporting import tables
from jaxrl.engine.reporting.report import Report
from jaxrl.settings import TARGET, describe, path_of

NOTHING_SAVED = Saved(states=None, reports=[], seconds_training=0.0, seconds_saving=0.0, skipped=[])
"""What there is to go on from when a run begins."""


class Saver:
    """Saves now and then, and where a signal asks to stop."""

    def __init__(self, checkpoints: Checkpoints | None, options: Options, last: int) -> None:
        self._checkpoints, self._options, self._last = checkpoints, options, last
        self.stop_asked: Callable[[], int | None] = lambda: None
        self.stopped_at: int | None = None
        self.signal_number: int | None = None
        """The signal that came while training, if one did."""

    @property
    def seconds(self) -> float:
        """Spent waiting for checkpoints."""
        return self._checkpoints.seconds if self._checkpoints else 0.0

    @property
    def bytes_on_disk(self) -> int:
        """Of all checkpoints that are kept."""
        return self._checkpoints.bytes_on_disk if self._checkpoints else 0

    def after(self, states: Any, reports: list[Report], seconds: float) -> bool:
        """Save where it is time to; whether to stop there."""
        if self._checkpoints is None:
            return False
        is_over = reports[-1].iteration == self._last or not reports[-1].is_active.any()
        is_stopped = self.stop_asked() is not None and not is_over
        if is_stopped or self._checkpoints.is_due:
            self._checkpoints.save(_saved_part(states, self._options), reports, seconds)
        if is_stopped:
            self.stopped_at = reports[-1].iteration
        return is_stopped

    def close(self) -> None:
        """Wait until everything is written."""
        if self._checkpoints is not None:
            self._checkpoints.close()


@contextlib.contextmanager
def saving(algorithm: Algorithm[Any], options: Options, seconds: float) -> Iterator[Saver]:
    """Yield what saves; raises `Interrupted` once all is written, where a signal asked for the end.

    `seconds` were spent saving by earlier processes of this run.
    """
    last = num_iterations(algorithm)
    folder, every, keep = options.folder, options.checkpoint_every, options.keep_checkpoints
    if folder is None or every is None:
        yield Saver(None, options, last)
        return
    about = made_with(algorithm, options)
    saver = Saver(Checkpoints(folder, keep=keep, every=every, made_with=about, seconds=seconds), options, last)
    with deferred(show=options.progress) as saver.stop_asked:
        yield saver
        saver.close()
        saver.signal_number = saver.stop_asked()
    if saver.stopped_at is not None and saver.signal_number is not None:
        where = f"stopped at iteration {saver.stopped_at:,} of {last:,}, and saved"
        raise Interrupted(f"{where}; go on with `jaxrl resume {folder}`.", saver.signal_number)


def restored(prepared: Prepared, options: Options, mesh: Mesh | None) -> tuple[Prepared, Saved]:
    """With the states of the newest checkpoint in place of the first ones, where there is a checkpoint."""
    folder = options.folder
    assert folder is not None  # a run without one saves nothing
    if not has_checkpoint(folder):
        print(f"'{folder}' holds no checkpoint yet: the run begins anew.", file=sys.stderr)
        tables.rewrite(folder, [])
        return prepared, NOTHING_SAVED
    first = _saved_part(prepared.states, options)
    template = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=leaf.sharding), first)
    jax.tree.map(lambda leaf: leaf.delete(), first)  # a device may have no room for the states twice
    saved = restore_newest(folder, template)
    tables.rewrite(folder, saved.reports)
    for sentence in saved.skipped:
        print(sentence, file=sys.stderr)
    states = saved.states
    if _leaves_out_replay(prepared.states, options):
        print(
            "The checkpoint leaves out the replay, which is played anew: the run goes on approximately.",
            file=sys.stderr,
        )
        states = _refilled(prepared, dataclasses.replace(states, replay=prepared.states.replay), saved, mesh)
    return dataclasses.replace(prepared, states=states), saved


def state_shapes(algorithm: Algorithm[Any], options: Options) -> Any:
    """What a checkpoint of the run holds of its states: leaves `jax.ShapeDtypeStruct` on the default device."""
    keys = jax.eval_shape(lambda: jax.random.split(jax.random.key(0), options.seeds))
    states = jax.eval_shape(jax.vmap(algorithm.init), keys)
    here = jax.sharding.SingleDeviceSharding(jax.devices()[0])
    return jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=here), _saved_part(states, options)
    )


def _refilled(prepared: Prepared, states: Any, saved: Saved, mesh: Mesh | None) -> Any:
    algorithm: Any = prepared.algorithm
    last = saved.reports[-1].iteration
    capacity = algorithm.replay_capacity or 1  # None: the newest rollout alone
    num_kept = -(-capacity // algorithm.steps_per_iteration)
    program = compile_refill(algorithm, prepared.run_keys, states, mesh)
    return program(algorithm, prepared.run_keys, states, max(0, last - num_kept), last)


def _leaves_out_replay(states: Any, options: Options) -> bool:
    return not options.checkpoint_replay and getattr(states, "replay", None) is not None


def _saved_part(states: Any, options: Options) -> Any:
    return dataclasses.replace(states, replay=None) if _leaves_out_replay(states, options) else states


def made_with(algorithm: Algorithm[Any], options: Options) -> dict[str, Any]:
    """What decides the bits of a run, as plain data."""
    settings = {TARGET: path_of(type(algorithm)), **describe(algorithm)}
    names = ("seeds", "seed", "num_reports", "eval_episodes", "eval_every", "target_return", "checkpoint_replay")
    run = {name: value for name, value in options.as_settings().items() if name in names}
    return {
        "algorithm": settings,
        "run": run,
        "versions": run_folder.versions(),
        "device": jax.devices()[0].device_kind,
    }


def check_same(options: Options, before: dict[str, Any], now: dict[str, Any], *, exact: bool) -> None:
    """Refuse other settings than those of the run so far, and where it is to be exact other surroundings."""
    folder = options.folder
    for group in ("algorithm", "run"):
        for name, value in now[group].items():
            if before[group].get(name) != value:
                raise ValueError(
                    f"The run in '{folder}' was made with {name}={before[group].get(name)!r}, and now it is {value!r}: "
                    "a run goes on with its own settings; change it back, or begin a new run."
                )
    if not exact:
        return
    then = {**before["versions"], "device": before["device"]}
    for name, value in {**now["versions"], "device": now["device"]}.items():
        if then.get(name) != value:
            raise ValueError(
                f"The run in '{folder}' was made with {name} {then.get(name)}, and this is {name} {value}, so it would "
                "not go on to the same bits; go back to that one, or say exact=false to go on all the same."
            )
