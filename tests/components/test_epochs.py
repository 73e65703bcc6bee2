"""Passes over a batch: every minibatch is met once in an epoch, prepared beside the others, and measured."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from program_counts import primitives

import jaxrl
from jaxrl.components.epochs import Passes, run_epochs
from jaxrl.components.policy_losses import normalized
from jaxrl.metrics import Metrics, mean, values

BATCH = jnp.arange(12.0) ** 2


def _seen(seen: jax.Array, minibatch: jax.Array) -> tuple[jax.Array, Metrics]:
    """Notes the minibatch at the front, and measures its mean and its largest entry."""
    metrics = {"mean": mean(minibatch), "largest": mean(minibatch.max())}
    return jnp.concatenate([minibatch, seen[: -len(minibatch)]]), metrics


def test_every_epoch_meets_every_entry_once_and_metrics_are_of_all_minibatches() -> None:
    seen, metrics = run_epochs(jax.random.key(0), jnp.zeros(24), BATCH, _seen, Passes(num_epochs=2, num_minibatches=3))
    assert sorted(seen[:12].tolist()) == sorted(seen[12:].tolist()) == BATCH.tolist()
    assert seen[:12].tolist() != seen[12:].tolist()
    found = values(metrics)
    np.testing.assert_allclose(found["mean"], BATCH.mean(), rtol=1e-6)
    np.testing.assert_allclose(found["largest"], seen.reshape(6, 4).max(axis=1).mean(), rtol=1e-6)
    assert (metrics["mean"].weight, metrics["largest"].weight) == (24, 6)


def test_minibatches_are_prepared_each_by_itself() -> None:
    seen, _ = run_epochs(
        jax.random.key(0), jnp.zeros(12), BATCH, _seen, Passes(num_epochs=1, num_minibatches=3), jax.vmap(normalized)
    )
    np.testing.assert_allclose(seen.reshape(3, 4).mean(axis=1), 0.0, atol=1e-6)
    np.testing.assert_allclose(seen.reshape(3, 4).std(axis=1), 1.0, rtol=1e-6)


def test_devices_exchange_once_for_each_minibatch_of_ppo() -> None:
    """The gradient; the sums behind the advantages are exchanged for all minibatches of an epoch at once."""
    ppo = jaxrl.PPO("CartPole-v1", num_envs=2, num_steps=8, num_minibatches=2, hidden_sizes=(4,), axis="devices")

    def iteration(key: jax.Array) -> Any:
        return ppo.step(key, ppo.init(key), jnp.int32(0))

    program = jax.make_jaxpr(iteration, axis_env=[("devices", 2)])(jax.random.key(0))
    depths = [depth for name, depth in primitives(program.jaxpr) if name.startswith("psum")]
    assert (depths.count(1), depths.count(2)) == (2, 1)
