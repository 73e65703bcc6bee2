"""How fast DQN trains on CartPole, beside a plain loop of the same work and beside Rejax, SBX and Stable-Baselines3.

    python benchmarks/value_based.py [--only ROW ...] [--peers PEER ...] [--repeats N] [--steps N] [--quick]

jaxrl and the plain loop (purejaxrl_dqn.py) train in one process, turn by turn, compiled beforehand: both as one
program on one device, and jaxrl also by `jaxrl.run`, with a CPU device for each core. The other peers (peers/)
each in a process and a virtual environment of their own, which the first run installs into .venv/peers.
Writes results/value_based.md and .json; --quick only shows that everything runs, and writes nothing, and --only without
a row only writes the tables anew.
"""

import functools

import measure
import purejaxrl_dqn as plain
from dqn_rows import ROWS, agent_of, settings_of
from purejaxrl_dqn import Settings
from workload import Benchmark, Loop, trained


def loops_of(settings: Settings) -> dict[str, Loop]:
    """The plain loop has the first turn."""
    plain_loop = Loop(
        functools.partial(plain.train, settings=settings),
        lambda runner: plain.Greedy(runner.agent.params, settings),
    )
    return {"plain loop": plain_loop, "jaxrl": trained(agent_of(settings))}


BENCHMARK = Benchmark(
    name="value_based",
    description=__doc__,
    title="DQN on CartPole-v1: jaxrl, a plain loop of the same work, Rejax, SBX and Stable-Baselines3",
    ratio="beside the plain loop, which runs in turn with it, the median\n"
    "of the ratios within a turn; beside the others the ratio of medians",
    rows=ROWS,
    settings_of=settings_of,
    loops_of=loops_of,
    agent_of=agent_of,
    peers=("plain loop", "jaxrl.run", "Rejax", "SBX", "SB3"),
    library_settings=("PureJaxRL's",),  # they know no dueling heads
    library_steps=20_000,
    max_steps=500,
)

if __name__ == "__main__":
    measure.run(BENCHMARK)
