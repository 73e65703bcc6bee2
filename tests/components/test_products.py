"""Products of layers: both gradients beside float64, on the paths that a CPU takes and on every other platform's."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrl.components.products import CHUNK, FEW, SEVERAL, product
from jaxrl.components.torsos import dense

RANDOM = np.random.default_rng(0)

SHAPES = {
    "one output": ((5,), 3, 1),
    "one output of many rows": ((FEW + 1,), 3, 1),
    "narrow": ((12,), 9, 8),
    "few rows": ((FEW,), 5, 9),
    "chunks": ((FEW + CHUNK,), 5, 9),
    "chunks of two axes": ((3, FEW), 4, 16),
    "rows that do not divide": ((FEW + 1,), 5, 9),
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


@pytest.mark.parametrize("num_agents", [SEVERAL, SEVERAL + 1])
@pytest.mark.parametrize("name", ["one output", "narrow", "few rows", "chunks"])
def test_agents_of_a_population_have_gradients_of_their_own(name, num_agents):
    leading, num_inputs, num_outputs = SHAPES[name]
    inputs, kernel = drawn(num_agents, *leading, num_inputs), drawn(num_agents, num_inputs, num_outputs)
    errors = drawn(num_agents, *leading, num_outputs)
    found = jax.vmap(gradients)(inputs, kernel, errors)
    for agent in range(num_agents):
        alone = gradients(inputs[agent], kernel[agent], errors[agent])
        for together, one in zip(found, alone, strict=True):
            np.testing.assert_allclose(together[agent], one, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("name", ["one output", "few rows"])
def test_critics_of_a_population_have_gradients_of_their_own(name):
    """Two vmaps, and inputs that an agent's critics share."""
    leading, num_inputs, num_outputs = SHAPES[name]
    inputs, kernel = drawn(3, *leading, num_inputs), drawn(3, 2, num_inputs, num_outputs)
    errors = drawn(3, 2, *leading, num_outputs)
    by_inputs, by_kernel = jax.vmap(jax.vmap(gradients, in_axes=(None, 0, 0)))(inputs, kernel, errors)
    np.testing.assert_allclose(by_inputs, np.einsum("acro,acio->acri", errors, kernel), rtol=1e-5, atol=1e-4)
    np.testing.assert_allclose(by_kernel, np.einsum("ari,acro->acio", inputs, errors), rtol=1e-5, atol=1e-4)


def test_gradients_of_gradients():
    """By the inputs and then by the kernel, and the other way round."""
    inputs, kernel = drawn(2 * CHUNK, 5), drawn(5, 9)

    def penalty(other, multiply, first):
        arguments = (inputs, other) if first == 0 else (other, kernel)
        gradient = jax.grad(lambda *arguments: jnp.sin(multiply(*arguments)).sum(), argnums=first)(*arguments)
        return jnp.square(gradient).sum()

    for other, first in ((kernel, 0), (inputs, 1)):
        found, expected = (jax.grad(penalty)(other, multiply, first) for multiply in (product, jnp.dot))
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=2e-3)


def lowered(platform, num_rows=FEW + CHUNK, num_outputs=9, num_agents=1):
    """The program of a layer's gradient, as a text."""
    layer = dense(num_outputs, 1.0)
    params = {"params": {"kernel": drawn(num_agents, 5, num_outputs), "bias": drawn(num_agents, num_outputs)}}

    def gradient(params, inputs, errors):
        return jax.vjp(lambda params: layer.apply(params, inputs), params)[1](errors)

    arguments = params, drawn(num_agents, num_rows, 5), drawn(num_agents, num_rows, num_outputs)
    return jax.jit(jax.vmap(gradient)).trace(*arguments).lower(lowering_platforms=(platform,)).as_text()


@pytest.mark.parametrize(
    ("left_side", "sizes"),
    [
        (f"1x{FEW // CHUNK + 1}x5x{CHUNK}", {}),
        (f"5x{FEW}", {"num_rows": FEW}),
        (f"{SEVERAL}x5x{FEW}", {"num_rows": FEW, "num_agents": SEVERAL}),
        (f"{SEVERAL + 1}x{FEW // CHUNK}x5x{CHUNK}", {"num_rows": FEW, "num_agents": SEVERAL + 1}),
        (f"1x{FEW}", {"num_rows": FEW, "num_outputs": 1}),
        (None, {"num_rows": FEW, "num_outputs": 1, "num_agents": SEVERAL + 1}),
        (None, {"num_rows": FEW, "num_outputs": 2}),
        (None, {"num_outputs": 1}),
    ],
)
def test_on_a_cpu_what_is_multiplied_depends_on_rows_outputs_and_agents(left_side, sizes):
    """The program's one product has this left side, or there is none."""
    text = lowered("cpu", **sizes)
    assert text.count("stablehlo.dot_general") == (left_side is not None)
    assert left_side is None or f": (tensor<{left_side}xf32>, " in text


@pytest.mark.parametrize("platform", ["cuda", "tpu"])
def test_elsewhere_the_gradient_is_one_product(platform):
    for num_outputs in (2, 9):
        text = lowered(platform, num_outputs=num_outputs)
        assert text.count("stablehlo.dot_general") == 1
        assert f"tensor<1x{FEW + CHUNK}x{num_outputs}xf32>)" in text
