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
from jaxrl.engine.programs import compile_advance, compile_begin
from jaxrl.engine.reporting.report import EVALUATION_RETURN, Report


@dataclasses.dataclass(frozen=True)
class Prepared:
    """Everything compiled, and the first states of all seeds."""

    algorithm: Algorithm[Any]
    program: Any
    run_keys: jax.Array
    states: Any
    seconds: float


@dataclasses.dataclass(frozen=True)
class Watch:
    """What the host does between two stretches, besides going on."""

    on_report: Callable[[Report], None] = lambda report: None
    """Show it, write it down."""
    after: Callable[[Any, list[Report], float], bool] = lambda states, reports, seconds: False
    """`after(states, reports, seconds)`: what to do with everything so far; whether to stop there."""
    evaluate: Callable[[Any, int], NDArray[np.float32]] | None = None
    """`evaluate(states, iteration)` -> [S]: mean returns of greedy episodes."""
    eval_every: int = 1
    """Reports between two evaluations."""
    target_return: float | None = None
    """A seed whose evaluation (without one: whose episodes while training) reaches it trains no further."""


@dataclasses.dataclass(frozen=True)
class Trained:
    """All reports of a training, and what it cost."""

    states: Any
    reports: list[Report]
    seconds: float
    """Spent training, without evaluations and what the host does between two stretches."""

    @property
    def metrics(self) -> dict[str, NDArray[np.float32]]:
        """Name -> [S, R]."""
        names = self.reports[0].metrics
        return {name: np.stack([report.metrics[name] for report in self.reports], axis=1) for name in names}

    @property
    def diverged(self) -> dict[int, int]:
        """Seed -> the iteration by which its learner held NaN or infinity."""
        last = self.reports[-1]
        return {int(seed): int(last.diverged_at[seed]) for seed in np.flatnonzero(~last.is_finite)}

    @property
    def stopped(self) -> dict[int, int]:
        """Seed -> the iterations it had done when it reached the target return."""
        found: dict[int, int] = {}
        for report in self.reports:
            for seed in np.flatnonzero(~report.is_active & report.is_finite):
                found.setdefault(int(seed), report.iteration)
        return dict(sorted(found.items()))


def prepare(algorithm: Algorithm[Any], keys: jax.Array, mesh: Mesh | None) -> Prepared:
    """Compile for `keys` [S] and make the first states."""
    begin, seconds_begin = compile_begin(algorithm, keys, mesh)
    states, run_keys = jax.block_until_ready(begin(algorithm, keys))
    program, seconds_program = compile_advance(algorithm, run_keys, states, mesh)
    return Prepared(algorithm, program, run_keys, states, seconds_begin + seconds_program)


def train_with_reports(
    prepared: Prepared, num_reports: int, watch: Watch, *, reports: Sequence[Report] = (), seconds: float = 0.0
) -> Trained:
    """A run from after `reports` to its end, or to where nobody goes on; uses up the prepared states.

    There are at most `num_reports` stretches, those of `train`. `seconds` are those of the training so far.
    """
    algorithm, states = prepared.algorithm, prepared.states
    whole_run = num_iterations(algorithm)
    num_reports = min(num_reports, whole_run)
    bounds = [report * whole_run // num_reports for report in range(num_reports + 1)]
    all_reports = list(reports)
    for start, stop in itertools.pairwise(bounds[len(reports) :]):
        is_active = all_reports[-1].is_active if all_reports else np.ones(len(prepared.run_keys), bool)
        if not is_active.any():
            break
        began = time.perf_counter()
        states, measured = prepared.program(
            algorithm, prepared.run_keys, states, is_active, np.int32(start), np.int32(stop)
        )
        metrics, diverged_at = jax.device_get(measured)
        seconds += time.perf_counter() - began
        report = Report(stop, stop * algorithm.steps_per_iteration, metrics, diverged_at, is_active)
        report = _evaluated(_held(report, all_reports), all_reports, states, watch)
        all_reports.append(_without_those_at_the_target(report, watch))
        watch.on_report(all_reports[-1])
        if watch.after(states, all_reports, seconds):
            break
    return Trained(states, all_reports, seconds)


def _held(report: Report, before: Sequence[Report]) -> Report:
    """With the metrics, and the end, of those that do not train any more as they were."""
    if report.is_active.all():
        return report
    last = before[-1]
    metrics = {name: np.where(report.is_active, values, last.metrics[name]) for name, values in report.metrics.items()}
    diverged_at = np.where(report.is_active, report.diverged_at, last.diverged_at)
    return dataclasses.replace(report, metrics=metrics, diverged_at=diverged_at)


def _evaluated(report: Report, before: Sequence[Report], states: Any, watch: Watch) -> Report:
    """With the returns of greedy episodes, where it is time for them; those who stopped keep their last ones."""
    if watch.evaluate is None:
        return report
    is_due = (len(before) + 1) % watch.eval_every == 0
    returns = watch.evaluate(states, report.iteration) if is_due else np.full(report.is_active.shape, np.nan)
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
