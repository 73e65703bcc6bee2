"""How many steps per second populations of 1, 16, 256 and 2,048 PPO agents make, beside Rejax and PureJaxRL's style.

    python benchmarks/vectorization.py [--parts PART ...] [--rows SEEDS ...] [--sides SIDE ...] [--repeats N] [--quick]

Every measurement is a process of its own, since the number of devices is settled when JAX begins. Rejax has a virtual
environment of its own (peers/). Writes results/vectorization.md and .json, where what is not measured again stays;
--quick only shows that everything runs, and writes nothing. On an accelerator there is one device, and the rows of
several CPU devices are left out.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import peer
import report
from purejaxrl_style import Settings

ROWS = {1: 500_000, 16: 102_400, 256: 7_680, 2_048: 1_536}
"""Seeds -> steps of each: PPO's 4 environments x 128 steps make an update."""
PARTS = ("rows", "compiling", "memory")
SIDES = ("jaxrl", "jaxrl on one device", "jaxrl, jit(vmap(train))", "PureJaxRL style", "Rejax")
WITHOUT_CACHE = {"JAX_ENABLE_COMPILATION_CACHE": "false"}
COMPILED = ("jaxrl", "PureJaxRL style")
POPULATIONS = {"10,000 PPO agents": ("PPO", 10_000, 1_536), "1,024 DQN agents": ("DQN", 1_024, 1_500)}
"""What is run to see whether the memory that was planned is the memory that was taken: algorithm, seeds, steps."""

HEAD = """\
# Populations

PPO on CartPole-v1 with PureJaxRL's settings (4 environments, 128 steps, 4 epochs of 4 minibatches). Steps per second
of all agents together, from the median of the repeats with the least and the greatest time in brackets. *jaxrl* is
`jaxrl.run`, whose agents are spread over a CPU device for each core; the other sides run as their users run them, one
vmapped program on one device, which may use all cores for a single operation.
"""


def jaxrl_run(seeds: int, steps: int, devices: int | None) -> tuple[Callable[[int], float], Callable[[], float]]:
    """(repeat -> seconds of training, seconds of compiling the first time) of `jaxrl.run`."""
    from ppo import agent_of

    import jaxrl

    ppo = agent_of(Settings(total_steps=steps))
    compiling: list[float] = []

    def train(repeat: int) -> float:
        found = jaxrl.run(
            ppo, seeds=seeds, seed=repeat, devices=devices, num_reports=2, eval_episodes=0, progress=False
        )
        compiling.append(found.timing.compiling)
        return found.timing.training

    return train, lambda: compiling[0]


def one_program(name: str, seeds: int, steps: int) -> tuple[Callable[[int], float], Callable[[], float]]:
    """The same for one vmapped program."""
    import jax
    import purejaxrl_style
    from ppo import agent_of

    import jaxrl

    settings = Settings(total_steps=steps)
    ppo = agent_of(settings)

    def ours(key: jax.Array) -> Any:
        result = jaxrl.train(ppo, key)
        return result.state.learner, result.metrics

    def theirs(key: jax.Array) -> Any:
        return purejaxrl_style.train(key, settings)

    began = time.perf_counter()
    keys = [jax.random.split(jax.random.key(repeat), seeds) for repeat in range(20)]
    program = jax.jit(jax.vmap(theirs if name == "PureJaxRL style" else ours)).lower(keys[0]).compile()
    compiling = time.perf_counter() - began

    def train(repeat: int) -> float:
        began = time.perf_counter()
        jax.block_until_ready(program(keys[repeat]))
        return time.perf_counter() - began

    return train, lambda: compiling


def work(side: str, seeds: int, steps: int, repeats: int) -> dict[str, Any]:
    """One measurement, in this process; the first turn warms up."""
    if side in ("jaxrl", "jaxrl on one device"):
        train, compiling = jaxrl_run(seeds, steps, None if side == "jaxrl" else 1)
    else:
        train, compiling = one_program(side, seeds, steps)
    train(0)
    wall = [train(repeat) for repeat in range(1, repeats + 1)]
    return {"wall": wall, "compiling": compiling(), "circumstances": report.circumstances()}


def population(name: str) -> dict[str, Any]:
    """What a large population was said to take, and took."""
    import jaxrl

    algorithm, seeds, steps = POPULATIONS[name]
    agent = getattr(jaxrl, algorithm)("CartPole-v1", total_steps=steps)
    found = jaxrl.run(agent, seeds=seeds, num_reports=2, eval_episodes=4, progress=False)
    with open("/proc/self/status", encoding="utf-8") as file:
        swapped = next(int(line.split()[1]) * 1024 for line in file if line.startswith("VmSwap:"))
    space = found.space
    return {
        "planned": space.planned,
        "peak": space.peak,
        "state": space.state,
        "swapped": swapped,
        "chunks": len(found.chunks),
        "seconds": found.timing.training,
    }


def in_a_process(*words: str) -> dict[str, Any]:
    """What this script prints when it is called with `words`; it compiles everything itself."""
    command = [sys.executable, __file__, "--worker", *words]
    spread = {"JAX_NUM_CPU_DEVICES": str(os.cpu_count())} if words[0] == "jaxrl" or words[0] in POPULATIONS else {}
    env = os.environ | WITHOUT_CACHE | spread
    done = subprocess.run(command, capture_output=True, text=True, timeout=1_800, env=env)
    if done.returncode != 0:
        return {"missing": f"it failed ({done.stderr.strip().splitlines()[-1][:200]})"}
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def measured(side: str, seeds: int, steps: int, repeats: int) -> dict[str, Any]:
    """One side of one row."""
    if side == "Rejax":
        settings = Settings(total_steps=steps)._asdict() | {"num_seeds": seeds, "repeats": repeats}
        return peer.measured("rejax_run", "rejax", settings)
    return in_a_process(side, str(seeds), str(steps), str(repeats))


def scaling(rows: dict[str, Any]) -> str:
    """The table of what a second device adds: the same agents over all devices and on one."""
    lines = []
    for seeds, sides in rows.items():
        spread, alone = (sides.get(side, {}).get("wall") for side in ("jaxrl", "jaxrl on one device"))
        if spread and alone:
            lines.append([seeds, f"{statistics.median(alone) / statistics.median(spread):.2f}"])
    return report.table(["seeds", "rate of all devices / rate of one"], lines)


def compiled(found: dict[str, Any]) -> str:
    """The table of how long the programs for so many seeds take to compile, tracing included."""
    if not found:
        return "Not measured."
    rows = [[side, *(f"{seconds:.1f} s" for seconds in by_seeds.values())] for side, by_seeds in found.items()]
    return report.table(["", *(f"{int(seeds):,} seeds" for seeds in next(iter(found.values())))], rows)


def markdown(data: dict[str, Any]) -> str:
    """The tables of results/vectorization.md."""
    lines, missing = [], []
    for seeds, sides in data["rows"].items():
        ours = sides.get("jaxrl")
        for side, found in sides.items():
            if "missing" in found:
                missing.append(f"- {side} is missing from {seeds} seeds: {found['missing']}.")
                continue
            seconds, steps = statistics.median(found["wall"]), int(seeds) * ROWS[int(seeds)]
            ratio = "" if ours is None or found is ours else f"{seconds / statistics.median(ours['wall']):.2f}"
            spread = f"[{min(found['wall']):.2f}, {max(found['wall']):.2f} s]"
            lines.append([seeds, side, f"{steps / seconds:,.0f} {spread}", ratio])
    tables = [report.table(["seeds", "side", "env steps/s", "jaxrl is times as fast"], lines)]
    sizes = [
        [name, *(f"{found[key] / 2**20:,.0f} MiB" for key in ("state", "planned", "peak", "swapped"))]
        + [f"{found['peak'] / found['planned']:.2f}", str(found["chunks"]), f"{found['seconds']:.0f} s"]
        for name, found in data.get("populations", {}).items()
        if "missing" not in found
    ]
    header = ["population", "states", "planned", "peak", "swapped", "peak / planned", "chunks", "training"]
    tables += ["\n## Devices\n", scaling(data["rows"]), "\n## Compiling\n", compiled(data.get("compiling", {}))]
    tables += ["\n## Memory\n", report.table(header, sizes)]
    facts = report.facts({"all": data["circumstances"]})
    return "\n".join([HEAD, *tables, "", *missing, facts])


def main() -> None:
    """Measure what the command line asks for."""
    if sys.argv[1:2] == ["--worker"]:
        words = sys.argv[2:]
        found = population(words[0]) if len(words) == 1 else work(words[0], *map(int, words[1:]))
        print(json.dumps(found))
        return
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--parts", nargs="*", choices=PARTS, default=list(PARTS))
    parser.add_argument("--rows", nargs="*", type=int, choices=list(ROWS), default=list(ROWS))
    parser.add_argument("--sides", nargs="*", choices=SIDES, default=list(SIDES))
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--quick", action="store_true")
    chosen = parser.parse_args()
    data = report.read("vectorization") or {"rows": {}}
    if "rows" in chosen.parts:
        for seeds in chosen.rows:
            steps = 1_024 if chosen.quick else ROWS[seeds]
            repeats = 1 if chosen.quick else chosen.repeats
            agents = min(seeds, 4) if chosen.quick else seeds
            found = {side: measured(side, agents, steps, repeats) for side in chosen.sides}
            print(json.dumps({str(seeds): found}), flush=True)
            data["rows"][str(seeds)] = data["rows"].get(str(seeds), {}) | found
    if chosen.quick:
        return
    if "compiling" in chosen.parts:
        data["compiling"] = {
            side: {seeds: measured(side, seeds, 1_024, 1)["compiling"] for seeds in ROWS} for side in COMPILED
        }
    if "memory" in chosen.parts:
        data["populations"] = {name: in_a_process(name) for name in POPULATIONS}
    data["circumstances"] = report.circumstances()
    report.write("vectorization", markdown(data), data)


if __name__ == "__main__":
    main()
