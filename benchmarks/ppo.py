"""How fast PPO trains, beside a plain loop of the same work and beside Rejax, SBX, Stable-Baselines3 and Brax.

    python benchmarks/ppo.py [--only ROW ...] [--peers PEER ...] [--repeats N] [--steps N] [--quick]

jaxrl and the plain loop (purejaxrl_style.py) train in one process, turn by turn, compiled beforehand: both as one
program on one device, and jaxrl also by `jaxrl.run`, with a CPU device for each core. The other peers (peers/)
each in a process and a virtual environment of their own, which the first run installs into .venv/peers.
Writes results/ppo.md and .json; --quick only shows that everything runs, and writes nothing, and --only without a row
only writes the tables anew.
"""

import functools
from typing import Any

import measure
import purejaxrl_recurrent
import purejaxrl_style
from purejaxrl_style import Settings
from workload import Benchmark, Loop, Row, trained

import jaxrl

# What the loops do not do alike: jaxrl bootstraps the value at a time limit, which the plain loop and Rejax take for an
# end, and gives means in place of a log of every step; Rejax clips its gradients entry by entry.
SETTINGS = {
    "4 x 128": Settings(),
    "64 x 128": Settings(num_envs=64),
    "1,024 x 128": Settings(num_envs=1_024),
    "Breakout": Settings(
        env="Breakout-MinAtar", num_envs=64, num_minibatches=8, learning_rate=5e-3, activation="relu"
    ),  # PureJaxRL's, on flat observations
    "recurrent": Settings(algorithm="RecurrentPPO", num_envs=16),
    "Brax": Settings(env="brax/inverted_pendulum", num_envs=256, num_steps=32, learning_rate=3e-4),
}

ROWS = {
    "cartpole-4": Row("4 x 128", 1, 500_000, 7),
    "cartpole-4-16": Row("4 x 128", 16, 102_400, 3),
    "cartpole-4-64": Row("4 x 128", 64, 25_600, 3),
    "cartpole-4-256": Row("4 x 128", 256, 7_680, 3),
    "cartpole-64": Row("64 x 128", 1, 500_000, 7),
    "cartpole-1024": Row("1,024 x 128", 1, 1_048_576, 5),
    "breakout-64": Row("Breakout", 1, 524_288, 3),
    "recurrent-16": Row("recurrent", 1, 131_072, 5),
    "brax-256": Row("Brax", 1, 262_144, 3),
}


def settings_of(row: Row) -> Settings:
    """The settings with the row's steps, or with those of two updates."""
    base = SETTINGS[row.settings]
    return base._replace(total_steps=max(row.total_steps, 2 * base.num_envs * base.num_steps))


def agent_of(settings: Settings) -> jaxrl.PPO | jaxrl.RecurrentPPO:
    """jaxrl's agent that does the work of the plain loop."""
    common: dict[str, Any] = {
        "num_envs": settings.num_envs,
        "num_steps": settings.num_steps,
        "total_steps": settings.num_updates * settings.num_envs * settings.num_steps,
        "num_epochs": settings.num_epochs,
        "num_minibatches": settings.num_minibatches,
        "activation": settings.activation,
        "learning_rate": settings.learning_rate,
        "discount": settings.discount,
        "gae_lambda": settings.gae_lambda,
        "clip_range": settings.clip_range,
        "value_clip_range": settings.clip_range,
        "entropy_coefficient": settings.entropy_coefficient,
        "value_coefficient": settings.value_coefficient,
        "max_grad_norm": settings.max_grad_norm,
    }
    env = jaxrl.make(settings.env, flatten=True)
    if settings.algorithm == "PPO":
        return jaxrl.PPO(env, **common)
    size = purejaxrl_recurrent.SIZE
    sizes = {"hidden_sizes": (size,), "memory_size": size}
    return jaxrl.RecurrentPPO(env, **common, **sizes, normalize_observations=False, normalize_rewards=False)


def loops_of(settings: Settings) -> dict[str, Loop]:
    """The plain loop, which knows gymnax's environments, has the first turn."""
    if settings.env.startswith("brax/"):
        return {"jaxrl": trained(agent_of(settings))}
    plain: Any = purejaxrl_style if settings.algorithm == "PPO" else purejaxrl_recurrent
    plain_loop = Loop(functools.partial(plain.train, settings=settings), lambda params: plain.Greedy(params, settings))
    return {"plain loop": plain_loop, "jaxrl": trained(agent_of(settings))}


BENCHMARK = Benchmark(
    name="ppo",
    description=__doc__,
    title="PPO: jaxrl, a plain loop of the same work, Rejax, SBX, Stable-Baselines3 and Brax",
    ratio="beside the plain loop, which runs in turn with it, the median\n"
    "of the ratios within a turn; beside the others the ratio of medians",
    rows=ROWS,
    settings_of=settings_of,
    loops_of=loops_of,
    agent_of=agent_of,
    peers=("plain loop", "jaxrl.run", "Rejax", "SBX", "SB3", "Brax"),
    library_settings=("4 x 128",),
    library_steps=20_480,
    max_steps=1_000,
)

if __name__ == "__main__":
    measure.run(BENCHMARK)
