"""Matrix products: how many a program needs, and how fast this machine does them."""

import math
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.extend
import jax.numpy as jnp

from jaxrl.components.products import product

PEAK_SIZE = 2_048
BANDWIDTH_BYTES = 2**28


def flops(function: Callable[..., Any], *arguments: Any) -> int:
    """Floating-point operations of the matrix products and convolutions in one call.

    Loops of a known length count as often as they run, a branch as its largest, loops of unknown length once.
    """
    return _flops(jax.make_jaxpr(function)(*arguments).jaxpr)


def _flops(jaxpr: Any) -> int:
    return sum(_flops_of(equation) for equation in jaxpr.eqns)


def _flops_of(equation: Any) -> int:
    inside = [_flops(getattr(each, "jaxpr", each)) for each in jax.extend.core.jaxprs_in_params(equation.params)]
    if equation.primitive.name == "cond":
        return max(inside)
    if inside:
        return int(equation.params.get("length", 1)) * sum(inside)
    size = math.prod(equation.outvars[0].aval.shape) if equation.outvars else 0
    if equation.primitive.name == "dot_general":
        (contracted, _), _ = equation.params["dimension_numbers"]
        return 2 * size * math.prod(equation.invars[0].aval.shape[axis] for axis in contracted)
    if equation.primitive.name == "conv_general_dilated":
        kernel = equation.invars[1].aval.shape
        out_features = kernel[equation.params["dimension_numbers"].rhs_spec[0]]
        return 2 * size * math.prod(kernel) // out_features
    return 0


def peak_rate() -> float:
    """FLOP/s of a product of two large matrices."""
    matrix = jnp.ones((PEAK_SIZE, PEAK_SIZE))
    return 2 * PEAK_SIZE**3 / _seconds(lambda matrix: matrix @ matrix, matrix)


def layer_rate(rows: int, width: int) -> float:
    """FLOP/s of a layer [rows, width] x [width, width] as networks have it, forward and backward to both."""
    count = max(1, 2**31 // (6 * rows * width * width))

    def layer(carry: Any, _: None) -> Any:
        outputs, backward = jax.vjp(product, *carry)
        return jax.tree.map(lambda old, gradient: old + 1e-9 * gradient, carry, backward(outputs)), None

    weights = jnp.linalg.qr(jax.random.normal(jax.random.key(0), (width, width)))[0]
    start = (jax.random.normal(jax.random.key(1), (rows, width)), weights)
    return 6 * rows * width * width * count / _seconds(lambda start: jax.lax.scan(layer, start, None, count)[0], start)


def bandwidth() -> float:
    """Bytes per second, read and written, of an operation on an array that fits into no cache."""
    array, times = jnp.ones(BANDWIDTH_BYTES // 4), 8

    def in_place(array: jax.Array) -> jax.Array:  # memory that is new to the process would be slower
        return jax.lax.fori_loop(0, times, lambda _, array: array + 1, array)

    return 2 * BANDWIDTH_BYTES * times / _seconds(in_place, array)


def _seconds(function: Callable[[Any], Any], argument: Any, repeats: int = 7) -> float:
    """The least of several runs: the rest is other work of the machine."""
    program = jax.jit(function).lower(argument).compile()
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        jax.block_until_ready(program(argument))
        times.append(time.perf_counter() - began)
    return min(times)
