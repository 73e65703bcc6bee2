"""How many agents are trained at once, and how many are held at once: by the memory there is, and by speed."""

import dataclasses
import math

import jax
import numpy as np
from jax.sharding import Mesh
from numpy.typing import NDArray

from jaxrl.engine.evolution import PBT, SuccessiveHalving
from jaxrl.engine.hosts import least
from jaxrl.engine.parallel import num_columns, num_rows
from jaxrl.engine.population import Population
from jaxrl.engine.programs import Programs, compile_training, state_shape
from jaxrl.memory import free_bytes, held_bytes, size, tree_bytes

CPU_LANES = 8
"""Agents that a CPU device trains side by side: a few, so that what they work on stays small."""
SHARE = 0.9
"""Of the memory that is free, what a run takes where nothing else is said."""


class DoesNotFit(ValueError):
    """There is no room for what is to be trained."""


@dataclasses.dataclass(frozen=True)
class Layout:
    """How the agents of a run are cut up; it decides the last digits of what they compute."""

    chunk: int
    """Agents in one call of the program, over all devices."""
    wave: int
    """Agents that are held together."""
    devices_per_agent: int


@dataclasses.dataclass(frozen=True)
class Plan:
    """M agents in equal chunks, each a call of the compiled program; the chunks in as few waves as memory allows."""

    layout: Layout
    waves: tuple[NDArray[np.int64], ...]
    """The agents [m] that are held together and trained from the beginning to the end."""
    state: int
    """Bytes of the states of a whole wave."""
    working: int
    """Bytes that a call of the program takes besides."""
    planned: int
    """Bytes at the peak: these two, and what the process held before."""

    @property
    def chunk(self) -> int:
        """Agents in one call of the program, over all devices."""
        return self.layout.chunk

    def __str__(self) -> str:
        """For people, such as `1.2 GiB: 0.9 GiB of states, 40.0 MiB to work with; 10,000 agents, 8 at a time`."""
        agents = sum(map(len, self.waves))
        what = f"{size(self.planned)}: {size(self.state)} of states, {size(self.working)} to work with"
        if self.chunk < agents:
            what += f"; {agents:,} agents, {self.chunk:,} at a time"
        if len(self.waves) > 1:
            what += f", in {len(self.waves)} waves of at most {len(self.waves[0]):,}"
        return what


def make_plan(
    population: Population, mesh: Mesh | None, max_memory: float | None, before: Layout | None = None
) -> tuple[Plan, Programs]:
    """The fewest waves of equal chunks that fit, and the programs for a chunk, which it takes to know.

    `max_memory` is in GiB, for each device; of CPUs, for all of them together. None is nine tenths of what is free.
    `before` is how a run that goes on was cut up, which it stays if the devices divide it. Raises ValueError where they
    are another number for each agent, and DoesNotFit with the numbers where not one agent fits.
    """
    rows = num_rows(mesh)
    # virtual devices have one memory
    sharing = 1 if mesh is None or jax.default_backend() != "cpu" else len(mesh.local_devices)
    budget = int(max_memory * 2**30 if max_memory is not None else least(SHARE * free_bytes()))
    each = tree_bytes(state_shape(population.algorithm, population.keys[0], num_columns(mesh))) * sharing
    all_lanes = math.ceil(len(population) / rows)
    lanes = even_share(all_lanes, _most_lanes(population, all_lanes))
    if before is not None:
        if before.devices_per_agent != num_columns(mesh):
            raise ValueError(
                f"The run had {before.devices_per_agent} devices for each agent, and would now have "
                f"{num_columns(mesh)}: the environments cannot be dealt out anew; use as many as before."
            )
        lanes = lanes if before.chunk % rows else before.chunk // rows
    who = "One agent takes" if sharing == 1 else f"One agent on each of {sharing} devices takes"
    _require(each, 0, budget, who)
    while True:
        programs = compile_training(population, mesh, lanes * rows)
        working = max(programs.working_bytes * sharing, 0)
        if working + lanes * each <= budget or lanes == 1:
            break
        if isinstance(population.search, PBT):
            _require(all_lanes * each, working, budget, f"The {len(population)} agents of a search by PBT take")
        lanes = even_share(all_lanes, max(1, int(lanes * budget / (working + lanes * each))))
    _require(each, working, budget, who)
    chunks = math.ceil(all_lanes / lanes)
    fit = max(1, (budget - working) // (lanes * each))
    wave = before.wave if before is not None else min(even_share(chunks, fit) * lanes * rows, len(population))
    members = np.arange(len(population))
    waves = tuple(members[first : first + wave] for first in range(0, len(members), wave))
    state = math.ceil(wave / (lanes * rows)) * lanes * each
    layout = Layout(lanes * rows, wave, num_columns(mesh))
    return Plan(layout, waves, state, working, held_bytes() + state + working), programs


def _most_lanes(population: Population, all_lanes: int) -> int:
    """How many agents a device is to train side by side, where there is memory for them."""
    if isinstance(population.search, PBT):
        return all_lanes  # any agent may go on from any other
    most = CPU_LANES if jax.default_backend() == "cpu" else all_lanes
    if isinstance(population.search, SuccessiveHalving):  # those who are left are to fill whole chunks
        return max(1, min(most, round(all_lanes * population.search.keep**population.search.rungs)))
    return most


def even_share(count: int, most: int) -> int:
    """The size of the fewest equal parts of `count` that have at most `most` each."""
    return math.ceil(count / math.ceil(count / most))


def _require(state: int, working: int, budget: int, what: str) -> None:
    if state + working > budget:
        raise DoesNotFit(
            f"{what} {size(state)} of state and {size(working)} to train it, and there is room for "
            f"{size(budget)}; lower replay_capacity, num_envs, num_steps or devices, or raise max_memory."
        )
