"""Rejax's DQN with the settings given as JSON; prints times, bytes and the return reached as JSON.

Its periodic evaluation is off; after training it evaluates as it does by default, 128 episodes with epsilon 0.005.
"""

import json
import sys
import time
from importlib.metadata import version

import jax
import numpy as np
from flax import linen as nn
from rejax import DQN
from rejax.evaluate import evaluate
from rejax.networks import DiscreteQNetwork, DuelingQNetwork, EpsilonGreedyPolicy


def algorithm(settings: dict) -> DQN:
    made = DQN.create(
        env=settings["env"],
        num_envs=settings["num_envs"],
        buffer_size=settings["buffer_size"],
        fill_buffer=settings["learning_starts"],
        batch_size=settings["batch_size"],
        max_grad_norm=settings["max_grad_norm"] or float("inf"),
        learning_rate=settings["learning_rate"],
        num_epochs=settings["num_updates"],
        total_timesteps=settings["total_steps"],
        eval_freq=settings["total_steps"],
        target_update_freq=settings["target_period"],
        polyak=1.0 - settings["target_rate"],
        eps_end=settings["exploration_end"],
        exploration_fraction=settings["exploration_fraction"],
        gamma=settings["discount"],
        ddqn=settings["double"],
        skip_initial_evaluation=True,
    )
    network = EpsilonGreedyPolicy(DuelingQNetwork if settings["dueling"] else DiscreteQNetwork)(
        hidden_layer_sizes=tuple(settings["hidden_sizes"]),
        activation=getattr(nn, settings["activation"]),
        action_dim=made.action_dim,
    )
    return made.replace(agent=network, eval_callback=lambda algorithm, state, key: ())


def main() -> None:
    settings = json.loads(sys.argv[1])
    num_seeds = settings["num_seeds"]
    algo = algorithm(settings)

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
        return evaluate(algo.make_act(state), key, algo.env, algo.env_params, 128)[1].mean()

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
