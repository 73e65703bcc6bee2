"""What a step of the replay costs, beside flashbax: add, draw a batch and, if prioritized, set its priorities.

    python benchmarks/replay.py [--only CASE ...] [--repeats N] [--quick]

Writes results/replay.md and .json; --quick only shows that everything runs, and writes nothing.
"""

import argparse
import functools
import statistics
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import flashbax
import jax
import jax.numpy as jnp
import report

from jaxrl.components import prioritized, replay
from jaxrl.components.replay import Step

NUM_ENVS, BATCH_SIZE, OBS_SIZE, DISCOUNT, EXPONENT = 10, 128, 4, 0.99, 0.6

HEAD = """\
# The replay of jaxrl and of flashbax

One iteration adds a transition of each of 10 environments (4 floats an observation, as in CartPole), draws 128 and
reads them, and where prioritized sets their priorities anew. Both are full, loop inside one compiled program that their
state is donated to, and run turn by turn; medians over the repeats, with the least and the greatest in brackets. Under
many seeds all have one position to write to, in flashbax as well, whose counters are kept out of `vmap`. *temporaries*
is what the program needs besides the replay. jaxrl keeps the true successor of every observation, which tells a
truncation from an end; flashbax's flat buffer keeps each observation once and takes the next row for the successor.
"""


class Case(NamedTuple):
    capacity: int
    num_seeds: int
    prioritized: bool
    num_iterations: int
    """Of one timed call."""


CASES = {
    f"{'prioritized' if by_priority else 'uniform'}-{capacity}-{num_seeds}": Case(
        capacity, num_seeds, by_priority, num_iterations=2_000 if num_seeds == 1 else 100
    )
    for by_priority in (False, True)
    for capacity in (10_000, 131_072)
    for num_seeds in (1, 64)
}


class Side(NamedTuple):
    """One of the two replays."""

    state: Any
    """Full, of one seed."""
    axes: Any
    """Of the state under `vmap`: a prefix of it with 0, or None for what all seeds share."""
    iterate: Callable[[jax.Array, jax.Array, Any], tuple[Any, jax.Array]]
    """(key, iteration, state) -> (state, a number that depends on all that was drawn)."""


class TimeStep(NamedTuple):
    obs: jax.Array
    action: jax.Array
    reward: jax.Array
    done: jax.Array


def jaxrl_side(case: Case) -> Side:
    ring = replay.ring_of(case.capacity, NUM_ENVS, 1)
    state = replay.empty_replay(ring, jax.tree.map(lambda leaf: leaf[0], _rollout(0)), prioritized=case.prioritized)
    if state.priorities is not None:
        everything = prioritized.insert(state.priorities, jnp.int32(0), ring.num_items)
        state = replay.Replay(state.rows, everything)

    def iterate(key: jax.Array, iteration: jax.Array, state: Any) -> tuple[Any, jax.Array]:
        iteration = iteration + ring.num_rows  # it is full
        state = replay.write(state, ring, _rollout(iteration), iteration)
        if state.priorities is None:
            items = replay.uniform_items(key, ring, iteration, (BATCH_SIZE,))
            return state, _digest(replay.windows(state.rows, ring, items, iteration, DISCOUNT, 1))
        items, probabilities = prioritized.sample(state.priorities, jax.random.uniform(key, (BATCH_SIZE,)))
        batch = replay.windows(state.rows, ring, items, iteration, DISCOUNT, 1)
        values = prioritized.priority(_errors(batch.obs), EXPONENT)
        updated = prioritized.update(state.priorities, items, values)
        return replay.Replay(state.rows, updated), _digest((batch, probabilities))

    return Side(state, 0, iterate)


def flashbax_side(case: Case) -> Side:
    sizes = {"max_length": case.capacity, "min_length": BATCH_SIZE, "sample_batch_size": BATCH_SIZE}
    sizes["add_batch_size"] = NUM_ENVS
    if case.prioritized:
        device = jax.devices()[0].platform
        buffer = flashbax.make_prioritised_flat_buffer(**sizes, priority_exponent=EXPONENT, device=device)
    else:
        buffer = flashbax.make_flat_buffer(**sizes)
    num_rows = case.capacity // NUM_ENVS
    state = buffer.init(jax.tree.map(lambda leaf: leaf[0], _time_step(0)))
    state = state.replace(is_full=jnp.bool_(True))
    axes = jax.tree.map(lambda _: 0, state).replace(is_full=None, current_index=None)
    if case.prioritized:
        everything = jnp.arange(num_rows * NUM_ENVS)
        state = buffer.set_priorities(state, everything, jnp.ones(everything.shape))
        state = state.replace(running_index=jnp.int32(num_rows))
        axes = axes.replace(running_index=None)

    def iterate(key: jax.Array, iteration: jax.Array, state: Any) -> tuple[Any, jax.Array]:
        state = buffer.add(state, _time_step(iteration))
        sample = buffer.sample(state, key)
        if not case.prioritized:
            return state, _digest(sample.experience)
        errors = _errors(sample.experience.first.obs)
        updated = buffer.set_priorities(state, sample.indices, errors + prioritized.SMALLEST)
        return updated, _digest((sample.experience, sample.probabilities))

    return Side(state, axes, iterate)


SIDES = {"flashbax": flashbax_side, "jaxrl": jaxrl_side}


def measure(case: Case, repeats: int) -> dict[str, dict[str, Any]]:
    """Compile both, then run them turn by turn, each call going on with the state of the one before."""
    programs, states, found = {}, {}, {}
    keys = jax.random.split(jax.random.key(0), case.num_seeds)
    for name, side_of in SIDES.items():
        side = side_of(case)
        states[name] = _for_seeds(side, case.num_seeds)
        run = functools.partial(_run, side.iterate, case.num_iterations)
        axes = (0, None, side.axes)
        mapped = jax.vmap(run, in_axes=axes, out_axes=(side.axes, 0))
        began = time.perf_counter()
        programs[name] = jax.jit(mapped, donate_argnums=2).lower(keys, jnp.int32(0), states[name]).compile()
        compiling, memory = time.perf_counter() - began, programs[name].memory_analysis()
        found[name] = {
            "compiling": compiling,
            "temporary_bytes": memory.temp_size_in_bytes,
            "state_bytes": sum(leaf.nbytes for leaf in jax.tree.leaves(states[name])),
            "microseconds": [],
        }
    for repeat in range(repeats + 1):  # the first turn warms up and is not counted
        for name, program in programs.items():
            began = time.perf_counter()
            start = jnp.int32(repeat * case.num_iterations)
            states[name], _ = jax.block_until_ready(program(keys, start, states[name]))
            if repeat > 0:
                found[name]["microseconds"].append(1e6 * (time.perf_counter() - began) / case.num_iterations)
    return found


def _run(iterate: Any, num_iterations: int, key: jax.Array, start: jax.Array, state: Any) -> tuple[Any, jax.Array]:
    def body(iteration: jax.Array, carry: tuple[Any, jax.Array]) -> tuple[Any, jax.Array]:
        state, total = carry
        state, digest = iterate(jax.random.fold_in(key, start + iteration), start + iteration, state)
        return state, total + digest

    return jax.lax.fori_loop(0, num_iterations, body, (state, jnp.float32(0)))


def _for_seeds(side: Side, num_seeds: int) -> Any:
    """The state of all seeds: a copy for each of what they do not share."""

    def copies(axis: int | None, part: Any) -> Any:
        if axis is None:
            return part
        return jax.tree.map(lambda leaf: jnp.tile(leaf, (num_seeds,) + (1,) * leaf.ndim), part)

    return jax.tree.map(copies, side.axes, side.state, is_leaf=lambda axis: axis is None)


def _rollout(iteration: Any) -> Step:
    """[1, N, ...]: a step of every environment that differs from iteration to iteration."""
    step = jax.tree.map(lambda leaf: leaf[None], _time_step(iteration))
    return Step(step.obs, step.action, step.reward, step.done, step.done, step.obs + 1.0)


def _time_step(iteration: Any) -> TimeStep:
    lanes = jnp.arange(NUM_ENVS, dtype=jnp.float32)
    obs = jnp.sin(lanes[:, None] + jnp.arange(OBS_SIZE, dtype=jnp.float32)[None] + iteration)
    return TimeStep(obs, (obs[:, 0] > 0).astype(jnp.int32), obs[:, 1], obs[:, 2] > 0.9)


def _errors(obs: jax.Array) -> jax.Array:
    """What stands for the errors of a batch: [B], from 0 to 4."""
    return jnp.abs(obs).sum(axis=-1)


def _digest(drawn: Any) -> jax.Array:
    return sum((leaf.astype(jnp.float32).sum() for leaf in jax.tree.leaves(drawn)), jnp.float32(0))


def markdown(data: dict[str, Any]) -> str:
    """The table of results/replay.md."""
    lines = []
    for name, each in data["cases"].items():
        case = Case(**each["case"])
        for who, measured in each["measured"].items():
            pairs = zip(each["measured"]["flashbax"]["microseconds"], measured["microseconds"], strict=True)
            ratios = [theirs / own for theirs, own in pairs]
            lines.append(
                [name, who, str(case.num_seeds), _spread(measured["microseconds"], ",.1f")]
                + [_spread(ratios, ".2f"), f"{measured['compiling']:.1f}"]
                + [f"{measured[key] / 1024:,.1f} KiB" for key in ("temporary_bytes", "state_bytes")]
            )
    header = [
        "case",
        "replay",
        "seeds",
        "us per iteration",
        "times as fast",
        "compile s",
        "temporaries",
        "replay's size",
    ]
    facts = report.facts({name: each["circumstances"] for name, each in data["cases"].items()})
    return "\n".join([HEAD, report.table(header, lines), "", facts])


def _spread(values: list[float], form: str) -> str:
    return f"{statistics.median(values):{form}} [{min(values):{form}}, {max(values):{form}}]"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=CASES, default=list(CASES), help="the others keep their results")
    parser.add_argument("--repeats", type=int, default=7, help="turns per case")
    parser.add_argument("--quick", action="store_true", help="tiny runs that show nothing but that everything works")
    arguments = parser.parse_args()
    data = (None if arguments.quick else report.read("replay")) or {"cases": {}}
    for name in arguments.only:
        case = CASES[name]
        if arguments.quick:
            case = case._replace(num_seeds=min(case.num_seeds, 2), num_iterations=10)
        circumstances = report.circumstances()
        measured = measure(case, 1 if arguments.quick else arguments.repeats)
        data["cases"][name] = {"circumstances": circumstances, "case": case._asdict(), "measured": measured}
        if not arguments.quick:
            report.write("replay", markdown(data), data)
    print(markdown(data))


if __name__ == "__main__":
    main()
