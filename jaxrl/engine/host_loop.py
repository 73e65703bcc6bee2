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


@dataclasses.dataclass(frozen=True)
class Report:
    """What is known after a stretch of iterations (S seeds)."""

    iteration: int
    """Iterations done."""
    steps: int
    """Environment steps done, per seed."""
    metrics: dict[str, NDArray[np.float32]]
    """Name -> [S]: the mean over the stretch; NaN where nothing was measured."""
    is_finite: NDArray[np.bool_]
    """[S]: whether the learner holds neither NaN nor infinity."""


@dataclasses.dataclass(frozen=True)
class Trained:
    """All reports of a training, and what it cost."""

    states: Any
    reports: list[Report]
    seconds_compiling: float
    seconds_training: float

    @property
    def metrics(self) -> dict[str, NDArray[np.float32]]:
        """Name -> [S, R]."""
        return {name: np.stack([report.metrics[name] for report in self.reports], axis=1) for name in self.names}

    @property
    def names(self) -> list[str]:
        """The metrics' names."""
        return list(self.reports[0].metrics)

    @property
    def diverged(self) -> dict[int, int]:
        """Seed -> the iteration at whose report its learner was first found not to be finite."""
        found: dict[int, int] = {}
        for report in self.reports:
            for seed in np.flatnonzero(~report.is_finite):
                found.setdefault(int(seed), report.iteration)
        return dict(sorted(found.items()))


@dataclasses.dataclass(frozen=True)
class Prepared:
    """Everything compiled, and the first states of all seeds."""

    algorithm: Algorithm[Any]
    program: Any
    run_keys: jax.Array
    states: Any
    seconds: float


AfterReport = Callable[[Any, list[Report], float], bool]
"""`after(states, reports, seconds)`: what to do with everything so far; whether to stop there."""


def prepare(algorithm: Algorithm[Any], keys: jax.Array, mesh: Mesh | None) -> Prepared:
    """Compile for `keys` [S] and make the first states."""
    begin, seconds_begin = compile_begin(algorithm, keys, mesh)
    states, run_keys = jax.block_until_ready(begin(algorithm, keys))
    program, seconds_program = compile_advance(algorithm, run_keys, states, mesh)
    return Prepared(algorithm, program, run_keys, states, seconds_begin + seconds_program)


def train_with_reports(
    prepared: Prepared,
    num_reports: int,
    on_report: Callable[[Report], None],
    *,
    reports: Sequence[Report] = (),
    seconds: float = 0.0,
    after: AfterReport = lambda states, reports, seconds: False,
) -> Trained:
    """A run from after `reports` to its end, or to where `after` says stop; uses up the prepared states.

    There are at most `num_reports` stretches, those of `train`; `on_report` and `after` are called after each.
    `seconds` are those of the training so far.
    """
    algorithm, states = prepared.algorithm, prepared.states
    whole_run = num_iterations(algorithm)
    num_reports = min(num_reports, whole_run)
    bounds = [report * whole_run // num_reports for report in range(num_reports + 1)]
    all_reports = list(reports)
    began = time.perf_counter() - seconds
    for start, stop in itertools.pairwise(bounds[len(reports) :]):
        states, metrics, is_finite = prepared.program(
            algorithm, prepared.run_keys, states, np.int32(start), np.int32(stop)
        )
        metrics, is_finite = jax.device_get((metrics, is_finite))
        all_reports.append(Report(stop, stop * algorithm.steps_per_iteration, metrics, is_finite))
        on_report(all_reports[-1])
        if after(states, all_reports, time.perf_counter() - began):
            break
    return Trained(states, all_reports, prepared.seconds, time.perf_counter() - began)
