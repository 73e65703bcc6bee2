"""MPO on one batch: what it samples, where its targets come from, and that each part learns from its own loss alone."""

from dataclasses import replace
from typing import Any

import actor_critic_batch
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from actor_critic_batch import KEYS, B, Stretched, learner_of, one_batch

from jaxrl.algorithms.actor_critic import mpo
from jaxrl.algorithms.actor_critic.mpo import MPO, BoundedMeanHead
from jaxrl.components import mpo_losses as losses

M = 4
SMALL: dict[str, Any] = {**actor_critic_batch.SMALL, "num_samples": M}


def _same(a: Any, b: Any) -> bool:
    return all(np.array_equal(x, y) for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True))


def _by_hand(agent: MPO, key: jax.Array, target_params: Any, obs: jax.Array) -> tuple[np.ndarray, np.ndarray]:
    """Samples [M, B, D] of the target policy, and the least of the target critics at them, one at a time [M, B]."""
    policy = agent.distribution(target_params["actor"], obs)
    noise = np.asarray(mpo.sample_noise(key, (M, B, 2)))
    actions = np.stack([np.asarray(policy.mean + jnp.exp(policy.log_std) * noise[j]) for j in range(M)])
    critics = [
        agent.critic_network.apply(target_params["critics"], obs, jnp.asarray(np.clip(actions[j], -1, 1)))
        for j in range(M)
    ]
    return actions, np.stack([np.min(np.asarray(q), axis=0) for q in critics])


def test_the_target_is_the_mean_value_of_the_target_policys_actions() -> None:
    agent = MPO(Stretched(), num_critics=2, initial_std=1.5, **SMALL)
    learner, batch = learner_of(agent), one_batch()
    actions, values = _by_hand(agent, KEYS[7], learner.target_params, batch.next_obs)
    assert np.abs(actions).max() > 1.5  # so that the clipping shows
    target = np.asarray(batch.reward) + np.asarray(batch.discount) * values.mean(axis=0)
    predicted = agent.critic_network.apply(learner.params["critics"], batch.obs, batch.action)
    _, errors, _ = agent.critic_step(KEYS[7], learner, batch)
    np.testing.assert_allclose(errors, np.abs(np.asarray(predicted) - target).mean(axis=0), rtol=1e-4, atol=1e-5)


def test_the_weights_are_of_the_target_policys_actions_by_the_target_critics(monkeypatch: Any) -> None:
    agent = MPO(Stretched(), num_critics=2, initial_std=1.5, temperature=0.3, **SMALL)
    learner, batch = learner_of(agent), one_batch()
    seen: list[Any] = []
    original = losses.likelihood_loss

    def watch(policy: Any, actions: jax.Array, weights: jax.Array) -> jax.Array:
        seen.append(jax.lax.stop_gradient((actions, weights)))
        return original(policy, actions, weights)

    monkeypatch.setattr(losses, "likelihood_loss", watch)
    agent.policy_step(KEYS[7], learner, batch)
    actions, values = _by_hand(agent, KEYS[7], learner.target_params, batch.obs)
    powers = np.exp((values - values.max(axis=0)) / 0.3)
    assert len(seen) == 2
    for given in seen:
        np.testing.assert_allclose(given[0], actions, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(given[1], powers / powers.sum(axis=0), rtol=1e-3, atol=1e-5)


def test_each_part_learns_from_its_own_loss_alone() -> None:
    agent = MPO(Stretched(), **SMALL)
    learner = learner_of(agent)
    rates = {"critics": "critic_learning_rate", "actor": "learning_rate", "duals": "dual_learning_rate"}
    update = jax.jit(lambda agent: agent.update(KEYS[7], learner, one_batch(), jnp.int32(0))[0])
    assert set(learner.params) == set(rates)
    for rate in rates.values():
        after = update(replace(agent, **{rate: 0.0}))
        for name in rates:
            assert _same(after.params[name], learner.params[name]) is (rates[name] == rate), (rate, name)


def test_the_targets_are_copied_once_in_a_period() -> None:
    agent = MPO(Stretched(), target_period=3, **SMALL)
    learner = learner_of(agent)
    update = jax.jit(lambda count: agent.update(KEYS[7], learner, one_batch(), count)[0])
    for count in range(6):
        after = update(jnp.int32(count))
        copied = (count + 1) % 3 == 0
        expected = {name: after.params[name] for name in ("actor", "critics")} if copied else learner.target_params
        for x, y in zip(jax.tree.leaves(after.target_params), jax.tree.leaves(expected), strict=True):
            np.testing.assert_allclose(x, y, rtol=1e-5, atol=1e-6)


def test_dual_variables_stay_where_they_still_learn() -> None:
    agent = MPO(Stretched(), dual_learning_rate=100.0, kl_bound=50.0, **SMALL)
    learner = learner_of(agent)
    values, divergences = jnp.zeros((M, B)), {name: jnp.zeros((B, 2)) for name in ("mean", "std")}
    for _ in range(20):
        learner = agent.dual_step(learner, values, divergences)
    for dual in jax.tree.leaves(learner.params["duals"]):
        np.testing.assert_array_equal(dual, losses.MIN_DUAL)
    agent = replace(agent, kl_bound=1e-9, dual_learning_rate=0.1)
    learner = agent.dual_step(replace(learner, opt_state=learner_of(agent).opt_state), jnp.eye(M, B), divergences)
    assert learner.params["duals"]["temperature"] > losses.MIN_DUAL


def test_the_policy_finds_the_best_action_of_a_known_critic(monkeypatch: Any) -> None:
    best = jnp.array([0.4, -0.6])

    def values(agent: Any, params: Any, obs: Any, actions: jax.Array) -> jax.Array:
        return -jnp.square(actions - best[None, None]).sum(axis=-1)

    monkeypatch.setattr(MPO, "values", values)
    settings = {
        **SMALL,
        "num_samples": 16,
        "learning_rate": 5e-3,
        "temperature": 0.1,
        "kl_bound_mean": 1e-2,
        "kl_bound_std": 1e-2,
    }
    agent = MPO(Stretched(), target_period=10, multiplier_mean=1.0, multiplier_std=1.0, **settings)

    def update(learner: Any, inputs: Any) -> Any:
        key, count = inputs
        return agent.update(key, learner, one_batch(), count)[0], ()

    inputs = (jax.random.split(KEYS[0], 600), jnp.arange(600))
    learner, _ = jax.jit(lambda learner: jax.lax.scan(update, learner, inputs))(agent.init(KEYS[5]).learner)
    policy = agent.distribution(learner.params["actor"], one_batch().obs)
    np.testing.assert_allclose(policy.mode(), jnp.broadcast_to(best, (B, 2)), atol=0.1)
    assert jnp.exp(policy.log_std).max() < 0.3


def test_the_first_policy_lies_in_the_middle_and_no_mean_beyond_the_range() -> None:
    agent = MPO(Stretched(), initial_std=0.7, **SMALL)
    policy = agent.distribution(learner_of(agent).params["actor"], one_batch().obs)
    np.testing.assert_allclose(policy.mean, 0.0, atol=0.05)
    np.testing.assert_allclose(jnp.exp(policy.log_std), 0.7, rtol=0.05)
    far = BoundedMeanHead((2,), 0.7)(jnp.array([50.0, -50.0, -500.0, 5.0]))
    np.testing.assert_allclose(far.mode(), [1.0, -1.0])
    np.testing.assert_allclose(jnp.exp(far.log_std[0]), BoundedMeanHead.min_std, rtol=1e-4)
    assert np.isfinite(far.log_prob(jnp.zeros(2)))
    assert np.abs(far.sample(jnp.array([0.0, 3.0]))).max() > 1.0


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"num_samples": 1}, "num_samples must be at least 2, got 1"),
        ({"initial_std": 0.0}, "initial_std must be above the least std of a policy, 0.001, got 0.0"),
        ({"kl_bound_mean": 0.0}, "kl_bound_mean must be above 0, got 0"),
        ({"replay_capacity": 3}, "replay_capacity must hold at least one rollout"),
    ],
)
def test_settings_that_do_not_fit_are_refused(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        MPO(Stretched(), **fields)


def test_other_actions_than_bounded_boxes_are_refused() -> None:
    with pytest.raises(ValueError, match="finite bounds"):
        MPO("CartPole-v1")
