"""The sum tree against a plain numpy array, by hypothesis and at the edges of rounding; its cost in copies."""

import flashbax.buffers.sum_tree as flashbax_tree
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chi2

from jaxrl.components.prioritized import (
    Priorities,
    clear,
    importance_weights,
    insert,
    no_priorities,
    priority,
    sample,
    update,
)

SIZES = (1, 7, 8, 9, 65, 600)
BATCH_SIZE = 16
COUNTS = {1: (1,), 7: (1, 7), 8: (3, 8), 9: (2, 9), 65: (3, 17), 600: (16, 100)}

insert_ = jax.jit(insert, static_argnums=2)
clear_ = jax.jit(clear, static_argnums=2)
sample_ = jax.jit(sample)
update_ = jax.jit(update)


def leaves(priorities, num_items):
    flat = np.asarray(priorities.levels[-1]).ravel()
    assert not flat[num_items:].any()
    return flat[:num_items]


def tree_of(values):
    """A tree with these leaves, written in one batch."""
    values = jnp.asarray(values, jnp.float32)
    return update_(no_priorities(len(values)), jnp.arange(len(values)), values)


def assert_sums(priorities):
    for parents, nodes in zip(priorities.levels[:-1], priorities.levels[1:], strict=True):
        sums = np.asarray(nodes).astype(np.float64).sum(axis=-1)
        np.testing.assert_allclose(np.asarray(parents).ravel()[: len(sums)], sums, rtol=1e-6)


def assert_sampled(priorities, values, uniforms):
    """Every draw is the item that a float64 cumulative sum gives, or a neighbour that rounding can reach."""
    indices, probabilities = map(np.asarray, sample_(priorities, jnp.asarray(uniforms, jnp.float32)))
    total = values.astype(np.float64).sum()
    ends = np.cumsum(values.astype(np.float64))
    points = (np.arange(len(uniforms)) + np.asarray(uniforms, np.float64)) / len(uniforms) * total
    assert ((indices >= 0) & (indices < len(values))).all()
    assert (values[indices] > 0).all()
    slack = 1e-5 * total
    assert (ends[indices] >= points - slack).all()
    assert ((ends - values)[indices] <= points + slack).all()
    np.testing.assert_allclose(probabilities, values[indices] / total, rtol=1e-5)


@st.composite
def operations(draw):
    num_items = draw(st.sampled_from(SIZES))
    steps = []
    for name in draw(st.lists(st.sampled_from(["insert", "clear", "update"]), min_size=1, max_size=8)):
        if name == "update":
            indices = draw(st.lists(st.integers(0, num_items - 1), min_size=BATCH_SIZE, max_size=BATCH_SIZE))
            exponents = draw(st.lists(st.integers(-12, 12), min_size=BATCH_SIZE, max_size=BATCH_SIZE))
            steps.append((name, indices, [2.0**exponent for exponent in exponents]))
        else:
            count = draw(st.sampled_from(COUNTS[num_items]))
            steps.append((name, draw(st.integers(0, num_items - count)), count))
    return num_items, steps, draw(st.integers(0, 2**31))


@settings(deadline=None, derandomize=True, max_examples=150, database=None)
@given(operations())
def test_any_sequence_of_operations_is_that_of_a_plain_array(case):
    num_items, steps, seed = case
    priorities, expected, maximum = no_priorities(num_items), np.zeros(num_items, np.float32), 1.0
    generator = np.random.default_rng(seed)
    for name, where, what in steps:
        if name == "insert":
            priorities = insert_(priorities, jnp.int32(where), what)
            expected[where : where + what] = maximum
        elif name == "clear":
            priorities = clear_(priorities, jnp.int32(where), what)
            expected[where : where + what] = 0.0
        else:
            priorities = update_(priorities, jnp.asarray(where), jnp.asarray(what))
            for index in set(where):
                expected[index] = max(value for i, value in zip(where, what, strict=True) if i == index)
            maximum = max(maximum, *what)
        np.testing.assert_array_equal(leaves(priorities, num_items), expected)
        assert float(priorities.maximum) == maximum
        assert_sums(priorities)
        if expected.any():
            assert_sampled(priorities, expected, generator.random(BATCH_SIZE, np.float32))


@pytest.mark.parametrize(("num_items", "count"), [(64, 3), (65, 17)])
def test_an_insertion_may_begin_anywhere(num_items, count):
    for start in range(num_items - count + 1):
        priorities = insert_(no_priorities(num_items), jnp.int32(start), count)
        expected = np.zeros(num_items)
        expected[start : start + count] = 1.0
        np.testing.assert_array_equal(leaves(priorities, num_items), expected)
        assert_sums(priorities)


def test_frequencies_are_the_probabilities():
    generator = np.random.default_rng(0)
    errors = generator.normal(size=100)
    values = np.asarray(priority(jnp.asarray(errors, jnp.float32), 0.6))
    uniforms = jax.random.uniform(jax.random.key(1), (200_000, 1))
    # One draw per batch: those of a stratified batch are not independent.
    draws, _ = jax.jit(jax.vmap(sample, in_axes=(None, 0)))(tree_of(values), uniforms)
    observed = np.bincount(np.ravel(draws), minlength=100)
    expected = values / values.sum() * observed.sum()
    assert chi2.sf(((observed - expected) ** 2 / expected).sum(), 99) > 1e-4


def test_a_batch_is_stratified():
    indices, _ = sample_(tree_of(np.ones(600)), jax.random.uniform(jax.random.key(0), (100,)))
    np.testing.assert_array_equal(np.asarray(indices) // 6, np.arange(100))


def test_exponent_zero_is_uniform():
    values = priority(jnp.asarray([0.0, 1e-3, 1.0, 1e5]), jnp.float32(0.0))
    indices, probabilities = sample_(tree_of(values), jnp.full(BATCH_SIZE, 0.5))
    np.testing.assert_array_equal(probabilities, 0.25)
    np.testing.assert_array_equal(np.bincount(indices), 4)
    np.testing.assert_allclose(importance_weights(probabilities, 4, 0.7), 1.0, rtol=1e-6)


def test_priorities_and_weights_are_the_papers():
    np.testing.assert_allclose(priority(jnp.asarray([-2.0, 0.0]), 0.5), [2.000001**0.5, 1e-3], rtol=1e-6)
    assert float(priority(jnp.float32(0.0), 1.0)) > 0
    probabilities = jnp.asarray([0.5, 0.1, 0.2])
    expected = (10 * np.array([0.5, 0.1, 0.2])) ** -0.4 / (10 * 0.1) ** -0.4
    np.testing.assert_allclose(jax.jit(importance_weights)(probabilities, 10, 0.4), expected, rtol=1e-6)


def test_weights_of_exponent_one_make_the_mean_uniform():
    values = np.random.default_rng(2).exponential(size=64)
    function = np.arange(64.0)
    probabilities = jnp.asarray(values / values.sum(), jnp.float32)
    weights = np.asarray(importance_weights(probabilities, 64, 1.0))
    constant = weights[0] * 64 * probabilities[0]
    np.testing.assert_allclose((probabilities * weights * function).sum(), constant * function.mean(), rtol=1e-5)
    # And by drawing: a fine stratification integrates the distribution.
    indices, drawn = sample_(tree_of(values), jnp.full(4096, 0.5))
    estimate = (importance_weights(drawn, 64, 1.0) * function[np.asarray(indices)]).mean()
    constant = (64 * drawn).min()
    np.testing.assert_allclose(estimate, constant * function.mean(), rtol=0.02)


def test_weights_are_divided_by_the_maximum_over_all_devices():
    probabilities = jnp.asarray([[0.5, 0.25], [0.125, 0.5]])
    weights = jax.vmap(lambda p: importance_weights(p, 8, 1.0, axis="device"), axis_name="device")(probabilities)
    np.testing.assert_allclose(weights, [[0.25, 0.5], [1.0, 0.25]], rtol=1e-6)


@pytest.mark.parametrize("seed", range(20))
def test_an_item_of_priority_zero_is_never_drawn(seed):
    generator = np.random.default_rng(seed)
    values = 10.0 ** generator.uniform(-30, 30, 600) * (generator.random(600) < 0.2)
    values[-8 * generator.integers(1, 20) :] = 0.0
    priorities = tree_of(values.astype(np.float32))
    last = np.nextafter(np.float32(1), np.float32(0))
    for uniforms in (
        np.zeros(BATCH_SIZE),
        np.full(BATCH_SIZE, last),
        generator.random(BATCH_SIZE),
        np.ones(BATCH_SIZE),
    ):
        indices, probabilities = sample_(priorities, jnp.asarray(uniforms, jnp.float32))
        assert (values[np.asarray(indices)] > 0).all()
        assert (np.asarray(probabilities) > 0).all()


def test_a_root_that_was_rounded_up_leads_to_the_last_item():
    """The sums above are a little too high, as after rounding: what remains at the bottom exceeds the last node."""
    exact = tree_of([1.0] * 60 + [0.0] * 5)
    inflated = Priorities((exact.levels[0] * 1.01, exact.levels[1] * 1.01, exact.levels[2]), exact.maximum)
    indices, _ = sample_(inflated, jnp.full(BATCH_SIZE, 0.9999))
    assert indices[-1] == 59


def test_parents_stay_the_sums_after_thousands_of_updates():
    def step(i, priorities):
        value_key, index_key = jax.random.split(jax.random.fold_in(jax.random.key(0), i))
        indices = jax.random.randint(index_key, (BATCH_SIZE,), 0, 600)
        return update(priorities, indices, 10.0 ** jax.random.uniform(value_key, (BATCH_SIZE,), minval=-6, maxval=6))

    priorities = jax.jit(lambda p: jax.lax.fori_loop(0, 5000, step, p))(no_priorities(600))
    assert_sums(priorities)


def test_flashbax_draws_the_same_items():
    values = jnp.asarray(np.random.default_rng(3).exponential(size=256), jnp.float32)
    theirs = jax.jit(flashbax_tree.set_batch_bincount)(flashbax_tree.init(256), jnp.arange(256), values)
    uniforms = jax.random.uniform(jax.random.key(0), (512,))
    points = (jnp.arange(512) + uniforms) / 512
    expected = jax.jit(jax.vmap(flashbax_tree.sample, in_axes=(None, None, 0)))(theirs, None, points)
    indices, probabilities = sample_(tree_of(values), uniforms)
    assert (np.asarray(indices) == np.asarray(expected)).mean() > 0.99  # a point on a boundary may round either way
    assert np.abs(np.asarray(indices) - np.asarray(expected)).max() <= 1
    expected_probabilities = jax.vmap(flashbax_tree.get_probability, in_axes=(None, 0))(theirs, indices)
    np.testing.assert_allclose(probabilities, expected_probabilities, rtol=1e-5)


def loop(priorities, key, num_iterations, num_items):
    """Insert, sample and update, as an algorithm does, with the place of insertion from the iteration."""

    def step(i, carry):
        priorities, drawn = carry
        priorities = insert(priorities, i * 5 % (num_items - 5), 5)
        indices, probabilities = sample(priorities, jax.random.uniform(jax.random.fold_in(key, i), (BATCH_SIZE,)))
        weights = importance_weights(probabilities, num_items, 0.4)
        priorities = update(priorities, indices, priority(weights * 7.0, 0.6))
        return clear(priorities, (i * 5 + 5) % (num_items - 5), 5), drawn + weights.sum()

    return jax.lax.fori_loop(0, num_iterations, step, (priorities, jnp.float32(0)))


def test_vmapped_is_looped():
    keys = jax.random.split(jax.random.key(0), 3)
    start = insert_(no_priorities(600), jnp.int32(0), 600)
    one = jax.jit(lambda key: loop(start, key, 50, 600))
    together = jax.jit(jax.vmap(lambda key: loop(start, key, 50, 600)))(keys)
    for i, key in enumerate(keys):
        for alone, batched in zip(jax.tree.leaves(one(key)), jax.tree.leaves(together), strict=True):
            np.testing.assert_allclose(alone, batched[i], rtol=1e-5)


@pytest.mark.parametrize("num_seeds", [1, 32])
def test_no_copy_of_the_leaves_is_made(num_seeds):
    """And an insertion is a slice: one scatter per level belongs to `update`, and two to its leaves."""
    num_items = 131_072
    priorities = no_priorities(num_items)
    function, keys = loop, jax.random.key(0)
    if num_seeds > 1:
        function = jax.vmap(loop, in_axes=(0, 0, None, None))
        priorities = jax.tree.map(lambda leaf: jnp.zeros((num_seeds, *leaf.shape)), priorities)
        keys = jax.random.split(keys, num_seeds)
    lowered = jax.jit(function, static_argnums=3, donate_argnums=0).lower(priorities, keys, 10, num_items)
    program = lowered.compile({"xla_cpu_use_fusion_emitters": True})  # as users compile; without, a scatter is a loop
    leaf_bytes = priorities.levels[-1].nbytes
    assert program.memory_analysis().temp_size_in_bytes < leaf_bytes / 8
    text = program.as_text()
    shape = ",".join(map(str, priorities.levels[-1].shape))
    assert shape in text
    assert not [line for line in text.splitlines() if " copy(" in line and f"[{shape}]" in line.split("=")[1]]
    assert text.count(" scatter(") == len(priorities.levels) + 1


def test_a_tree_without_items_is_refused():
    with pytest.raises(ValueError, match="at least 1 item, got 0"):
        no_priorities(0)


def test_more_items_than_there_are_are_refused():
    with pytest.raises(ValueError, match="holds at most 8 items, got 9"):
        insert(no_priorities(6), jnp.int32(0), 9)
