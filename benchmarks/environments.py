"""Every environment in one table: what it shows and takes, how fast it compiles and plays, and whether it is sound.

    python benchmarks/environments.py [--only NAME ...] [--no-check] [--list]

Plays NUM_ENVS copies at random with the loop that training uses, restarts included, and lets `check_env` look for what
breaks the contract. Writes results/environments.md and .json after each one; an environment of a package that is not
installed is left as it is.
"""

import argparse
import sys
import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import random_play
import report

from jaxrl.components.rollouts import begin
from jaxrl.envs import check_env, make
from jaxrl.envs.drawing.drawer import drawer_of
from jaxrl.envs.environment import reset_mode
from jaxrl.envs.registry import SUITES, is_installed, names
from jaxrl.envs.spaces import Box, Dict, Discrete, MultiDiscrete, Space
from jaxrl.envs.vector import is_host_stepped, vectorize

NUM_ENVS, NUM_STEPS, REPEATS = 64, 128, 5
OTHERS = (
    "brax/ant",
    "brax/inverted_pendulum",
    "craftax/Craftax-Classic-Symbolic-v1",
    "craftax/Craftax-Symbolic-v1",
    "envpool/LunarLander-v3",
    "gymnasium/Acrobot-v1",
    "gymnasium/LunarLander-v3",
    "jumanji/Game2048-v1",
    "jumanji/Maze-v0",
    "jumanji/Snake-v1",
    "mjx/HalfCheetah-v5",
    "mjx/Hopper-v5",
    "navix/Navix-DoorKey-8x8-v0",
    "navix/Navix-Empty-8x8-v0",
    "pgx/connect_four",
    "pgx/minatar-breakout",
    "pgx/tic_tac_toe",
    "playground/CartpoleBalance",
    "xminigrid/MiniGrid-DoorKey-8x8",
    "xminigrid/MiniGrid-Empty-8x8",
)
"""Of each suite a few; any other name of its own will do as well."""

HEAD = f"""\
# Environments

{NUM_ENVS} copies side by side under random actions, with restarts. *compile*: seconds for a program of {NUM_STEPS}
steps of them all; *steps/s*: of all copies, the median of {REPEATS} repeats; *check_env*: how many breaches of the
contract `jaxrl.envs.check_env` found. Of the flags, `limit` is a time limit that truncates, `mask` that the observation
tells which actions are allowed, `optimistic` that episodes may share starts where many end at one step, `host` that the
CPU steps it between two steps of the program, `picture` that `jaxrl record` draws it.
"""


def measure(name: str, is_checked: bool) -> dict[str, Any]:
    """Its row, as plain data."""
    env = make(name)
    batch = vectorize(env, NUM_ENVS)

    def play(key: jax.Array, world: Any) -> Any:
        return random_play.play(key, world, batch, NUM_STEPS)

    circumstances = report.circumstances()
    world = jax.jit(lambda key: begin(key, batch))(jax.random.key(0))
    began = time.perf_counter()
    program = jax.jit(play).lower(jax.random.key(0), world).compile()
    compiling, rates = time.perf_counter() - began, []
    for repeat in range(1 + REPEATS):
        began = time.perf_counter()
        world, _ = jax.block_until_ready(program(jax.random.key(repeat), world))
        rates.append(NUM_ENVS * NUM_STEPS / (time.perf_counter() - began))
    return {
        "circumstances": circumstances,
        "observation": describe(env.observation_space),
        "action": describe(env.action_space),
        "flags": flags(env),
        "compile": compiling,
        "rate": float(np.median(rates[1:])),
        "problems": None if is_host_stepped(env) or not is_checked else len(check_env(env)),
    }


def describe(space: Space) -> str:
    """A space in few words."""
    if isinstance(space, Discrete):
        return f"{space.n} kinds"
    if isinstance(space, MultiDiscrete):
        return " x ".join(str(n) for n in space.nvec)
    if isinstance(space, Box):
        return f"{jnp.dtype(space.dtype).name} {list(space.shape)}"
    parts = space.spaces.items() if isinstance(space, Dict) else enumerate(space.spaces)
    return ", ".join(f"{name}: {describe(part)}" for name, part in parts if name != "action_mask")


def flags(env: Any) -> list[str]:
    """What else sets it apart."""
    space, found = env.observation_space, []
    limit = _limit(env)
    if limit is not None:
        found.append(f"limit {limit:,}")
    if isinstance(space, Dict) and "action_mask" in space.spaces:
        found.append("mask")
    if is_host_stepped(env):
        return [*found, "host"]
    if reset_mode(env) != "fresh":
        found.append(reset_mode(env))
    try:
        drawer_of(env)
    except TypeError:
        return found
    return [*found, "picture"]


def _limit(env: Any) -> int | None:
    """After how many steps it truncates; an adapter's own suite may hide it."""
    while env is not None:
        params = getattr(env, "params", None)
        for limit in (getattr(env, "max_steps", None), getattr(params, "max_steps_in_episode", None)):
            if limit is not None:
                return int(limit)
        env = getattr(env, "env", None)
    return None


def is_here(name: str) -> bool:
    """Whether the environment's package is installed."""
    suite, slash, _ = name.partition("/")
    return not slash or suite not in SUITES or is_installed(suite)


def markdown(rows: dict[str, Any]) -> str:
    """results/environments.md."""
    lines = []
    for name, row in rows.items():
        problems = "-" if row["problems"] is None else str(row["problems"])
        rate = np.format_float_positional(row["rate"], 3, fractional=False, trim="-")
        numbers = [f"{row['compile']:.1f}", f"{int(rate):,}", problems]
        lines.append([name, row["observation"], row["action"], ", ".join(row["flags"]), *numbers])
    header = ["environment", "observation", "action", "flags", "compile s", "steps/s", "check_env"]
    facts = report.facts({name: row["circumstances"] for name, row in rows.items()})
    return "\n".join([HEAD, report.table(header, lines), "", facts])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", default=[], metavar="NAME", help="part of a name")
    parser.add_argument(
        "--no-check", action="store_true", help="do not run check_env, which takes longest: what it found before stays"
    )
    parser.add_argument("--list", action="store_true", help="name the environments and play none")
    arguments = parser.parse_args()
    every = [*names(), *OTHERS]
    chosen = [name for name in every if not arguments.only or any(part in name for part in arguments.only)]
    if arguments.list or not chosen:
        print("\n".join(chosen or every))
        return int(not chosen)
    rows = report.read("environments") or {}
    for name in filter(is_here, chosen):
        try:
            row = measure(name, not arguments.no_check)
        except RuntimeError as error:  # one needs a download
            print(f"{name} is left out: {error}")
            continue
        rows = report.read("environments") or {}
        if arguments.no_check and name in rows:
            row["problems"] = rows[name]["problems"]
        rows[name] = row
        rows = {each: rows[each] for each in every if each in rows}
        report.write("environments", markdown(rows), rows)
        print(name, *row["flags"], f"{row['compile']:.1f} s, {row['rate']:,.0f} steps/s, {row['problems']} problems")
    return int(any(row["problems"] for row in rows.values()))


if __name__ == "__main__":
    sys.exit(main())
