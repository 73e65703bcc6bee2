"""The ring of transitions and its n-step windows against plain Python lists, and what they cost once compiled."""

from functools import cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxrl.components import replay as replays
from jaxrl.components.replay import Replay, Step, empty_replay, replay_bytes, ring_of, step_shapes, uniform_items, write
from jaxrl.envs.spaces import Discrete

NUM_ENVS, NUM_STEPS, NUM_WRITES, DISCOUNT = 3, 2, 4, 0.9
RING = ring_of(NUM_ENVS * NUM_STEPS * NUM_WRITES, NUM_ENVS, NUM_STEPS)


def _history(seed: int, num_rows: int, rate: float) -> Step:
    """Random steps [rows, N]; an observation says its row and lane, and every one is different."""
    random = np.random.default_rng(seed)
    shape = (num_rows, NUM_ENVS)
    names = np.arange(num_rows * NUM_ENVS, dtype=np.float32).reshape(shape)
    terminated = random.random(shape) < rate
    return Step(
        obs=names,
        action=random.integers(0, 4, shape).astype(np.int32),
        reward=random.normal(size=shape).astype(np.float32),
        terminated=terminated,
        truncated=(random.random(shape) < rate) & ~terminated,
        next_obs=names + 0.5,
    )


@cache
def _programs(n: int) -> Any:
    return jax.jit(partial(write, ring=RING)), jax.jit(partial(replays.windows, ring=RING, discount=DISCOUNT, n=n))


def _written(history: Step, num_writes: int, n: int) -> Replay:
    shapes = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape[1:], leaf.dtype), history)
    replay = empty_replay(RING, shapes, prioritized=False)
    for iteration in range(num_writes):
        here = slice(iteration * NUM_STEPS, (iteration + 1) * NUM_STEPS)
        rollout = jax.tree.map(lambda leaf, here=here: jnp.asarray(leaf[here]), history)
        replay = _programs(n)[0](replay, rollout=rollout, iteration=jnp.int32(iteration))
    return replay


def _plain_window(history: Step, row: int, lane: int, newest: int, n: int) -> tuple[float, float, float]:
    """(reward, discount, next_obs) of the window that begins there, step by step."""
    reward, power = 0.0, 1.0
    for t in range(row, min(row + n, newest + 1)):
        reward += power * float(history.reward[t, lane])
        power *= DISCOUNT
        if history.terminated[t, lane]:
            return reward, 0.0, float(history.next_obs[t, lane])
        if history.truncated[t, lane]:
            break
    return reward, power, float(history.next_obs[t, lane])


@pytest.mark.parametrize("n", [1, 2, 5])
@settings(max_examples=12, deadline=None, derandomize=True)
@given(seed=st.integers(0, 10**6), num_writes=st.integers(1, 11), rate=st.sampled_from([0.0, 0.1, 0.5]))
def test_windows_against_a_plain_loop(n: int, seed: int, num_writes: int, rate: float) -> None:
    history = _history(seed, num_writes * NUM_STEPS, rate)
    replay = _written(history, num_writes, n)
    newest = num_writes * NUM_STEPS - 1
    held = range(max(0, newest + 1 - RING.num_rows), newest + 1)
    items = np.array([(row % RING.num_rows) * NUM_ENVS + lane for row in held for lane in range(NUM_ENVS)])
    padded = np.resize(items, RING.num_items).astype(np.int32)  # one shape, one program
    batch = _programs(n)[1](replay.rows, items=padded, iteration=jnp.int32(num_writes - 1))
    where = [(row, lane) for row in held for lane in range(NUM_ENVS)]
    for index, (row, lane) in enumerate(where):
        assert batch.obs[index] == history.obs[row, lane]
        assert batch.action[index] == history.action[row, lane]
        expected = _plain_window(history, row, lane, newest, n)
        found = [float(x[index]) for x in (batch.reward, batch.discount, batch.next_obs)]
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("num_writes", [1, 3, 4, 9])
def test_every_transition_held_is_drawn_alike_and_no_other(num_writes: int) -> None:
    num_draws, iteration = 20_000, jnp.int32(num_writes - 1)
    items = np.asarray(uniform_items(jax.random.key(num_writes), RING, iteration, (num_draws,)))
    num_held = min(num_writes, NUM_WRITES) * NUM_STEPS * NUM_ENVS
    counts = np.bincount(items, minlength=RING.num_items)
    assert (counts[num_held:] == 0).all()
    expected = num_draws / num_held
    chi_square = ((counts[:num_held] - expected) ** 2 / expected).sum()
    assert abs(chi_square - (num_held - 1)) < 4 * np.sqrt(2 * (num_held - 1))


def test_what_is_kept_has_the_dtype_that_came() -> None:
    obs = jnp.zeros((NUM_ENVS, 5, 5), jnp.uint8)
    shapes = step_shapes(obs, Discrete(3))
    replay = empty_replay(RING, shapes, prioritized=False)
    assert replay.rows.obs.dtype == replay.rows.next_obs.dtype == jnp.uint8
    assert replay.rows.obs.shape == (RING.num_rows, NUM_ENVS, 5, 5)
    assert replay.rows.action.dtype == jnp.int32
    assert replay_bytes(RING, shapes) == sum(leaf.nbytes for leaf in jax.tree.leaves(replay.rows))


def test_a_capacity_is_held_to_whole_rollouts() -> None:
    assert ring_of(100, 8, 4).num_items == 96
    with pytest.raises(ValueError, match=r"hold at least one rollout, num_envs \* num_steps = 8 \* 4 .* got 31"):
        ring_of(31, 8, 4)


def test_a_replay_that_does_not_fit_is_refused_with_its_size() -> None:
    shapes = step_shapes(jnp.zeros((NUM_ENVS, 84, 84, 4), jnp.float32), Discrete(3))
    with pytest.raises(
        ValueError, match=r"replay_capacity=\d+ takes .* GiB for each agent, and a device has .* GiB; lower it"
    ):
        empty_replay(ring_of(10**9, NUM_ENVS, NUM_STEPS), shapes, prioritized=False)


@pytest.mark.parametrize("num_seeds", [None, 8])
@pytest.mark.parametrize("prioritized", [False, True], ids=["uniform", "prioritized"])
def test_no_step_copies_the_replay(num_seeds: int | None, prioritized: bool) -> None:
    """Writes are slice updates in place, and a draw reads only what it draws, also for vmapped seeds."""
    ring = ring_of(65_536, 8, 4)
    shapes = step_shapes(jnp.zeros((8, 16)), Discrete(2))
    replay = empty_replay(ring, shapes, prioritized=prioritized)
    rollout = jax.tree.map(lambda leaf: jnp.ones((4, *leaf.shape), leaf.dtype), shapes)

    def iterate(replay: Replay, key: jax.Array) -> tuple[Replay, jax.Array]:
        def body(iteration: jax.Array, carry: tuple[Replay, jax.Array]) -> tuple[Replay, jax.Array]:
            replay, total = carry
            replay = write(replay, ring, rollout, iteration)
            items = uniform_items(jax.random.fold_in(key, iteration), ring, iteration, (32,))
            batch = replays.windows(replay.rows, ring, items, iteration, 0.9, 3)
            return replay, total + batch.next_obs.sum()

        return jax.lax.fori_loop(0, 100, body, (replay, jnp.float32(0.0)))

    keys = jax.random.split(jax.random.key(0), num_seeds or 1)
    if num_seeds is None:
        program, arguments = iterate, (replay, keys[0])
    else:
        program = jax.vmap(iterate)
        replays_of_all = jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (num_seeds, *leaf.shape)), replay)
        arguments = (replays_of_all, keys)
    compiled = jax.jit(program, donate_argnums=0).lower(*arguments).compile()
    size = sum(leaf.nbytes for leaf in jax.tree.leaves(arguments[0]))
    assert compiled.memory_analysis().temp_size_in_bytes < size / 20
