"""What a run leaves behind in memory, and how it sums itself up."""

import dataclasses
import functools
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from jaxrl.algorithm import Algorithm, Policy
from jaxrl.analysis.statistics import Interval, bootstrap_interval
from jaxrl.engine.evaluate import Episodes
from jaxrl.engine.evolution import PBT
from jaxrl.engine.host_loop import Chunk
from jaxrl.engine.population import Population, differences
from jaxrl.engine.ranking import Ranked, ranked, table_lines
from jaxrl.envs.registry import SUITES
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
    """The states of all agents that are held together."""
    working: int
    """What the training program takes besides."""
    planned: int
    """What the run was said to take at its peak, with what the process held before."""
    peak: int
    """The most that the device held at once in this process; where that is the CPU, the most that the process did."""
    checkpoints: int = 0
    """On the disk, all that are kept together."""


@dataclasses.dataclass(frozen=True, repr=False)
class Run:
    """The agents of a run, one by one (M agents, R reports); printing it gives the summary.

    The M agents are the seeds; in a sweep of K settings agent `seed * K + setting` has that seed and that setting.
    """

    population: Population
    chunks: tuple[Chunk, ...]
    """The agents at the end, as they lie in memory."""
    iteration: int
    """Iterations done."""
    steps: NDArray[np.int64]
    """[R]: environment steps per agent at each report."""
    metrics: dict[str, NDArray[np.float32]]
    """Name -> [M, R], each the mean since the report before; NaN where nothing was measured."""
    diverged: dict[int, int]
    """Agent -> the iteration at whose report its learner was first found to hold NaN or infinity."""
    stopped: dict[int, int]
    """Agent -> the iterations it had done when it reached the target return, and trained no further."""
    stopped_as: str
    """Why they stopped."""
    evaluation: Episodes | None
    """The final greedy episodes, numpy leaves [M, num_episodes]; None where none were asked for."""
    directory: Path | None
    """The folder with everything above but the states; None where none was asked for."""
    hardware: str
    """The devices, such as `8 x NVIDIA H100`."""
    timing: Timing
    space: Space

    @property
    def algorithm(self) -> Algorithm[Any]:
        """What was trained; in a sweep the first of the settings."""
        return self.population.algorithm

    @functools.cached_property
    def state(self) -> Any:
        """The states of all agents, leaves [M, ...]; of a run that was trained in waves the learners alone."""
        if len(self.chunks) == 1:
            only = self.chunks[0]
            return only.states if len(only.keys) == len(only.members) else only.cut(only.states)
        order = np.argsort(np.concatenate([chunk.members for chunk in self.chunks]))
        parts = [chunk.cut(chunk.states) for chunk in self.chunks]
        if (np.diff(order) == 1).all():
            return jax.tree.map(lambda *each: jnp.concatenate(each), *parts)
        return jax.tree.map(lambda *each: jnp.concatenate(each)[order], *parts)

    @property
    def seeds(self) -> int:
        """How many agents there are of each setting."""
        return len(self.population.keys)

    @property
    def steps_of_all(self) -> int:
        """Environment steps of all agents together, each until it stopped or diverged."""
        ended = {**self.stopped, **self.diverged}
        iterations = sum(ended.get(agent, self.iteration) for agent in range(len(self.population)))
        return iterations * self.algorithm.steps_per_iteration

    def policy(self, seed: int, greedy: bool = True) -> Policy:
        """The policy of one agent; `greedy=False` explores as at the end of training."""
        if not 0 <= seed < len(self.population):
            raise IndexError(f"The run has the seeds 0 to {len(self.population) - 1}, got seed {seed}.")
        chunk = next(chunk for chunk in self.chunks if seed in chunk.members)
        row = int(np.flatnonzero(chunk.members == seed)[0])
        algorithm = self.population.settings[seed % len(self.population.settings)]
        return algorithm.policy(jax.tree.map(lambda leaf: leaf[row], chunk.states), greedy)

    @property
    def returns(self) -> NDArray[np.float64]:
        """[M]: each agent's mean evaluation return; NaN for one that diverged."""
        if self.evaluation is None:
            return np.full(len(self.population), np.nan)
        means = np.asarray(self.evaluation.returns, np.float64).mean(axis=-1)
        means[list(self.diverged)] = np.nan
        return means

    @property
    def ranking(self) -> list[Ranked]:
        """Of a sweep, its settings, best mean return first."""
        settings = self.population.settings
        return ranked(differences(settings), self.returns.reshape(-1, len(settings)).T)

    @property
    def result(self) -> Interval:
        """The mean return over the seeds that did not diverge, with its 95 % bootstrap interval over seeds."""
        returns = self.returns
        return bootstrap_interval(returns[np.isfinite(returns)])

    def __repr__(self) -> str:
        return summary(self)


def summary(run: Run) -> str:
    """The run in a few lines: what was trained, how well, how fast, what went wrong, where it lies."""
    title = f"{label_of(run.algorithm)}, {agents_of(run.population)} x {run.steps[-1]:,} steps ({run.hardware})"
    num_settings = len(run.population.settings)
    lines = [title, *(_evaluation_lines(run) if num_settings == 1 or run.evaluation is None else _ranking_lines(run))]
    if run.diverged:
        where = ", ".join(f"{named(run, agent)} (by iteration {at})" for agent, at in run.diverged.items())
        lines.append(f"  diverged   NaN or infinity in the learner of {where}; left out of the return")
    if run.stopped:
        first, last = (end(run.stopped.values()) * run.algorithm.steps_per_iteration for end in (min, max))
        when = f"{first:,}" if first == last else f"{first:,} to {last:,}"
        agents = f"{len(run.stopped)} of {count(len(run.population), 'seed' if num_settings == 1 else 'agent')}"
        lines.append(f"  stopped    {agents} {run.stopped_as}, after {when} steps")
    speed = run.steps_of_all / max(run.timing.training, 1e-9)
    lines.append(f"  training   {run.timing.training:.1f} s, {speed:,.0f} steps/s over all seeds")
    lines.append(f"  compiling  {run.timing.compiling:.1f} s")
    lines.append(
        f"  memory     {size(run.space.state)} of states, {size(run.space.working)} to work with; "
        f"{size(run.space.planned)} planned in all, {size(run.space.peak)} at the peak"
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
    num_seeds = len(run.population) - len(run.diverged)
    if num_seeds == 0:
        return ["  return     none: every seed diverged"]
    return [f"  return     {return_with_interval(run.result, num_seeds, completed.shape[-1])}", *incomplete(completed)]


def _ranking_lines(run: Run) -> list[str]:
    assert run.evaluation is not None
    lines = [*table_lines(run.ranking), *incomplete(np.asarray(run.evaluation.completed))]
    if isinstance(run.population.search, PBT):
        lines.append("        These are the settings that agents began with; metrics.csv has those they came to.")
    return lines


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


def named(run: Run, agent: int) -> str:
    """`seed 3`, or in a sweep `seed 3 of setting 2`."""
    seed, setting = divmod(agent, len(run.population.settings))
    return f"seed {seed}" if len(run.population.settings) == 1 else f"seed {seed} of setting {setting}"


def agents_of(population: Population) -> str:
    """`16 seeds`, `3 settings x 16 seeds`."""
    seeds = count(len(population.keys), "seed")
    return seeds if len(population.settings) == 1 else f"{len(population.settings):,} settings x {seeds}"


def label_of(algorithm: Algorithm[Any]) -> str:
    """`PPO on CartPole-v1`."""
    return f"{type(algorithm).__name__} on {name_of(algorithm.env)}"


def name_of(env: Any) -> str:
    """What people call `env`: its own name or that of what it wraps, else its class."""
    inner = env
    while True:
        name = getattr(inner, "name", None)
        if isinstance(name, str):
            suite = getattr(inner, "suite", type(inner).__module__.rpartition(".")[2])  # or that of the adapter's file
            return f"{suite}/{name}" if suite in SUITES else name
        deeper = getattr(inner, "env", getattr(inner, "rules", None))
        if deeper is None:
            return type(inner).__name__
        inner = deeper
