"""Continuous actions: their scaling to [-1, 1], the noise added to them, and the policy of both."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrl.components.continuous import (
    ContinuousPolicy,
    PointHead,
    bounded_box,
    correlated_noise,
    scaled,
    squashed_gaussian_head,
    unscaled,
)
from jaxrl.envs.spaces import Box, Discrete

SPACE = Box(np.array([[-1.0, 0.0], [2.0, -3.0]]), np.array([[3.0, 10.0], [2.5, -1.0]]))


def test_scaling_maps_the_bounds_to_minus_one_and_one_and_back() -> None:
    np.testing.assert_allclose(scaled(SPACE, jnp.asarray(SPACE.low)), -np.ones(4), atol=1e-6)
    np.testing.assert_allclose(scaled(SPACE, jnp.asarray(SPACE.high)), np.ones(4), atol=1e-6)
    actions = jax.vmap(SPACE.sample)(jax.random.split(jax.random.key(0), 30)).reshape(5, 6, 2, 2)
    vectors = scaled(SPACE, actions)
    assert vectors.shape == (5, 6, 4)
    np.testing.assert_allclose(unscaled(SPACE, vectors), actions, rtol=1e-5, atol=1e-5)


def test_unscaled_actions_never_leave_their_space() -> None:
    space = Box(np.float32([0.1, -0.3]), np.float32([0.7, 1.1]))
    for end in (-1.0, 1.0):
        assert space.contains(unscaled(space, jnp.full(2, end)))


def test_correlated_noise_has_deviation_one_and_the_correlation_asked_for() -> None:
    normal = jax.random.normal(jax.random.key(0), (2_000, 500))

    def step(noise: jax.Array, normal: jax.Array) -> tuple[jax.Array, jax.Array]:
        noise = correlated_noise(noise, normal, 0.8)
        return noise, noise

    noise = np.asarray(jax.lax.scan(step, jnp.zeros(500), normal)[1])[100:]
    np.testing.assert_allclose(noise.std(), 1.0, atol=0.01)
    np.testing.assert_allclose((noise[1:] * noise[:-1]).mean(), 0.8, atol=0.01)
    np.testing.assert_allclose((noise[3:] * noise[:-3]).mean(), 0.8**3, atol=0.01)
    np.testing.assert_array_equal(correlated_noise(normal[0], normal[1], 0.0), normal[1])


class Zero(nn.Module):
    """Outputs 0, whatever it is shown."""

    num_outputs: int

    @nn.compact
    def __call__(self, obs: jax.Array) -> jax.Array:
        return jnp.zeros((*obs.shape[:-1], self.num_outputs))


def _policy(greedy: bool, scale: float, stochastic: bool = False) -> ContinuousPolicy:
    head = squashed_gaussian_head(SPACE) if stochastic else PointHead(4)
    return ContinuousPolicy({}, None, scale, 0.9, Zero(head.num_outputs), head, SPACE, greedy)


def test_a_greedy_policy_adds_no_noise_and_leaves_the_memory() -> None:
    policy = _policy(greedy=True, scale=0.5)
    memory = jnp.full((7, 4), 0.3)
    action, after = policy.act(jax.random.key(0), jnp.zeros((7, 3)), memory)
    np.testing.assert_allclose(action, np.broadcast_to((SPACE.low + SPACE.high) / 2, (7, 2, 2)), rtol=1e-6)
    np.testing.assert_array_equal(after, memory)


def test_exploration_noise_is_in_half_widths_of_the_range() -> None:
    policy = _policy(greedy=False, scale=0.2)
    action, memory = policy.act(jax.random.key(0), jnp.zeros((20_000, 3)), policy.initial_memory((20_000,)))
    half_width = (SPACE.high - SPACE.low) / 2
    expected = 0.2 * np.sqrt(1 - 0.9**2) * half_width  # the first step of noise that begins at 0
    np.testing.assert_allclose(np.asarray(action).std(axis=0), expected, rtol=0.03)
    np.testing.assert_allclose(scaled(SPACE, action), 0.2 * memory, atol=1e-5)


def test_a_stochastic_policy_explores_by_itself() -> None:
    policy = _policy(greedy=False, scale=0.0, stochastic=True)
    action, _ = policy.act(jax.random.key(0), jnp.zeros((20_000, 3)), policy.initial_memory((20_000,)))
    # tanh of a standard normal has this deviation.
    np.testing.assert_allclose(np.asarray(scaled(SPACE, action)).std(axis=0), 0.6278, rtol=0.03)


@pytest.mark.parametrize(
    "space",
    [Discrete(3), Box(-np.inf, 1.0, (2,)), Box(0.0, 0.0, (1,)), Box(0, 5, (2,), np.int32)],
    ids=["discrete", "unbounded", "empty", "integers"],
)
def test_spaces_without_a_range_are_refused(space: object) -> None:
    with pytest.raises(ValueError, match="floating-point Box of actions with finite bounds"):
        bounded_box(space)  # type: ignore[arg-type]  # what is under test
