"""The order is a permutation for every size, and close to a uniform one by chi-square with fixed seeds.

The gates are at p = 1e-4 over the smallest of the p-values of a size, times their number.
"""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import chi2

from jaxrl.components.minibatches import shuffled, shuffled_minibatches

GATE = 1e-4


def draws(size, num_draws):
    keys = jax.random.split(jax.random.key(7), num_draws)
    return np.asarray(jax.jit(jax.vmap(lambda key: shuffled(key, size)))(keys))


def p_value(observed, expected):
    return chi2.sf(((observed - expected) ** 2 / expected).sum(), observed.size - 1)


def coarse(values, size, num_bins):
    return values * num_bins // size


@pytest.mark.parametrize("sizes", [range(1, 36), range(36, 71), (512, 1000, 8192)], ids=str)
def test_every_size_gives_a_permutation(sizes):
    def orders(key):
        return [shuffled(key, size) for size in sizes]

    quickly = {"xla_backend_optimization_level": 0, "xla_llvm_disable_expensive_passes": True}
    orders = jax.jit(orders).lower(jax.random.key(0)).compile(quickly)
    for seed in range(3):
        for size, order in zip(sizes, orders(jax.random.key(seed)), strict=True):
            assert order.dtype == jnp.int32
            np.testing.assert_array_equal(np.sort(order), np.arange(size))


@pytest.mark.parametrize("size", [2, 3, 4, 5, 6, 8, 16])
def test_small_orders_are_uniform_over_positions_and_over_pairs(size):
    orders = draws(size, 20_000)
    positions = [p_value(np.bincount(orders[:, i], minlength=size), len(orders) / size) for i in range(size)]
    off_diagonal = ~np.eye(size, dtype=bool)
    pairs = [
        p_value(
            np.bincount(orders[:, i] * size + orders[:, j], minlength=size**2).reshape(size, size)[off_diagonal],
            len(orders) / (size * (size - 1)),
        )
        for i, j in itertools.combinations(range(size), 2)
        if size > 2
    ]
    assert min(positions) * len(positions) > GATE
    assert min(pairs, default=1.0) * len(pairs) > GATE or not pairs


def test_all_orders_of_four_are_equally_likely():
    orders = draws(4, 24_000)
    names = orders @ np.array([64, 16, 4, 1])
    counts = np.unique(names, return_counts=True)[1]
    assert counts.shape == (24,)
    assert p_value(counts, 1000) > GATE


@pytest.mark.parametrize(
    ("size", "num_draws"), [(64, 20_000), (128, 20_000), (100, 20_000), (512, 8_000), (1000, 8_000), (8192, 3_000)]
)
def test_large_orders_are_uniform_over_positions_and_over_pairs(size, num_draws):
    orders = draws(size, num_draws)
    bins = 8
    share = np.bincount(coarse(np.arange(size), size, bins))
    positions = [
        p_value(np.bincount(coarse(orders[:, i], size, bins), minlength=bins), share / size * num_draws)
        for i in (0, 1, 2, size // 2, size - 1)
    ]
    # Neighbours and distances that are powers of two are what weak mixing leaves together; both where the two land,
    # and how far apart.
    joint = (np.outer(share, share) - np.diag(share)) / (size * (size - 1)) * num_draws
    fine = min(size - 1, 128)  # gaps are 1 .. size - 1
    apart = np.bincount(coarse(np.arange(size - 1), size - 1, fine)) / (size - 1) * num_draws
    pairs = []
    for start, distance in itertools.product((0, size // 5), [2**k for k in range(size.bit_length() - 1)]):
        one, other = orders[:, start], orders[:, (start + distance) % size]
        landed = np.bincount(coarse(one, size, bins) * bins + coarse(other, size, bins), minlength=bins**2)
        pairs.append(p_value(landed, joint.ravel()))
        gaps = coarse((other - one) % size - 1, size - 1, fine)
        pairs.append(p_value(np.bincount(gaps, minlength=fine), apart))
    assert min(positions) * len(positions) > GATE
    assert min(pairs) * len(pairs) > GATE


def test_different_keys_give_different_orders_and_the_same_key_the_same():
    orders = draws(512, 50)
    assert len(np.unique(orders, axis=0)) == 50
    np.testing.assert_array_equal(orders, draws(512, 50))


def test_minibatches_are_a_partition_that_keeps_the_leaves_together():
    batch = {"obs": jnp.arange(24.0).reshape(12, 2), "action": jnp.arange(12)}
    minibatches = jax.jit(shuffled_minibatches, static_argnums=2)(jax.random.key(3), batch, 3)
    assert minibatches["obs"].shape == (3, 4, 2)
    assert minibatches["action"].shape == (3, 4)
    np.testing.assert_array_equal(np.sort(minibatches["action"].ravel()), np.arange(12))
    np.testing.assert_array_equal(minibatches["obs"][..., 0], 2 * minibatches["action"])
    assert not np.array_equal(minibatches["action"].ravel(), np.arange(12))


@pytest.mark.parametrize("num_minibatches", [0, 5])
def test_a_number_that_does_not_divide_is_refused(num_minibatches):
    with pytest.raises(ValueError, match=f"must divide the batch of 12, got {num_minibatches}"):
        shuffled_minibatches(jax.random.key(0), jnp.zeros(12), num_minibatches)


def test_leaves_of_different_sizes_are_refused():
    with pytest.raises(ValueError, match=r"one size along the first axis, got \[3, 4\]"):
        shuffled_minibatches(jax.random.key(0), (jnp.zeros(3), jnp.zeros(4)), 1)
