"""What the benchmarks reckon from: the matrix products in a program."""

import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest

from jaxrl.components.products import product


@pytest.fixture
def flops(monkeypatch: pytest.MonkeyPatch):  # type: ignore[no-untyped-def]  # scripts, not a package: imported by path
    monkeypatch.syspath_prepend(Path(__file__).parents[1] / "benchmarks")
    import products

    yield lambda *call: products.flops(products.products_in(*call))
    del sys.modules["products"]


def test_products_count_as_often_as_they_run(flops) -> None:  # type: ignore[no-untyped-def]
    weights, inputs = jnp.ones((4, 4)), jnp.ones((3, 4))
    layer = 2 * 3 * 4 * 4

    def loss(weights: jax.Array) -> jax.Array:
        return jnp.tanh(inputs @ weights).sum()

    def five(inputs: jax.Array) -> jax.Array:
        return jax.lax.scan(lambda x, _: (x @ weights, None), inputs, None, 5)[0]

    def either(inputs: jax.Array) -> jax.Array:
        return jax.lax.cond(inputs.sum() > 0, lambda x: x @ weights @ weights, lambda x: x @ weights, inputs)

    assert flops(loss, weights) == layer
    assert flops(jax.grad(loss), weights) == 2 * layer  # forward, and backward to the weights alone
    assert flops(jax.jit(five), inputs) == 5 * layer
    assert flops(either, inputs) == 2 * layer
    assert flops(jax.vmap(five), jnp.ones((7, 3, 4))) == 35 * layer


def test_products_that_nobody_reads_do_not_count(flops) -> None:  # type: ignore[no-untyped-def]
    weights, inputs = jnp.ones((4, 4)), jnp.ones((3, 4))

    def loss(weights: jax.Array) -> jax.Array:
        return jnp.tanh(product(inputs, weights)).sum()

    # Its gradient is one function for both sides: that by the inputs is traced in any case.
    assert flops(jax.grad(loss), weights) == 2 * (2 * 3 * 4 * 4)


def test_convolutions_count_by_what_each_output_sums(flops) -> None:  # type: ignore[no-untyped-def]
    picture, kernel = jnp.ones((1, 6, 6, 2)), jnp.ones((3, 3, 2, 5))

    def convolve(picture: jax.Array) -> jax.Array:
        return jax.lax.conv_general_dilated(
            picture, kernel, (1, 1), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC")
        )

    assert flops(convolve, picture) == 2 * (4 * 4 * 5) * (3 * 3 * 2)
