"""Running statistics against numpy over all the data, reward scaling against a plain loop."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrl.components.normalization import RunningStats, accumulate_returns, normalize, scale_rewards, update

RANDOM = np.random.default_rng(0)
DATA = (RANDOM.normal(size=(240, 3)) * [1.0, 10.0, 0.1] + [0.0, 50.0, -3.0]).astype(np.float32)


@pytest.mark.parametrize("cuts", [[], [120], [1, 2, 3], [37, 200, 201]])
def test_statistics_equal_numpy_over_all_data_however_it_is_cut(cuts):
    stats = RunningStats.of(DATA)
    for part in np.split(DATA, cuts):
        stats = update(stats, part)
    np.testing.assert_allclose(stats.mean, DATA.mean(axis=0, dtype=np.float64), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(stats.variance, DATA.var(axis=0, dtype=np.float64), rtol=1e-5)
    np.testing.assert_allclose(stats.count, 240)


def test_leading_axes_are_all_rows():
    one = update(RunningStats.of(DATA), DATA)
    other = update(RunningStats.of(DATA), DATA.reshape(10, 24, 3))
    np.testing.assert_allclose(one.variance, other.variance, rtol=1e-5)
    np.testing.assert_allclose(one.mean, other.mean, rtol=1e-5, atol=1e-6)


def test_devices_of_an_axis_agree_with_one_that_sees_everything():
    def two_updates(part):
        stats = update(RunningStats.of(part), part[:30], axis="devices")
        return update(stats, part[30:], axis="devices")

    spread = jax.vmap(two_updates, axis_name="devices")(DATA.reshape(4, 60, 3))
    for device in range(4):
        np.testing.assert_allclose(spread.mean[device], DATA.mean(axis=0), rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(spread.variance[device], DATA.var(axis=0, dtype=np.float64), rtol=1e-5)
        assert spread.count[device] == 240


def test_statistics_stay_right_after_a_very_long_run():
    """A float32 count that has reached 1e9 no longer counts single rows, but the weights remain right."""
    old = RunningStats(mean=jnp.float32(5.0), variance=jnp.float32(4.0), count=jnp.float32(1e9))
    batch = np.full(512, 105.0, np.float32)
    stats = old
    for _ in range(1000):
        stats = update(stats, batch)
    weight = 512_000 / (1e9 + 512_000)
    np.testing.assert_allclose(stats.mean, 5.0 + 100.0 * weight, rtol=1e-4)
    np.testing.assert_allclose(stats.variance, 4.0 * (1 - weight) + weight * (1 - weight) * 100.0**2, rtol=1e-2)


def test_fresh_statistics_leave_observations_as_they_are():
    obs = jnp.array([[0.5, -3.0, 9.0]])
    np.testing.assert_allclose(normalize(RunningStats.of(obs), obs), obs, rtol=1e-6)


def test_normalised_data_has_mean_zero_and_spread_one_and_is_clipped():
    stats = update(RunningStats.of(DATA), DATA)
    normalized = normalize(stats, DATA.reshape(10, 24, 3)).reshape(-1, 3)
    np.testing.assert_allclose(normalized.mean(axis=0), 0.0, atol=1e-4)
    np.testing.assert_allclose(normalized.std(axis=0), 1.0, rtol=1e-4)
    np.testing.assert_array_equal(normalize(stats, jnp.array([1e6, -1e6, 0.0]))[:2], [10.0, -10.0])
    np.testing.assert_array_equal(normalize(stats, jnp.array([1e6, -1e6, 0.0]), clip=5.0)[:2], [5.0, -5.0])


def test_every_entry_of_a_structured_observation_has_its_own_statistics_and_masks_and_indices_pass():
    obs = {
        "position": DATA,
        "image": RANDOM.integers(0, 255, (240, 2, 2)).astype(np.uint8),
        "card": RANDOM.integers(0, 10, 240).astype(np.int32),
        "usable": RANDOM.random(240) < 0.5,
        "action_mask": RANDOM.random((240, 4)).astype(np.float32),
    }
    stats = update(RunningStats.of(obs), jax.tree.map(jnp.asarray, obs))
    normalized = normalize(stats, jax.tree.map(jnp.asarray, obs))
    for name in ("card", "usable", "action_mask"):
        assert normalized[name].dtype == obs[name].dtype
        np.testing.assert_array_equal(normalized[name], obs[name])
    for name in ("position", "image"):
        assert normalized[name].dtype == jnp.float32
        np.testing.assert_allclose(normalized[name].mean(axis=0), 0.0, atol=1e-4)
        np.testing.assert_allclose(normalized[name].std(axis=0), 1.0, rtol=1e-4)


def test_statistics_may_be_vmapped_over_agents():
    both = np.stack([DATA, 2 * DATA])
    stats = jax.vmap(lambda data: update(RunningStats.of(data), data))(both)
    np.testing.assert_allclose(stats.variance[1], 4 * stats.variance[0], rtol=1e-5)


def test_returns_accumulate_as_in_a_plain_loop_and_restart_after_an_end():
    rewards = RANDOM.normal(size=(2, 20, 3)).astype(np.float32)
    terminated, truncated = RANDOM.random((2, 2, 20, 3)) < 0.1
    total, expected = np.zeros(3), []
    for reward, ended in zip(rewards.reshape(-1, 3), (terminated | truncated).reshape(-1, 3), strict=True):
        total = 0.9 * total + reward
        expected.append(total)
        total = np.where(ended, 0.0, total)
    start, sums = jnp.zeros(3), []
    for rollout in range(2):  # carried from one rollout to the next
        start, part = accumulate_returns(start, rewards[rollout], terminated[rollout], truncated[rollout], 0.9)
        sums.append(part)
    np.testing.assert_allclose(np.concatenate(sums), expected, atol=1e-5)
    np.testing.assert_allclose(start, total, atol=1e-5)


def test_rewards_are_divided_by_the_spread_of_returns_and_keep_their_sign():
    sums = RANDOM.normal(size=(50, 4)).astype(np.float32) * 3.0 + 100.0
    stats = update(RunningStats.of(jnp.zeros(1)), sums)
    rewards = jnp.array([1.0, -2.0, 0.0, 1000.0])
    expected = np.clip(np.asarray(rewards) / sums.std(), -10.0, 10.0)
    np.testing.assert_allclose(scale_rewards(stats, rewards), expected, rtol=1e-4)


def test_fresh_statistics_leave_rewards_as_they_are():
    rewards = jnp.array([0.5, -2.0])
    np.testing.assert_allclose(scale_rewards(RunningStats.of(jnp.zeros(1)), rewards), rewards, rtol=1e-6)
