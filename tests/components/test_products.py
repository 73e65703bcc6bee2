"""Products of layers: both gradients beside float64, on the paths that a CPU takes and on every other platform's."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrl.components.products import CHUNK, product
from jaxrl.components.torsos import dense

RANDOM = np.random.default_rng(0)

SHAPES = {
    "one output": ((5,), 3, 1),
    "narrow": ((12,), 9, 8),
    "few rows": ((CHUNK,), 5, 9),
    "chunks": ((2 * CHUNK,), 5, 9),
    "chunks of two axes": ((3, 2 * CHUNK), 4, 16),
    "rows that do not divide": ((2 * CHUNK + 1,), 5, 9),
    "a large kernel": ((2 * CHUNK,), 160, 128),
    "a single row": ((), 4, 9),
}


def drawn(*shape):
    return RANDOM.normal(size=shape).astype(np.float32)


def gradients(inputs, kernel, errors):
    """By the inputs and by the kernel, of the sum of products times `errors`."""
    return jax.jit(jax.grad(lambda *args: (product(*args) * errors).sum(), argnums=(0, 1)))(inputs, kernel)


@pytest.mark.parametrize("name", SHAPES)
def test_gradients_are_those_of_the_product(name):
    leading, num_inputs, num_outputs = SHAPES[name]
    inputs, kernel, errors = drawn(*leading, num_inputs), drawn(num_inputs, num_outputs), drawn(*leading, num_outputs)
    by_inputs, by_kernel = gradients(inputs, kernel, errors)
    exact = np.float64(inputs).reshape(-1, num_inputs).T @ np.float64(errors).reshape(-1, num_outputs)
    np.testing.assert_allclose(by_kernel, exact, rtol=1e-5, atol=1e-4)
    np.testing.assert_allclose(by_inputs, np.float64(errors) @ np.float64(kernel).T, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("name", ["narrow", "chunks"])
def test_agents_of_a_population_have_gradients_of_their_own(name):
    leading, num_inputs, num_outputs = SHAPES[name]
    inputs, kernel = drawn(3, *leading, num_inputs), drawn(3, num_inputs, num_outputs)
    errors = drawn(3, *leading, num_outputs)
    found = jax.vmap(gradients)(inputs, kernel, errors)
    for agent in range(3):
        alone = gradients(inputs[agent], kernel[agent], errors[agent])
        for together, one in zip(found, alone, strict=True):
            np.testing.assert_allclose(together[agent], one, rtol=1e-5, atol=1e-5)


def test_gradients_of_gradients():
    inputs, kernel = drawn(2 * CHUNK, 5), drawn(5, 9)

    def penalty(kernel, multiply):
        gradient = jax.grad(lambda inputs: jnp.sin(multiply(inputs, kernel)).sum())(inputs)
        return jnp.square(gradient).sum()

    found, expected = (jax.grad(penalty)(kernel, multiply) for multiply in (product, jnp.dot))
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


def lowered(platform, num_rows=2 * CHUNK, num_outputs=9):
    """The program of a layer's gradient, as a text."""
    layer = dense(num_outputs, 1.0)
    params = {"params": {"kernel": drawn(5, num_outputs), "bias": drawn(num_outputs)}}
    gradient = jax.jit(jax.grad(lambda params: layer.apply(params, jnp.ones((num_rows, 5))).sum()))
    return gradient.trace(params).lower(lowering_platforms=(platform,)).as_text()


def test_a_layer_on_a_cpu_multiplies_chunks_and_sums_for_narrow_outputs():
    assert "batching_dims = [0] x [0], contracting_dims = [2] x [1]" in lowered("cpu")
    assert lowered("cpu", num_outputs=2).count("stablehlo.dot_general") == 0


@pytest.mark.parametrize("platform", ["cuda", "tpu"])
def test_elsewhere_the_gradient_is_one_product(platform):
    for num_outputs in (2, 9):
        text = lowered(platform, num_outputs=num_outputs)
        assert text.count("stablehlo.dot_general") == 1
        assert "batching_dims" not in text
