"""Matrix products: which ones a program needs, and how fast this machine does them."""

import math
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.extend
import jax.numpy as jnp
from jax.interpreters.partial_eval import dce_jaxpr

PEAK_SIZE = 2_048
BANDWIDTH_BYTES = 2**28
MOST_REPEATS = 20_000


@dataclass(frozen=True)
class Product:
    """A matrix product or a convolution; equal to another one of the same operation and shapes."""

    description: str
    flops: int
    operands: tuple[jax.ShapeDtypeStruct, ...] = field(compare=False)
    apply: Callable[..., jax.Array] = field(compare=False)


def products_in(function: Callable[..., Any], *arguments: Any) -> Counter[Product]:
    """The matrix products and convolutions in one call, and how often each is done.

    Loops of a known length count as often as they run, a branch as its largest, loops of unknown length once. What
    nobody reads is left out, as XLA does it: a layer's gradient by its inputs where these are observations.
    """
    jaxpr = jax.make_jaxpr(function)(*arguments).jaxpr
    return _products(dce_jaxpr(jaxpr, [True] * len(jaxpr.outvars), instantiate=True)[0])


def flops(products: Counter[Product]) -> int:
    """Their floating-point operations."""
    return sum(product.flops * times for product, times in products.items())


def seconds(products: Counter[Product]) -> float:
    """What they take on this machine if each is done alone, one after another."""
    return sum(_seconds_alone(product) * times for product, times in products.items())


def _products(jaxpr: Any) -> Counter[Product]:
    return sum((_products_of(equation) for equation in jaxpr.eqns), Counter())


def _products_of(equation: Any) -> Counter[Product]:
    inside = [_products(getattr(each, "jaxpr", each)) for each in jax.extend.core.jaxprs_in_params(equation.params)]
    if equation.primitive.name == "cond":
        return max(inside, key=flops)
    if inside:
        times = int(equation.params.get("length", 1))
        return Counter({product: times * count for product, count in sum(inside, Counter()).items()})
    if equation.primitive.name not in ("dot_general", "conv_general_dilated"):
        return Counter()
    operands = tuple(jax.ShapeDtypeStruct(each.aval.shape, each.aval.dtype) for each in equation.invars)
    description = f"{equation.primitive} {operands} {equation.params}"
    return Counter([Product(description, _flops_of(equation), operands, _bound(equation))])


def _bound(equation: Any) -> Callable[..., jax.Array]:
    return lambda *operands: equation.primitive.bind(*operands, **equation.params)


def _flops_of(equation: Any) -> int:
    size = math.prod(equation.outvars[0].aval.shape)
    if equation.primitive.name == "dot_general":
        (contracted, _), _ = equation.params["dimension_numbers"]
        return 2 * size * math.prod(equation.invars[0].aval.shape[axis] for axis in contracted)
    kernel = equation.invars[1].aval.shape
    out_features = kernel[equation.params["dimension_numbers"].rhs_spec[0]]
    return 2 * size * math.prod(kernel) // out_features


def peak_rate() -> float:
    """FLOP/s of a product of two large matrices."""
    matrix = jnp.ones((PEAK_SIZE, PEAK_SIZE))
    return 2 * PEAK_SIZE**3 / _seconds(lambda matrix: matrix @ matrix, matrix)


def _seconds_alone(product: Product) -> float:
    times = min(max(1, 2**30 // product.flops), MOST_REPEATS)

    def again(operands: tuple[jax.Array, ...]) -> jax.Array:
        def once(_: Any, operands: tuple[jax.Array, ...]) -> tuple[jax.Array, ...]:
            first, *others = operands
            # One number of it comes from the last product: what does not change would be done once, before the loop.
            return first.at[(0,) * first.ndim].set(product.apply(*operands).ravel()[0]), *others

        return jax.lax.fori_loop(0, times, once, operands)[0]

    return _seconds(again, tuple(jnp.ones(each.shape, each.dtype) for each in product.operands)) / times


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
