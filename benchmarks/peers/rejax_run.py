"""Rejax's PPO, DQN, SAC or TD3 with the settings given as JSON; prints times, bytes and the return reached as JSON.

Its periodic evaluation is off; after training it plays 128 episodes: DQN as it does by default, with epsilon 0.005,
SAC and TD3 greedily.
"""

import json
import sys
import time
from collections.abc import Callable
from importlib.metadata import version

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from rejax import DQN, PPO, SAC, TD3
from rejax.algos.algorithm import Algorithm
from rejax.evaluate import evaluate
from rejax.networks import DiscreteQNetwork, DuelingQNetwork, EpsilonGreedyPolicy


def ppo(settings: dict) -> PPO:
    """Its networks are of two layers of 64, and its gradients are clipped entry by entry."""
    return PPO.create(
        env=settings["env"],
        agent_kwargs={"activation": settings["activation"]},
        num_envs=settings["num_envs"],
        num_steps=settings["num_steps"],
        num_epochs=settings["num_epochs"],
        num_minibatches=settings["num_minibatches"],
        learning_rate=settings["learning_rate"],
        max_grad_norm=settings["max_grad_norm"],
        total_timesteps=settings["total_steps"],
        eval_freq=settings["total_steps"],
        gamma=settings["discount"],
        gae_lambda=settings["gae_lambda"],
        clip_eps=settings["clip_range"],
        ent_coef=settings["entropy_coefficient"],
        vf_coef=settings["value_coefficient"],
        skip_initial_evaluation=True,
    )


def common(settings: dict) -> dict:
    """What all but PPO are told."""
    return {
        "env": settings["env"],
        "num_envs": settings["num_envs"],
        "buffer_size": settings["buffer_size"],
        "fill_buffer": settings["learning_starts"],
        "batch_size": settings["batch_size"],
        "max_grad_norm": settings["max_grad_norm"] or float("inf"),
        "learning_rate": settings["learning_rate"],
        "num_epochs": settings["num_updates"],
        "total_timesteps": settings["total_steps"],
        "eval_freq": settings["total_steps"],
        "polyak": 1.0 - settings["target_rate"],
        "gamma": settings["discount"],
        "skip_initial_evaluation": True,
    }


def dqn(settings: dict) -> DQN:
    made = DQN.create(
        **common(settings),
        target_update_freq=settings["target_period"],
        eps_end=settings["exploration_end"],
        exploration_fraction=settings["exploration_fraction"],
        ddqn=settings["double"],
    )
    network = EpsilonGreedyPolicy(DuelingQNetwork if settings["dueling"] else DiscreteQNetwork)(
        hidden_layer_sizes=tuple(settings["hidden_sizes"]),
        activation=getattr(nn, settings["activation"]),
        action_dim=made.action_dim,
    )
    return made.replace(agent=network)


def sac(settings: dict) -> SAC:
    return SAC.create(
        **common(settings),
        hidden_layer_sizes=settings["hidden_sizes"],
        agent_kwargs={"activation": settings["activation"]},
        normalize_observations=settings["normalize_observations"],
    )


def td3(settings: dict) -> TD3:
    """Its networks are of two layers of 64, whatever is asked for; its noise is in units of the actions."""
    if settings["hidden_sizes"] != [64, 64]:
        raise ValueError(f"TD3 of Rejax has hidden layers of 64 and 64, got {settings['hidden_sizes']}.")
    made = TD3.create(
        **common(settings),
        actor_kwargs={"activation": settings["activation"]},
        critic_kwargs={"activation": settings["activation"]},
        normalize_observations=settings["normalize_observations"],
        policy_delay=settings["policy_delay"],
    )
    half_width = (made.action_space.high - made.action_space.low) / 2
    return made.replace(
        exploration_noise=settings["noise_scale"] * half_width,
        target_noise=settings["target_noise"] * half_width,
        target_noise_clip=settings["target_noise_clip"] * half_width,
    )


def greedy_act(algorithm: Algorithm, state: object) -> Callable[[jax.Array, jax.Array], jax.Array]:
    """Its own way to act, but the middle of SAC's distribution instead of a sample."""
    if not isinstance(algorithm, SAC):
        return algorithm.make_act(state)

    def act(obs: jax.Array, key: jax.Array) -> jax.Array:
        if algorithm.normalize_observations:
            obs = algorithm.normalize_obs(state.obs_rms_state, obs)
        mean = algorithm.actor.apply(state.actor_ts.params, obs[None], method="_action_dist").mean()
        return jnp.tanh(mean[0]) * (algorithm.action_space.high - algorithm.action_space.low) / 2  # around 0

    return act


def main() -> None:
    settings = json.loads(sys.argv[1])
    num_seeds = settings["num_seeds"]
    made = {"PPO": ppo, "DQN": dqn, "SAC": sac, "TD3": td3}[settings["algorithm"]](settings)
    algo = made.replace(eval_callback=lambda algorithm, state, key: ())

    def keys(seed: int) -> jax.Array:
        key = jax.random.PRNGKey(seed)
        return key if num_seeds == 1 else jax.random.split(key, num_seeds)

    began = time.perf_counter()
    train = algo.train if num_seeds == 1 else jax.vmap(algo.train)
    program = jax.jit(train).lower(keys(0)).compile()
    compiling = time.perf_counter() - began
    state, _ = jax.block_until_ready(program(keys(0)))
    wall, processor = [], []
    for repeat in range(1, settings["repeats"] + 1):
        began, began_processor = time.perf_counter(), time.process_time()
        state, _ = jax.block_until_ready(program(keys(repeat)))
        wall.append(time.perf_counter() - began)
        processor.append(time.process_time() - began_processor)

    def play(state: object, key: jax.Array) -> jax.Array:
        return evaluate(greedy_act(algo, state), key, algo.env, algo.env_params, 128)[1].mean()

    played = jax.jit(play if num_seeds == 1 else jax.vmap(play))(state, keys(0))
    measured = {
        "versions": ", ".join(f"{name} {version(name)}" for name in ("rejax", "jax", "gymnax")),
        "compiling": compiling,
        "wall": wall,
        "processor": processor,
        "state_bytes": sum(np.asarray(leaf).nbytes for leaf in jax.tree.leaves(state)),
        "temporary_bytes": program.memory_analysis().temp_size_in_bytes,
        "return": float(np.mean(played)),
    }
    print(json.dumps(measured))


if __name__ == "__main__":
    main()
