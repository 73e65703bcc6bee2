"""Temporal differences against rlax, soft values against their identity, rescaled values against their inverse."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import rlax

from jaxrl.components import value_losses as losses
from jaxrl.components.exploration import greedy_action

B, A = 64, 5
KEYS = jax.random.split(jax.random.key(0), 8)
VALUES, NEXT_VALUES, SELECTOR = (3 * jax.random.normal(key, (B, A)) for key in KEYS[:3])
ACTION = jax.random.randint(KEYS[3], (B,), 0, A)
REWARD = jax.random.normal(KEYS[4], (B,))
DISCOUNT = 0.9 * jax.random.bernoulli(KEYS[5], 0.7, (B,)).astype(jnp.float32)
MASK = jax.random.bernoulli(KEYS[6], 0.6, (B, A)).at[:, 2].set(True)


@jax.vmap
def munchausen_terms(q, action, temperature):
    """By the formulas, in double-sized steps nobody would write for speed."""
    policy = jnp.exp(q / temperature) / jnp.exp(q / temperature).sum()
    return temperature * jnp.log(policy[action]), (policy * (q - temperature * jnp.log(policy))).sum()


def test_pick_takes_the_entry_of_the_action() -> None:
    np.testing.assert_array_equal(losses.pick(VALUES, ACTION), VALUES[jnp.arange(B), ACTION])
    atoms = jax.random.normal(KEYS[7], (2, B, A, 3))
    actions = jnp.stack([ACTION, (ACTION + 1) % A])
    expected = [[atoms[i, b, actions[i, b]] for b in range(B)] for i in range(2)]
    np.testing.assert_array_equal(losses.pick(atoms, actions), np.asarray(expected))
    with pytest.raises(ValueError, match="one or two axes more than the actions"):
        losses.pick(atoms, jnp.zeros(2, jnp.int32))


def test_picked_gradient_reaches_the_action_alone() -> None:
    gradient = jax.grad(lambda q: losses.pick(q, ACTION).sum())(VALUES)
    np.testing.assert_array_equal(gradient, np.eye(A)[ACTION])


def test_q_learning_agrees_with_rlax() -> None:
    next_values = losses.pick(NEXT_VALUES, greedy_action(NEXT_VALUES))
    error = losses.td_target(REWARD, DISCOUNT, next_values) - losses.pick(VALUES, ACTION)
    expected = jax.vmap(rlax.q_learning)(VALUES, ACTION, REWARD, DISCOUNT, NEXT_VALUES)
    np.testing.assert_allclose(error, expected, rtol=1e-6)


def test_double_q_learning_agrees_with_rlax_and_is_q_learning_for_one_network() -> None:
    def error(selector):
        next_values = losses.pick(NEXT_VALUES, greedy_action(selector))
        return losses.td_target(REWARD, DISCOUNT, next_values) - losses.pick(VALUES, ACTION)

    expected = jax.vmap(rlax.double_q_learning)(VALUES, ACTION, REWARD, DISCOUNT, NEXT_VALUES, SELECTOR)
    np.testing.assert_allclose(error(SELECTOR), expected, rtol=1e-6)
    plain = jax.vmap(rlax.q_learning)(VALUES, ACTION, REWARD, DISCOUNT, NEXT_VALUES)
    np.testing.assert_allclose(error(NEXT_VALUES), plain, rtol=1e-6)


@pytest.mark.parametrize("end", [None, 0, 2], ids=["no_end", "end_at_once", "end_in_third_step"])
def test_an_n_step_target_is_the_td_target_of_a_window(end: int | None) -> None:
    n, gamma = 3, 0.9
    rewards, values = np.random.default_rng(0).normal(size=(2, n)).astype(np.float32)
    gammas = np.full(n, gamma, np.float32)
    if end is not None:
        gammas[end] = 0.0
    expected = rlax.n_step_bootstrapped_returns(rewards, gammas, values, n=n)[0]
    length = n if end is None else end + 1
    reward = np.sum(gamma ** np.arange(length) * rewards[:length], dtype=np.float32)
    discount = np.float32(gamma**n if end is None else 0.0)
    np.testing.assert_allclose(losses.td_target(reward, discount, values[-1]), expected, rtol=1e-5)


def test_huber_and_squared_losses_agree_with_rlax() -> None:
    errors = jnp.linspace(-5.0, 5.0, 41)
    for delta in (0.5, 1.0, 2.0):
        np.testing.assert_allclose(losses.huber(errors, delta), rlax.huber_loss(errors, delta), rtol=1e-6)
        slopes = jax.vmap(jax.grad(losses.huber), in_axes=(0, None))(errors, delta)
        np.testing.assert_allclose(slopes, np.clip(errors, -delta, delta), rtol=1e-6)
    np.testing.assert_allclose(losses.huber(errors, None), rlax.l2_loss(errors), rtol=1e-6)


def test_a_target_of_another_shape_is_refused() -> None:
    with pytest.raises(AssertionError):
        losses.td_target(REWARD[:, None], DISCOUNT, VALUES[:, 0])


@pytest.mark.parametrize("temperature", [0.3, 1.0, 10.0])
def test_soft_terms_are_those_of_the_formulas(temperature: float) -> None:
    log_policy, value = munchausen_terms(VALUES, ACTION, jnp.full(B, temperature))
    np.testing.assert_allclose(losses.soft_value(VALUES, temperature), value, rtol=1e-5, atol=1e-5)
    bonus = losses.munchausen_bonus(VALUES, ACTION, temperature, -1.0)
    np.testing.assert_allclose(bonus, np.clip(log_policy, -1.0, 0.0), rtol=1e-4, atol=1e-5)
    assert (bonus == -1.0).any()


@pytest.mark.parametrize(("temperature", "scale"), [(0.03, 1.0), (1e-3, 1e6), (1e-3, 1e-3), (1e6, 1.0)])
def test_soft_value_is_the_policy_s_value_and_entropy_at_any_scale(temperature: float, scale: float) -> None:
    values = scale * (1.0 + 0.01 * VALUES)
    scaled_log_policy = losses.soft_log_policy(values, temperature)
    policy = jnp.exp(scaled_log_policy / temperature)
    assert jnp.isfinite(scaled_log_policy).all()
    np.testing.assert_allclose(policy.sum(axis=-1), 1.0, rtol=1e-5)
    expected = (policy * (values - scaled_log_policy)).sum(axis=-1)
    np.testing.assert_allclose(losses.soft_value(values, temperature), expected, rtol=1e-5)


def test_a_small_temperature_gives_the_greatest_value() -> None:
    np.testing.assert_allclose(losses.soft_value(VALUES, 1e-6), VALUES.max(axis=-1), rtol=1e-6)
    np.testing.assert_allclose(
        losses.soft_value(VALUES, 1e-6, MASK), jnp.where(MASK, VALUES, -np.inf).max(axis=-1), rtol=1e-6
    )


@pytest.mark.parametrize("temperature", [1e-3, 1.0, 100.0])
def test_masked_actions_have_no_probability_and_no_value(temperature: float) -> None:
    policy = jnp.exp(losses.soft_log_policy(VALUES, temperature, MASK) / temperature)
    assert (jnp.where(MASK, 0.0, policy) == 0).all()
    for row in range(4):
        allowed = VALUES[row][np.flatnonzero(MASK[row])]
        expected = losses.soft_value(allowed, temperature)
        np.testing.assert_allclose(losses.soft_value(VALUES[row], temperature, MASK[row]), expected, rtol=1e-5)


def test_rescaling_agrees_with_rlax_and_its_inverse_undoes_it() -> None:
    sizes = np.geomspace(1e-3, 1e6, 60, dtype=np.float32)
    x = np.concatenate([-sizes, [0.0], sizes]).astype(np.float32)
    pair = rlax.SIGNED_HYPERBOLIC_PAIR
    np.testing.assert_allclose(losses.signed_sqrt(x), pair.apply(x), rtol=1e-3, atol=1e-7)
    np.testing.assert_allclose(losses.signed_sqrt(losses.inverse_signed_sqrt(x)), x, rtol=2e-6)
    np.testing.assert_allclose(losses.inverse_signed_sqrt(losses.signed_sqrt(x)), x, rtol=2e-6)
    large = np.abs(x) > 1.0  # rlax loses the digits of the small ones
    np.testing.assert_allclose(losses.inverse_signed_sqrt(x)[large], pair.apply_inv(x)[large], rtol=1e-3)
