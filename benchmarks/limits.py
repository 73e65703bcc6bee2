"""How far training is from the limit of the machine, and where the time goes.

    python benchmarks/limits.py [--only WORK ...] [--repeats N] [--quick]

For each work: its environments alone under random actions, the whole training, and the training with twice as many
gradient steps, compiled beforehand and run turn by turn on one device; the difference of the last two is the time of
the gradient steps. Beside them the roof: how fast the matrix products that the training needs could be done if the
machine did nothing else. Writes results/limits.md and .json; --quick only shows that everything runs.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

import actor_critic
import dqn_rows
import jax
import jax.numpy as jnp
import ppo
import products
import random_play
import report
from workload import Row

import jaxrl
from jaxrl.algorithm import num_iterations
from jaxrl.components.rollouts import begin
from jaxrl.envs.vector import vectorize

HEAD = """\
# How far from the limit

One agent on one device, which may use all cores for a large operation. *products* are the floating-point operations of
the network's matrix products for one step of one environment, learning from it included. The *roof* is how many
environment steps per second there would be if nothing were done but these, at the rate of a product of two matrices of
{size} x {size}; *of the roof* the part of it that training reaches; *of the lower roof* the same where each product is
done in its own shape, alone and one after another: the part of the training's time that they take. *alone* are the
environments' steps per second under random actions, without an agent. The last columns are parts of the training's
time: the environments; what else a rollout takes (acting, values, advantages, the replay); gradient steps. This machine
does {peak:,.0f} GFLOP/s in large products, and reads and writes {bandwidth:,.0f} GB/s: the most that was seen, as other
work on it takes its part.
"""
COLUMNS = ["work", "products", "env steps/s", "gradient steps/s", "roof", "of the roof", "of the lower roof", "alone"]
COLUMNS += ["environments", "rest of the rollout", "gradient steps"]


class Work(NamedTuple):
    """An agent, and what of it to double for twice as many gradient steps."""

    agent: Any
    doubled: str

    @property
    def gradient_steps(self) -> int:
        """Of an iteration."""
        minibatches = getattr(self.agent, "num_minibatches", 1)
        return int(getattr(self.agent, self.doubled) * minibatches)


def works(scale: float) -> dict[str, Work]:
    """What is measured; `scale` shortens every run."""

    def on_policy(settings: str, steps: int) -> Work:
        agent = ppo.agent_of(ppo.settings_of(Row(settings, 1, int(steps * scale), 1)))
        return Work(agent, "num_epochs")

    def off_policy(agent: Any) -> Work:
        return Work(replace(agent, learning_starts=agent.batch_size), "num_updates")

    recurrent = jaxrl.RecurrentPPO("CartPoleNoVel-v1", total_steps=int(100_000 * scale))
    return {
        "PPO, CartPole, 4 environments": on_policy("4 x 128", 200_000),
        "PPO, CartPole, 64 environments": on_policy("64 x 128", 400_000),
        "PPO, CartPole, 1,024 environments": on_policy("1,024 x 128", 1_048_576),
        "PPO, Breakout-MinAtar, 64 environments": on_policy("Breakout", 131_072),
        "recurrent PPO, CartPoleNoVel": Work(recurrent, "num_epochs"),
        "DQN, CartPole, Rejax's settings": off_policy(
            dqn_rows.agent_of(dqn_rows.settings_of(Row("Rejax's", 1, int(30_000 * scale), 1)))
        ),
        "DQN, CartPole, PureJaxRL's settings": off_policy(
            dqn_rows.agent_of(dqn_rows.settings_of(Row("PureJaxRL's", 1, int(100_000 * scale), 1)))
        ),
        "SAC, Pendulum, Rejax's settings": off_policy(
            actor_critic.agent_of(actor_critic.settings_of(Row("SAC", 1, int(5_000 * scale), 1)))
        ),
    }


def programs(work: Work) -> dict[str, Callable[[jax.Array], Any]]:
    """What is timed, compiled: the environments alone, the training, and that with the gradient steps doubled."""
    agent = work.agent
    envs = vectorize(agent.env, agent.num_envs)

    def environments(key: jax.Array) -> jax.Array:
        begin_key, play_key = jax.random.split(key)

        def iteration(world: Any, key: jax.Array) -> Any:
            return random_play.play(key, world, envs, agent.num_steps)

        keys = jax.random.split(play_key, num_iterations(agent))
        return jax.lax.scan(iteration, begin(begin_key, envs), keys)[1].sum()

    def training(agent: Any) -> Callable[[jax.Array], Any]:
        return lambda key: jaxrl.train(agent, key).state.learner

    twice = replace(agent, **{work.doubled: 2 * getattr(agent, work.doubled)})
    functions = {"environments": environments, "training": training(agent), "twice": training(twice)}
    return {name: jax.jit(each).lower(jax.random.key(0)).compile() for name, each in functions.items()}


def measure(work: Work, repeats: int) -> dict[str, Any]:
    """Seconds of each program in each turn, and what the roof is reckoned from."""
    found: dict[str, list[float]] = {}
    compiled = programs(work)
    for repeat in range(repeats + 1):  # the first turn warms up
        for name, program in compiled.items():
            began = time.perf_counter()
            jax.block_until_ready(program(jax.random.key(repeat)))
            if repeat > 0:
                found.setdefault(name, []).append(time.perf_counter() - began)
    agent = work.agent
    state = jax.eval_shape(agent.init, jax.random.key(0))
    needed = products.products_in(agent.step, jax.random.key(0), state, jnp.int32(num_iterations(agent) - 1))
    return {
        "seconds": found,
        "iterations": num_iterations(agent),
        "steps": agent.steps_per_iteration,
        "gradient_steps": work.gradient_steps,
        "flops": products.flops(needed),
        "products_seconds": products.seconds(needed),
        "circumstances": report.circumstances(),
    }


class Account(NamedTuple):
    """What the figures of one work come to."""

    steps_rate: float
    """Environment steps per second, as are the next three."""
    roof: float
    roof_at_its_size: float
    environments_rate: float
    parts: dict[str, float]
    """Of the training's time."""


def account(measured: dict[str, Any], peak: float) -> Account:
    """Medians, and differences within a turn."""
    seconds = {name: statistics.median(each) for name, each in measured["seconds"].items()}
    twice, once = measured["seconds"]["twice"], measured["seconds"]["training"]
    training, steps = seconds["training"], measured["iterations"] * measured["steps"]
    learning = min(statistics.median(b - a for a, b in zip(once, twice, strict=True)), training)
    flops = measured["flops"] * measured["iterations"]
    environments = min(seconds["environments"], training - learning)
    parts = {
        "environments": environments,
        "rest of the rollout": training - learning - environments,
        "gradient steps": learning,
    }
    return Account(
        steps / training,
        steps * peak / flops,
        measured["steps"] / measured["products_seconds"],
        steps / seconds["environments"],
        {name: part / training for name, part in parts.items()},
    )


def markdown(data: dict[str, Any]) -> str:
    """results/limits.md."""
    lines = []
    for name, measured in data["works"].items():
        each = account(measured, data["peak"])
        gradient_rate = each.steps_rate * measured["gradient_steps"] / measured["steps"]
        lines.append(
            [
                name,
                f"{measured['flops'] / measured['steps'] / 1e3:,.0f} kFLOP",
                *(f"{rate:,.0f}" for rate in (each.steps_rate, gradient_rate, each.roof)),
                f"{each.steps_rate / each.roof:.0%}",
                f"{each.steps_rate / each.roof_at_its_size:.0%}",
                f"{each.environments_rate:,.0f}",
                *(f"{part:.0%}" for part in each.parts.values()),
            ]
        )
    head = HEAD.format(size=f"{products.PEAK_SIZE:,}", peak=data["peak"] / 1e9, bandwidth=data["bandwidth"] / 1e9)
    facts = report.facts({name: each["circumstances"] for name, each in data["works"].items()})
    return "\n".join([head, report.table(COLUMNS, lines), "", facts])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", default=[], metavar="WORK", help="part of a name; the others stay")
    parser.add_argument("--repeats", type=int, default=5, help="turns of each work")
    parser.add_argument("--quick", action="store_true", help="tiny runs that show nothing but that everything works")
    arguments = parser.parse_args()
    every = works(0.1 if arguments.quick else 1.0)
    data = (None if arguments.quick else report.read("limits")) or {"works": {}}
    for name, rate in (("peak", products.peak_rate()), ("bandwidth", products.bandwidth())):
        data[name] = max(rate, data.get(name, 0.0))  # other work on the machine only makes them less
    for name, work in every.items():
        if arguments.only and not any(part in name for part in arguments.only):
            continue
        data["works"][name] = measure(work, 1 if arguments.quick else arguments.repeats)
        data["works"] = {each: data["works"][each] for each in every if each in data["works"]}
        if not arguments.quick:
            report.write("limits", markdown(data), data)
    print(markdown(data))


if __name__ == "__main__":
    main()
