"""Factorised noise: its mean, its variance and its structure, all seen from outside the layer."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrl.components.noisy import NoisyDense
from jaxrl.components.torsos import MLP

IN, OUT = 5, 4
LAYER = NoisyDense(OUT)
RANDOM = np.random.default_rng(0)
PARAMS = {
    "kernel": jnp.float32(RANDOM.normal(size=(IN, OUT))),
    "bias": jnp.float32(RANDOM.normal(size=OUT)),
    "kernel_sigma": jnp.float32(RANDOM.uniform(0.5, 1.5, size=(IN, OUT))),
    "bias_sigma": jnp.float32(RANDOM.uniform(0.5, 1.5, size=OUT)),
}
OBS = jnp.float32(RANDOM.normal(size=(3, IN)))
MEAN = np.asarray(OBS) @ PARAMS["kernel"] + np.asarray(PARAMS["bias"])[None]


@jax.jit
def noisy(key, inputs=OBS, params=PARAMS):
    return LAYER.apply({"params": params}, inputs, rngs={"noise": key})


MANY = jax.jit(jax.vmap(noisy))(jax.random.split(jax.random.key(1), 20_000))


def test_without_noise_the_layer_is_its_mean():
    np.testing.assert_allclose(LAYER.apply({"params": PARAMS}, OBS), MEAN, rtol=1e-5, atol=1e-6)


def test_the_mean_over_noise_is_that_of_the_mean_weights():
    error = np.abs(MANY.mean(axis=0) - MEAN) / (MANY.std(axis=0) / len(MANY) ** 0.5)
    assert error.max() < 4


def test_the_variance_is_the_analytic_one():
    """E f(e)^2 = E|e| = sqrt(2 / pi) =: m, so Var y_j = m^2 sum_i (x_i s_ij)^2 + m s_j^2; inputs share f(eps_out)."""
    m = np.sqrt(2 / np.pi)
    of_weights = m**2 * np.square(np.asarray(OBS)) @ np.square(PARAMS["kernel_sigma"])
    expected = of_weights + m * np.square(PARAMS["bias_sigma"])[None]
    np.testing.assert_allclose(MANY.var(axis=0), expected, rtol=0.06)


def test_the_noise_of_the_weights_has_rank_one_and_its_output_factor_is_that_of_the_biases():
    key = jax.random.key(3)
    at_zero = noisy(key, jnp.zeros((1, IN)))
    noise_out = (at_zero[0] - PARAMS["bias"]) / PARAMS["bias_sigma"]
    noise = (noisy(key, jnp.eye(IN)) - at_zero - PARAMS["kernel"]) / PARAMS["kernel_sigma"]
    singular_values = np.linalg.svd(noise, compute_uv=False)
    assert singular_values[0] > 0.1
    assert singular_values[1] < 1e-5
    noise_in = noise[:, 0] / noise_out[0]
    np.testing.assert_allclose(noise, jnp.outer(noise_in, noise_out), atol=1e-5)


def test_the_factors_are_signed_roots_of_normal_numbers():
    """At zero the layer shows f(eps_out): its square with its sign must be standard normal."""
    at_zero = jax.jit(jax.vmap(lambda key: noisy(key, jnp.zeros((1, IN)))))(jax.random.split(jax.random.key(2), 5000))
    factors = np.asarray((at_zero[:, 0] - PARAMS["bias"][None]) / PARAMS["bias_sigma"][None])
    normal = np.sign(factors) * factors**2
    assert abs(normal.mean()) < 4 / normal.size**0.5
    assert normal.var() == pytest.approx(1.0, abs=0.06)
    assert (normal**4).mean() == pytest.approx(3.0, abs=0.4)


def test_a_batch_shares_the_noise_and_a_key_is_one_noise():
    key = jax.random.key(5)
    np.testing.assert_array_equal(noisy(key), noisy(key))
    np.testing.assert_allclose(noisy(key)[1], noisy(key, OBS[1]), rtol=1e-5, atol=1e-6)
    assert not np.allclose(noisy(key), noisy(jax.random.key(6)))


def test_gradients_reach_mean_and_sigma():
    gradient = jax.grad(lambda params: jnp.square(noisy(jax.random.key(0), OBS, params)).sum())(PARAMS)
    assert all((np.abs(leaf) > 0).all() for leaf in gradient.values())
    silent = jax.grad(lambda params: jnp.square(LAYER.apply({"params": params}, OBS)).sum())(PARAMS)
    assert not silent["kernel_sigma"].any()
    assert not silent["bias_sigma"].any()


def test_parameters_start_as_in_the_paper():
    params = NoisyDense(200, sigma=0.4).init(jax.random.key(0), jnp.zeros(25))["params"]
    for name in ("kernel", "bias"):
        assert np.abs(params[name]).max() <= 0.2
        assert params[name].std() == pytest.approx(0.2 / 3**0.5, rel=0.1)
        np.testing.assert_allclose(params[f"{name}_sigma"], 0.4 / 5, rtol=1e-6)


def test_the_layers_of_a_network_have_noises_of_their_own():
    network = MLP((OUT, OUT), "relu", noisy_sigma=1.0)
    shapes = jax.eval_shape(network.init, jax.random.key(0), jnp.zeros(OUT))
    # Means of zero and inputs that survive the first layer leave sigma_b f(eps_out) of either layer to be seen.
    params = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape), shapes)
    for layer in ("NoisyDense_0", "NoisyDense_1"):
        params["params"][layer]["bias_sigma"] += 1.0

    def first_and_second(key):
        second = network.apply(params, jnp.zeros(OUT), rngs={"noise": key})
        first = network.copy(hidden_sizes=(OUT,)).apply(params, jnp.zeros(OUT), rngs={"noise": key})
        return first, second

    first, second = jax.vmap(first_and_second)(jax.random.split(jax.random.key(0), 8))
    assert first.any()
    assert not np.allclose(first, second)
