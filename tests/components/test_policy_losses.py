"""Losses against rlax, and the adaptive penalty against a scripted sequence."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import rlax

from jaxrl.components import policy_losses as losses

KEYS = jax.random.split(jax.random.key(0), 4)
RATIO = jnp.exp(0.5 * jax.random.normal(KEYS[0], (64,)))
ADVANTAGES = jax.random.normal(KEYS[1], (64,))


def test_surrogate_agrees_with_rlax() -> None:
    np.testing.assert_allclose(
        losses.surrogate_loss(RATIO, ADVANTAGES, 0.2),
        rlax.clipped_surrogate_pg_loss(RATIO, ADVANTAGES, 0.2),
        rtol=1e-6,
    )
    np.testing.assert_allclose(losses.surrogate_loss(RATIO, ADVANTAGES, None), -(RATIO * ADVANTAGES).mean(), rtol=1e-6)
    gradient = jax.grad(losses.surrogate_loss)(RATIO, ADVANTAGES, 0.2)
    np.testing.assert_allclose(gradient, jax.grad(rlax.clipped_surrogate_pg_loss)(RATIO, ADVANTAGES, 0.2), rtol=1e-6)
    assert 0 < (gradient == 0).sum() < len(RATIO)


def test_clipped_value_loss_takes_the_larger_error() -> None:
    values, old, targets = jnp.array([1.0, 1.0]), jnp.array([0.0, 0.9]), jnp.array([2.0, 0.0])
    # Near the old value: 0.2 and 1.0 (unmoved, within reach). Errors: max(1, 1.8^2), max(1, 1).
    expected = 0.5 * (1.8**2 + 1.0) / 2
    np.testing.assert_allclose(losses.value_loss(values, targets, old, 0.2), expected, rtol=1e-6)
    np.testing.assert_allclose(losses.value_loss(values, targets), 0.5 * (1.0 + 1.0) / 2)


def test_no_gradient_comes_from_a_value_out_of_reach() -> None:
    """Where the error of the old value's neighbourhood is the larger one and V is beyond it."""
    values, old, targets = jnp.array([1.0, 1.0, -1.0]), jnp.array([0.0, 0.9, 0.0]), jnp.array([2.0, 0.0, 2.0])
    gradient = jax.grad(losses.value_loss)(values, targets, old, 0.2)
    np.testing.assert_allclose(gradient, jnp.array([0.0, 1.0, -3.0]) / 3, rtol=1e-6)


def test_advantage_weights_are_clipped_exponentials_without_gradient() -> None:
    advantages = jnp.array([-1e4, -0.5, 0.0, 0.5, 0.9, 1e4])
    expected = [0.0, np.exp(-1.0), 1.0, np.exp(1.0), 5.0, 5.0]
    np.testing.assert_allclose(losses.advantage_weights(advantages, 0.5, 5.0), expected, rtol=1e-6)
    gradient = jax.grad(lambda advantages: losses.advantage_weights(advantages, 0.5, 5.0).sum())(advantages)
    np.testing.assert_array_equal(gradient, 0.0)


def test_the_likelihood_is_weighted_and_its_weights_are_constants() -> None:
    log_prob, weights = jnp.array([-1.0, -2.0]), jnp.array([3.0, 0.5])
    loss, gradients = jax.value_and_grad(losses.likelihood_loss, argnums=(0, 1))(log_prob, weights)
    np.testing.assert_allclose(loss, (3.0 + 1.0) / 2)
    np.testing.assert_allclose(gradients[0], [-1.5, -0.25])
    np.testing.assert_array_equal(gradients[1], 0.0)


def test_normalized_has_mean_zero_and_deviation_one_over_devices_too() -> None:
    whole = losses.normalized(ADVANTAGES)
    np.testing.assert_allclose([whole.mean(), whole.std()], [0.0, 1.0], atol=1e-6)
    parts = jax.vmap(lambda part: losses.normalized(part, "devices"), axis_name="devices")(ADVANTAGES.reshape(4, 16))
    np.testing.assert_allclose(parts.reshape(-1), whole, atol=1e-6)


def test_approximate_kl_and_clip_fraction() -> None:
    log_ratio = jnp.log(RATIO)
    np.testing.assert_allclose(losses.approximate_kl(log_ratio), ((RATIO - 1) - log_ratio).mean(), rtol=1e-4)
    assert losses.approximate_kl(jnp.zeros(3)) == 0
    np.testing.assert_allclose(losses.clip_fraction(jnp.array([0.7, 0.9, 1.1, 1.3]), 0.2), 0.5)
    assert losses.clip_fraction(RATIO, None) == 0


@pytest.mark.parametrize(
    ("kl", "factor"), [(0.0, 0.5), (0.0066, 0.5), (0.0067, 1.0), (0.01, 1.0), (0.0149, 1.0), (0.0151, 2.0), (1.0, 2.0)]
)
def test_the_penalty_halves_below_and_doubles_above(kl: float, factor: float) -> None:
    adapted = losses.adapted_coefficient(jnp.float32(3.0), jnp.float32(kl), 0.01)
    np.testing.assert_allclose(adapted, 3.0 * factor)
