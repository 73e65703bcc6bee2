"""Returns against a plain loop with ends at random places, and against rlax where it has the same function."""

import jax
import numpy as np
import pytest
import rlax

from jaxrl.components.returns import (
    discounted_returns,
    discounts,
    generalized_advantages,
    lambda_returns,
    n_step_returns,
)

T, N, GAMMA, LAMBDA = 30, 5, 0.9, 0.8


def rollout(seed=0, end_probability=0.15):
    random = np.random.default_rng(seed)
    rewards, values, next_values = random.normal(size=(3, T, N)).astype(np.float32)
    terminated, truncated = random.random((2, T, N)) < end_probability
    return rewards, values, next_values, terminated, truncated & ~terminated


def lambda_return_by_recursion(t, rewards, next_values, terminated, truncated, decay):
    """One environment's lambda-return, from its definition."""
    if terminated[t]:
        return rewards[t]
    if truncated[t] or t == len(rewards) - 1:
        return rewards[t] + GAMMA * next_values[t]
    following = lambda_return_by_recursion(t + 1, rewards, next_values, terminated, truncated, decay)
    return rewards[t] + GAMMA * ((1 - decay) * next_values[t] + decay * following)


def n_step_return_by_definition(t, rewards, next_values, terminated, truncated, n):
    total = 0.0
    for k in range(n):
        total += GAMMA**k * rewards[t + k]
        if terminated[t + k]:
            return total
        if truncated[t + k] or k == n - 1 or t + k == len(rewards) - 1:
            return total + GAMMA ** (k + 1) * next_values[t + k]
    raise AssertionError


def over_all(function, arrays, *args):
    return [[function(t, *(array[:, lane] for array in arrays), *args) for lane in range(N)] for t in range(T)]


@pytest.mark.parametrize("decay", [0.0, LAMBDA, 1.0])
def test_lambda_returns_follow_the_definition_through_both_kinds_of_end(decay):
    rewards, _, next_values, terminated, truncated = rollout()
    expected = over_all(lambda_return_by_recursion, (rewards, next_values, terminated, truncated), decay)
    actual = jax.jit(lambda_returns)(rewards, next_values, terminated, truncated, GAMMA, decay)
    np.testing.assert_allclose(actual, expected, atol=1e-5)
    assert actual.dtype == np.float32


@pytest.mark.parametrize("decay", [0.0, LAMBDA, 1.0])
def test_advantages_are_lambda_returns_less_values(decay):
    rewards, values, next_values, terminated, truncated = rollout(1)
    # Where an episode goes on, the true successor's value is the next row's.
    going_on = ~(terminated | truncated)[:-1]
    next_values[:-1][going_on] = values[1:][going_on]
    advantages = jax.jit(generalized_advantages)(rewards, values, next_values, terminated, truncated, GAMMA, decay)
    returns = over_all(lambda_return_by_recursion, (rewards, next_values, terminated, truncated), decay)
    np.testing.assert_allclose(advantages + values, returns, atol=1e-5)
    assert advantages.dtype == np.float32


def test_advantages_take_the_true_successor_not_the_next_row():
    rewards, values, next_values, terminated, truncated = rollout(2, end_probability=0.0)
    truncated[10] = True
    before = generalized_advantages(rewards, values, next_values, terminated, truncated, GAMMA, LAMBDA)
    values[11] += 100.0
    after = generalized_advantages(rewards, values, next_values, terminated, truncated, GAMMA, LAMBDA)
    np.testing.assert_array_equal(before[:11], after[:11])


def test_a_termination_forgets_the_successor_and_a_truncation_does_not():
    rewards, values, next_values, terminated, truncated = rollout(3, end_probability=0.0)
    plain = generalized_advantages(rewards, values, next_values, terminated, truncated, GAMMA, LAMBDA)[4]
    np.testing.assert_allclose(discounts(np.array([True, False]), GAMMA), [0.0, GAMMA])
    ends = np.zeros((T, N), bool)
    ends[4] = True
    ended = generalized_advantages(rewards, values, next_values, ends, truncated, GAMMA, LAMBDA)[4]
    cut = generalized_advantages(rewards, values, next_values, terminated, ends, GAMMA, LAMBDA)[4]
    np.testing.assert_allclose(ended, rewards[4] - values[4], atol=1e-6)
    np.testing.assert_allclose(cut, rewards[4] + GAMMA * next_values[4] - values[4], atol=1e-6)
    assert np.all(np.abs(cut - plain) > 1e-4)


def test_a_reward_per_step_for_ever_is_worth_the_geometric_series_only_if_time_limits_bootstrap():
    """Value 1 / (1 - 0.98) = 50 everywhere: a consistent value function has advantage 0 at every time limit."""
    ones, limits = np.ones((64, 1), np.float32), (np.arange(64) % 8 == 7)[:, None]
    never = np.zeros_like(limits)
    cut = generalized_advantages(ones, 50 * ones, 50 * ones, never, limits, 0.98, 0.95)
    ended = generalized_advantages(ones, 50 * ones, 50 * ones, limits, never, 0.98, 0.95)
    np.testing.assert_allclose(cut, 0.0, atol=1e-4)
    assert np.all(ended < -1.0)


def test_discounted_returns_follow_the_definition():
    rewards, _, next_values, terminated, truncated = rollout(4)
    expected = over_all(lambda_return_by_recursion, (rewards, next_values, terminated, truncated), 1.0)
    np.testing.assert_allclose(
        discounted_returns(rewards, terminated, truncated, next_values, GAMMA), expected, atol=1e-5
    )


@pytest.mark.parametrize("n", [1, 2, 5, T, T + 10])
def test_n_step_returns_follow_the_definition_with_an_end_at_any_position(n):
    rewards, _, next_values, terminated, truncated = rollout(5)
    expected = over_all(n_step_return_by_definition, (rewards, next_values, terminated, truncated), n)
    actual = jax.jit(n_step_returns, static_argnums=5)(rewards, next_values, terminated, truncated, GAMMA, n)
    np.testing.assert_allclose(actual, expected, atol=1e-5)


def test_n_below_one_is_refused():
    with pytest.raises(ValueError, match="at least 1, got 0"):
        n_step_returns(*(rollout()[i] for i in (0, 2, 3, 4)), GAMMA, 0)


def test_a_wrong_shape_is_refused():
    rewards, values, next_values, terminated, truncated = rollout()
    with pytest.raises(AssertionError):
        generalized_advantages(rewards, values[:-1], next_values, terminated, truncated, GAMMA, LAMBDA)


def test_equals_rlax_where_nothing_is_truncated():
    rewards, values, _, terminated, _ = rollout(6)
    never = np.zeros_like(terminated)
    all_values = np.concatenate([values, values[:1]])
    next_values = all_values[1:]
    gammas = np.asarray(discounts(terminated, GAMMA))
    over_lanes = {"in_axes": (1, 1, None, 1), "out_axes": 1}
    expected = jax.vmap(rlax.truncated_generalized_advantage_estimation, **over_lanes)(
        rewards, gammas, LAMBDA, all_values
    )
    actual = generalized_advantages(rewards, values, next_values, terminated, never, GAMMA, LAMBDA)
    np.testing.assert_allclose(actual, expected, atol=1e-5)

    expected = jax.vmap(rlax.lambda_returns, in_axes=(1, 1, 1, None), out_axes=1)(rewards, gammas, next_values, LAMBDA)
    np.testing.assert_allclose(
        lambda_returns(rewards, next_values, terminated, never, GAMMA, LAMBDA), expected, atol=1e-5
    )

    expected = jax.vmap(lambda r, g, v: rlax.n_step_bootstrapped_returns(r, g, v, n=3), in_axes=1, out_axes=1)(
        rewards, gammas, next_values
    )
    np.testing.assert_allclose(n_step_returns(rewards, next_values, terminated, never, GAMMA, 3), expected, atol=1e-5)
