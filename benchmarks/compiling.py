"""How long PPO on CartPole-v1 takes to compile, in a first process and in one that finds its programs on the disk.

    python benchmarks/compiling.py [--repeats N] [--quick]

Every measurement is a process of its own, with a folder of JAX's for compiled programs that the first process of a pair
finds empty and the second one full. Writes results/compiling.md and .json; --quick measures once and writes nothing.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from typing import Any

import peer
import report
from purejaxrl_style import Settings

SETTINGS = Settings(total_steps=2_048)
"""PureJaxRL's own, for a moment: the programs are those of a long run."""

SIDES = ("jaxrl", "jaxrl.run", "plain loop", "Rejax")
KEPT = {
    "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
}

HEAD = """\
# Compiling

Seconds until the programs of PPO on CartPole-v1 (4 environments, 128 steps, one seed) are ready to run, tracing
included: the median, with the least and the greatest in brackets. The *first* process compiles them and leaves them on
the disk; the *second* traces them again and finds the rest there, as every later `jaxrl.run` does by itself. *jaxrl*,
*plain loop* and *Rejax* are each one program, `jit(train)`; `jaxrl.run` has one for the first states, one for a stretch
of training, and compiles them side by side.
"""


def one_program(side: str) -> float:
    """Seconds that `jit(train)` of that side takes to trace and compile, in this process."""
    import jax
    import purejaxrl_style
    from ppo import agent_of

    import jaxrl

    agent = agent_of(SETTINGS)

    def ours(key: jax.Array) -> Any:
        return jaxrl.train(agent, key)

    def theirs(key: jax.Array) -> Any:
        return purejaxrl_style.train(key, SETTINGS)

    key = jax.random.key(0)
    began = time.perf_counter()
    jax.jit(ours if side == "jaxrl" else theirs).lower(key).compile()
    return time.perf_counter() - began


def run_of_jaxrl() -> float:
    """The same of `jaxrl.run`, which keeps that time apart."""
    from ppo import agent_of

    import jaxrl

    return jaxrl.run(agent_of(SETTINGS), num_reports=2, eval_episodes=0, progress=False).timing.compiling


def in_a_process(side: str) -> float:
    """What the side needs in a process of its own."""
    if side == "Rejax":
        return float(
            peer.measured("rejax_run", "rejax", SETTINGS._asdict() | {"num_seeds": 1, "repeats": 0})["compiling"]
        )
    done = subprocess.run([sys.executable, __file__, "--worker", side], capture_output=True, text=True, check=True)
    return float(json.loads(done.stdout.splitlines()[-1]))


def pair(side: str) -> tuple[float, float]:
    """Seconds of a process that finds nothing on the disk, and of the one after it."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ.update(KEPT | {"JAX_COMPILATION_CACHE_DIR": folder})
        return in_a_process(side), in_a_process(side)


def markdown(data: dict[str, Any]) -> str:
    """The table of results/compiling.md."""
    lines = []
    for side, pairs in data["sides"].items():
        columns = zip(*pairs, strict=True)
        lines.append([side, *(f"{statistics.median(each):.1f} [{min(each):.1f}, {max(each):.1f}]" for each in columns)])
    table = report.table(["side", "first process, s", "second process, s"], lines)
    return "\n".join([HEAD, table, "", report.facts({"all": data["circumstances"]})])


def main() -> None:
    """Measure all sides, turn by turn."""
    if sys.argv[1:2] == ["--worker"]:
        side = sys.argv[2]
        print(json.dumps(run_of_jaxrl() if side == "jaxrl.run" else one_program(side)))
        return
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--quick", action="store_true")
    chosen = parser.parse_args()
    data: dict[str, Any] = {"circumstances": report.circumstances(), "sides": {side: [] for side in SIDES}}
    for _ in range(1 if chosen.quick else chosen.repeats):
        for side in SIDES:
            data["sides"][side].append(pair(side))
    if not chosen.quick:
        report.write("compiling", markdown(data), data)
    print(markdown(data))


if __name__ == "__main__":
    main()
