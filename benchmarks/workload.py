"""What a benchmark of whole trainings consists of: settings, rows, the loops of this process, and the peers."""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import jax

import jaxrl


class Row(NamedTuple):
    settings: str
    """The name of the settings; the benchmark knows them."""
    num_seeds: int
    total_steps: int
    """Of each seed; fewer where there are more seeds. Learning starts after the same part of the run."""
    repeats: int


class Settings(Protocol):
    """What a loop and a peer are told; a NamedTuple, since the peers get it as JSON."""

    @property
    def algorithm(self) -> str: ...

    @property
    def env(self) -> str: ...

    @property
    def gradient_steps(self) -> int:
        """Of a whole run."""
        ...

    def _asdict(self) -> dict[str, Any]: ...


class Loop(NamedTuple):
    """One side of the comparison in this process."""

    train: Callable[[jax.Array], tuple[Any, Any]]
    """key -> (what a run carries, what else it leaves)."""
    policy: Callable[[Any], Any]
    """What a run carries -> the trained policy."""


class Benchmark(NamedTuple):
    name: str
    description: str
    """For the command line."""
    title: str
    ratio: str
    """How the table compares jaxrl with the others."""
    rows: dict[str, Row]
    settings_of: Callable[[Row], Settings]
    loops_of: Callable[[Any], dict[str, Loop]]
    """Settings -> the loops of this process, "jaxrl" among them."""
    agent_of: Callable[[Any], Any]
    """Settings -> the algorithm, for `jaxrl.run`."""
    peers: tuple[str, ...]
    """Whom to run beside jaxrl: other loops of this process, "jaxrl.run", "Rejax", "SBX", "SB3"."""
    library_settings: tuple[str, ...]
    """Settings that SBX and Stable-Baselines3 can follow, at one seed: they know no seeds side by side."""
    library_steps: int
    """SBX and Stable-Baselines3 run this long at most: they are as fast later."""
    max_steps: int
    """Of an episode."""


def trained(agent: Any) -> Loop:
    """The loop "jaxrl" for an agent."""

    def train(key: jax.Array) -> tuple[Any, Any]:
        result = jaxrl.train(agent, key)
        return result.state, result.metrics

    return Loop(train, agent.policy)


def scaled_start(learning_starts: int, base_steps: int, row: Row, least: int) -> int:
    """When learning starts: after the same part of the row's run as of `base_steps`, or at `least`."""
    return max(learning_starts * row.total_steps // base_steps, least)
