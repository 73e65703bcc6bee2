"""What was trained here is good in Gymnasium's own environments."""

import jax
import numpy as np

import jaxrl


def test_ppo_that_was_trained_here_balances_gymnasiums_pole():
    agent = jaxrl.PPO("CartPole-v1", total_steps=150_000)
    result = jax.jit(jaxrl.train)(agent, jax.random.key(0))
    episodes = jaxrl.play(agent.policy(result.state), "CartPole-v1", num_episodes=64)
    assert episodes.completed.all()
    assert episodes.returns.mean() >= 475


def test_ddpg_that_was_trained_here_swings_gymnasiums_pendulum_up():
    small = {"hidden_sizes": (64, 64), "batch_size": 128, "learning_rate": 1e-3, "total_steps": 20_000}
    agent = jaxrl.DDPG("Pendulum-v1", **small)
    policy = agent.policy(jax.jit(jaxrl.train)(agent, jax.random.key(0)).state)
    there = jaxrl.play(policy, "Pendulum-v1", num_episodes=128).returns
    here = np.asarray(jaxrl.evaluate(policy, agent.env, jax.random.key(1), num_episodes=128).returns)
    assert there.mean() >= -200
    standard_error = np.hypot(there.std(), here.std()) / np.sqrt(128)
    assert abs(there.mean() - here.mean()) < 4 * standard_error
