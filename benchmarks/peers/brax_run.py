"""Brax's PPO with the settings given as JSON; prints times and the return reached as JSON.

It trains in stretches of the row's steps; the first compiles and is not counted, and its evaluation is off until the
last. Where it draws a transition for its batch it takes whole unrolls, so a minibatch is a number of these.
"""

import functools
import json
import sys
import time
from importlib.metadata import version

import jax
from brax import envs
from brax.training.acting import Evaluator
from brax.training.agents.ppo import networks, train


def main() -> None:
    settings = json.loads(sys.argv[1])
    env = envs.get_environment(settings["env"].removeprefix("brax/"))
    rates: list[float] = []

    def progress(steps: int, metrics: dict) -> None:
        if "training/sps" in metrics:
            rates.append(float(metrics["training/sps"]))

    began = time.perf_counter()
    make_policy, params, _ = train.train(
        environment=env,
        num_timesteps=settings["total_steps"] * (settings["repeats"] + 1),
        num_evals=settings["repeats"] + 2,
        run_evals=False,
        progress_fn=progress,
        episode_length=1_000,
        num_envs=settings["num_envs"],
        unroll_length=settings["num_steps"],
        batch_size=settings["num_envs"] // settings["num_minibatches"],
        num_minibatches=settings["num_minibatches"],
        num_updates_per_batch=settings["num_epochs"],
        learning_rate=settings["learning_rate"],
        discounting=settings["discount"],
        gae_lambda=settings["gae_lambda"],
        clipping_epsilon=settings["clip_range"],
        entropy_cost=settings["entropy_coefficient"],
        max_grad_norm=settings["max_grad_norm"],
        normalize_observations=False,
        network_factory=functools.partial(
            networks.make_ppo_networks, policy_hidden_layer_sizes=(64, 64), value_hidden_layer_sizes=(64, 64)
        ),
        seed=0,
    )
    total = time.perf_counter() - began
    wall = [settings["total_steps"] / rate for rate in rates[1:]]
    stage = envs.training.wrap(env, episode_length=1_000)
    evaluator = Evaluator(
        stage, functools.partial(make_policy, deterministic=True), 64, 1_000, 1, jax.random.PRNGKey(1)
    )
    measured = {
        "versions": ", ".join(f"{name} {version(name)}" for name in ("brax", "jax")),
        "compiling": total - sum(wall) - wall[0],
        "wall": wall,
        "return": float(evaluator.run_evaluation(params, {})["eval/episode_reward"]),
    }
    print(json.dumps(measured))


if __name__ == "__main__":
    main()
