"""The actor-critics for continuous control: their losses on one batch, and what their parts have in common."""

from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from actor_critic_batch import AXES, KEYS, SMALL, B, Stretched, learner_of, one_batch

import jaxrl
from jaxrl.algorithms.actor_critic import actor_critic, sac, td3
from jaxrl.algorithms.actor_critic.crossq import CrossQ
from jaxrl.algorithms.actor_critic.ddpg import DDPG, deterministic_action
from jaxrl.algorithms.actor_critic.discrete_sac import soft_values
from jaxrl.algorithms.actor_critic.sac import SAC
from jaxrl.algorithms.actor_critic.td3 import TD3
from jaxrl.algorithms.actor_critic.tqc import TQC, truncated
from jaxrl.components import critic_losses as losses
from jaxrl.components.categorical import Categorical
from jaxrl.envs.spaces import Box


@jax.jit
def _updated(agent: Any, learner: Any, count: Any) -> Any:
    return agent.update(KEYS[7], learner, one_batch(), jnp.int32(count))


def assert_trees_close(a: Any, b: Any) -> None:
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-5, atol=1e-6)


def test_td3_without_its_three_parts_is_ddpg() -> None:
    env = Stretched()
    off = TD3(env, num_critics=1, policy_delay=1, target_noise=0.0, **SMALL)
    ddpg = DDPG(env, **SMALL)
    learner = learner_of(ddpg)
    after, errors, _ = _updated(off, learner, 0)
    expected, expected_errors, _ = _updated(ddpg, learner, 0)
    assert_trees_close(after, expected)
    np.testing.assert_allclose(errors, expected_errors, rtol=1e-5)
    for part in ({"policy_delay": 2}, {"target_noise": 0.5}):
        changed = _updated(replace(off, **part), learner, 0)[0]
        with pytest.raises(AssertionError):
            assert_trees_close(changed, expected)


def test_the_target_of_td3_is_the_least_critics_at_the_smoothed_action() -> None:
    agent = TD3(Stretched(), **SMALL)
    learner, batch = learner_of(agent), one_batch()
    seen: list[Any] = []
    original = losses.squared_error

    def watch(values: jax.Array, target: jax.Array, weight: jax.Array) -> jax.Array:
        seen.append(jax.lax.stop_gradient(target))
        return original(values, target, weight)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(losses, "squared_error", watch)
        agent.update(KEYS[7], learner, batch, jnp.int32(0))
    noise = np.clip(0.2 * np.asarray(td3.smoothing_noise(KEYS[7], (B, 2))), -0.5, 0.5)
    action = np.asarray(deterministic_action(agent, learner.target_params["actor"], batch.next_obs))
    q = agent.critic_network.apply(
        learner.target_params["critics"], batch.next_obs, jnp.asarray(np.clip(action + noise, -1, 1))
    )
    expected = [batch.reward[i] + batch.discount[i] * min(float(q[0, i]), float(q[1, i])) for i in range(B)]
    np.testing.assert_allclose(seen[0], expected, rtol=1e-5)


def test_smoothing_is_clipped_and_stays_within_the_range() -> None:
    agent = TD3(Stretched(), target_noise=5.0, target_noise_clip=0.5, **SMALL)
    params = learner_of(agent).params["actor"]
    obs = jax.random.normal(KEYS[0], (1000, 3))
    smoothed = td3.smoothed_action(agent, KEYS[1], params, obs)
    distance = jnp.abs(smoothed - deterministic_action(agent, params, obs))
    np.testing.assert_allclose(distance.max(), 0.5, atol=1e-6)
    assert jnp.abs(td3.smoothed_action(agent, KEYS[1], jax.tree.map(lambda x: 99 * x, params), obs)).max() <= 1.0


def test_the_actor_and_the_targets_of_td3_wait() -> None:
    agent = TD3(Stretched(), policy_delay=3, **SMALL)
    learner = learner_of(agent)
    for count in range(6):
        after = _updated(agent, learner, count)[0]
        moves = (count + 1) % 3 == 0
        assert (
            np.array_equal(jax.tree.leaves(after.params["actor"])[1], jax.tree.leaves(learner.params["actor"])[1])
            is not moves
        )
        assert (
            np.array_equal(jax.tree.leaves(after.target_params)[0], jax.tree.leaves(learner.target_params)[0])
            is not moves
        )
        assert not np.array_equal(
            jax.tree.leaves(after.params["critics"])[0], jax.tree.leaves(learner.params["critics"])[0]
        )


def test_the_soft_target_by_hand() -> None:
    agent = SAC(Stretched(), temperature=0.3, **SMALL)
    learner, batch = learner_of(agent), one_batch()
    sample_key = jax.random.split(KEYS[7], 4)[0]
    action, log_prob = sac.sampled(agent, sample_key, learner.params["actor"], batch.next_obs)
    q = agent.critic_network.apply(learner.target_params["critics"], batch.next_obs, action).min(axis=0)
    target = batch.reward + batch.discount * (q - 0.3 * log_prob)
    values = agent.critic_network.apply(learner.params["critics"], batch.obs, batch.action)
    _, errors, _ = agent.critic_step(KEYS[7], learner, batch)
    np.testing.assert_allclose(errors, np.abs(np.asarray(values) - np.asarray(target)).mean(axis=0), rtol=1e-4)


def test_a_subset_of_critics_gives_the_target_and_all_of_them_the_actors_value() -> None:
    agent = SAC(Stretched(), num_critics=5, subset_size=1, **SMALL)
    learner, batch = learner_of(agent), one_batch()
    all_values = agent.values(KEYS[0], learner.params["critics"], batch.obs, batch.action)
    np.testing.assert_allclose(
        agent.value(KEYS[0], learner.params["critics"], batch.obs, batch.action), all_values.mean(axis=0), rtol=1e-5
    )
    least = replace(agent, subset_size=None)
    np.testing.assert_array_equal(
        least.value(KEYS[0], learner.params["critics"], batch.obs, batch.action), all_values.min(axis=0)
    )
    # Which one is drawn anew each time.
    drawn = {float(agent.critic_step(key, learner, batch)[1][1]) for key in jax.random.split(KEYS[1], 8)}
    assert len(drawn) > 2


def test_a_subset_draws_no_critic_twice() -> None:
    whole = SAC(Stretched(), num_critics=5, **SMALL)
    learner = learner_of(whole)

    def errors(agent: SAC, key: jax.Array) -> jax.Array:
        return agent.critic_step(key, learner, one_batch())[1]

    drawn, expected = (jax.jit(jax.vmap(errors, (None, 0)))(x, KEYS) for x in (replace(whole, subset_size=5), whole))
    np.testing.assert_allclose(drawn, expected, rtol=1e-4)


def test_dropout_is_on_in_learning_only() -> None:
    agent = SAC(Stretched(), dropout=0.5, layer_norm=True, **SMALL)
    learner, batch = learner_of(agent), one_batch()
    one, other = (agent.values(key, learner.params["critics"], batch.obs, batch.action) for key in KEYS[:2])
    assert not np.allclose(one, other)
    assert not np.allclose(one[0], one[1])
    plain = agent.critic_network.apply(learner.params["critics"], batch.obs, batch.action)
    without = replace(agent, dropout=0.0).values(KEYS[0], learner.params["critics"], batch.obs, batch.action)
    np.testing.assert_array_equal(plain, without)


@pytest.mark.parametrize(("target_entropy", "grows"), [(0.5, True), (-9.0, False)])
def test_the_temperature_grows_where_the_entropy_is_below_its_target(target_entropy: float, grows: bool) -> None:
    agent = SAC(Stretched(), target_entropy=target_entropy, **SMALL)
    learner = learner_of(agent)
    narrow = jax.tree.map(jnp.zeros_like, learner.params["actor"])
    narrow["params"]["Dense_0"]["bias"] = jnp.array([0.0, 0.0, -2.0, -2.0])  # mean 0, log std -2
    learner = replace(learner, params={**learner.params, "actor": narrow})
    after, metrics = sac.actor_step(agent, KEYS[7], learner, one_batch(), agent.value)
    entropy = float(metrics["entropy"].total / metrics["entropy"].weight)
    assert (entropy < 2 * target_entropy) is grows
    assert (float(after.params["log_temperature"]) > float(learner.params["log_temperature"])) is grows


def test_no_gradient_goes_where_it_must_not() -> None:
    log_prob, values = jnp.arange(3.0), jnp.ones((2, 3))
    assert not np.any(jax.grad(losses.temperature_loss, argnums=1)(jnp.float32(0.3), log_prob, -1.0))
    assert not np.any(jax.grad(losses.squared_error, argnums=1)(values, jnp.zeros(3), jnp.ones(3)))
    np.testing.assert_allclose(
        jax.grad(losses.temperature_loss)(jnp.float32(0.3), log_prob, -3.0), -(np.mean([0, 1, 2]) - 3.0)
    )


@pytest.mark.parametrize("algorithm", [DDPG, TD3, SAC, TQC, CrossQ, jaxrl.D4PG])
def test_each_part_learns_from_its_own_loss_alone(algorithm: Any) -> None:
    agent = algorithm(Stretched(), **SMALL)
    learner = learner_of(agent)
    frozen = replace(agent, critic_learning_rate=0.0)
    after = _updated(frozen, learner, 5)[0]
    assert_trees_close(after.params["critics"]["params"], learner.params["critics"]["params"])
    assert not np.array_equal(jax.tree.leaves(after.params["actor"])[1], jax.tree.leaves(learner.params["actor"])[1])
    frozen = replace(agent, learning_rate=0.0)
    after = _updated(frozen, learner, 5)[0]
    assert_trees_close(
        {name: value for name, value in after.params.items() if name != "critics"},
        {name: value for name, value in learner.params.items() if name != "critics"},
    )
    assert not np.array_equal(
        jax.tree.leaves(after.params["critics"])[0], jax.tree.leaves(learner.params["critics"])[0]
    )


def test_truncated_quantiles_are_those_of_a_plain_loop() -> None:
    quantiles = np.random.default_rng(0).normal(size=(3, 4, 5)).astype(np.float32)
    for num_dropped in (0, 1, 4):
        result = np.asarray(truncated(jnp.asarray(quantiles), num_dropped))
        for row in range(4):
            pooled = sorted(float(quantiles[critic, row, k]) for critic in range(3) for k in range(5))
            np.testing.assert_allclose(result[row], pooled[: 3 * (5 - num_dropped)], rtol=1e-6)
    np.testing.assert_allclose(
        truncated(jnp.asarray(quantiles), 0).mean(axis=-1), quantiles.mean(axis=(0, 2)), rtol=1e-5
    )


def test_exploration_is_uniform_until_learning_starts() -> None:
    agent = DDPG(Stretched(), num_envs=64, num_steps=32, learning_starts=4_000, noise_scale=0.0, **SMALL)
    state = agent.init(KEYS[0])
    low, high = np.asarray(AXES.low), np.asarray(AXES.high)
    early = np.asarray(actor_critic.explore(agent, KEYS[1], state, jnp.int32(1))[1].action).reshape(-1, 2)
    unit = (early - low) / (high - low)
    for entry in range(2):
        counts = np.histogram(unit[:, entry], bins=8, range=(0, 1))[0]
        np.testing.assert_allclose(counts / len(unit), 1 / 8, atol=0.03)
    late = np.asarray(actor_critic.explore(agent, KEYS[1], state, jnp.int32(2))[1].action).reshape(-1, 2)
    np.testing.assert_allclose((late - low) / (high - low), 0.5, atol=0.1)  # the first actor plays the middle


@pytest.mark.parametrize("algorithm", [DDPG, SAC])
def test_other_actions_than_bounded_boxes_are_refused(algorithm: Any) -> None:
    with pytest.raises(ValueError, match="finite bounds"):
        algorithm("CartPole-v1")

    endless = Stretched()
    object.__setattr__(endless, "action_space", Box(-np.inf, np.inf, (2,)))
    with pytest.raises(ValueError, match="finite bounds"):
        algorithm(endless)


@pytest.mark.parametrize(
    ("algorithm", "fields", "words"),
    [
        (SAC, {"subset_size": 3}, "subset_size must be at most num_critics = 2, got 3"),
        (SAC, {"dropout": 1.0}, "dropout must be at least 0 and below 1"),
        (TQC, {"num_dropped": 25}, "num_dropped must be below num_quantiles = 25, got 25"),
        (jaxrl.D4PG, {"value_min": 5.0, "value_max": 5.0}, "value_max must be above value_min"),
        (SAC, {"residual": True, "hidden_sizes": (8, 16)}, "hidden_sizes that are all equal"),
        (SAC, {"residual": True, "dropout": 0.1}, "Residual blocks have no dropout"),
        (TD3, {"residual": True, "layer_norm": True}, "layer norms of their own"),
        (CrossQ, {"residual": True}, "CrossQ has no residual blocks"),
        (DDPG, {"replay_capacity": 3}, "replay_capacity must hold at least one rollout"),
    ],
)
def test_settings_that_do_not_fit_are_refused(algorithm: Any, fields: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        algorithm(Stretched(), **fields)


def _bandit_probabilities(rewards: jax.Array, alpha: float) -> jax.Array:
    """Gradient descent on the actor's loss, from anywhere."""

    def loss(logits: jax.Array) -> jax.Array:
        return -soft_values(Categorical(logits), rewards, alpha).sum()

    def descend(logits: jax.Array, _: None) -> tuple[jax.Array, None]:
        return logits - 2.0 * jax.grad(loss)(logits), None

    logits, _ = jax.lax.scan(descend, jax.random.normal(KEYS[0], rewards.shape), None, length=2_000)
    return jax.nn.softmax(logits)


def test_the_fixed_point_of_discrete_sac_on_a_bandit_is_the_boltzmann_policy() -> None:
    rewards = jnp.array([[1.0, 0.4, -0.5], [0.0, 0.0, 3.0]])
    np.testing.assert_allclose(_bandit_probabilities(rewards, 0.7), jax.nn.softmax(rewards / 0.7), atol=1e-3)
    # Its value there is alpha log sum exp(Q / alpha).
    best = Categorical(rewards / 0.7)
    np.testing.assert_allclose(
        soft_values(best, rewards, 0.7), 0.7 * jax.nn.logsumexp(rewards / 0.7, axis=-1), rtol=1e-5
    )


def test_crossq_normalises_by_the_batch_that_holds_both_sides() -> None:
    agent = CrossQ(Stretched(), critic_hidden_sizes=(8,), **SMALL)
    learner, batch = learner_of(agent), one_batch()
    next_action = jax.random.uniform(KEYS[6], (B, 2), minval=-1.0)
    _, stats = agent.joint_values(learner.params["critics"], batch, next_action)
    inputs = np.concatenate(
        [np.concatenate([batch.obs, batch.action], axis=1), np.concatenate([batch.next_obs, next_action], axis=1)]
    )
    first = stats["ensemble"]["BatchRenorm_0"]
    for critic in range(2):  # fresh statistics (0 and 1), moved by a hundredth
        np.testing.assert_allclose(first["mean"][critic], 0.01 * inputs.mean(axis=0), rtol=1e-4, atol=1e-7)
        np.testing.assert_allclose(first["variance"][critic], 0.99 + 0.01 * inputs.var(axis=0), rtol=1e-5)


def test_crossq_keeps_its_statistics_and_has_no_targets() -> None:
    agent = CrossQ(Stretched(), critic_hidden_sizes=(8,), **SMALL)
    learner = agent.init(KEYS[5]).learner
    assert learner.target_params == {}
    after = _updated(agent, learner, 0)[0]
    stats = after.params["critics"]["batch_stats"]["ensemble"]["BatchRenorm_0"]
    np.testing.assert_array_equal(stats["count"], np.ones(2))
    assert np.abs(stats["mean"]).max() > 0
    with pytest.raises(ValueError, match="layer_norm=True"):
        CrossQ(Stretched(), layer_norm=True)


def test_a_reset_begins_anew_with_all_but_the_statistics_and_agrees_on_every_device() -> None:
    agent = TD3(Stretched(), reset_period=3, normalize_observations=True, axis="devices", **SMALL)
    learner = replace(agent, axis=None).init(KEYS[5]).learner
    learner = replace(learner, observation_stats=replace(learner.observation_stats, count=jnp.float32(7.0)))

    def reset(key: jax.Array, count: jax.Array) -> Any:
        return actor_critic.reset_now_and_then(agent, key, learner, one_batch(), count)

    for count in (0, 1, 2):
        after = jax.vmap(reset, in_axes=(0, None), axis_name="devices")(KEYS[:2], jnp.int32(count))
        kernel = after.params["actor"]["params"]["Dense_0"]["kernel"]
        np.testing.assert_array_equal(kernel[0], kernel[1])
        assert np.array_equal(kernel[0], learner.params["actor"]["params"]["Dense_0"]["kernel"]) is (count != 2)
        assert_trees_close(after.params if count == 2 else (), {**after.target_params} if count == 2 else ())
        np.testing.assert_array_equal(after.observation_stats.count, np.full(2, 7.0))


def test_residual_networks_learn() -> None:
    agent = SAC(Stretched(), residual=True, **SMALL)
    learner = learner_of(agent)
    after = _updated(agent, learner, 0)[0]
    moved = jax.tree.map(lambda a, b: bool(np.any(a != b)), after.params, learner.params)
    assert all(jax.tree.leaves(moved["critics"]["params"]["ensemble"]["ResidualMLP_0"]["Dense_0"]))
    assert "layers_1" in learner.params["actor"]["params"]["torso"]
