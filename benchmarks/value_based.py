"""How fast DQN trains on CartPole, beside a plain loop of the same work and beside Rejax, SBX and Stable-Baselines3.

    python benchmarks/value_based.py [--only ROW ...] [--peers PEER ...] [--repeats N] [--steps N] [--quick]

jaxrl and the plain loop (purejaxrl_dqn.py) train in one process, turn by turn, compiled beforehand; the other peers
(peers/) each in a process and a virtual environment of their own, which the first run installs into .venv/peers.
Writes results/value_based.md and .json; --quick only shows that everything runs, and writes nothing.
"""

import argparse
import functools
import statistics
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import peer
import purejaxrl_dqn as plain
import report
from dqn_rows import ROWS, Row, agent_of, settings_of
from purejaxrl_dqn import Settings

import jaxrl

QUICK_STEPS, QUICK_SEEDS = 1_500, 2
LIBRARY_STEPS = 20_000
"""SBX and Stable-Baselines3 run this long at most: they are as fast later."""
PEERS = ("plain loop", "Rejax", "SBX", "SB3")

HEAD = """\
# DQN on CartPole-v1: jaxrl, a plain loop of the same work, Rejax, SBX and Stable-Baselines3

*env steps/s* is of all seeds together, from the median of the repeats, with the least and the greatest run time in
brackets. *jaxrl is* says how many times as fast jaxrl is: beside the plain loop, which runs in turn with it, the median
of the ratios within a turn; beside the others the ratio of medians. *by processor time* is the same of the time of all
threads, which other work on the machine changes less. *state* is what a run carries for each seed, the
replay included; *temporaries* what the compiled program needs besides, for each seed. *return* is that of greedy
episodes after the last run. Many seeds are trained for too few steps to learn the task: those rows are about speed.
"""


class Loop(NamedTuple):
    """One side of the comparison."""

    train: Callable[[jax.Array], tuple[Any, Any]]
    """key -> (what a run carries, what else it leaves)."""
    policy: Callable[[Any], Any]
    """What a run carries -> the trained policy."""


def loops_of(settings: Settings) -> dict[str, Loop]:
    agent = agent_of(settings)

    def train(key: jax.Array) -> tuple[Any, Any]:
        result = jaxrl.train(agent, key)
        return result.state, result.metrics

    return {
        "plain loop": Loop(
            functools.partial(plain.train, settings=settings),
            lambda runner: plain.Greedy(runner.agent.params, settings),
        ),
        "jaxrl": Loop(train, agent.policy),
    }


def measure(row: Row, names: list[str]) -> dict[str, dict[str, Any]]:
    """Compile the loops of this process, run them turn by turn, each time from another seed; then play."""
    settings = settings_of(row)
    loops = {name: loop for name, loop in loops_of(settings).items() if name in names}
    programs, found = {}, {}
    for name, loop in loops.items():
        began = time.perf_counter()
        train = loop.train if row.num_seeds == 1 else jax.vmap(loop.train)
        programs[name] = jax.jit(train).lower(_keys(row, 0)).compile()
        compiling = time.perf_counter() - began
        temporary_bytes = programs[name].memory_analysis().temp_size_in_bytes
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
                found[name]["return"] = _return(loops[name], row, settings, state)
    return found


def _return(loop: Loop, row: Row, settings: Settings, state: Any) -> float:
    def play(state: Any, key: jax.Array) -> jax.Array:
        return jaxrl.evaluate(loop.policy(state), settings.env, key, num_episodes=64, max_steps=500).returns.mean()

    return float(jax.jit(play if row.num_seeds == 1 else jax.vmap(play))(state, _keys(row, 0)).mean())


def _bytes(state: Any) -> int:
    return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(state))


def _keys(row: Row, repeat: int) -> jax.Array:
    key = jax.random.key(repeat)
    return key if row.num_seeds == 1 else jax.random.split(key, row.num_seeds)


def measure_peer(name: str, row: Row) -> dict[str, Any] | None:
    """Rejax, SBX or Stable-Baselines3, each with its own process; None where it cannot do the work of this row."""
    common = {"num_seeds": row.num_seeds, "repeats": row.repeats}
    if name == "Rejax":
        return peer.measured("rejax_dqn", "rejax", settings_of(row)._asdict() | common)
    if row.num_seeds > 1 or row.settings != "PureJaxRL's":  # they know neither seeds side by side nor dueling heads
        return None
    row = row._replace(total_steps=min(row.total_steps, LIBRARY_STEPS))
    settings = settings_of(row)._asdict() | common | {"library": name.lower()}
    return peer.measured("sb3_dqn", "sb3", settings) | {"total_steps": row.total_steps}


def markdown(data: dict[str, Any]) -> str:
    """The tables of results/value_based.md."""
    lines, missing, versions = [], [], set()
    for name, each in data["rows"].items():
        row = Row(**each["row"])
        for who, measured in each["measured"].items():
            if "missing" in measured:
                missing.append(f"- {who} is missing from {name}: {measured['missing']}.")
                continue
            versions.add(measured.get("versions"))
            lines.append([name, who, *_cells(row, measured, each["measured"]["jaxrl"])])
    header = ["row", "loop", "seeds", "steps per seed", "env steps/s", "gradient steps/s", "jaxrl is"]
    header += ["by processor time", "compile s", "state", "temporaries", "return"]
    facts = report.facts({name: each["circumstances"] for name, each in data["rows"].items()})
    peers = f"- Peers: {', '.join(sorted(versions - {None}))}.\n" if versions - {None} else ""
    return "\n".join([HEAD, report.table(header, lines), "", *missing, facts + peers])


def _cells(row: Row, measured: dict[str, Any], ours: dict[str, Any]) -> list[str]:
    own = row._replace(total_steps=measured.get("total_steps", row.total_steps))
    steps, gradient_steps = own.total_steps, settings_of(own).gradient_steps
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=ROWS, default=list(ROWS), help="the others keep their results")
    parser.add_argument("--peers", nargs="*", choices=PEERS, default=list(PEERS), help="whom to run beside jaxrl")
    parser.add_argument("--repeats", type=int, help="turns per row")
    parser.add_argument("--steps", type=int, help="environment steps per seed")
    parser.add_argument("--quick", action="store_true", help="tiny runs that show nothing but that everything works")
    arguments = parser.parse_args()
    data = (None if arguments.quick else report.read("value_based")) or {"rows": {}}
    for name in arguments.only:
        row = ROWS[name]
        if arguments.quick:
            row = row._replace(num_seeds=min(row.num_seeds, QUICK_SEEDS), total_steps=QUICK_STEPS, repeats=1)
        row = row._replace(total_steps=arguments.steps or row.total_steps, repeats=arguments.repeats or row.repeats)
        data["rows"][name] = {"circumstances": report.circumstances(), "row": row._asdict()}
        measured = measure(row, ["jaxrl", *arguments.peers])
        for peer_name in arguments.peers:
            if peer_name not in measured and (found := measure_peer(peer_name, row)) is not None:
                measured[peer_name] = found
        data["rows"][name]["measured"] = measured
        if not arguments.quick:
            report.write("value_based", markdown(data), data)
    print(markdown(data))


if __name__ == "__main__":
    main()
