"""What is known after a stretch of iterations, for every seed."""

import dataclasses
from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

EVALUATION_RETURN = "evaluation_return"
"""The metric of the greedy episodes that are played now and then in the course of a run."""


@dataclasses.dataclass(frozen=True)
class Report:
    """What is known after a stretch of iterations (M agents)."""

    iteration: int
    """Iterations done."""
    steps: int
    """Environment steps done, per agent."""
    metrics: dict[str, NDArray[np.float32]]
    """Name -> [M]: the mean over the stretch; NaN where nothing was measured. An agent that does not train any more
    keeps the values of its last stretch."""
    diverged_at: NDArray[np.int32]
    """[M]: the iteration by which the learner held NaN or infinity; -1 while it does not."""
    is_active: NDArray[np.bool_]
    """[M]: whether the agent goes on: it neither diverged nor reached the target return."""
    first: int = 0
    """The number of the first of these agents in the population: waves of them are trained one after another."""
    num_settings: int = 1
    """K: agent `seed * K + setting` has that seed and that setting."""
    stopped_as: str = "at the target return"
    """What is said of an agent that goes no further though it did not diverge."""

    @property
    def members(self) -> NDArray[np.int64]:
        """[M]: the numbers of these agents in the population."""
        return self.first + np.arange(len(self.is_active))

    @property
    def is_finite(self) -> NDArray[np.bool_]:
        """[M]: whether the learner holds neither NaN nor infinity."""
        return self.diverged_at < 0

    @property
    def curve(self) -> str:
        """The metric to show first."""
        return curve_name(list(self.metrics))

    def index(self, agent: int) -> dict[str, int]:
        """Which agent that is: its seed, in a sweep after its setting."""
        seed, setting = divmod(agent, self.num_settings)
        return {"seed": seed} if self.num_settings == 1 else {"setting": setting, "seed": seed}

    def streams(self, each: bool) -> Iterator[tuple[str, dict[str, float]]]:
        """The means under the name of their stream, of a later wave `mean_from_4096`; and `each` agent's own values."""
        yield f"mean_from_{self.first}" if self.first else "mean", self.measured()
        for agent in self.members if each else ():
            name = "_".join(f"{part}_{number}" for part, number in self.index(int(agent)).items())
            yield name, self.measured(int(agent))

    def measured(self, agent: int | None = None) -> dict[str, float]:
        """What was measured for one agent, or the means over those that did not diverge; nothing is NaN."""
        found = {
            name: mean_of(values[self.is_finite]) if agent is None else float(values[agent - self.first])
            for name, values in self.metrics.items()
        }
        return {name: value for name, value in found.items() if np.isfinite(value)}


def curve_name(metrics: Iterable[str]) -> str:
    """The metric to show and to draw: the episodes' return, or the first where an algorithm has none."""
    names = list(metrics)
    return "episode_return" if "episode_return" in names else names[0]


def mean_of(values: NDArray[np.float32]) -> float:
    """The mean of what was measured; NaN where nothing was."""
    measured = values[np.isfinite(values)]
    return float(measured.mean()) if measured.size else np.nan
