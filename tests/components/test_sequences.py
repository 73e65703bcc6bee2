"""The ring of sequences against a plain Python list, and what it costs once compiled."""

from functools import cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxrl.components.prioritized import sample
from jaxrl.components.replay import Step, step_shapes
from jaxrl.components.sequences import (
    SequenceReplay,
    SequenceRing,
    empty_sequence_replay,
    sequence_error,
    sequence_replay_bytes,
    sequence_ring_of,
    sequences_at,
    stretches_at,
    uniform_sequences,
    uniform_stretches,
    write_chunk,
)
from jaxrl.envs.spaces import Discrete

# (environments, rows of a chunk, chunks, length): sequences shorter and longer than a chunk, up to the whole ring.
SIZES = [(2, 3, 4, 2), (3, 2, 4, 5), (2, 1, 5, 3), (2, 2, 2, 4), (1, 3, 1, 1)]
NAMED = pytest.mark.parametrize("sizes", SIZES, ids=lambda sizes: "x".join(map(str, sizes)))
NUM_DRAWS = 256


def _ring(sizes: tuple[int, int, int, int]) -> SequenceRing:
    num_envs, num_steps, num_chunks, length = sizes
    return sequence_ring_of(num_envs * num_steps * num_chunks + num_envs * num_steps - 1, num_envs, num_steps, length)


@cache
def _programs(sizes: tuple[int, int, int, int]) -> Any:
    ring = _ring(sizes)
    draw = partial(uniform_sequences, sequences=ring, shape=(NUM_DRAWS,))
    return jax.jit(partial(write_chunk, sequences=ring)), jax.jit(partial(sequences_at, sequences=ring)), jax.jit(draw)


@cache
def _stretch_programs(sizes: tuple[int, int, int, int]) -> Any:
    ring = _ring(sizes)
    draw = partial(uniform_stretches, sequences=ring, shape=(NUM_DRAWS,))
    return jax.jit(partial(stretches_at, sequences=ring)), jax.jit(draw)


def _history(seed: int, num_rows: int, num_envs: int) -> Step:
    """Random steps [rows, N]; an observation is its row and lane."""
    random = np.random.default_rng(seed)
    shape = (num_rows, num_envs)
    rows, lanes = np.meshgrid(np.arange(num_rows), np.arange(num_envs), indexing="ij")
    terminated = random.random(shape) < 0.2
    return Step(
        obs=np.stack([rows, lanes], axis=-1).astype(np.int32),
        action=random.integers(0, 4, shape).astype(np.int32),
        reward=random.normal(size=shape).astype(np.float32),
        terminated=terminated,
        truncated=(random.random(shape) < 0.2) & ~terminated,
        next_obs=np.stack([rows, lanes], axis=-1).astype(np.int32) + 1000,
    )


def _memory_of(iteration: int, num_envs: int) -> Any:
    return {"hidden": jnp.full((num_envs, 2), iteration, jnp.float32) + jnp.arange(num_envs)[:, None] / 10}


def _written(sizes: tuple[int, int, int, int], history: Step, num_writes: int) -> SequenceReplay:
    num_envs, num_steps, _, _ = sizes
    shapes = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape[1:], leaf.dtype), history)
    replay = empty_sequence_replay(_ring(sizes), shapes, _memory_of(0, num_envs), prioritized=True)
    for iteration in range(num_writes):
        here = slice(iteration * num_steps, (iteration + 1) * num_steps)
        rollout = jax.tree.map(lambda leaf, here=here: jnp.asarray(leaf[here]), history)
        memory = _memory_of(iteration, num_envs)
        replay = _programs(sizes)[0](replay, rollout=rollout, memory=memory, iteration=jnp.int32(iteration))
    return replay


def _held(sizes: tuple[int, int, int, int], num_writes: int) -> dict[int, tuple[int, int]]:
    """item -> (first row, lane) of every sequence whose rows are all among the newest that the ring can hold."""
    num_envs, num_steps, num_chunks, length = sizes
    num_rows = num_writes * num_steps
    starts = [
        chunk
        for chunk in range(num_writes)
        if chunk * num_steps >= num_rows - num_chunks * num_steps and chunk * num_steps + length <= num_rows
    ]
    return {
        chunk % num_chunks * num_envs + lane: (chunk * num_steps, lane) for chunk in starts for lane in range(num_envs)
    }


def _assert_is(sizes: tuple[int, int, int, int], batch: Any, history: Step, where: list[tuple[int, int]]) -> None:
    """Each sequence is the one that begins at (row, lane): consecutive in time, of one lane, with its memory."""
    length = sizes[3]
    for index, (row, lane) in enumerate(where):
        rows = slice(row, row + length)
        for name in ("obs", "action", "reward", "terminated", "truncated", "next_obs"):
            np.testing.assert_array_equal(getattr(batch, name)[:, index], getattr(history, name)[rows, lane])
        ended = (history.terminated | history.truncated)[rows, lane]
        np.testing.assert_array_equal(batch.first[:, index], [False, *ended[:-1]])
        np.testing.assert_allclose(batch.memory["hidden"][index], row // sizes[1] + lane / 10)


@NAMED
@settings(max_examples=10, deadline=None, derandomize=True, database=None)
@given(seed=st.integers(0, 10**6), num_writes=st.integers(1, 14))
def test_all_that_is_complete_can_be_drawn_and_nothing_else(
    sizes: tuple[int, int, int, int], seed: int, num_writes: int
) -> None:
    history = _history(seed, num_writes * sizes[1], sizes[0])
    replay, held = _written(sizes, history, num_writes), _held(sizes, num_writes)
    _, at, uniform = _programs(sizes)
    iteration = jnp.int32(num_writes - 1)
    assert _ring(sizes).num_complete(iteration) == len(held)
    priorities = np.asarray(replay.priorities.levels[-1]).ravel()
    assert set(np.flatnonzero(priorities)) == set(held)
    if held:
        items = np.asarray(uniform(jax.random.key(seed), iteration=iteration))
        assert set(items) == set(held)
        batch = at(replay, items=items)
        _assert_is(sizes, batch, history, [held[item] for item in items])
        assert (np.asarray(batch.weight) == 1).all()


@NAMED
@settings(max_examples=10, deadline=None, derandomize=True, database=None)
@given(seed=st.integers(0, 10**6), num_writes=st.integers(1, 14))
def test_stretches_begin_anywhere_and_never_cross_the_newest_row(
    sizes: tuple[int, int, int, int], seed: int, num_writes: int
) -> None:
    num_envs, num_steps, num_chunks, length = sizes
    num_writes = max(num_writes, _ring(sizes).span)
    num_rows = num_writes * num_steps
    history = _history(seed, num_rows, num_envs)
    rows = _written(sizes, history, num_writes).rows
    at, uniform = _stretch_programs(sizes)
    batch = at(rows, items=uniform(jax.random.key(seed), iteration=jnp.int32(num_writes - 1)))
    oldest = max(0, num_rows - num_chunks * num_steps)
    first, lane = np.asarray(batch.obs[0]).T
    # All beginnings are drawn: 256 draws of at most 24.
    assert set(zip(first, lane, strict=True)) == {
        (row, lane) for row in range(oldest, num_rows - length + 1) for lane in range(num_envs)
    }
    for name in ("obs", "action", "reward", "terminated", "truncated", "next_obs"):
        lived = getattr(history, name)
        expected = np.stack([lived[first + t, lane] for t in range(length)])
        np.testing.assert_array_equal(getattr(batch, name), expected)


def test_draws_are_uniform() -> None:
    sizes = (3, 2, 4, 5)
    items = np.asarray(
        uniform_sequences(jax.random.key(1), sequences=_ring(sizes), iteration=jnp.int32(9), shape=(20_000,))
    )
    counts = np.bincount(items, minlength=12)
    counts = counts[counts > 0]
    assert len(counts) == 6  # chunks 6 and 7 of the 6 .. 9 that are held, 3 lanes each
    assert ((counts - 20_000 / 6) ** 2 / (20_000 / 6)).sum() < 5 + 4 * np.sqrt(2 * 5)


def test_prioritized_draws_follow_the_ring() -> None:
    sizes = (2, 3, 4, 2)
    history = _history(0, 9 * 3, 2)
    replay = _written(sizes, history, 9)
    items, probabilities = sample(replay.priorities, jnp.linspace(0.0, 0.99, 64))
    assert set(np.asarray(items)) == set(_held(sizes, 9))
    np.testing.assert_allclose(probabilities, 1 / 8, rtol=1e-6)


def test_the_error_of_a_sequence_is_the_papers() -> None:
    errors = jnp.asarray([[1.0, 0.0], [-3.0, 0.5], [2.0, 1.0]])
    np.testing.assert_allclose(sequence_error(errors, 0.9), [0.9 * 3 + 0.1 * 2, 0.9 * 1 + 0.1 * 0.5], rtol=1e-6)


def test_it_says_its_bytes() -> None:
    ring = _ring((2, 3, 4, 2))
    shapes = step_shapes(jnp.zeros((2, 5, 5), jnp.uint8), Discrete(3))
    memory = (jnp.zeros((2, 8)), jnp.zeros((2, 8)))
    replay = empty_sequence_replay(ring, shapes, memory, prioritized=False)
    assert replay.rows.obs.dtype == jnp.uint8
    assert replay.priorities is None
    assert sequence_replay_bytes(ring, shapes, memory) == sum(leaf.nbytes for leaf in jax.tree.leaves(replay))


def test_a_replay_without_room_for_a_sequence_is_refused() -> None:
    with pytest.raises(ValueError, match=r"3 rollouts of num_envs \* num_steps = 8 \* 4 .* its 9 rows, got 95"):
        sequence_ring_of(95, 8, 4, 9)
    assert sequence_ring_of(96, 8, 4, 9).num_chunks == 3


def test_a_replay_that_does_not_fit_is_refused_with_its_size() -> None:
    shapes = step_shapes(jnp.zeros((2, 84, 84, 4)), Discrete(3))
    with pytest.raises(ValueError, match=r"replay_capacity=\d+ takes .* GiB for each agent, and a device has .* GiB"):
        empty_sequence_replay(sequence_ring_of(10**9, 2, 4, 8), shapes, jnp.zeros((2, 8)), prioritized=True)


@pytest.mark.parametrize("num_seeds", [None, 8])
def test_no_step_copies_the_replay(num_seeds: int | None) -> None:
    ring = sequence_ring_of(131_072, 8, 4, 10)
    shapes = step_shapes(jnp.zeros((8, 4)), Discrete(2))
    memory = jnp.zeros((8, 16))
    replay = empty_sequence_replay(ring, shapes, memory, prioritized=True)
    rollout = jax.tree.map(lambda leaf: jnp.ones((4, *leaf.shape), leaf.dtype), shapes)

    def iterate(replay: SequenceReplay, key: jax.Array) -> tuple[SequenceReplay, jax.Array]:
        def body(iteration: jax.Array, carry: tuple[SequenceReplay, jax.Array]) -> Any:
            replay, total = carry
            replay = write_chunk(replay, ring, rollout, memory, iteration)
            items, _ = sample(replay.priorities, jax.random.uniform(jax.random.fold_in(key, iteration), (32,)))
            batch = sequences_at(replay, ring, items)
            return replay, total + batch.next_obs.sum() + batch.memory.sum()

        return jax.lax.fori_loop(2, 100, body, (replay, jnp.float32(0.0)))

    keys = jax.random.split(jax.random.key(0), num_seeds or 1)
    if num_seeds is None:
        program, arguments = iterate, (replay, keys[0])
    else:
        program = jax.vmap(iterate)
        arguments = (jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (num_seeds, *leaf.shape)), replay), keys)
    compiled = jax.jit(program, donate_argnums=0).lower(*arguments).compile()
    size = sum(leaf.nbytes for leaf in jax.tree.leaves(arguments[0]))
    assert compiled.memory_analysis().temp_size_in_bytes < size / 20
