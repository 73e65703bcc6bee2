"""PPO, DQN, SAC or TD3 of Stable-Baselines3 or SBX (its sibling in JAX) with settings given as JSON; prints JSON.

A first short run compiles and warms up; what it adds to the time of an equal run is reported as compiling.
"""

import json
import sys
import time
from importlib import import_module
from importlib.metadata import version

import numpy as np
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.noise import NormalActionNoise
from stable_baselines3.common.vec_env import VecEnv, VecNormalize

LIBRARIES = {"sb3": ("stable_baselines3", "stable-baselines3"), "sbx": ("sbx", "sbx-rl")}
ACTIVATIONS = {"sb3": ("torch.nn", {"relu": "ReLU", "swish": "SiLU", "tanh": "Tanh"}), "sbx": ("flax.linen", {})}


def environment(settings: dict, seed: int, num_envs: int, learned: VecNormalize | None = None) -> VecEnv:
    """With observations normalised where that is asked for; by what another has learned, if there is another."""
    env = make_vec_env(settings["env"], n_envs=num_envs, seed=seed)
    if not settings.get("normalize_observations"):
        return env
    env = VecNormalize(env, training=learned is None, norm_reward=False, clip_obs=float("inf"))
    if learned is not None:
        env.obs_rms = learned.obs_rms
    return env


def own_settings(settings: dict, env: VecEnv) -> dict:
    """What PPO is told, or what all others are and what each of them has and the others have not."""
    if settings["algorithm"] == "PPO":
        return {
            "n_steps": settings["num_steps"],
            "batch_size": settings["num_envs"] * settings["num_steps"] // settings["num_minibatches"],
            "n_epochs": settings["num_epochs"],
            "gae_lambda": settings["gae_lambda"],
            "clip_range": settings["clip_range"],
            "clip_range_vf": settings["clip_range"],
            "ent_coef": settings["entropy_coefficient"],
            "vf_coef": settings["value_coefficient"],
            "max_grad_norm": settings["max_grad_norm"],
        }
    return {
        "buffer_size": settings["buffer_size"],
        "learning_starts": settings["learning_starts"],
        "batch_size": settings["batch_size"],
        "tau": settings["target_rate"],
        "train_freq": 1,
        "gradient_steps": settings["num_updates"],
        **_of_one(settings, env),
    }


def _of_one(settings: dict, env: VecEnv) -> dict:
    if settings["algorithm"] == "DQN":
        return {
            "target_update_interval": settings["target_period"],
            "exploration_fraction": settings["exploration_fraction"],
            "exploration_final_eps": settings["exploration_end"],
        }
    if settings["algorithm"] == "SAC":
        return {}
    zero = np.zeros(env.action_space.shape)
    return {
        "policy_delay": settings["policy_delay"],
        "target_policy_noise": settings["target_noise"],
        "target_noise_clip": settings["target_noise_clip"],
        "action_noise": NormalActionNoise(zero, zero + settings["noise_scale"]),
    }


def train(library: str, settings: dict, seed: int, total_steps: int) -> tuple[BaseAlgorithm, float, float]:
    """(the trained agent, wall seconds, processor seconds of all threads)."""
    algorithm = getattr(import_module(LIBRARIES[library][0]), settings["algorithm"])
    module, names = ACTIVATIONS[library]
    activation = getattr(import_module(module), names.get(settings["activation"], settings["activation"]))
    env = environment(settings, seed, settings["num_envs"])
    agent = algorithm(
        "MlpPolicy",
        env,
        gamma=settings["discount"],
        learning_rate=settings["learning_rate"],
        policy_kwargs={"net_arch": settings.get("hidden_sizes", [64, 64]), "activation_fn": activation},
        seed=seed,
        device="cpu",
        **own_settings(settings, env),
    )
    began, began_processor = time.perf_counter(), time.process_time()
    agent.learn(total_steps)
    return agent, time.perf_counter() - began, time.process_time() - began_processor


def main() -> None:
    settings = json.loads(sys.argv[1])
    library = settings["library"]
    if library == "sb3":  # networks this small gain nothing from more, and lose much where other work shares the cores
        import_module("torch").set_num_threads(1)
    warm_up = settings.get("learning_starts", settings.get("num_steps")) + 100 * settings["num_envs"]
    first, second = (train(library, settings, seed, warm_up)[1] for seed in (0, 1))
    wall, processor = [], []
    for repeat in range(1, settings["repeats"] + 1):
        agent, seconds, processor_seconds = train(library, settings, repeat, settings["total_steps"])
        wall.append(seconds)
        processor.append(processor_seconds)
    stage = environment(settings, 1_000, 1, learned=agent.get_vec_normalize_env())
    played, _ = evaluate_policy(agent, stage, n_eval_episodes=20)
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
