"""How fast PPO trains on CartPole beside a plain loop of the same work (purejaxrl_style.py).

    python benchmarks/ppo_cartpole.py [--only CASE] [--repeats N]

Both train in one process, turn by turn, compiled beforehand. Writes results/ppo_cartpole.md and .json.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import purejaxrl_style as plain
import report

import jaxrl


class Case(NamedTuple):
    num_envs: int
    num_seeds: int
    total_steps: int
    repeats: int


CASES = {
    "4x128": Case(num_envs=4, num_seeds=1, total_steps=500_000, repeats=11),
    "64x128": Case(num_envs=64, num_seeds=1, total_steps=500_000, repeats=11),
    "4x128-16-seeds": Case(num_envs=4, num_seeds=16, total_steps=100_000, repeats=5),
}
LAST = 20
"""The final return is that of the episodes of the last 1 / LAST of a run."""

HEAD = """\
# PPO on CartPole-v1: jaxrl and a plain loop of the same work

Medians over the repeats, with the least and the greatest in brackets. A ratio is that of two runs of one turn.
Processor time is that of all threads; where other work shares the cores it tells more than wall time does.
"""


def agent(settings: plain.Settings) -> jaxrl.PPO:
    """jaxrl's PPO that does the work of the plain loop."""
    return jaxrl.PPO(
        jaxrl.make(settings.env),
        num_envs=settings.num_envs,
        num_steps=settings.num_steps,
        total_steps=settings.num_updates * settings.num_envs * settings.num_steps,
        num_epochs=settings.num_epochs,
        num_minibatches=settings.num_minibatches,
        learning_rate=settings.learning_rate,
        discount=settings.discount,
        gae_lambda=settings.gae_lambda,
        clip_range=settings.clip_range,
        value_clip_range=settings.clip_range,
        entropy_coefficient=settings.entropy_coefficient,
        value_coefficient=settings.value_coefficient,
        max_grad_norm=settings.max_grad_norm,
    )


def jaxrl_trainer(case: Case) -> Callable[[jax.Array], Any]:
    """Train one agent; returns everything that a run leaves, and the final return."""
    settings = plain.Settings(num_envs=case.num_envs, total_steps=case.total_steps)
    ppo = agent(settings)

    def train(key: jax.Array) -> Any:
        result = jaxrl.train(ppo, key)
        returns = result.metrics["episode_return"]
        return result, jnp.nanmean(returns[-max(1, len(returns) // LAST) :])

    return train


def plain_trainer(case: Case) -> Callable[[jax.Array], Any]:
    """The same of the plain loop."""
    settings = plain.Settings(num_envs=case.num_envs, total_steps=case.total_steps)

    def train(key: jax.Array) -> Any:
        params, log = plain.train(key, settings)
        return params, log, plain.final_return(log, 1 / LAST)

    return train


TRAINERS = {"plain loop": plain_trainer, "jaxrl": jaxrl_trainer}


def measure(case: Case) -> dict[str, Any]:
    """Compile both, then run them turn by turn, each time from another seed."""
    programs, compiling = {}, {}
    for name, trainer in TRAINERS.items():
        began = time.perf_counter()
        train = trainer(case) if case.num_seeds == 1 else jax.vmap(trainer(case))
        programs[name] = jax.jit(train).lower(_keys(case, 0)).compile()
        compiling[name] = time.perf_counter() - began
    wall, processor, returns = ({name: [] for name in programs} for _ in range(3))
    for repeat in range(case.repeats + 1):  # the first turn warms up and is not counted
        for name, program in programs.items():
            began, began_processor = time.perf_counter(), time.process_time()
            outcome = jax.block_until_ready(program(_keys(case, repeat)))
            wall[name].append(time.perf_counter() - began)
            processor[name].append(time.process_time() - began_processor)
            returns[name].append(float(outcome[-1].mean()))
    return {"case": case._asdict(), "compiling": compiling} | {
        key: {name: each[1:] for name, each in values.items()}
        for key, values in (("wall", wall), ("processor", processor), ("returns", returns))
    }


def _keys(case: Case, repeat: int) -> jax.Array:
    key = jax.random.key(repeat)
    return key if case.num_seeds == 1 else jax.random.split(key, case.num_seeds)


def markdown(data: dict[str, Any]) -> str:
    """The tables of results/ppo_cartpole.md."""
    speed, learning = [], []
    for name, each in data["cases"].items():
        case = Case(**each["case"])
        steps = case.num_seeds * case.total_steps
        for loop in TRAINERS:
            wall, processor = each["wall"][loop], each["processor"][loop]
            speed.append(
                [name, loop, f"{each['compiling'][loop]:.1f}", _spread(wall), f"{steps / statistics.median(wall):,.0f}"]
                + [_spread(_ratios(each["wall"], loop)), f"{statistics.median(processor):.2f}"]
                + [_spread(_ratios(each["processor"], loop))]
            )
            runs = f"{case.repeats} x {case.num_seeds}"
            learning.append([name, loop, f"{case.total_steps:,}", runs, _spread(each["returns"][loop], ".0f")])
    header = ["case", "loop", "compile s", "run s", "env steps/s", "times as fast", "processor s", "by processor time"]
    learned = ["case", "loop", "steps per seed", "runs x seeds", "return at the end"]
    facts = report.facts({name: each["circumstances"] for name, each in data["cases"].items()})
    return "\n".join([HEAD, report.table(header, speed), "", report.table(learned, learning), "", facts])


def _ratios(times: dict[str, list[float]], loop: str) -> list[float]:
    return [base / own for base, own in zip(times["plain loop"], times[loop], strict=True)]


def _spread(values: list[float], form: str = ".2f") -> str:
    return f"{statistics.median(values):{form}} [{min(values):{form}}, {max(values):{form}}]"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=CASES, help="one case; the results of the others stay as they are")
    parser.add_argument("--repeats", type=int, help="turns per case")
    arguments = parser.parse_args()
    data = report.read("ppo_cartpole") or {"cases": {}}
    for name in [arguments.only] if arguments.only else CASES:
        case = CASES[name]._replace(**({"repeats": arguments.repeats} if arguments.repeats else {}))
        data["cases"][name] = {"circumstances": report.circumstances(), **measure(case)}
        report.write("ppo_cartpole", markdown(data), data)
    print(markdown(data))


if __name__ == "__main__":
    main()
