"""The README's table of speeds, from what ppo.py, value_based.py, actor_critic.py and vectorization.py have measured.

    python benchmarks/summary.py

Prints the table; a test holds the README to it.
"""

import statistics
from typing import Any

import report
import vectorization
from comparison import ratios
from workload import Row

PEERS = ("plain loop", "Rejax", "SBX", "SB3")
AGENTS = {
    ("ppo", "cartpole-4"): "PPO, CartPole, 4 environments",
    ("ppo", "cartpole-64"): "PPO, CartPole, 64 environments",
    ("ppo", "breakout-64"): "PPO, Breakout-MinAtar, 64 environments",
    ("ppo", "recurrent-16"): "recurrent PPO, CartPole, 16 environments",
    ("value_based", "rejax-1"): "DQN, CartPole, Rejax's settings",
    ("value_based", "purejaxrl-1"): "DQN, CartPole, PureJaxRL's settings",
    ("actor_critic", "sac-1"): "SAC, Pendulum, Rejax's settings",
    ("actor_critic", "td3-1"): "TD3, Pendulum, Rejax's settings",
}
"""(Results file, its row) -> what the README calls it."""
POPULATIONS = {16: "16 agents", 256: "256 agents", 2_048: "2,048 agents"}
"""Seeds of a row of vectorization.py."""


def table() -> str:
    """The steps per second of jaxrl, and how many times as fast it is as each peer: medians."""
    agents = [[called, *_alone(report.read(name)["rows"][row])] for (name, row), called in AGENTS.items()]
    found = report.read("vectorization")["rows"]
    populations = [[f"PPO, CartPole, {called}", *_together(n, found[str(n)])] for n, called in POPULATIONS.items()]
    header = ["training", "env steps/s", "PureJaxRL style", "Rejax", "SBX", "SB3"]
    return report.table(header, agents + populations)


def _alone(found: dict[str, Any]) -> list[str]:
    """One agent, as one program on one device."""
    row, sides = Row(**found["row"]), found["measured"]
    there = [peer for peer in PEERS if "wall" in sides.get(peer, {})]
    times = {peer: statistics.median(ratios(row, sides[peer], sides["jaxrl"])) for peer in there}
    return [_rate(row.total_steps, sides["jaxrl"]), *(_short(times.get(peer)) for peer in PEERS)]


def _together(seeds: int, sides: dict[str, Any]) -> list[str]:
    """A population, trained by `jaxrl.run` on a device for each core."""
    seconds = {name: statistics.median(side["wall"]) for name, side in sides.items()}
    times = [seconds[peer] / seconds["jaxrl"] for peer in ("PureJaxRL style", "Rejax")]
    return [_rate(seeds * vectorization.ROWS[seeds], sides["jaxrl"]), *map(_short, times), "", ""]


def _rate(steps: int, side: dict[str, Any]) -> str:
    return f"{steps / statistics.median(side['wall']):,.0f}"


def _short(times: float | None) -> str:
    return "" if times is None else f"{times:.1f}" if times < 10 else f"{times:.0f}"


if __name__ == "__main__":
    print(table())
