"""Each operation, as JAX does it and as numpy does it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from jaxrl.export.numpy_lines import Lines
from jaxrl.export.numpy_primitives import EXPRESSIONS

NUMBERS = np.random.default_rng(0)
A, B = (NUMBERS.normal(size=(4, 3)).astype(np.float32) for _ in range(2))
CUBE = NUMBERS.normal(size=(2, 4, 3)).astype(np.float32)
WHOLE, OTHER = (NUMBERS.integers(-5, 6, (4, 3)).astype(np.int32) for _ in range(2))
FLAGS, MORE_FLAGS = A > 0, B > 0
PLACES = np.int32([[0, 2], [1, 1]])
SMALL = np.uint8([[200, 100, 7], [255, 0, 1]])

CASES = {
    "arithmetic": (lambda a, b: (a + b * 2 - a / b) ** 3, A, B),
    "whole numbers": (lambda a, b: a * b - 3 + a, WHOLE, OTHER),
    "remainder": (lax.rem, WHOLE, np.int32(3)),
    "remainder of reals": (lax.rem, A, np.abs(B) + 0.5),
    "power": (lambda a, b: jnp.abs(a) ** b, A, B),
    "signs": (lambda a: (jnp.sign(a), -a, jnp.abs(a), jnp.floor(a), jnp.ceil(a)), A),
    "exponentials": (lambda a: (jnp.exp(a), jnp.exp2(a), jnp.expm1(a), jnp.log1p(jnp.abs(a)), jnp.log(a * a)), A),
    "roots": (lambda a: (jnp.sqrt(a * a), lax.rsqrt(a * a), jnp.square(a)), A),
    "angles": (lambda a: (jnp.sin(a), jnp.cos(a), jnp.tan(a), jnp.tanh(a), jnp.sinh(a), jnp.cosh(a)), A),
    "sigmoid far out": (jax.nn.sigmoid, np.float32([-200.0, -1.0, 0.0, 1.0, 200.0])),
    "softmax and softplus": (lambda a: (jax.nn.softmax(a), jax.nn.softplus(a), jax.nn.elu(a)), A),
    "comparisons": (lambda a, b: (a < b, a <= b, a > b, a >= b, a == b, a != b), WHOLE, OTHER),
    "flags": (lambda a, b: (a & b, a | b, a ^ b, ~a, jnp.isfinite(a / 1)), FLAGS, MORE_FLAGS),
    "choice": (lambda which, a, b: jnp.where(which, a, b), FLAGS, A, B),
    "bounds": (lambda a: (jnp.clip(a, -0.3, 0.2), lax.clamp(jnp.float32(-0.3), a, jnp.float32(0.2))), A),
    "infinite bounds": (lambda a: jnp.clip(a, -jnp.inf, jnp.inf), A),
    "sums": (lambda a: (a.sum(), a.sum(0), a.mean((0, 1)), a.prod(1), a.max(1), a.min(0)), CUBE),
    "sums of small integers": (lambda a: (a.sum(1, dtype=jnp.uint8), a.max()), SMALL),
    "flags of rows": (lambda a: (a.any(1), a.all(0)), FLAGS),
    "places": (lambda a: (jnp.argmax(a, 1), jnp.argmin(a, -1).astype(jnp.int8)), A),
    "types": (lambda a, b: (a.astype(jnp.int32), b.astype(jnp.float32) / 255.0, a.astype(bool)), A, SMALL),
    "product": (lambda a, b: a @ b.T, A, B),
    "product of many": (lambda a, b: a @ b.T, CUBE, B),
    "product by batches": (lambda a: jnp.einsum("bij,bkj->bik", a, a), CUBE),
    "product over two axes": (lambda a: jnp.einsum("bij,ijk->bk", a, a.transpose(1, 2, 0)), CUBE),
    "outer product": (lambda a, b: jnp.einsum("i,jk->ijk", a, b), A[0], B),
    "shapes": (lambda a: (a.reshape(2, 6), a[:, None], a.T, jnp.broadcast_to(a, (2, 4, 3)), a[:1].squeeze(0)), A),
    "broadcast along the first": (lambda a: lax.broadcast_in_dim(a, (4, 3, 2), (0, 1)), A),
    "slices": (lambda a: (a[1:3], a[:, ::2], a[..., 1], a[1:, 0:2]), A),
    "entries of an axis": (
        lambda a, i: (jnp.take(a, i, 1), jnp.take(a, jnp.minimum(i, 1), 0), a[:, i[0]]),
        CUBE,
        PLACES,
    ),
    "joined": (lambda a, b: (jnp.concatenate([a, b], 1), jnp.stack([a, b], 1), jnp.stack([a, b], -1)), A, B),
    "split": (lambda a: jnp.split(a, [1, 3], axis=0), A),
    "ranges": (lambda a: a + lax.broadcasted_iota(jnp.float32, (4, 3), 1) + jnp.arange(3.0), A),
    "one-hot": (lambda a: jax.nn.one_hot(a, 5), np.int32([0, 4, 2])),
    "filled up": (lambda a: jnp.pad(a, ((0, 1), (2, 0)), constant_values=7.0), A),
    "constants": (lambda a: a + jnp.full((4, 3), 2.0) + np.float32([[1.0, 2.0, 3.0]]), A),
    "numbers as they are": (lambda a: (a, jnp.float32(3), jnp.int32(4), jnp.float32(2.5).astype(jnp.int32)), A),
    "numbers alone": (lambda a: a * jnp.exp(jnp.float32(0.5)) + jnp.sqrt(jnp.float32(2)).astype(jnp.int32), A),
}
NAMES = "abc"


def in_numpy(function, inputs):
    """The outputs of the lines that were written for `function`."""
    lines = Lines(constants={})
    results, _ = lines.write(function, inputs, NAMES[: len(inputs)])
    names = dict(zip(NAMES, inputs, strict=False)) | {"np": np, "weights": lines.constants}
    exec("\n".join(lines.lines), names)
    return jax.tree.map(lambda source: eval(source, names), results)


@pytest.mark.parametrize("name", CASES)
def test_numpy_gives_what_jax_gives(name):
    function, *inputs = CASES[name]
    with jax.numpy_rank_promotion("allow"):
        wanted = jax.tree.leaves(jax.jit(function)(*inputs))
        given = jax.tree.leaves(in_numpy(function, inputs))
    for x, y in zip(given, wanted, strict=True):
        assert (np.shape(x), np.asarray(x).dtype) == (y.shape, y.dtype)
        np.testing.assert_allclose(x, y, rtol=2e-6, atol=1e-6)


def test_every_operation_is_tried():
    found = set()

    def look(jaxpr):
        for equation in jaxpr.eqns:
            found.add(equation.primitive.name)
            for value in equation.params.values():
                inner = getattr(value, "jaxpr", value)
                if hasattr(inner, "eqns"):
                    look(inner)

    with jax.numpy_rank_promotion("allow"):
        for function, *inputs in CASES.values():
            look(jax.make_jaxpr(function)(*inputs).jaxpr)
    assert set(EXPRESSIONS) - found == set()


@pytest.mark.parametrize(
    ("function", "name"),
    [
        (jnp.sort, "sort"),
        (lambda a: lax.scan(lambda c, x: (c + x, c), a[0], a)[1], "scan"),
        (lambda a: jax.random.normal(jax.random.key(0), a.shape) + a, "random_seed"),
        (lambda a: a.astype(jnp.int32) // 2, "div"),
        (lambda a: a[jnp.array([0, 1]), jnp.array([1, 2])], "gather"),
        (lambda a: lax.pad(a, jnp.float32(0), ((-1, 0, 0), (0, 0, 0))), "pad"),
    ],
)
def test_what_is_not_known_is_named(function, name):
    with pytest.raises(ValueError, match=f"form=numpy does not know the operation '{name}', of which this policy is"):
        in_numpy(function, [A])
