"""What is particular to PPO: the first ratio, its kinship with A2C, its early stop, its penalty, its normalisers."""

from dataclasses import replace
from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxrl
from jaxrl.algorithms.policy_gradient.ppo import ppo_loss
from jaxrl.metrics import values

SIZES: dict[str, Any] = {"num_envs": 4, "num_steps": 64, "total_steps": 2560, "hidden_sizes": (16,)}


@cache
def _collected(name: str, env: str, **fields: Any) -> tuple[Any, Any, Any, Any]:
    """An algorithm, a state some iterations in, a rollout, and the batch made of it."""
    algorithm = getattr(jaxrl, name)(jaxrl.make(env), **SIZES, **fields)
    state = jax.jit(lambda a, key: jaxrl.train(a, key, num_iterations=3).state)(algorithm, jax.random.key(0))
    _, rollout, _ = jax.jit(lambda a, state: a.collect(jax.random.key(1), state))(algorithm, state)
    memory = (state.world.memory,) if name == "RecurrentPPO" else ()
    return algorithm, state, rollout, algorithm.prepare(state.learner, rollout, *memory)


FORMS = pytest.mark.parametrize(
    ("name", "env", "fields"),
    [
        ("PPO", "CartPole-v1", {}),
        ("PPO", "Pendulum-v1", {"normalize_observations": True, "normalize_rewards": True}),
        ("RecurrentPPO", "CartPole-v1", {"memory_size": 8}),
        ("RecurrentPPO", "Pendulum-v1", {"memory_size": 8, "core": "lstm"}),
    ],
    ids=["discrete", "continuous", "gru", "lstm"],
)


@FORMS
def test_at_the_first_minibatch_the_ratio_is_one(name: str, env: str, fields: dict[str, Any]) -> None:
    algorithm, state, _, batch = _collected(name, env, **fields)
    learner = state.learner
    _, metrics = ppo_loss(algorithm, learner.params, learner.kl_coefficient, batch)
    assert float(values(metrics)["approximate_kl"]) < 1e-10
    assert float(values(metrics)["clip_fraction"]) == 0


@FORMS
def test_the_stored_action_is_the_one_drawn_and_its_log_probability_is_that_of_the_policy(
    name: str, env: str, fields: dict[str, Any]
) -> None:
    algorithm, state, rollout, batch = _collected(name, env, **fields)
    distribution, _ = algorithm.forward(state.learner.params, batch)
    np.testing.assert_allclose(distribution.log_prob(batch.action), batch.log_prob, rtol=1e-5, atol=2e-6)
    if env == "Pendulum-v1":  # the environment was given the clipped one
        assert np.abs(batch.action).max() > 2.0
        assert np.abs(rollout.action).max() <= 2.0


def test_the_recurrent_rerun_needs_the_flags_of_the_observations() -> None:
    algorithm, state, _, batch = _collected("RecurrentPPO", "CartPole-v1", memory_size=8)
    assert batch.first[:, 1:].any(), "no episode ends inside the rollout: the test could not fail"
    wrong = replace(batch, first=jnp.zeros_like(batch.first))
    distribution, _ = algorithm.forward(state.learner.params, wrong)
    assert np.abs(distribution.log_prob(batch.action) - batch.log_prob).max() > 1e-4


def test_the_first_gradient_is_that_of_a2c() -> None:
    ppo, state, rollout, batch = _collected("PPO", "CartPole-v1", normalize_advantages=False)
    shared = {name: getattr(ppo, name) for name in ("discount", "gae_lambda", "value_coefficient")}
    a2c = jaxrl.A2C(ppo.env, **SIZES, **shared, entropy_coefficient=ppo.entropy_coefficient)
    learner = state.learner
    of_ppo = jax.grad(ppo_loss, argnums=1, has_aux=True)(ppo, learner.params, learner.kl_coefficient, batch)[0]
    of_a2c = jax.grad(a2c.loss, has_aux=True)(learner.params, rollout)[0]
    for x, y in zip(jax.tree.leaves(of_ppo), jax.tree.leaves(of_a2c), strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-4, atol=1e-5)


def test_target_kl_leaves_out_the_remaining_epochs() -> None:
    ppo, state, _, batch = _collected("PPO", "CartPole-v1")

    def learned(**fields: Any) -> tuple[Any, Any]:
        changed = replace(ppo, learning_rate=1e-2, **fields)
        return jax.jit(changed.learn)(jax.random.key(2), state.learner, batch, 0)

    after_one, _ = learned(num_epochs=1)
    stopped, metrics = learned(num_epochs=4, target_kl=1e-6)
    unstopped, all_metrics = learned(num_epochs=4, target_kl=1e6)
    assert float(metrics["policy_loss"].weight) == ppo.num_minibatches
    assert float(all_metrics["policy_loss"].weight) == 4 * ppo.num_minibatches
    # The keys of the epochs depend on their number, so the orders differ: only sizes of moves can be compared.
    moves = [_distance(learner.params, state.learner.params) for learner in (after_one, stopped, unstopped)]
    assert moves[1] == pytest.approx(moves[0], rel=0.3)
    assert moves[2] > 1.5 * moves[1]


def _distance(a: Any, b: Any) -> float:
    return float(
        sum(jnp.square(x - y).sum() for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)) ** 0.5
    )


def test_the_penalty_grows_where_the_policy_moved_too_far() -> None:
    ppo, state, _, _ = _collected("PPO", "CartPole-v1")
    _, rollout, _ = ppo.collect(jax.random.key(1), state)
    for target, factor in ((1e-9, 2.0), (1e3, 0.5)):
        penalised = replace(ppo, adaptive_kl=target, clip_range=None)
        batch = penalised.prepare(state.learner, rollout)
        learner, metrics = jax.jit(penalised.learn)(jax.random.key(2), state.learner, batch, 0)
        assert float(learner.kl_coefficient) == factor * float(state.learner.kl_coefficient)
        assert float(values(metrics)["kl_coefficient"]) == float(learner.kl_coefficient)


def test_a_heavy_penalty_holds_the_policy_back() -> None:
    ppo, state, rollout, _ = _collected("PPO", "CartPole-v1")
    moved = []
    for coefficient in (0.0, 100.0):
        penalised = replace(ppo, adaptive_kl=0.01, clip_range=None, learning_rate=1e-2)
        learner = replace(state.learner, kl_coefficient=jnp.float32(coefficient))
        batch = penalised.prepare(learner, rollout)
        learner, _ = jax.jit(penalised.learn)(jax.random.key(2), learner, batch, 0)
        moved.append(float(batch.old.kl(penalised.distribution(learner.params, batch.obs)).mean()))
    assert moved[1] < 0.2 * moved[0]


def test_normalisers_see_every_rollout_once_and_are_frozen_in_evaluation() -> None:
    ppo, state, rollout, _ = _collected("PPO", "Pendulum-v1", normalize_observations=True, normalize_rewards=True)
    assert float(state.learner.normalizers.observations.count) == 3 * ppo.steps_per_iteration
    after, _ = state.learner.normalizers.updated(rollout, state.discounted_return, ppo.discount, None)
    assert float(after.observations.count) == 4 * ppo.steps_per_iteration
    # A policy carries the statistics: observations that were shifted and scaled alike give the same action.
    policy = ppo.policy(state)
    stats = policy.observation_stats
    identity = replace(stats, mean=jnp.zeros(3), variance=jnp.ones(3))
    obs = rollout.obs[0]
    plain = replace(policy, observation_stats=identity)
    by_hand = (obs - stats.mean[None]) / jnp.sqrt(stats.variance[None] + 1e-8)
    np.testing.assert_allclose(
        policy.act(jax.random.key(0), obs)[0], plain.act(jax.random.key(0), by_hand)[0], rtol=1e-4
    )


def test_the_learning_rate_is_annealed_to_zero() -> None:
    ppo, state, _, batch = _collected("PPO", "CartPole-v1")
    last = ppo.total_steps // ppo.steps_per_iteration
    for iteration, moves in ((0, True), (last, False)):
        learner, _ = jax.jit(ppo.learn)(jax.random.key(2), state.learner, batch, jnp.int32(iteration))
        assert (_distance(learner.params, state.learner.params) > 0) == moves
