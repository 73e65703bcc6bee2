"""A linear-quadratic regulator, whose best controller has a closed form: each linear actor must find its gain."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import long_runs
import numpy as np
import pytest

import jaxrl
from jaxrl.envs.linear_quadratic import LinearQuadratic
from jaxrl.envs.wrappers import TimeLimit

DISCOUNT = 0.9
REGULATOR = TimeLimit(
    LinearQuadratic(A=[[0.95]], B=[[0.5]], Q=[[1.0]], R=[[0.3]], start=2.0, max_state=20.0, max_action=8.0), 10
)
SEEDS = 2
FAR = 1.5
"""Where the gain is measured. The actor is linear before its tanh, which bends it by a percent or two here."""


class Identity(nn.Module):
    """Features that are the observation, so that the actor on top of them is linear."""

    def __call__(self, obs: jax.Array) -> jax.Array:
        return obs


class Quadratic(nn.Module):
    """The observation and its square, for a critic that has no layers of its own; the gain is that of the first."""

    def __call__(self, obs: jax.Array) -> jax.Array:
        return jnp.concatenate([obs, jnp.square(obs)], axis=-1)


COMMON: dict[str, Any] = {
    "torso": Identity(),
    "discount": DISCOUNT,
    "num_envs": 16,
    "num_updates": 16,
    "total_steps": 12_000,
    "learning_starts": 16,
    # Short enough to forget what the first, wild policies saw: far out the tanh saturates, and the line bends for that.
    "replay_capacity": 4_000,
    "batch_size": 64,
    "hidden_sizes": (64, 64),
    "activation": "silu",
    "learning_rate": 3e-4,
    "critic_learning_rate": 1e-3,
    "target_rate": 0.02,
    "noise_scale": 0.2,
}
SOFT: dict[str, Any] = {"temperature": 1e-2, "learn_temperature": False}
NEAR: dict[str, Any] = {"initial_std": 0.1, "kl_bound_mean": 0.1, "multiplier_mean": 1.0, "temperature": 1.0}


@pytest.mark.parametrize(
    ("algorithm", "fields"),
    [
        (jaxrl.DDPG, {}),
        (jaxrl.TD3, {"target_noise": 0.02}),
        (jaxrl.D4PG, {"value_min": -15.0, "value_max": 0.0, "num_atoms": 51, "n_step": 1}),
        (jaxrl.SAC, SOFT),
        (jaxrl.TQC, {"num_dropped": 0, "num_quantiles": 8, **SOFT}),
        (jaxrl.CrossQ, {"critic_hidden_sizes": (64, 64), "policy_delay": 1, **SOFT}),
        (
            jaxrl.MPO,
            {"n_step": 1, "noise_scale": 0.1, "num_samples": 8, "target_period": 20, "target_rate": 1.0, **NEAR},
        ),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_linear_actor_finds_the_gain(algorithm: Any, fields: dict[str, Any]) -> None:
    assert_finds_the_gain(algorithm(REGULATOR, **{**COMMON, **fields}))


def test_awr_finds_it_on_policy() -> None:
    # From a replay it is drawn towards the policies that filled it, by design.
    sizes = {"num_envs": 16, "num_steps": 10, "sequence_length": 10, "num_updates": 16, "total_steps": 64_000}
    rates = {"learning_rate": 5e-4, "critic_learning_rate": 1e-2, "temperature": 0.5, "discount": DISCOUNT}
    assert_finds_the_gain(jaxrl.AWR(REGULATOR, torso=Quadratic(), replay_capacity=None, **sizes, **rates))


def assert_finds_the_gain(agent: Any) -> None:
    def gain(key: jax.Array) -> jax.Array:
        policy = agent.policy(jaxrl.train(agent, key, num_reports=1).state)
        action, _ = policy.act(key, jnp.array([[-FAR], [FAR]]), policy.initial_memory((2,)))
        return (action[0, 0] - action[1, 0]) / (2 * FAR)

    gains = np.asarray(long_runs.jit(jax.vmap(gain))(jax.random.split(jax.random.key(0), SEEDS)))
    np.testing.assert_allclose(gains.mean(), REGULATOR.env.solution(DISCOUNT)[0].item(), rtol=0.05)
