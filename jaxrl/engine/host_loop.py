"""The host's side of training: one compiled program called stretch by stretch, with a report after each."""

import dataclasses
import itertools
import time
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh
from numpy.typing import NDArray

from jaxrl.algorithm import Algorithm, num_iterations
from jaxrl.engine.parallel import fetch, place
from jaxrl.engine.population import Population
from jaxrl.engine.programs import Programs
from jaxrl.engine.reporting.report import EVALUATION_RETURN, Report


@dataclasses.dataclass
class Chunk:
    """Agents that one call of the program trains."""

    members: NDArray[np.int64]
    """[count]: which agents of the population."""
    agents: Algorithm[Any]
    keys: jax.Array
    """[m]: the last chunk of a population is filled up with agents that count for nothing."""
    run_keys: jax.Array
    states: Any

    def cut(self, tree: Any) -> Any:
        """`tree`, leaves [m, ...], without those that count for nothing."""
        return jax.tree.map(lambda leaf: leaf[: len(self.members)], tree)


@dataclasses.dataclass(frozen=True)
class Prepared:
    """The agents of a wave, M of them, and the program that trains a chunk of them."""

    population: Population
    mesh: Mesh | None
    program: Any
    chunks: list[Chunk]

    @property
    def first(self) -> int:
        """The number of the first agent in the population."""
        return min(int(chunk.members.min()) for chunk in self.chunks)

    @property
    def num_agents(self) -> int:
        """M."""
        return sum(len(chunk.members) for chunk in self.chunks)


def in_order(chunks: Sequence[Chunk], parts: Sequence[Any]) -> Any:
    """What was found for each chunk, leaves [m, ...], in the order of the agents: numpy leaves [M, ...]."""
    order = np.argsort(np.concatenate([chunk.members for chunk in chunks]))
    cut = [chunk.cut(part) for chunk, part in zip(chunks, parts, strict=True)]
    return jax.tree.map(lambda *each: np.concatenate(each)[order], *cut)


@dataclasses.dataclass(frozen=True)
class Watch:
    """What the host does between two stretches, besides going on."""

    on_report: Callable[[Report], None] = lambda report: None
    """Show it, write it down."""
    after: Callable[[list[Chunk], list[Report], float], bool] = lambda chunks, reports, seconds: False
    """`after(chunks, reports, seconds)`: what to do with everything so far; whether to stop there."""
    evaluate: Callable[[list[Chunk], int], NDArray[np.float32]] | None = None
    """`evaluate(chunks, iteration)` -> [M]: mean returns of greedy episodes."""
    eval_every: int = 1
    """Reports between two evaluations."""
    target_return: float | None = None
    """A seed whose evaluation (without one: whose episodes while training) reaches it trains no further."""
    search: Callable[["Prepared", list[Report]], Report] | None = None
    """`search(prepared, reports)` changes the population; gives the last report as it is from then on."""


@dataclasses.dataclass(frozen=True)
class Trained:
    """All reports of a training, and what it cost."""

    chunks: list[Chunk]
    reports: list[Report]
    seconds: float
    """Spent training, without evaluations and what the host does between two stretches."""


def prepare(
    population: Population, members: NDArray[np.int64], chunk: int, mesh: Mesh | None, programs: Programs
) -> Prepared:
    """The first states of `members`, in chunks of `chunk` agents, for which the programs were made."""
    chunks = []
    for first in range(0, len(members), chunk):
        part = members[first : first + chunk]
        filled = np.resize(part, chunk)
        agents, keys = population.agents(filled), place(population.keys_of(filled), mesh)
        states, run_keys = programs.begin(agents, keys)
        chunks.append(Chunk(part, agents, keys, run_keys, states))
    return Prepared(population, mesh, programs.advance, chunks)


def train_with_reports(
    prepared: Prepared, num_reports: int, watch: Watch, *, reports: Sequence[Report] = (), seconds: float = 0.0
) -> Trained:
    """A run from after `reports` to its end, or to where nobody goes on; uses up the prepared states.

    There are at most `num_reports` stretches, those of `train`. `seconds` are those of the training so far.
    """
    algorithm = prepared.population.algorithm
    whole_run = num_iterations(algorithm)
    num_reports, num_settings = min(num_reports, whole_run), len(prepared.population.settings)
    bounds = [report * whole_run // num_reports for report in range(num_reports + 1)]
    all_reports = list(reports)
    for start, stop in itertools.pairwise(bounds[len(reports) :]):
        is_active = all_reports[-1].is_active if all_reports else np.ones(prepared.num_agents, bool)
        if not is_active.any():
            break
        began = time.perf_counter()
        metrics, diverged_at = _advanced(prepared, is_active, start, stop)
        seconds += time.perf_counter() - began
        report = Report(
            stop, stop * algorithm.steps_per_iteration, metrics, diverged_at, is_active, prepared.first, num_settings
        )
        report = _evaluated(_held(report, all_reports), all_reports, prepared, watch)
        all_reports.append(_without_those_at_the_target(report, watch))
        if watch.search is not None:
            all_reports[-1] = watch.search(prepared, all_reports)
        watch.on_report(all_reports[-1])
        if watch.after(prepared.chunks, all_reports, seconds):
            break
    return Trained(prepared.chunks, all_reports, seconds)


def _advanced(prepared: Prepared, is_active: NDArray[np.bool_], start: int, stop: int) -> Any:
    """Train every chunk that has an active agent; (metrics, diverged_at), each [M], any value for those left out."""
    measured: list[Any] = []
    for chunk in prepared.chunks:
        wanted = np.zeros(len(chunk.keys), bool)
        wanted[: len(chunk.members)] = is_active[chunk.members - prepared.first]
        if not wanted.any():
            measured.append(None)
            continue
        arguments = (place(wanted, prepared.mesh), np.int32(start), np.int32(stop))
        # Calls are queued: the device goes from one chunk to the next without waiting for the host.
        chunk.states, found = prepared.program(chunk.agents, chunk.run_keys, chunk.states, *arguments)
        measured.append(found)
    fetched = fetch([found for found in measured if found is not None])
    rows = iter(fetched)
    return in_order(prepared.chunks, [fetched[0] if found is None else next(rows) for found in measured])


def _held(report: Report, before: Sequence[Report]) -> Report:
    """With the metrics, and the end, of those that do not train any more as they were."""
    if report.is_active.all():
        return report
    last = before[-1]
    metrics = {name: np.where(report.is_active, values, last.metrics[name]) for name, values in report.metrics.items()}
    diverged_at = np.where(report.is_active, report.diverged_at, last.diverged_at)
    return dataclasses.replace(report, metrics=metrics, diverged_at=diverged_at)


def _evaluated(report: Report, before: Sequence[Report], prepared: Prepared, watch: Watch) -> Report:
    """With the returns of greedy episodes, where it is time for them; those who stopped keep their last ones."""
    if watch.evaluate is None:
        return report
    is_due = (len(before) + 1) % watch.eval_every == 0
    returns = watch.evaluate(prepared.chunks, report.iteration) if is_due else np.full(report.is_active.shape, np.nan)
    if is_due and not report.is_active.all():
        returns = np.where(report.is_active, returns, before[-watch.eval_every].metrics[EVALUATION_RETURN])
    metrics = {**report.metrics, EVALUATION_RETURN: returns.astype(np.float32)}
    return dataclasses.replace(report, metrics=dict(sorted(metrics.items())))  # as JAX and Orbax order them


def _without_those_at_the_target(report: Report, watch: Watch) -> Report:
    is_active = report.is_active & report.is_finite
    if watch.target_return is not None:
        name = EVALUATION_RETURN if watch.evaluate is not None else "episode_return"
        if name not in report.metrics:
            raise ValueError(
                "target_return is compared with the metric episode_return, which this algorithm does not have; set "
                "eval_every, so that evaluations are."
            )
        is_active &= ~(report.metrics[name] >= watch.target_return)  # NaN, not measured, is not there yet
    return dataclasses.replace(report, is_active=is_active)
