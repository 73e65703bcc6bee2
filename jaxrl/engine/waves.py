"""What agents that were held and trained together came to; a run has one such wave, or several one after another."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from numpy.typing import NDArray

from jaxrl.engine.checkpoints import as_arrays, as_reports
from jaxrl.engine.evaluate import Episodes
from jaxrl.engine.host_loop import Chunk, in_order
from jaxrl.engine.parallel import fetch
from jaxrl.engine.population import Population
from jaxrl.engine.programs import state_shape
from jaxrl.engine.reporting.report import Report


@dataclasses.dataclass(frozen=True)
class Wave:
    """M agents at the end of their training."""

    chunks: list[Chunk]
    reports: list[Report]
    episodes: Episodes | None
    """Numpy leaves [M, num_episodes]."""

    @property
    def members(self) -> NDArray[np.int64]:
        """[M]: which agents of the population."""
        return self.reports[0].members

    def on_host(self, population: Population) -> "Wave":
        """With the learners alone, in numpy: the device is free for the next wave."""
        learners = in_order(self.chunks, [fetch(_learners(chunk.states)) for chunk in self.chunks])
        agents, keys = population.agents(self.members), population.keys_of(self.members)
        return dataclasses.replace(self, chunks=[Chunk(self.members, agents, keys, keys, learners)])

    def as_arrays(self) -> dict[str, Any]:
        """What a checkpoint holds of a wave on the host."""
        episodes = {} if self.episodes is None else {"episodes": dict(enumerate(jax.tree.leaves(self.episodes)))}
        learners = dict(enumerate(jax.tree.leaves(self.chunks[0].states)))
        texts = {"learners": learners, **episodes}
        named = {part: {str(place): leaf for place, leaf in leaves.items()} for part, leaves in texts.items()}
        return {"reports": as_arrays(self.reports), **named}


def as_wave(population: Population, arrays: dict[str, Any]) -> Wave:
    """The reverse of `Wave.as_arrays`."""
    reports = as_reports(arrays["reports"])
    members = reports[0].members
    form = jax.tree.structure(_learners(state_shape(population.algorithm, population.keys[0], 1)))
    learners = jax.tree.unflatten(form, _in_order(arrays["learners"]))
    episodes = Episodes(*_in_order(arrays["episodes"])) if "episodes" in arrays else None
    keys = population.keys_of(members)
    return Wave([Chunk(members, population.agents(members), keys, keys, learners)], reports, episodes)


def metrics_of(waves: Sequence[Wave]) -> dict[str, NDArray[np.float32]]:
    """Name -> [M, R], the agents of all waves in their order; of a wave that ended early the last values to the end."""
    longest = max(len(wave.reports) for wave in waves)

    def rows(wave: Wave, name: str) -> NDArray[np.float32]:
        measured = [report.metrics[name] for report in wave.reports]
        return np.stack(measured + measured[-1:] * (longest - len(measured)), axis=1)

    return {name: np.concatenate([rows(wave, name) for wave in waves]) for name in waves[0].reports[0].metrics}


def diverged_in(waves: Sequence[Wave]) -> dict[int, int]:
    """Agent -> the iteration by which its learner held NaN or infinity."""
    found: dict[int, int] = {}
    for wave in waves:
        last = wave.reports[-1]
        found |= {int(wave.members[row]): int(last.diverged_at[row]) for row in np.flatnonzero(~last.is_finite)}
    return found


def stopped_in(waves: Sequence[Wave]) -> dict[int, int]:
    """Agent -> the iterations it had done when it reached the target return."""
    found: dict[int, int] = {}
    for wave in waves:
        for report in wave.reports:
            for row in np.flatnonzero(~report.is_active & report.is_finite):
                found.setdefault(int(wave.members[row]), report.iteration)
    return dict(sorted(found.items()))


def episodes_of(waves: Sequence[Wave]) -> Episodes | None:
    """Of all agents in their order, numpy leaves [M, num_episodes]."""
    if waves[0].episodes is None:
        return None
    found: Episodes = jax.tree.map(lambda *each: np.concatenate(each), *(wave.episodes for wave in waves))
    return found


def _learners(states: Any) -> Any:
    """`states` without what only training needs."""
    rest = {name: None for name in ("world", "replay") if hasattr(states, "learner") and hasattr(states, name)}
    return dataclasses.replace(states, **rest) if rest else states


def _in_order(leaves: dict[str, Any]) -> list[Any]:
    return [np.asarray(leaves[name]) for name in sorted(leaves, key=int)]
