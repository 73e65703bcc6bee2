"""What compiled training programs are made of, counted: what a change may make them grow by unnoticed.

python tests/engine/program_counts.py    write program_counts.json anew, when a change is worth its growth
"""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
from jax.extend import core

import jaxrl

FILE = Path(__file__).with_suffix(".json")
PROGRAMS: dict[str, tuple[Callable[[], Any], int]] = {
    "ppo": (lambda: jaxrl.PPO(jaxrl.make("CartPole-v1"), num_envs=4, num_steps=128, total_steps=500_000), 1),
    "ppo, 16 seeds": (lambda: jaxrl.PPO(jaxrl.make("CartPole-v1"), num_envs=4, num_steps=128, total_steps=500_000), 16),
    "ppo, MinAtar": (lambda: jaxrl.PPO(jaxrl.make("Breakout-MinAtar"), num_envs=64, num_steps=128), 1),
    "recurrent_ppo": (lambda: jaxrl.RecurrentPPO(jaxrl.make("MemoryChain-bsuite"), num_envs=16, num_steps=64), 1),
    "dqn": (lambda: jaxrl.DQN(jaxrl.make("CartPole-v1"), num_envs=10), 1),
    "sac": (lambda: jaxrl.SAC(jaxrl.make("Pendulum-v1")), 1),
}
"""Of each an algorithm, made when it is asked for, and how many seeds train side by side."""

LOOPS = {"scan", "while"}
RANDOM = {"random_bits", "random_split", "random_fold_in", "random_seed", "threefry2x32"}
BOOKKEEPING = {"parameter", "get-tuple-element", "tuple", "constant", "bitcast"}
"""Instructions that cost nothing when they run."""


def counts(name: str) -> dict[str, int]:
    """The counts of one program."""
    make, num_seeds = PROGRAMS[name]
    algorithm, key = make(), jax.random.key(0)

    def train(key: jax.Array) -> Any:
        return jaxrl.train(algorithm, key)

    if num_seeds == 1:
        return counted(jax.jit(train).trace(key))
    return counted(jax.jit(jax.vmap(train)).trace(jax.random.split(key, num_seeds)))


def counted(traced: Any) -> dict[str, int]:
    """Of `jax.jit(function).trace(...)`:

    kernels in loops: instructions of all loops' bodies that run as such, a fusion as one
    sorts, scatters, random draws in loops: as the program asks for them, each occurrence once
    host transfers: callbacks, infeeds and outfeeds anywhere
    temporary bytes: what the program needs besides its result
    """
    # The kernels and buffers of a real run, whatever flags are set; LLVM need not make good code of them.
    options = {"xla_cpu_use_fusion_emitters": True, "xla_backend_optimization_level": 0}
    compiled = traced.lower().compile(compiler_options=options)
    all_primitives = list(primitives(traced.jaxpr.jaxpr))
    in_loops = [name for name, depth in all_primitives if depth]
    return {
        "kernels in loops": _kernels_in_loops(compiled.as_text()),
        "sorts in loops": sum(name in ("sort", "top_k", "approx_top_k") for name in in_loops),
        "scatters in loops": sum(name.startswith("scatter") for name in in_loops),
        "random draws in loops": sum(name in RANDOM for name in in_loops),
        "host transfers": sum("callback" in name or name in ("infeed", "outfeed") for name, _ in all_primitives),
        "temporary bytes": compiled.memory_analysis().temp_size_in_bytes,
    }


def primitives(jaxpr: core.Jaxpr, depth: int = 0) -> Iterator[tuple[str, int]]:
    """Every operation, and how many loops deep it is."""
    for equation in jaxpr.eqns:
        name = equation.primitive.name
        yield name, depth
        for inner in jax.tree.leaves(list(equation.params.values()), is_leaf=_is_jaxpr):
            if _is_jaxpr(inner):
                yield from primitives(getattr(inner, "jaxpr", inner), depth + (name in LOOPS))


def _is_jaxpr(value: Any) -> bool:
    return isinstance(value, core.Jaxpr | core.ClosedJaxpr)


def _kernels_in_loops(text: str) -> int:
    """Of XLA's text of an optimised program."""
    computations: dict[str, list[str]] = {}
    instructions: list[str] = []
    for line in text.splitlines():
        if header := re.match(r"(?:ENTRY )?%?([\w.\-]+) \(.*\{$", line):
            instructions = computations[header[1]] = []
        elif " = " in line:
            instructions.append(line)
    bodies = {found[1] for found in re.finditer(r" while\(.*body=%?([\w.\-]+)", text)}
    return sum(_kernels(computations, body) for body in bodies)


def _kernels(computations: dict[str, list[str]], name: str) -> int:
    """Of one computation and those that it calls, but for loops, which are counted by themselves."""
    total = 0
    for line in computations[name]:
        (operation,) = re.findall(r" = .*?([a-z][\w\-]*)\(", line)[:1]
        if operation in ("call", "conditional"):
            called = re.search(r"(?:to_apply|branch_computations|true_computation)=\{?([^}\s]*(?:, %[^}\s]*)*)", line)
            total += sum(_kernels(computations, each.strip(" %,")) for each in called[1].split(", ") if called)
        total += operation not in BOOKKEEPING
    return total


if __name__ == "__main__":
    FILE.write_text(json.dumps({name: counts(name) for name in PROGRAMS}, indent=2) + "\n", encoding="utf-8")
    print(FILE.read_text(encoding="utf-8"))
