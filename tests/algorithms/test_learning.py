"""The shipped settings learn what the literature says: greedy evaluation of several seeds against published returns.

One or two tasks for each way of learning; all tasks, with the sources of the thresholds, are in benchmarks/tasks.py.
"""

import jax
import long_runs
import numpy as np
import pytest

import jaxrl
from jaxrl.cli.composition import compose_runs
from jaxrl.cli.train import algorithm_of

NUM_EPISODES = 128


def _greedy_returns(algorithm: str, env: str, seeds: int, *words: str) -> np.ndarray:
    """[seeds, NUM_EPISODES], after training with the settings that ship."""
    choice = compose_runs([f"algorithm={algorithm}", f"env={env}", *words])[0]
    agent = algorithm_of(choice)
    keys = jax.random.split(jax.random.key(1), seeds)

    def run(key: jax.Array) -> jax.Array:
        state = jaxrl.train(agent, key, num_reports=1).state
        episodes = jaxrl.evaluate(agent.policy(state), agent.env, key, NUM_EPISODES)
        return jax.numpy.where(episodes.completed, episodes.returns, -jax.numpy.inf)

    return np.asarray(long_runs.jit(jax.vmap(run))(keys))


@pytest.mark.parametrize(
    ("algorithm", "env", "seeds", "threshold"),
    [
        ("ppo", "CartPole-v1", 8, 475),  # Gymnasium's "solved"; CleanRL 490 +- 6 at 500k
        ("ppo", "Acrobot-v1", 4, -90),  # CleanRL -86.4 +- 1.3, zoo -73.5
        ("ppo", "Catch-bsuite", 8, 0.95),  # optimum 1
        ("a2c", "CartPole-v1", 8, 450),  # rl-baselines3-zoo 500
        ("ppo", "Pendulum-v1", 4, -200),  # zoo -172
        ("recurrent_ppo", "MemoryChain-bsuite", 4, 0.9),  # optimum 1
        ("pqn", "CartPole-v1", 4, 475),  # purejaxql about 500
        ("recurrent_pqn", "MemoryChain-bsuite", 4, 0.9),  # optimum 1
        ("r2d2", "MemoryChain-bsuite", 4, 0.9),  # optimum 1
        ("dqn", "Catch-bsuite", 4, 0.95),  # optimum 1
        ("sac", "Pendulum-v1", 4, -180),  # zoo -157
    ],
)
def test_learns(algorithm: str, env: str, seeds: int, threshold: float) -> None:
    assert _greedy_returns(algorithm, env, seeds).mean() >= threshold


def test_what_must_be_remembered_is_out_of_reach_without_a_memory() -> None:
    assert abs(_greedy_returns("ppo", "MemoryChain-bsuite", 8).mean()) < 0.2
