"""Tasks with known answers, for every algorithm: they tell which part of it is broken, in seconds.

All probes are lanes of one compiled program: which of them an environment is, is a number that is vmapped.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import long_runs
import numpy as np
import pytest

import jaxrl
from jaxrl.algorithms.actor_critic import actor_critic
from jaxrl.algorithms.value_based.dqn import DQN
from jaxrl.components.value_losses import inverse_signed_sqrt
from jaxrl.envs.probe_suite import ProbeSuite, actions_agree, probe_suite, values_agree
from jaxrl.envs.probes import InfiniteHorizon
from jaxrl.pytree import dataclass as pytree_dataclass

SEEDS = 2


@pytree_dataclass
class CutIsEnd:
    """An environment that calls its time limit a termination: the mistake that the truncation test must see."""

    env: Any
    shown, first = InfiniteHorizon.shown, InfiniteHorizon.first

    @property
    def observation_space(self) -> Any:
        return self.env.observation_space

    def reset(self, key: jax.Array) -> Any:
        return self.env.reset(key)

    def step(self, key: jax.Array, state: Any, action: Any) -> Any:
        state, timestep = self.env.step(key, state, action)
        ended = timestep.terminated | timestep.truncated
        return state, replace(timestep, terminated=ended, truncated=jnp.bool_(False))


def suite(continuous: bool) -> ProbeSuite:
    """The public probes, and the endless one once more with its cut called an end."""
    probes = probe_suite(continuous).probes
    return ProbeSuite((*probes, CutIsEnd(probes[-1])))


NAMES = ["constant", "observation", "delayed", "action", "match", "infinite", "infinite cut as an end"]
DISCOUNTS = [0.8, 0.8, 0.8, 0.8, 0.8, 0.98, 0.98]
# The observations that each probe shows.
OBS, FIRST = suite(False).shown, suite(False).first


@dataclass(frozen=True)
class Learns:
    name: str
    build: Callable[[Any], Any]
    continuous: bool
    value: Callable[[Any, Any, jax.Array], jax.Array]
    """(algorithm, params, obs [M, 1]) -> V [M]."""


def _critic(algorithm: Any, params: Any, obs: jax.Array) -> jax.Array:
    return algorithm.network.apply(params, obs, method="critic")


def _recurrent_critic(algorithm: Any, params: Any, obs: jax.Array) -> jax.Array:
    # In the order in which an episode shows them: what was never seen first must not be valued as if it were.
    memory = algorithm.network.initial_memory((1,))
    return algorithm.network.apply(params, obs[:, None], FIRST[:, None], memory)[1][:, 0]


def _best_q(algorithm: Any, params: Any, obs: jax.Array) -> jax.Array:
    return algorithm.network.apply(params, obs).max(axis=-1)


def _recurrent_best_q(algorithm: Any, params: Any, obs: jax.Array) -> jax.Array:
    memory = algorithm.network.initial_memory((1,))
    return algorithm.network.apply(params, obs[:, None], FIRST[:, None], memory)[0][:, 0].max(axis=-1)


def _rescaled_best_q(algorithm: Any, params: Any, obs: jax.Array) -> jax.Array:
    return inverse_signed_sqrt(_recurrent_best_q(algorithm, params, obs))


COMMON: dict[str, Any] = {"num_envs": 16, "hidden_sizes": (32,), "gae_lambda": 0.95, "learning_rate": 5e-3}
PPO: dict[str, Any] = {
    **COMMON,
    "num_steps": 32,
    "total_steps": 65_536,
    "value_clip_range": None,
    "max_grad_norm": None,
}
PQN: dict[str, Any] = {
    "num_envs": 16,
    "num_steps": 32,
    "total_steps": 65_536,
    "num_minibatches": 4,
    "hidden_sizes": (32,),
    "learning_rate": 5e-3,
    "max_grad_norm": None,
    "reward_scale": 1.0,
}
# n-step targets, so that few moves of the target network carry a value of 50.
Q: dict[str, Any] = {
    "num_envs": 16,
    "num_steps": 8,
    "num_updates": 16,
    "total_steps": 16_384,
    "n_step": 5,
    "target_period": 10,
    "target_rate": 1.0,
    "batch_size": 64,
    "hidden_sizes": (32,),
    "learning_rate": 5e-3,
    "anneal_learning_rate": True,
    "max_grad_norm": None,
}
# Sequences of ten steps each: fewer of them serve, for longer.
R2D2: dict[str, Any] = {
    **Q,
    "batch_size": 16,
    "total_steps": 24_576,
    "burn_in": 2,
    "trace_length": 8,
    "memory_size": 16,
}
RANGE: dict[str, Any] = {"value_min": -2.0, "value_max": 60.0, "num_atoms": 63}


def _family(name: str, algorithm: Any, **fields: Any) -> Learns:
    def value(agent: Any, params: Any, obs: jax.Array) -> jax.Array:
        return agent.to_values(agent.network.apply(params, obs)).max(axis=-1)

    return Learns(name, lambda env: algorithm(env, **{**Q, **fields}), False, value)


AC: dict[str, Any] = {
    "num_envs": 16,
    "num_steps": 8,
    "num_updates": 16,
    "total_steps": 16_384,
    "n_step": 5,
    "batch_size": 64,
    "hidden_sizes": (32,),
    "learning_rate": 3e-3,
    "critic_learning_rate": 5e-3,
    "target_rate": 0.05,
}
CROSSQ: dict[str, Any] = {
    "critic_hidden_sizes": (64,),
    "batch_size": 256,
    "critic_learning_rate": 2e-3,
    "renorm_warm_up": 200,
}
# Its values have the policy's entropy in them, which this keeps small.
SOFT: dict[str, Any] = {"temperature": 1e-3, "learn_temperature": False}
AWR: dict[str, Any] = {
    "num_envs": 16,
    "num_steps": 8,
    "num_updates": 16,
    "total_steps": 16_384,
    "batch_size": 16,
    "sequence_length": 8,
    "replay_capacity": 2_048,
    "hidden_sizes": (32,),
    "learning_rate": 5e-3,
    "critic_learning_rate": 5e-3,
    "temperature": 0.5,
}


def _state_value(agent: Any, params: Any, obs: jax.Array) -> jax.Array:
    values: jax.Array = agent.critic_network.apply(params["critics"], obs)
    return values


def _expected_q(agent: Any, params: Any, obs: jax.Array) -> jax.Array:
    probabilities = jax.nn.softmax(agent.distribution(params["actor"], obs).logits)
    values: jax.Array = agent.critic_network.apply(params["critics"], obs).mean(axis=0)
    return (probabilities * values).sum(axis=-1)


def _actor_critic(name: str, algorithm: Any, **fields: Any) -> Learns:
    def value(agent: Any, params: Any, obs: jax.Array) -> jax.Array:
        action = agent.head(actor_critic.actor_network(agent).apply(params["actor"], obs)).mode()
        values: jax.Array = agent.critic_network.apply(params["critics"], obs, action)[0]
        return agent.form(values) if algorithm is jaxrl.D4PG else values.reshape(len(obs), -1).mean(axis=-1)

    return Learns(name, lambda env: algorithm(env, **{**AC, **fields}), True, value)


CASES = [
    Learns("ppo", lambda env: jaxrl.PPO(env, **PPO), False, _critic),
    Learns("ppo_continuous", lambda env: jaxrl.PPO(env, **PPO), True, _critic),
    Learns("a2c", lambda env: jaxrl.A2C(env, **COMMON, total_steps=131_072, max_grad_norm=None), False, _critic),
    Learns(
        "recurrent_ppo",
        lambda env: jaxrl.RecurrentPPO(
            env, **PPO, memory_size=16, normalize_observations=False, normalize_rewards=False
        ),
        False,
        _recurrent_critic,
    ),
    Learns("pqn", lambda env: jaxrl.PQN(env, **PQN), False, _best_q),
    Learns(
        "recurrent_pqn",
        # A core's outputs stay within 1, so that values of 50 are a longer way for the last layer.
        lambda env: jaxrl.RecurrentPQN(env, **{**PQN, "learning_rate": 1e-2}, memory_size=16),
        False,
        _recurrent_best_q,
    ),
    Learns("r2d2", lambda env: jaxrl.R2D2(env, **R2D2), False, _rescaled_best_q),
    _family("dqn", DQN),
    _family("c51", jaxrl.C51, **RANGE),
    _family("qr_dqn", jaxrl.QRDQN, num_quantiles=8),
    _family("iqn", jaxrl.IQN, num_fractions=8, num_target_fractions=8, num_acting_fractions=8, num_cosines=8),
    # Its values have the policy's entropy in them, which its temperature keeps small.
    _family("munchausen_dqn", jaxrl.MunchausenDQN, n_step=1, target_period=4),
    _family("rainbow", jaxrl.Rainbow, **RANGE),
    _actor_critic("ddpg", jaxrl.DDPG),
    _actor_critic("td3", jaxrl.TD3, target_rate=0.1),
    _actor_critic("d4pg", jaxrl.D4PG, **RANGE),
    _actor_critic("sac", jaxrl.SAC, **SOFT),
    _actor_critic("tqc", jaxrl.TQC, num_dropped=0, num_quantiles=8, **SOFT),
    _actor_critic("crossq", jaxrl.CrossQ, **CROSSQ, **SOFT),
    _actor_critic(
        "mpo",
        jaxrl.MPO,
        target_rate=1.0,
        target_period=10,
        num_samples=16,
        temperature=1.0,
        initial_std=0.3,
        learning_rate=1e-3,
    ),
    Learns("discrete_sac", lambda env: jaxrl.DiscreteSAC(env, **{**AC, **SOFT}), False, _expected_q),
    Learns("awr", lambda env: jaxrl.AWR(env, **AWR), False, _state_value),
]
# One worker takes all tests of a case: what is trained for one serves the others.
EVERY = pytest.mark.parametrize(
    "case", [pytest.param(case, id=case.name, marks=pytest.mark.xdist_group(f"probes {case.name}")) for case in CASES]
)


@cache
def _trained(case: Learns) -> tuple[np.ndarray, np.ndarray]:
    """Values and greedy actions at OBS, [probe, seed, M, ...]."""
    agents, axes = jaxrl.vary(
        case.build(suite(case.continuous)), env__which=jnp.arange(7.0), discount=jnp.array(DISCOUNTS)
    )

    def run(algorithm: Any, key: jax.Array) -> Any:
        state = jaxrl.train(algorithm, key, num_reports=1).state
        policy = algorithm.policy(state)
        action, _ = policy.act(key, OBS, policy.initial_memory(OBS.shape[:1]))
        return case.value(algorithm, state.learner.params, OBS), action

    keys = jax.random.split(jax.random.key(0), SEEDS)
    values, actions = long_runs.jit(jax.vmap(jax.vmap(run, (None, 0)), (axes, None)))(agents, keys)
    return np.asarray(values), np.asarray(actions)


def _learned(case: Learns, probe: int) -> tuple[np.ndarray, np.ndarray]:
    """Values and actions of every seed at what the probe shows, [seed, M]."""
    here = suite(case.continuous).rows(probe)
    values, actions = _trained(case)
    return values[probe][:, here], actions[probe][:, here]


@EVERY
@pytest.mark.parametrize("probe", range(6), ids=NAMES[:6])
def test_values_are_the_known_ones(case: Learns, probe: int) -> None:
    env = suite(case.continuous).probes[probe]
    known = env.value(jnp.asarray(env.shown), DISCOUNTS[probe])
    learned, _ = _learned(case, probe)
    assert values_agree(learned, known), (learned, known)


@EVERY
@pytest.mark.parametrize("probe", [3, 4], ids=["action", "match"])
def test_actions_are_the_best_ones(case: Learns, probe: int) -> None:
    env = suite(case.continuous).probes[probe]
    best = env.best_action(jnp.asarray(env.shown))
    _, chosen = _learned(case, probe)
    assert actions_agree(chosen.reshape(SEEDS, -1), best.reshape(-1), case.continuous), (chosen, best)


@EVERY
def test_a_time_limit_treated_as_an_end_is_seen(case: Learns) -> None:
    learned, _ = _learned(case, 6)
    assert np.abs(learned - 50.0).min() > 1.0
