"""DQN of Stable-Baselines3 or of SBX (its sibling in JAX) with the settings given as JSON; prints times as JSON.

A first short run compiles and warms up; what it adds to the time of an equal run is reported as compiling.
"""

import json
import sys
import time
from importlib import import_module
from importlib.metadata import version

from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.evaluation import evaluate_policy

LIBRARIES = {"sb3": ("stable_baselines3", "stable-baselines3"), "sbx": ("sbx", "sbx-rl")}
ACTIVATIONS = {"sb3": ("torch.nn", {"relu": "ReLU", "swish": "SiLU"}), "sbx": ("flax.linen", {})}


def train(library: str, settings: dict, seed: int, total_steps: int) -> tuple[object, float, float]:
    """(the trained agent, wall seconds, processor seconds of all threads)."""
    dqn = import_module(LIBRARIES[library][0]).DQN
    module, names = ACTIVATIONS[library]
    activation = getattr(import_module(module), names.get(settings["activation"], settings["activation"]))
    agent = dqn(
        "MlpPolicy",
        make_vec_env(settings["env"], n_envs=settings["num_envs"], seed=seed),
        learning_rate=settings["learning_rate"],
        buffer_size=settings["buffer_size"],
        learning_starts=settings["learning_starts"],
        batch_size=settings["batch_size"],
        tau=settings["target_rate"],
        gamma=settings["discount"],
        train_freq=1,
        gradient_steps=settings["num_updates"],
        target_update_interval=settings["target_period"],
        exploration_fraction=settings["exploration_fraction"],
        exploration_final_eps=settings["exploration_end"],
        policy_kwargs={"net_arch": settings["hidden_sizes"], "activation_fn": activation},
        seed=seed,
        device="cpu",
    )
    began, began_processor = time.perf_counter(), time.process_time()
    agent.learn(total_steps)
    return agent, time.perf_counter() - began, time.process_time() - began_processor


def main() -> None:
    settings = json.loads(sys.argv[1])
    library = settings["library"]
    if library == "sb3":  # networks this small gain nothing from more, and lose much where other work shares the cores
        import_module("torch").set_num_threads(1)
    warm_up = settings["learning_starts"] + 100 * settings["num_envs"]
    first, second = (train(library, settings, seed, warm_up)[1] for seed in (0, 1))
    wall, processor = [], []
    for repeat in range(1, settings["repeats"] + 1):
        agent, seconds, processor_seconds = train(library, settings, repeat, settings["total_steps"])
        wall.append(seconds)
        processor.append(processor_seconds)
    played, _ = evaluate_policy(agent, make_vec_env(settings["env"], seed=1_000), n_eval_episodes=20)
    measured = {
        "versions": ", ".join(f"{name} {version(name)}" for name in (LIBRARIES[library][1], "gymnasium")),
        "compiling": max(0.0, first - second),
        "wall": wall,
        "processor": processor,
        "return": float(played),
    }
    print(json.dumps(measured))


if __name__ == "__main__":
    main()
