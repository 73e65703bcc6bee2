import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrl.envs import spaces
from jaxrl.envs.spaces import Box, Dict, Discrete, MultiDiscrete, Tuple

EXAMPLES = [
    Discrete(3),
    MultiDiscrete((2, 5)),
    Box(-1.0, 2.0, (3,)),
    Box([-1.0, -np.inf, 0.0, -np.inf], [1.0, 0.0, np.inf, np.inf]),
    Box(0, 255, (2, 2, 1), np.uint8),
    Box(-3, 3, (2,), np.int32),
    Box(False, True, (4,), np.bool_),
    Dict({"b": Discrete(2), "a": Tuple((Box(0.0, 1.0, ()), Discrete(4)))}),
]


@pytest.mark.parametrize("space", EXAMPLES, ids=str)
def test_samples_lie_in_their_space_with_its_shape_and_dtype(space):
    samples = jax.vmap(space.sample)(jax.random.split(jax.random.key(0), 64))
    assert jax.jit(jax.vmap(space.contains))(samples).all()
    shapes = jax.tree.map(lambda leaf: leaf.shape[1:], samples)
    assert shapes == space.shape
    assert jax.tree.map(lambda leaf: leaf.dtype, samples) == space.dtype


def test_what_lies_outside_is_not_contained():
    assert not Discrete(3).contains(3)
    assert not Discrete(3).contains(-1)
    assert not MultiDiscrete((2, 5)).contains(jnp.array([2, 0]))
    assert not Box(-1.0, 2.0, (3,)).contains(jnp.array([0.0, 0.0, 2.1]))
    assert not Box(-1.0, 2.0, (3,)).contains(jnp.zeros(2))
    assert not Box(-1.0, 2.0, (1,)).contains(jnp.array([jnp.nan]))
    pair = Dict({"a": Discrete(2), "b": Discrete(2)})
    assert pair.contains({"a": 1, "b": 1})
    assert not pair.contains({"a": 1, "b": 2})
    assert not pair.contains({"a": 1})
    assert not Tuple((Discrete(2),)).contains((0, 0))


def test_samples_reach_every_corner():
    draw = jax.vmap(Box(0, 3, (), np.uint8).sample)(jax.random.split(jax.random.key(0), 4000))
    assert np.abs(np.bincount(draw, minlength=4) - 1000).max() < 120  # 4 standard errors
    uniform = jax.vmap(Box(-1.0, 3.0, ()).sample)(jax.random.split(jax.random.key(1), 4000))
    assert abs(uniform.mean() - 1.0) < 0.08
    assert uniform.min() < -0.95
    assert uniform.max() > 2.95


def test_equality_and_hash_go_by_value():
    assert Box(-1, 1, (2,)) == Box(np.full(2, -1.0), np.ones(2))
    assert hash(Box(-1, 1, (2,))) == hash(Box(np.full(2, -1.0), np.ones(2)))
    assert Box(-1, 1, (2,)) != Box(-1, 2, (2,))
    assert Box(0, 1, (2,)) != Box(0, 1, (2,), np.int32)
    assert Discrete(2) != MultiDiscrete((2,))
    assert Dict({"a": Discrete(2), "b": Discrete(3)}) == Dict({"b": Discrete(3), "a": Discrete(2)})
    assert len({MultiDiscrete((2, 3)), MultiDiscrete([2, 3]), MultiDiscrete(np.array([2, 3]))}) == 1


def test_clip_brings_boxes_into_bounds_and_leaves_the_rest():
    space = Dict({"force": Box([-1.0, -2.0], [1.0, 2.0]), "gear": Discrete(3)})
    action = {"force": jnp.array([[5.0, -5.0], [0.5, 0.5]]), "gear": jnp.array([1, 2])}
    clipped = spaces.clip(space, action)
    np.testing.assert_array_equal(clipped["force"], [[1.0, -2.0], [0.5, 0.5]])
    np.testing.assert_array_equal(clipped["gear"], [1, 2])
    assert spaces.clip(Tuple((Box(0.0, 1.0, ()),)), (2.0,))[0] == 1.0


def test_flatten_gives_one_vector_in_the_order_of_names():
    space = Dict({"b": MultiDiscrete((2, 3)), "a": Box(0, 9, (2, 2), np.uint8), "c": Tuple((Discrete(2),))})
    value = {"a": jnp.array([[1, 2], [3, 4]], jnp.uint8), "b": jnp.array([1, 2]), "c": (jnp.int32(0),)}
    flat = spaces.flatten(space, value)
    np.testing.assert_array_equal(flat, [1, 2, 3, 4, 0, 1, 0, 0, 1, 1, 0])
    assert flat.dtype == jnp.float32
    assert spaces.flat_size(space) == flat.size


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: Discrete(0), "Discrete.n must be a whole number of at least 1, got 0"),
        (lambda: Discrete(2.5), "Discrete.n must be a whole number"),
        (lambda: MultiDiscrete((2, 0)), "MultiDiscrete.nvec must be a whole number of at least 1"),
        (lambda: Box(1.0, -1.0, (2,)), "A Box needs low <= high in every entry"),
        (lambda: Box(np.nan, 1.0, (2,)), "A Box needs low <= high in every entry"),
    ],
)
def test_impossible_spaces_are_refused(make, sentence):
    with pytest.raises(ValueError, match=sentence):
        make()
