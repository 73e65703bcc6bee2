"""The losses of MPO: beside rlax and distrax, at optima that are known, and with their gradients stopped."""

from typing import Any

import distrax
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import rlax

from jaxrl.components import mpo_losses as losses
from jaxrl.components.gaussian import Gaussian

M, B, D = 6, 5, 3
KEYS = jax.random.split(jax.random.key(0), 8)
VALUES = 4.0 * jax.random.normal(KEYS[0], (M, B))
ACTIONS = jax.random.normal(KEYS[1], (M, B, D))
WEIGHTS = jax.nn.softmax(jax.random.normal(KEYS[2], (M, B)), axis=0)
POLICY = Gaussian(jax.random.normal(KEYS[3], (B, D)), 0.3 * jax.random.normal(KEYS[4], (B, D)), (D,))
TARGET = Gaussian(jax.random.normal(KEYS[5], (B, D)), 0.3 * jax.random.normal(KEYS[6], (B, D)), (D,))
DUALS = {"temperature": jnp.float32(0.7), "mean": jnp.array([0.1, -1.0, 2.0]), "std": jnp.array([3.0, 0.0, -2.0])}
BOUNDS = {"temperature": 0.1, "mean": 0.02, "std": 0.3}


def _ours(duals: Any, policy: Gaussian) -> jax.Array:
    multipliers = jax.tree.map(losses.multiplier, duals)
    weights = losses.action_weights(VALUES, multipliers["temperature"])
    divergences = {
        "mean": losses.mean_divergence(policy, TARGET),
        "std": losses.std_divergence(policy, TARGET),
    }
    total = losses.temperature_loss(multipliers["temperature"], VALUES, BOUNDS["temperature"])
    for part, name in zip(losses.decoupled(policy, TARGET), divergences, strict=True):
        total += losses.likelihood_loss(part, ACTIONS, weights)
        total += losses.divergence_loss(multipliers[name], divergences[name])
        total += losses.multiplier_loss(multipliers[name], divergences[name], BOUNDS[name])
    return total


def _rlaxs(duals: Any, policy: Gaussian) -> jax.Array:
    target = distrax.Normal(TARGET.mean, jnp.exp(TARGET.log_std))
    moving_mean = distrax.Normal(policy.mean, jnp.exp(TARGET.log_std))
    moving_std = distrax.Normal(TARGET.mean, jnp.exp(policy.log_std))
    log_prob = sum(jax.vmap(part.log_prob)(ACTIONS).sum(axis=-1) for part in (moving_mean, moving_std))
    # One multiplier for each entry, the same at all states.
    constraints = [
        (target.kl_divergence(part), rlax.LagrangePenalty(duals[name][None], BOUNDS[name], per_dimension=True))
        for part, name in ((moving_mean, "mean"), (moving_std, "std"))
    ]
    temperature = rlax.LagrangePenalty(duals["temperature"], BOUNDS["temperature"])
    loss, _ = rlax.mpo_loss(log_prob, VALUES, temperature, constraints, losses.multiplier)
    return loss.mean()


def test_the_losses_and_their_gradients_are_those_of_rlax() -> None:
    ours = jax.value_and_grad(_ours, argnums=(0, 1))(DUALS, POLICY)
    theirs = jax.value_and_grad(_rlaxs, argnums=(0, 1))(DUALS, POLICY)
    for x, y in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-4, atol=1e-5)


def test_weights_are_those_of_a_plain_loop() -> None:
    weights = np.asarray(losses.action_weights(VALUES, 0.5))
    for state in range(B):
        powers = [np.exp(float(VALUES[j, state]) / 0.5) for j in range(M)]
        np.testing.assert_allclose(weights[:, state], [power / sum(powers) for power in powers], rtol=1e-4)


@pytest.mark.parametrize("gap", [0.3, 20.0])
def test_the_temperature_of_a_bandit_is_that_of_bisection(gap: float) -> None:
    # Two actions, drawn alike, of values 0 and gap: KL(weights || uniform) falls from log 2 to 0 as eta grows.
    bound = 0.1

    def divergence(temperature: float) -> float:
        high = 1.0 / (1.0 + np.exp(-gap / temperature))
        return float(sum(p * np.log(2.0 * p) for p in (high, 1.0 - high)))

    low, high = 1e-2 * gap, 1e2 * gap
    for _ in range(100):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if divergence(middle) > bound else (low, middle)
    values = jnp.array([[0.0], [gap]])

    def descend(dual: jax.Array, _: Any) -> tuple[jax.Array, tuple[()]]:
        gradient = jax.grad(lambda dual: losses.temperature_loss(losses.multiplier(dual), values, bound))(dual)
        return dual - gap * gradient, ()

    dual, _ = jax.lax.scan(descend, losses.dual_variable(gap), None, length=2000)
    np.testing.assert_allclose(losses.multiplier(dual), low, rtol=1e-2)
    np.testing.assert_allclose(jax.grad(losses.temperature_loss)(jnp.float32(low), values, bound), 0.0, atol=1e-5)


def test_the_fit_is_the_weighted_mean_and_the_weighted_std() -> None:
    weights, actions = np.asarray(WEIGHTS, np.float64)[..., None], np.asarray(ACTIONS, np.float64)
    best_mean = (weights * actions).sum(axis=0)
    spread = (weights * (actions - np.asarray(TARGET.mean)) ** 2).sum(axis=0)
    best = Gaussian(jnp.float32(best_mean), jnp.float32(0.5 * np.log(spread)), (D,))

    def loss(policy: Gaussian) -> jax.Array:
        return sum(
            (losses.likelihood_loss(part, ACTIONS, WEIGHTS) for part in losses.decoupled(policy, TARGET)),
            jnp.float32(0),
        )

    for leaf in jax.tree.leaves(jax.grad(loss)(best)):
        np.testing.assert_allclose(leaf, 0.0, atol=1e-6)
    for leaf in jax.tree.leaves(jax.grad(loss)(POLICY)):
        assert np.abs(leaf).min() > 1e-4


def test_divergences_are_those_of_distrax_and_keep_their_digits_near_zero() -> None:
    target = distrax.Normal(TARGET.mean, jnp.exp(TARGET.log_std))
    np.testing.assert_allclose(
        losses.mean_divergence(POLICY, TARGET),
        target.kl_divergence(distrax.Normal(POLICY.mean, jnp.exp(TARGET.log_std))),
        rtol=1e-4,
        atol=1e-6,
    )
    np.testing.assert_allclose(
        losses.std_divergence(POLICY, TARGET),
        target.kl_divergence(distrax.Normal(TARGET.mean, jnp.exp(POLICY.log_std))),
        rtol=1e-4,
        atol=1e-6,
    )
    # Together they are the divergence of the whole where only one of the two has moved.
    mean_moved = Gaussian(POLICY.mean, TARGET.log_std, (D,))
    np.testing.assert_allclose(
        losses.mean_divergence(mean_moved, TARGET).sum(axis=-1), TARGET.kl(mean_moved), rtol=1e-4, atol=1e-6
    )
    zero = jnp.zeros((1, 1))
    for ratio in (1e-2, 1e-3, 1e-4):
        exact = np.float64(np.float32(ratio))
        exact = exact + 0.5 * np.expm1(-2.0 * exact)
        near = losses.std_divergence(Gaussian(zero, zero + ratio, (1,)), Gaussian(zero, zero, (1,)))
        np.testing.assert_allclose(near, exact, rtol=2e-3)


def test_gradients_stop_where_they_must() -> None:
    multipliers = jnp.array([1.0, 2.0, 3.0])
    divergence = jnp.abs(jax.random.normal(KEYS[7], (B, D)))

    def into(loss: Any, argument: int, *arguments: Any) -> list[np.ndarray]:
        gradient = jax.grad(lambda *given: jnp.sum(loss(*given)), argnums=argument)(*arguments)
        return [np.asarray(leaf) for leaf in jax.tree.leaves(gradient)]

    def fit(policy: Gaussian, target: Gaussian, actions: jax.Array, weights: jax.Array) -> jax.Array:
        return losses.likelihood_loss(losses.decoupled(policy, target)[0], actions, weights)

    stopped = [
        into(losses.action_weights, 0, VALUES, 0.5),
        into(losses.action_weights, 1, VALUES, 0.5),
        into(losses.temperature_loss, 1, jnp.float32(0.5), VALUES, 0.1),
        into(fit, 2, POLICY, TARGET, ACTIONS, WEIGHTS),
        into(fit, 3, POLICY, TARGET, ACTIONS, WEIGHTS),
        into(fit, 1, POLICY, TARGET, ACTIONS, WEIGHTS),
        into(losses.mean_divergence, 1, POLICY, TARGET),
        into(losses.std_divergence, 1, POLICY, TARGET),
        into(losses.divergence_loss, 0, multipliers, divergence),
        into(losses.multiplier_loss, 1, multipliers, divergence, 0.1),
    ]
    for leaves in stopped:
        assert not any(np.any(leaf) for leaf in leaves)
    # The mean's part moves the mean alone, the std's the std alone.
    mean, log_std = into(fit, 0, POLICY, TARGET, ACTIONS, WEIGHTS)
    assert np.all(mean)
    assert not np.any(log_std)
    # And what must learn does.
    for leaves in (
        into(losses.temperature_loss, 0, jnp.float32(0.5), VALUES, 0.1),
        into(losses.divergence_loss, 1, multipliers, divergence),
        into(losses.multiplier_loss, 0, multipliers, divergence, 0.1),
    ):
        assert all(np.all(leaf) for leaf in leaves)


def test_a_multiplier_grows_where_its_divergence_is_above_the_bound() -> None:
    divergence = jnp.broadcast_to(jnp.array([[0.0, 0.2, 0.1]]), (B, D))
    gradient = jax.grad(losses.multiplier_loss)(jnp.ones(D), divergence, 0.1)
    np.testing.assert_allclose(gradient, [0.1, -0.1, 0.0], atol=1e-7)


@pytest.mark.parametrize("value", [1e-4, 0.5, 10.0, 1000.0])
def test_a_dual_variable_gives_its_multiplier(value: float) -> None:
    np.testing.assert_allclose(losses.multiplier(losses.dual_variable(value)), value, rtol=1e-4)
    assert losses.multiplier(jnp.float32(losses.MIN_DUAL)) > 0
