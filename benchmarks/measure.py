"""What the benchmarks of whole trainings share: turns in one process, peers in theirs, tables, and the command line.

A benchmark is a `Benchmark`; `run` measures its rows and writes results/<name>.md, .json and .png. The loops of this
process train turn by turn, compiled beforehand; Rejax, SBX and Stable-Baselines3 (peers/) each in a process and a
virtual environment of their own.
"""

import argparse
import time
from typing import Any

import jax
import peer
import report
from comparison import draw, markdown
from environments import is_here
from workload import Benchmark, Loop, Row

import jaxrl

QUICK_STEPS, QUICK_SEEDS = 1_500, 2
MANY_ENVS = 64
"""From here on the devices share the environments of a single agent: with fewer the exchange costs what it saves."""


def measure(benchmark: Benchmark, row: Row, names: list[str]) -> dict[str, dict[str, Any]]:
    """Compile the loops of this process, run them turn by turn, each time from another seed; then play."""
    loops = {name: loop for name, loop in benchmark.loops_of(benchmark.settings_of(row)).items() if name in names}
    programs: dict[str, Any] = {}
    found: dict[str, dict[str, Any]] = {}
    for name, loop in loops.items():
        began = time.perf_counter()
        train = loop.train if row.num_seeds == 1 else jax.vmap(loop.train)
        programs[name] = jax.jit(train).lower(_keys(row, 0)).compile()
        compiling = time.perf_counter() - began
        temporary_bytes = getattr(programs[name].memory_analysis(), "temp_size_in_bytes", None)
        found[name] = {"compiling": compiling, "temporary_bytes": temporary_bytes, "wall": [], "processor": []}
    for repeat in range(row.repeats + 1):  # the first turn warms up and is not counted
        if "jaxrl.run" in names:
            _run_on_all_devices(benchmark, row, repeat, found.setdefault("jaxrl.run", {"wall": []}))
        for name, program in programs.items():
            began, began_processor = time.perf_counter(), time.process_time()
            state, _ = jax.block_until_ready(program(_keys(row, repeat)))
            if repeat > 0:
                found[name]["wall"].append(time.perf_counter() - began)
                found[name]["processor"].append(time.process_time() - began_processor)
            if repeat == row.repeats:
                found[name]["state_bytes"] = _bytes(state)
                found[name]["return"] = _return(benchmark, row, loops[name], state)
    return found


def _run_on_all_devices(benchmark: Benchmark, row: Row, repeat: int, found: dict[str, Any]) -> None:
    """One turn of `jaxrl.run`, whose own clock leaves out what is not training.

    Its agents are spread over the devices; a single one has them share its environments where there are enough.
    """
    agent = benchmark.agent_of(benchmark.settings_of(row))
    run = jaxrl.run(
        agent,
        seeds=row.num_seeds,
        seed=repeat,
        devices=jax.device_count() if row.num_seeds == 1 and agent.num_envs >= MANY_ENVS else None,
        num_reports=2,
        eval_episodes=64 if repeat == row.repeats else 0,
        progress=False,
    )
    if repeat == 0:
        found["compiling"] = run.timing.compiling
    else:
        found["wall"].append(run.timing.training)
    if repeat == row.repeats:
        found |= {"return": float(run.returns.mean()), "state_bytes": run.space.state}


def _return(benchmark: Benchmark, row: Row, loop: Loop, state: Any) -> float:
    env = jaxrl.make(benchmark.settings_of(row).env, flatten=True)

    def play(state: Any, key: jax.Array) -> jax.Array:
        played = jaxrl.evaluate(loop.policy(state), env, key, num_episodes=64, max_steps=benchmark.max_steps)
        return played.returns.mean()

    return float(jax.jit(play if row.num_seeds == 1 else jax.vmap(play))(state, _keys(row, 0)).mean())


def _bytes(state: Any) -> int:
    return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(state))


def _keys(row: Row, repeat: int) -> jax.Array:
    key = jax.random.key(repeat)
    return key if row.num_seeds == 1 else jax.random.split(key, row.num_seeds)


def measure_peer(benchmark: Benchmark, row: Row, name: str) -> dict[str, Any] | None:
    """A peer of another library, in its own process; None where it cannot do the work of this row."""
    settings = benchmark.settings_of(row)
    common = {"num_seeds": row.num_seeds, "repeats": row.repeats}
    if settings.env.startswith("brax/") or name == "Brax":
        its_own = name == "Brax" and settings.env.startswith("brax/")
        return peer.measured("brax_run", "brax", settings._asdict() | common) if its_own else None
    if settings.algorithm == "RecurrentPPO":
        return None
    if name == "Rejax":
        return peer.measured("rejax_run", "rejax", settings._asdict() | common)
    if row.num_seeds > 1 or row.settings not in benchmark.library_settings:
        return None
    row = row._replace(total_steps=min(row.total_steps, benchmark.library_steps))
    told = benchmark.settings_of(row)._asdict() | common | {"library": name.lower()}
    return peer.measured("sb3_run", "sb3", told) | {"total_steps": row.total_steps}


def run(benchmark: Benchmark) -> None:
    """The command line: measure the rows asked for, with the peers asked for, and write the results."""
    jaxrl.use_all_cores()
    arguments = _arguments(benchmark)
    data = (None if arguments.quick else report.read(benchmark.name)) or {"rows": {}}
    for name in arguments.only:
        row = benchmark.rows[name]
        env = benchmark.settings_of(row).env
        if not is_here(env):
            print(f"{name} is left out: the package of {env} is not installed.")
            continue
        if arguments.quick:
            row = row._replace(num_seeds=min(row.num_seeds, QUICK_SEEDS), total_steps=QUICK_STEPS, repeats=1)
        row = row._replace(total_steps=arguments.steps or row.total_steps, repeats=arguments.repeats or row.repeats)
        found = {"circumstances": report.circumstances(), "row": row._asdict()}
        data["rows"][name] = {**found, "measured": measure_all(benchmark, row, arguments.peers)}
        data["rows"] = {each: data["rows"][each] for each in benchmark.rows if each in data["rows"]}
        if not arguments.quick:
            write(benchmark, data)
    if not (arguments.quick or arguments.only):  # nothing is measured: the tables are written anew
        write(benchmark, data)
    print(markdown(benchmark, data))


def measure_all(benchmark: Benchmark, row: Row, peers: list[str]) -> dict[str, dict[str, Any]]:
    """One row: jaxrl and the loops of this process, then the peers one after another."""
    measured = measure(benchmark, row, ["jaxrl", *peers])
    for name in peers:
        if name not in measured and (found := measure_peer(benchmark, row, name)) is not None:
            measured[name] = found
    return measured


def _arguments(benchmark: Benchmark) -> argparse.Namespace:
    rows, peers = benchmark.rows, benchmark.peers
    parser = argparse.ArgumentParser(
        description=benchmark.description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="*", choices=rows, default=list(rows), help="the others keep their results")
    parser.add_argument("--peers", nargs="*", choices=peers, default=list(peers), help="whom to run beside jaxrl")
    parser.add_argument("--repeats", type=int, help="turns per row")
    parser.add_argument("--steps", type=int, help="environment steps per seed")
    parser.add_argument("--quick", action="store_true", help="tiny runs that show nothing but that everything works")
    return parser.parse_args()


def write(benchmark: Benchmark, data: dict[str, Any]) -> None:
    """results/<name>.md, .json and .png."""
    report.write(benchmark.name, markdown(benchmark, data), data)
    draw(benchmark, data, report.RESULTS / f"{benchmark.name}.png")
