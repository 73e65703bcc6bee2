"""What a run leaves behind in memory, and how it sums itself up."""

import dataclasses
from pathlib import Path
from typing import Any

import jax
import numpy as np
from numpy.typing import NDArray

from jaxrl.algorithm import Algorithm, Policy
from jaxrl.analysis.statistics import Interval, bootstrap_interval
from jaxrl.engine.evaluate import Episodes
from jaxrl.memory import size


@dataclasses.dataclass(frozen=True)
class Timing:
    """Where the wall time went, in seconds."""

    compiling: float
    """Tracing and compiling, or taking the compiled programs from the disk."""
    training: float
    evaluating: float
    saving: float = 0.0
    """Waiting for checkpoints; most of the writing goes on while the training does."""


@dataclasses.dataclass(frozen=True)
class Space:
    """What a run took, in bytes."""

    state: int
    """The states of all seeds."""
    program: int
    """All that the training program holds on a device: states, arguments and temporaries."""
    peak: int
    """The most that the device held at once in this process; where that is the CPU, the most that the process did."""
    checkpoints: int = 0
    """On the disk, all that are kept together."""


@dataclasses.dataclass(frozen=True, repr=False)
class Run:
    """The agents of a run, seed by seed (S seeds, R reports); printing it gives the summary."""

    algorithm: Algorithm[Any]
    state: Any
    """The states of all seeds, leaves [S, ...]."""
    iteration: int
    """Iterations done."""
    steps: NDArray[np.int64]
    """[R]: environment steps per seed at each report."""
    metrics: dict[str, NDArray[np.float32]]
    """Name -> [S, R], each the mean since the report before; NaN where nothing was measured."""
    diverged: dict[int, int]
    """Seed -> the iteration at whose report its learner was first found to hold NaN or infinity."""
    stopped: dict[int, int]
    """Seed -> the iterations it had done when it reached the target return, and trained no further."""
    evaluation: Episodes | None
    """The final greedy episodes, numpy leaves [S, num_episodes]; None where none were asked for."""
    directory: Path | None
    """The folder with everything above but the states; None where none was asked for."""
    timing: Timing
    space: Space

    @property
    def seeds(self) -> int:
        """S."""
        return int(jax.tree.leaves(self.state)[0].shape[0])

    @property
    def steps_of_all(self) -> int:
        """Environment steps of all seeds together, each until it stopped or diverged."""
        ended = {**self.stopped, **self.diverged}
        iterations = sum(ended.get(seed, self.iteration) for seed in range(self.seeds))
        return iterations * self.algorithm.steps_per_iteration

    def policy(self, seed: int, greedy: bool = True) -> Policy:
        """The policy of one seed; `greedy=False` explores as at the end of training."""
        if not 0 <= seed < self.seeds:
            raise IndexError(f"The run has the seeds 0 to {self.seeds - 1}, got seed {seed}.")
        return self.algorithm.policy(jax.tree.map(lambda leaf: leaf[seed], self.state), greedy)

    @property
    def returns(self) -> NDArray[np.float64]:
        """[S]: each seed's mean evaluation return; NaN for a seed that diverged."""
        if self.evaluation is None:
            return np.full(self.seeds, np.nan)
        means = np.asarray(self.evaluation.returns, np.float64).mean(axis=-1)
        means[list(self.diverged)] = np.nan
        return means

    @property
    def result(self) -> Interval:
        """The mean return over the seeds that did not diverge, with its 95 % bootstrap interval over seeds."""
        returns = self.returns
        return bootstrap_interval(returns[np.isfinite(returns)])

    def __repr__(self) -> str:
        return summary(self)


def summary(run: Run) -> str:
    """The run in a few lines: what was trained, how well, how fast, what went wrong, where it lies."""
    devices = jax.tree.leaves(run.state)[0].devices()
    hardware = f"{len(devices)} x {next(iter(devices)).device_kind}"
    lines = [f"{label_of(run.algorithm)}, {count(run.seeds, 'seed')} x {run.steps[-1]:,} steps ({hardware})"]
    lines += _evaluation_lines(run)
    if run.diverged:
        where = ", ".join(f"seed {seed} (by iteration {iteration})" for seed, iteration in run.diverged.items())
        lines.append(f"  diverged   NaN or infinity in the learner of {where}; left out of the return")
    if run.stopped:
        first, last = (end(run.stopped.values()) * run.algorithm.steps_per_iteration for end in (min, max))
        when = f"{first:,}" if first == last else f"{first:,} to {last:,}"
        lines.append(
            f"  stopped    {len(run.stopped)} of {count(run.seeds, 'seed')} at the target return, after {when} steps"
        )
    speed = run.steps_of_all / max(run.timing.training, 1e-9)
    lines.append(f"  training   {run.timing.training:.1f} s, {speed:,.0f} steps/s over all seeds")
    lines.append(f"  compiling  {run.timing.compiling:.1f} s")
    lines.append(
        f"  memory     {size(run.space.program)} of the training program, {size(run.space.state)} of it states; "
        f"{size(run.space.peak)} at the peak"
    )
    if run.space.checkpoints:
        share = f"{run.timing.saving / max(run.timing.saving + run.timing.training, 1e-9):.1%} of the training"
        lines.append(f"  saving     {run.timing.saving:.1f} s, {share}; {size(run.space.checkpoints)} on disk")
    if run.directory is not None:
        lines.append(f"  folder     {run.directory}")
    return "\n".join(lines)


def _evaluation_lines(run: Run) -> list[str]:
    if run.evaluation is None:
        return []
    completed = np.asarray(run.evaluation.completed)
    num_seeds = run.seeds - len(run.diverged)
    if num_seeds == 0:
        return ["  return     none: every seed diverged"]
    return [f"  return     {return_with_interval(run.result, num_seeds, completed.shape[-1])}", *incomplete(completed)]


def return_with_interval(result: Interval, num_seeds: int, num_episodes: int) -> str:
    """`497.3 [495.0, 499.1]  (...)` with what the numbers are."""
    episodes = count(num_episodes, "greedy episode")
    if num_seeds == 1:
        return f"{result.estimate:.2f}  (mean of {episodes}; one seed has no interval)"
    return (
        f"{result.estimate:.2f} [{result.low:.2f}, {result.high:.2f}]  "
        f"(mean of {num_seeds} seeds and its 95 % bootstrap interval; {episodes} each)"
    )


def incomplete(completed: NDArray[np.bool_]) -> list[str]:
    """A line where evaluation episodes were cut by the evaluation's own bound."""
    missing = int((~completed).sum())
    if not missing:
        return []
    return [f"  incomplete {missing} of {completed.size} evaluation episodes did not end and count as far as they came"]


def count(number: int, noun: str) -> str:
    """`1 seed`, `16 seeds`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def label_of(algorithm: Algorithm[Any]) -> str:
    """`PPO on CartPole-v1`."""
    return f"{type(algorithm).__name__} on {name_of(algorithm.env)}"


def name_of(env: Any) -> str:
    """What people call `env`: its own name or that of what it wraps, else its class."""
    inner = env
    while True:
        name = getattr(inner, "name", None)
        if isinstance(name, str):
            return name
        deeper = getattr(inner, "env", getattr(inner, "rules", None))
        if deeper is None:
            return type(inner).__name__
        inner = deeper
