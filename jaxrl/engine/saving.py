"""A run that saves itself as it goes: when, what it says it was made with, and how it comes back."""

import contextlib
import dataclasses
import math
import operator
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl.algorithm import num_iterations
from jaxrl.engine.checkpoints import (
    Checkpoints,
    Saved,
    Template,
    as_reports,
    has_checkpoint,
    newest_made_with,
    restore_newest,
)
from jaxrl.engine.host_loop import Chunk, Prepared
from jaxrl.engine.hosts import on_first, tell
from jaxrl.engine.interrupts import Interrupted, deferred
from jaxrl.engine.made_with import made_with
from jaxrl.engine.options import Options
from jaxrl.engine.parallel import agreed, alone, put
from jaxrl.engine.plan import Layout
from jaxrl.engine.population import Population
from jaxrl.engine.programs import Programs, compile_refill, state_shape
from jaxrl.engine.reporting import tables
from jaxrl.engine.reporting.report import Report
from jaxrl.engine.searching import population_arrays, put_population_back

NOTHING_SAVED = Saved(
    states=[], reports=[], population={}, finished=[], seconds_training=0.0, seconds_saving=0.0, skipped=[]
)
"""What there is to go on from when a run begins."""


class Saver:
    """Saves now and then, and where a signal asks to stop."""

    def __init__(self, checkpoints: Checkpoints | None, options: Options, num_iterations: int, num_waves: int) -> None:
        self._checkpoints, self._options = checkpoints, options
        self._num_iterations, self._num_waves = num_iterations, num_waves
        self.stop_asked: Callable[[], int | None] = lambda: None
        self.stopped_at: int | None = None
        self.signal_number: int | None = None
        """The signal that came while training, if one did."""
        self.finished: list[Any] = []
        """What the waves so far came to, as a checkpoint holds it."""

    @property
    def seconds(self) -> float:
        """Spent waiting for checkpoints."""
        return self._checkpoints.seconds if self._checkpoints else 0.0

    @property
    def bytes_on_disk(self) -> int:
        """Of all checkpoints that are kept."""
        checkpoints = self._checkpoints
        return on_first(lambda: checkpoints.bytes_on_disk) if checkpoints else 0

    def after(self, chunks: list[Chunk], reports: list[Report], seconds: float) -> bool:
        """Save where it is time to; whether to stop there."""
        if self._checkpoints is None:
            return False
        iteration, wave = reports[-1].iteration, len(self.finished)
        is_over = iteration == self._num_iterations or not reports[-1].is_active.any()
        asked, is_due = agreed(self.stop_asked() or 0, self._checkpoints.is_due)
        is_stopped = bool(asked) and not (is_over and wave == self._num_waves - 1)
        if is_stopped or is_due:
            states = [_saved_part(chunk.states, self._options) for chunk in chunks]
            number = wave * self._num_iterations + iteration
            population = population_arrays(chunks, self._options.search)
            others = {"population": population, "finished": self.finished}
            self._checkpoints.save(number, states, reports, others, seconds)
        if is_stopped:
            self.stopped_at, self.signal_number = iteration, asked
        return is_stopped

    def close(self) -> None:
        """Wait until everything is written."""
        if self._checkpoints is not None:
            self._checkpoints.close()


@contextlib.contextmanager
def saving(population: Population, options: Options, layout: Layout, num_waves: int, seconds: float) -> Iterator[Saver]:
    """Yield what saves; raises `Interrupted` once all is written, where a signal asked for the end.

    `seconds` were spent saving by earlier processes of this run.
    """
    last = num_iterations(population.algorithm)
    folder, every, keep = options.folder, options.checkpoint_every, options.keep_checkpoints
    if folder is None or every is None:
        yield Saver(None, options, last, num_waves)
        return
    about = made_with(tuple(map(alone, population.settings)), options) | {"layout": dataclasses.asdict(layout)}
    checkpoints = Checkpoints(folder, keep=keep, every=every, made_with=about, seconds=seconds)
    saver = Saver(checkpoints, options, last, num_waves)
    with deferred(show=options.progress) as saver.stop_asked:
        try:
            yield saver
        except BaseException:
            if jax.process_count() == 1:  # of several, others may be lost, and would be waited for
                saver.close()
            raise
        saver.close()
        came, _ = agreed(saver.signal_number or saver.stop_asked() or 0, False)
        saver.signal_number = came or None
    if saver.stopped_at is not None and saver.signal_number is not None:
        where = f"stopped at iteration {saver.stopped_at:,} of {last:,}, and saved"
        raise Interrupted(f"{where}; go on with `jaxrl resume {folder}`.", saver.signal_number)


def saved_layout(options: Options) -> Layout | None:
    """How the run so far was cut up; None where it has saved nothing."""
    assert options.folder is not None  # a run without one saves nothing
    folder = options.folder
    found = on_first(lambda: newest_made_with(folder))
    return None if found is None else Layout(**found["layout"])


def read_saved(population: Population, options: Options, layout: Layout, programs: Programs | None) -> Saved:
    """The newest checkpoint that is whole; `NOTHING_SAVED` where there is none yet.

    Its states come to lie as `programs` want them; None is for chunks of another size, which are cut anew.
    """
    folder = options.folder
    assert folder is not None  # a run without one saves nothing
    if not on_first(lambda: has_checkpoint(folder)):
        tell(f"'{folder}' holds no checkpoint yet: the run begins anew.")
        on_first(lambda: tables.rewrite(folder, []))
        return NOTHING_SAVED
    saved = restore_newest(folder, saved_form(population, options, layout, programs))
    before = [report for wave in saved.finished for report in as_reports(wave["reports"])]
    on_first(lambda: tables.rewrite(folder, [*before, *saved.reports]))
    for sentence in saved.skipped:
        tell(sentence)
    return saved


def saved_form(population: Population, options: Options, layout: Layout, programs: Programs | None = None) -> Template:
    """What the checkpoints of the run hold of its states, where `programs` want it or on the default device."""
    columns, total = layout.devices_per_agent, num_iterations(population.algorithm)
    here = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])

    def with_axes(tree: Any, *axes: int) -> Any:
        return jax.tree.map(lambda leaf: jax.ShapeDtypeStruct((*axes, *leaf.shape), leaf.dtype, sharding=here), tree)

    def chunk() -> Any:
        if programs is not None:
            return programs.states
        shape = state_shape(population.algorithm, population.keys[0], columns)
        if columns == 1:
            return with_axes(shape, layout.chunk)
        rest = with_axes(dataclasses.replace(shape, learner=None), layout.chunk, columns)
        return dataclasses.replace(rest, learner=with_axes(shape.learner, layout.chunk))

    def form(number: int) -> list[Any]:
        wave = (number - 1) // total
        agents = min(layout.wave, len(population) - wave * layout.wave)
        return [_saved_part(chunk(), options) for _ in range(math.ceil(agents / layout.chunk))]

    return form


def put_back(prepared: Prepared, saved: Saved, options: Options) -> None:
    """Give the agents of a wave the states that were saved, in place of the first ones."""
    size = len(prepared.chunks[0].keys)
    states = saved.states
    if saved.population:
        put_population_back(prepared, saved.population)
    if len(jax.tree.leaves(states[0])[0]) != size:
        states = _cut_anew(states, prepared.num_agents, size)
    for chunk, saved_states in zip(prepared.chunks, states, strict=True):
        first = _saved_part(chunk.states, options)
        shardings = jax.tree.map(lambda leaf: leaf.sharding, first)
        jax.tree.map(lambda leaf: leaf.delete(), first)  # a device may have no room for the states twice
        placed = jax.tree.map(put, saved_states, shardings)
        is_whole = not _leaves_out_replay(chunk.states, options)
        chunk.states = placed if is_whole else dataclasses.replace(placed, replay=chunk.states.replay)
    if _leaves_out_replay(prepared.chunks[0].states, options):
        tell("The checkpoint leaves out the replay, which is played anew: the run goes on approximately.")
        _refill(prepared, saved.reports[-1].iteration)


def _cut_anew(states: list[Any], agents: int, chunk: int) -> list[Any]:
    """The states of `agents` agents in chunks of another size, the last of which is filled up."""
    whole = jax.tree.map(lambda *parts: jnp.concatenate(parts)[:agents], *states)
    parts = (np.arange(agents)[first : first + chunk] for first in range(0, agents, chunk))
    return [jax.tree.map(operator.itemgetter(np.resize(part, chunk)), whole) for part in parts]


def _refill(prepared: Prepared, iteration: int) -> None:
    """Play anew what the replays held after `iteration` iterations, and a checkpoint left out."""
    algorithm: Any = prepared.population.algorithm
    num_kept = math.ceil((algorithm.replay_capacity or 1) / algorithm.steps_per_iteration)  # None: the newest rollout
    first = prepared.chunks[0]
    program = compile_refill(prepared.population, prepared.mesh, first.agents, first.run_keys, first.states)
    for chunk in prepared.chunks:
        chunk.states = program(chunk.agents, chunk.run_keys, chunk.states, max(0, iteration - num_kept), iteration)


def _leaves_out_replay(states: Any, options: Options) -> bool:
    """Whether checkpoints hold `states` without their replay."""
    return not options.checkpoint_replay and getattr(states, "replay", None) is not None


def _saved_part(states: Any, options: Options) -> Any:
    return dataclasses.replace(states, replay=None) if _leaves_out_replay(states, options) else states
