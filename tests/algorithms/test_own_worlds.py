"""Learners on our own worlds; what a greedy policy in a tabular one is worth is solved for, and held to the optimum."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import long_runs
import numpy as np
import pytest

import jaxrl
from jaxrl.envs import tabular

SEEDS = 2


def greedy_value(agent: Any) -> tuple[float, float]:
    """The exact value of each seed's greedy policy where episodes start, the mean over seeds, and the optimal one."""
    states = jnp.arange(agent.env.observation_space.n)

    def greedy(key: jax.Array) -> jax.Array:
        policy = agent.policy(jaxrl.train(agent, key, num_reports=1).state)
        return policy.act(key, states, policy.initial_memory(states.shape))[0]

    actions = np.asarray(long_runs.jit(jax.vmap(greedy))(jax.random.split(jax.random.key(0), SEEDS)))
    env, discount = agent.env, float(agent.discount)
    starts, num_actions = tabular.transitions(env).starts, env.action_space.n
    worth = [starts @ tabular.policy_values(env, np.eye(num_actions)[chosen], discount) for chosen in actions]
    return float(np.mean(worth)), float(starts @ tabular.optimal_values(env, discount))


PPO: dict[str, Any] = {"num_envs": 16, "hidden_sizes": (32,), "learning_rate": 5e-3}
DQN: dict[str, Any] = {"num_envs": 16, "num_steps": 8, "num_updates": 32, "hidden_sizes": (32,), "batch_size": 64}


def test_dqn_walks_along_the_edge_of_the_cliff() -> None:
    targets = {"target_period": 100, "target_rate": 1.0}
    agent = jaxrl.DQN("CliffWalking-v1", total_steps=65_536, learning_rate=1e-3, discount=0.95, **targets, **DQN)
    found, best = greedy_value(agent)
    assert found == pytest.approx(best, rel=1e-6)


def test_ppo_crosses_the_frozen_lake() -> None:
    found, best = greedy_value(jaxrl.PPO("FrozenLake-v1", total_steps=131_072, **PPO))
    assert found > 0.95 * best


def test_ppo_walks_to_the_end_of_a_chain() -> None:
    found, best = greedy_value(jaxrl.PPO(jaxrl.make("RandomWalk-v0", length=9, slip=0.1), total_steps=16_384, **PPO))
    assert found == pytest.approx(best, rel=1e-6)


def test_ppo_learns_to_eat() -> None:
    env = jaxrl.make("Snake-v0", num_rows=5, num_columns=5, flatten=True, max_steps=200)
    agent = jaxrl.PPO(env, num_steps=64, total_steps=32_768, activation="relu", **PPO)
    result = long_runs.jit(partial(jaxrl.train, num_reports=8))(agent, jax.random.key(0))
    returns = np.asarray(result.metrics["episode_return"])
    assert returns[0] < 1
    assert returns[-1] > 2.5
