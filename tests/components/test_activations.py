"""Activations beside those of jax, with their derivatives."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrl.components.activations import ACTIVATIONS, silu

WIDE = np.concatenate([np.linspace(-40.0, 40.0, 401), [-1e4, -1e-6, 0.0, 1e-6, 1e4]])


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations_are_those_of_jax(name):
    x = jnp.float32(WIDE)
    found, expected = ACTIVATIONS[name](x), getattr(jax.nn, name)(x)
    if ACTIVATIONS[name] is silu:
        assert np.all(np.abs(found - expected) <= 2e-7 * (1.0 + np.abs(WIDE)))
    else:
        np.testing.assert_allclose(found, expected)


def test_silu_and_its_derivatives_are_those_of_the_formula():
    """In float64 by numpy: s = 1 / (1 + exp(-x)), x s, s (1 + x (1 - s)), s (1 - s) (2 + x (1 - 2 s))."""
    x = jnp.float32(WIDE[:401])
    s = 1.0 / (1.0 + np.exp(-np.float64(x)))
    exact = x * s, s * (1 + x * (1 - s)), s * (1 - s) * (2 + x * (1 - 2 * s))
    by_grad = silu, jax.grad(silu), jax.grad(jax.grad(silu))
    by_forward = silu, jax.jacfwd(silu), jax.jacfwd(jax.jacfwd(silu))
    for order in range(3):
        for function in by_grad[order], by_forward[order]:
            np.testing.assert_allclose(jax.vmap(function)(x), exact[order], rtol=1e-6, atol=1e-5)
