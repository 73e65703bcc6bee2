"""What the benchmarks of whole trainings share: turns in one process, peers in theirs, tables, and the command line.

A benchmark is a `Benchmark`; `run` measures its rows and writes results/<name>.md and .json. The loops of this process
train turn by turn, compiled beforehand; Rejax, SBX and Stable-Baselines3 (peers/) each in a process and a virtual
environment of their own.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import jax
import peer
import report

import jaxrl

QUICK_STEPS, QUICK_SEEDS = 1_500, 2

HEAD = """\
# {title}

*env steps/s* is of all seeds together, from the median of the repeats, with the least and the greatest run time in
brackets. *jaxrl is* says how many times as fast jaxrl is: {ratio}. *by processor time* is the same of the time of all
threads, which other work on the machine changes less. *state* is what a run carries for each seed, the
replay included; *temporaries* what the compiled program needs besides, for each seed. *return* is that of greedy
episodes after the last run. Many seeds are trained for too few steps to learn the task: those rows are about speed.
"""


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
    peers: tuple[str, ...]
    """Whom to run beside jaxrl: other loops of this process, "Rejax", "SBX", "SB3"."""
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


def _return(benchmark: Benchmark, row: Row, loop: Loop, state: Any) -> float:
    env = benchmark.settings_of(row).env

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
    """Rejax, SBX or Stable-Baselines3, each in its own process; None where it cannot do the work of this row."""
    common = {"num_seeds": row.num_seeds, "repeats": row.repeats}
    if name == "Rejax":
        return peer.measured("rejax_run", "rejax", benchmark.settings_of(row)._asdict() | common)
    if row.num_seeds > 1 or row.settings not in benchmark.library_settings:
        return None
    row = row._replace(total_steps=min(row.total_steps, benchmark.library_steps))
    settings = benchmark.settings_of(row)._asdict() | common | {"library": name.lower()}
    return peer.measured("sb3_run", "sb3", settings) | {"total_steps": row.total_steps}


def markdown(benchmark: Benchmark, data: dict[str, Any]) -> str:
    """The tables of results/<name>.md."""
    lines, missing, versions = [], [], set()
    for name, each in data["rows"].items():
        row = Row(**each["row"])
        for who, measured in each["measured"].items():
            if "missing" in measured:
                missing.append(f"- {who} is missing from {name}: {measured['missing']}.")
                continue
            versions.add(measured.get("versions"))
            lines.append([name, who, *_cells(benchmark, row, measured, each["measured"]["jaxrl"])])
    header = ["row", "loop", "seeds", "steps per seed", "env steps/s", "gradient steps/s", "jaxrl is"]
    header += ["by processor time", "compile s", "state", "temporaries", "return"]
    facts = report.facts({name: each["circumstances"] for name, each in data["rows"].items()})
    peers = f"- Peers: {', '.join(sorted(versions - {None}))}.\n" if versions - {None} else ""
    head = HEAD.format(title=benchmark.title, ratio=benchmark.ratio)
    return "\n".join([head, report.table(header, lines), "", *missing, facts + peers])


def _cells(benchmark: Benchmark, row: Row, measured: dict[str, Any], ours: dict[str, Any]) -> list[str]:
    own = row._replace(total_steps=measured.get("total_steps", row.total_steps))
    steps, gradient_steps = own.total_steps, benchmark.settings_of(own).gradient_steps
    rates = [row.num_seeds * count / statistics.median(measured["wall"]) for count in (steps, gradient_steps)]
    spread = f" [{min(measured['wall']):.2f}, {max(measured['wall']):.2f} s]"
    return [
        str(row.num_seeds),
        f"{steps:,}",
        f"{rates[0]:,.0f}{spread}",
        f"{rates[1]:,.0f}",
        *(_ratio(row, measured, ours, clock) if ours is not measured else "" for clock in ("wall", "processor")),
        f"{measured['compiling']:.1f}",
        *(_size(measured.get(key), row.num_seeds) for key in ("state_bytes", "temporary_bytes")),
        f"{measured['return']:.0f}",
    ]


def _ratio(row: Row, measured: dict[str, Any], ours: dict[str, Any], clock: str) -> str:
    if "versions" not in measured:  # it ran in turn with ours
        ratios = [base / own for base, own in zip(measured[clock], ours[clock], strict=True)]
        return f"{statistics.median(ratios):.2f} [{min(ratios):.2f}, {max(ratios):.2f}]"
    per_step = statistics.median(measured[clock]) / measured.get("total_steps", row.total_steps)
    return f"{per_step / (statistics.median(ours[clock]) / row.total_steps):.2f}"


def _size(number: float | None, num_seeds: int) -> str:
    return "" if number is None else f"{number / num_seeds / 1024:,.0f} KiB"


def run(benchmark: Benchmark) -> None:
    """The command line: measure the rows asked for, with the peers asked for, and write the results."""
    rows, peers = benchmark.rows, benchmark.peers
    parser = argparse.ArgumentParser(
        description=benchmark.description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="*", choices=rows, default=list(rows), help="the others keep their results")
    parser.add_argument("--peers", nargs="*", choices=peers, default=list(peers), help="whom to run beside jaxrl")
    parser.add_argument("--repeats", type=int, help="turns per row")
    parser.add_argument("--steps", type=int, help="environment steps per seed")
    parser.add_argument("--quick", action="store_true", help="tiny runs that show nothing but that everything works")
    arguments = parser.parse_args()
    data = (None if arguments.quick else report.read(benchmark.name)) or {"rows": {}}
    for name in arguments.only:
        row = rows[name]
        if arguments.quick:
            row = row._replace(num_seeds=min(row.num_seeds, QUICK_SEEDS), total_steps=QUICK_STEPS, repeats=1)
        row = row._replace(total_steps=arguments.steps or row.total_steps, repeats=arguments.repeats or row.repeats)
        data["rows"][name] = {"circumstances": report.circumstances(), "row": row._asdict()}
        measured = measure(benchmark, row, ["jaxrl", *arguments.peers])
        for peer_name in arguments.peers:
            if peer_name not in measured and (found := measure_peer(benchmark, row, peer_name)) is not None:
                measured[peer_name] = found
        data["rows"][name]["measured"] = measured
        if not arguments.quick:
            report.write(benchmark.name, markdown(benchmark, data), data)
    if not (arguments.quick or arguments.only):  # nothing is measured: the tables are written anew
        report.write(benchmark.name, markdown(benchmark, data), data)
    print(markdown(benchmark, data))
