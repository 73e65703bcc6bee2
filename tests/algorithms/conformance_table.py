"""The one table of algorithms: every one of them must satisfy every test of `test_conformance.py`."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import jax

import jaxrl
from jaxrl.algorithms.policy_gradient.a2c import A2C
from jaxrl.algorithms.policy_gradient.ppo import PPO
from jaxrl.algorithms.policy_gradient.recurrent_ppo import RecurrentPPO


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


def _row(name: str, algorithm: Any, env: str, **fields: Any) -> Row:
    batch, update = (_a2c_batch, _a2c_update) if algorithm is A2C else (_ppo_batch, _ppo_update)
    return Row(name, lambda: algorithm(jaxrl.make(env), **SMALL, **fields), update, batch)


ROWS = [
    _row("ppo", PPO, "CartPole-v1", **FULL),
    _row("ppo_continuous", PPO, "Pendulum-v1", **FULL),
    _row("recurrent_ppo", RecurrentPPO, "CartPole-v1", **FULL, memory_size=8),
    _row("recurrent_ppo_lstm", RecurrentPPO, "Pendulum-v1", **FULL, memory_size=8, core="lstm"),
    _row("a2c", A2C, "CartPole-v1"),
]
