"""The one table of algorithms: every one of them must satisfy every test of `test_conformance.py`."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any
from unittest import mock

import jax
import jax.numpy as jnp

import jaxrl
from jaxrl.algorithms.actor_critic import actor_critic, mpo, td3
from jaxrl.algorithms.actor_critic.awr import AWR
from jaxrl.algorithms.actor_critic.crossq import CrossQ
from jaxrl.algorithms.actor_critic.d4pg import D4PG
from jaxrl.algorithms.actor_critic.ddpg import DDPG
from jaxrl.algorithms.actor_critic.discrete_sac import DiscreteSAC
from jaxrl.algorithms.actor_critic.mpo import MPO
from jaxrl.algorithms.actor_critic.sac import SAC
from jaxrl.algorithms.actor_critic.td3 import TD3
from jaxrl.algorithms.actor_critic.tqc import TQC
from jaxrl.algorithms.policy_gradient.a2c import A2C
from jaxrl.algorithms.policy_gradient.ppo import PPO
from jaxrl.algorithms.policy_gradient.recurrent_ppo import RecurrentPPO
from jaxrl.algorithms.value_based import iqn, q_learning
from jaxrl.algorithms.value_based.c51 import C51
from jaxrl.algorithms.value_based.dqn import DQN
from jaxrl.algorithms.value_based.iqn import IQN
from jaxrl.algorithms.value_based.munchausen_dqn import MunchausenDQN
from jaxrl.algorithms.value_based.pqn import PQN
from jaxrl.algorithms.value_based.qr_dqn import QRDQN
from jaxrl.algorithms.value_based.r2d2 import R2D2
from jaxrl.algorithms.value_based.rainbow import Rainbow
from jaxrl.algorithms.value_based.recurrent_pqn import RecurrentPQN
from jaxrl.components.distributions import SquashedGaussianHead
from jaxrl.components.off_policy import ring_for
from jaxrl.components.recurrent import by_environment
from jaxrl.components.replay import windows
from jaxrl.components.sequences import sequences_at, stretches_at


@dataclass(frozen=True)
class Row:
    """An algorithm with small settings, and what a test needs to know of it."""

    name: str
    build: Callable[[], Any]
    """A new instance, its environment made anew."""
    update: Callable[[Any, Any, Any], Any]
    """(algorithm, learner, batch) -> learner: one update of it on a batch that is the same however it is cut."""
    batch: Callable[[Any, Any], tuple[Any, int]]
    """(algorithm, state) -> a batch to update on, and the axis along which it is cut over devices."""
    unused: tuple[str, ...] = ()
    """Hyperparameters that another setting of the row switches off."""


SMALL: dict[str, Any] = {"num_envs": 8, "num_steps": 8, "total_steps": 640, "hidden_sizes": (8,)}
# All that can be on at once: every leaf must then matter.
FULL: dict[str, Any] = {
    "normalize_observations": True,
    "normalize_rewards": True,
    # Thresholds so near that all of them are crossed, if only just.
    "target_kl": 1e-8,
    "clip_range": 1e-4,
    "value_clip_range": 1e-4,
    "adaptive_kl": 1e-9,
    "num_minibatches": 2,
    "num_epochs": 3,
}
FULL_PQN: dict[str, Any] = {
    "normalize_observations": True,
    "dueling": True,
    "max_grad_norm": 0.1,
    "exploration_end": 0.5,
    "num_minibatches": 2,
    "num_epochs": 4,
}


def _ppo_batch(ppo: Any, state: Any) -> tuple[Any, int]:
    _, rollout, _ = ppo.collect(jax.random.key(3), state)
    memory = (state.world.memory,) if isinstance(ppo, RecurrentPPO) else ()
    return ppo.prepare(state.learner, rollout, *memory), 0


def _ppo_update(ppo: Any, learner: Any, batch: Any) -> Any:
    # One minibatch, so that it is the same whoever shuffles it; the early stop would hide a difference.
    return replace(ppo, num_minibatches=1, target_kl=None).learn(jax.random.key(4), learner, batch, 0)[0]


def _a2c_batch(a2c: Any, state: Any) -> tuple[Any, int]:
    return a2c.collect(jax.random.key(3), state)[1], 1


def _a2c_update(a2c: Any, learner: Any, rollout: Any) -> Any:
    return a2c.learn(learner, rollout, 0)[0]


def _q_batch(agent: Any, state: Any) -> tuple[Any, int]:
    items = jnp.arange(agent.batch_size)
    return windows(state.replay.rows, ring_for(agent), items, jnp.int32(2), agent.discount, agent.n_step), 0


def _q_update(agent: Any, learner: Any, batch: Any) -> Any:
    return q_learning.update(agent, jax.random.key(4), learner, batch, jnp.int32(0), jnp.int32(0))[0]


def _iqn_update(agent: Any, learner: Any, batch: Any) -> Any:
    # The same fractions for each transition, so that they do not depend on the device that it lies on.
    def drawn(key: Any, batch_size: int, num_fractions: int) -> Any:
        return jnp.broadcast_to(jax.random.uniform(key, (num_fractions,)), (batch_size, num_fractions))

    with mock.patch.object(iqn, "drawn_fractions", drawn):
        return _q_update(agent, learner, batch)


def _r2d2_batch(agent: Any, state: Any) -> tuple[Any, int]:
    # Sequences first, as the other leaves have them: so all are cut along one axis.
    batch = sequences_at(state.replay, agent.sequences, jnp.arange(8, 16))
    return replace(by_environment(replace(batch, memory=(), weight=())), memory=batch.memory, weight=batch.weight), 0


def _r2d2_update(agent: Any, learner: Any, batch: Any) -> Any:
    rows = by_environment(replace(batch, memory=(), weight=()))
    return _q_update(agent, learner, replace(rows, memory=batch.memory, weight=batch.weight))


def _pqn_batch(pqn: Any, state: Any) -> tuple[Any, int]:
    _, rollout, _ = pqn.collect(jax.random.key(3), state, 0)
    memory = (state.world.memory,) if isinstance(pqn, RecurrentPQN) else ()
    return pqn.prepare(state.learner, rollout, *memory), 0


def _pqn_update(pqn: Any, learner: Any, batch: Any) -> Any:
    return replace(pqn, num_minibatches=1).learn(jax.random.key(4), learner, batch, 0)[0]


def _actor_critic_batch(agent: Any, state: Any) -> tuple[Any, int]:
    batch, axis = _q_batch(agent, state)
    return actor_critic.prepared(agent, state.learner, batch), axis


def _actor_critic_update(agent: Any, learner: Any, batch: Any) -> Any:
    # The same noise for each transition, so that it does not depend on the device that it lies on.
    def drawn(key: Any, shape: Any) -> Any:
        return jnp.broadcast_to(jax.random.normal(key, (agent.head.shape[0],)), (*shape, agent.head.shape[0]))

    def samples(key: Any, shape: Any) -> Any:
        return jnp.broadcast_to(jax.random.normal(key, (shape[0], 1, shape[2])), shape)

    with (
        mock.patch.object(SquashedGaussianHead, "noise", lambda head, key, shape: drawn(key, shape)),
        mock.patch.object(td3, "smoothing_noise", lambda key, shape: jnp.full(shape, jax.random.normal(key))),
        mock.patch.object(mpo, "sample_noise", samples),
    ):
        return agent.update(jax.random.key(4), learner, batch, jnp.int32(1))[0]


def _awr_batch(agent: Any, state: Any) -> tuple[Any, int]:
    return stretches_at(state.replay.rows, agent.sequences, jnp.arange(32)), 1


def _awr_update(agent: Any, learner: Any, batch: Any) -> Any:
    return agent.update(jax.random.key(4), learner, batch, jnp.int32(0))[0]


_HOW_TO_UPDATE: dict[Any, Any] = {
    PPO: (_ppo_batch, _ppo_update),
    RecurrentPPO: (_ppo_batch, _ppo_update),
    A2C: (_a2c_batch, _a2c_update),
    PQN: (_pqn_batch, _pqn_update),
    RecurrentPQN: (_pqn_batch, _pqn_update),
}


def _row(name: str, algorithm: Any, env: str, **fields: Any) -> Row:
    batch, update = _HOW_TO_UPDATE[algorithm]
    return Row(name, lambda: algorithm(jaxrl.make(env), **SMALL, **fields), update, batch)


# A replay that goes around within the tests, learning from the first iteration on, and all that can be on at once.
REPLAY: dict[str, Any] = {
    "replay_capacity": 128,
    "batch_size": 32,
    "num_updates": 2,
    "learning_starts": 64,
    "target_period": 2,
    "n_step": 3,
    "prioritized": True,
    "normalize_observations": True,
    "anneal_learning_rate": True,
}
Q: dict[str, Any] = {**REPLAY, "double": True, "dueling": True, "target_rate": 0.5, "max_grad_norm": 1e-4}


def _q_row(name: str, algorithm: Any, unused: tuple[str, ...] = (), **fields: Any) -> Row:
    def build() -> Any:
        return algorithm(jaxrl.make("CartPole-v1"), **{**SMALL, **Q, **fields})

    return Row(name, build, _iqn_update if algorithm is IQN else _q_update, _q_batch, unused)


AC: dict[str, Any] = {
    "replay_capacity": 128,
    "batch_size": 32,
    "num_updates": 2,
    "learning_starts": 64,
    "n_step": 3,
    "prioritized": True,
    "normalize_observations": True,
    "target_rate": 0.5,
    "max_grad_norm": 1e-4,
    "layer_norm": True,
}


NOISE: dict[str, Any] = {"noise_scale": 0.2, "noise_correlation": 0.5}
NO_TARGET = ("target_rate",)
CROSSQ: dict[str, Any] = {"critic_hidden_sizes": (8,), "layer_norm": False, "renorm_warm_up": 1}
# So near the first entropy that the gradient of the temperature is not clipped, and more than its sign counts.
SOFT: dict[str, Any] = {"target_entropy": 0.62, "max_grad_norm": 0.1}


def _actor_critic_row(
    name: str, algorithm: Any, env: str = "Pendulum-v1", unused: tuple[str, ...] = (), **fields: Any
) -> Row:
    noise = NOISE if env == "Pendulum-v1" else {}

    def build() -> Any:
        return algorithm(jaxrl.make(env), **{**SMALL, **AC, **noise, **fields})

    return Row(name, build, _actor_critic_update, _actor_critic_batch, unused)


R2: dict[str, Any] = {**Q, "burn_in": 4, "trace_length": 8, "memory_size": 8, "huber_delta": 1e-2}
AWR_FIELDS: dict[str, Any] = {
    "replay_capacity": 128,
    "batch_size": 8,
    "sequence_length": 6,
    "num_updates": 2,
    "normalize_observations": True,
    "normalize_advantages": True,
    "temperature": 0.5,
    "max_weight": 1.5,
    "max_grad_norm": 1e-4,
}

ROWS = [
    _row("ppo", PPO, "CartPole-v1", **FULL),
    _row("ppo_continuous", PPO, "Pendulum-v1", **FULL),
    _row("recurrent_ppo", RecurrentPPO, "CartPole-v1", **FULL, memory_size=8),
    _row("recurrent_ppo_lstm", RecurrentPPO, "Pendulum-v1", **FULL, memory_size=8, core="lstm"),
    _row("a2c", A2C, "CartPole-v1"),
    _row("pqn", PQN, "CartPole-v1", **FULL_PQN),
    _row("recurrent_pqn", RecurrentPQN, "CartPole-v1", **FULL_PQN, memory_size=8),
    _q_row("dqn", DQN, huber_delta=1e-2),
    _q_row("c51", C51, num_atoms=5),
    _q_row("qr_dqn", QRDQN, num_quantiles=4, huber_delta=1e-2),
    _q_row("iqn", IQN, num_fractions=3, num_target_fractions=4, num_acting_fractions=2, huber_delta=1e-2),
    _q_row("munchausen_dqn", MunchausenDQN, double=False, n_step=1, huber_delta=1e-2, bonus_min=-1e-3),
    _q_row(
        "rainbow",
        Rainbow,
        noisy=True,
        num_atoms=5,
        huber_delta=1.0,
        unused=("huber_delta", "exploration_start", "exploration_end", "exploration_fraction"),
    ),
    _actor_critic_row("ddpg", DDPG),
    _actor_critic_row("td3", TD3, target_noise_clip=0.1),
    _actor_critic_row("d4pg", D4PG, num_atoms=5, value_min=-20.0, value_max=5.0),
    _actor_critic_row("sac", SAC, num_critics=3, subset_size=2, policy_delay=2, **SOFT),
    _actor_critic_row("tqc", TQC, num_quantiles=4, num_dropped=1, huber_delta=1e-2, **SOFT),
    _actor_critic_row("crossq", CrossQ, unused=NO_TARGET, **CROSSQ, **SOFT),
    _actor_critic_row("mpo", MPO, num_critics=2, num_samples=4, target_period=2),
    _actor_critic_row("discrete_sac", DiscreteSAC, "CartPole-v1", target_entropy=0.99, max_grad_norm=0.1),
    Row("awr", lambda: AWR(jaxrl.make("CartPole-v1"), **SMALL, **AWR_FIELDS), _awr_update, _awr_batch),
    Row("r2d2", lambda: R2D2(jaxrl.make("CartPole-v1"), **SMALL, **R2), _r2d2_update, _r2d2_batch),
]
