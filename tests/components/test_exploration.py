"""Epsilon-greedy exploration: how often it is random, and the rates of environments that each have their own."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrl.components.exploration import epsilon_greedy, epsilon_ladder, exploration_noise


def test_the_ladder_is_that_of_ape_x() -> None:
    expected = [0.4 ** (1 + 7 * i / 7) for i in range(8)]
    np.testing.assert_allclose(epsilon_ladder(8), expected, rtol=1e-5)
    np.testing.assert_allclose(epsilon_ladder(1), [0.4], rtol=1e-6)


def test_devices_share_one_ladder() -> None:
    parts = jax.vmap(lambda _: epsilon_ladder(8, "devices"), axis_name="devices")(jnp.arange(4))
    np.testing.assert_allclose(parts.ravel(), epsilon_ladder(8), rtol=1e-6)


@pytest.mark.parametrize("masked", [False, True], ids=["free", "masked"])
def test_each_environment_explores_at_its_own_rate(masked: bool) -> None:
    num_draws, epsilon = 20_000, jnp.array([0.0, 0.2, 1.0])
    values = jnp.broadcast_to(jnp.array([0.0, 1.0, 0.5, -1.0]), (3, 4))
    mask = jnp.broadcast_to(jnp.array([True, True, False, True]), (3, 4)) if masked else None
    allowed = 3 if masked else 4
    noise = exploration_noise(jax.random.key(0), (num_draws, 3), 4)
    chosen = np.asarray(jax.jit(jax.vmap(lambda noise: epsilon_greedy(values, noise, epsilon, mask)))(noise))
    assert chosen.dtype == np.int32
    assert (chosen[:, 0] == 1).all()
    assert not masked or (chosen != 2).all()
    for lane, rate in ((1, 0.2), (2, 1.0)):
        expected = rate / allowed
        found = (chosen[:, lane] == 0).mean()
        assert abs(found - expected) < 4 * np.sqrt(expected * (1 - expected) / num_draws)
