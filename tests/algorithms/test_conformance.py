"""What every algorithm must satisfy, whatever it computes; the rows stand in `conformance_table.py`."""

from dataclasses import fields, replace
from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conformance_table import ROWS, Row

from jaxrl.engine.train import advance, initial_state, train
from jaxrl.metrics import values

SEEDS = 3
# One worker takes all tests of a row: what is compiled for one serves the others.
PARAMS = [pytest.param(row, id=row.name, marks=pytest.mark.xdist_group(f"conformance {row.name}")) for row in ROWS]
ALGORITHMS = pytest.mark.parametrize("row", PARAMS)

# One compiled program each for all tests of a row: start and stop are traced.
_begin = jax.jit(initial_state)
_advance = jax.jit(advance)


@cache
def _alone(row: Row, seed: int, iterations: int) -> tuple[Any, ...]:
    algorithm = row.build()
    state, run_key = _begin(algorithm, jax.random.split(jax.random.key(0), SEEDS)[seed])
    return _advance(algorithm, run_key, state, 0, iterations)


@cache
def _lanes(row: Row) -> tuple[Any, list[str]]:
    """A program (agents, keys [L]) -> states after 3 iterations [L], and the hyperparameters of which agents hold [L].

    L is one more than they are: the lanes are seeds for one test and hyperparameters for another.
    """
    algorithm = row.build()
    names = [field.name for field in fields(algorithm) if "hyperparameter" in field.metadata]
    names = [name for name in names if name not in row.unused]
    axes = jax.tree.unflatten(
        jax.tree.structure(algorithm),
        [
            0 if getattr(path[0], "name", None) in names else None
            for path, _ in jax.tree_util.tree_leaves_with_path(algorithm)
        ],
    )

    def run(algorithm: Any, key: jax.Array) -> Any:
        state, run_key = initial_state(algorithm, key)
        return advance(algorithm, run_key, state, 0, 3)[0]

    return jax.jit(jax.vmap(run, in_axes=(axes, 0))), names


@cache
def _together(row: Row) -> Any:
    """States [SEEDS, ...] after 3 iterations."""
    algorithm = row.build()
    run, names = _lanes(row)
    agents = replace(algorithm, **{name: jnp.full(len(names) + 1, getattr(algorithm, name)) for name in names})
    keys = jax.random.split(jax.random.key(0), SEEDS)[jnp.arange(len(names) + 1) % SEEDS]
    return jax.tree.map(lambda leaf: leaf[:SEEDS], run(agents, keys))


def assert_same_bits(a: Any, b: Any) -> None:
    assert jax.tree.structure(a) == jax.tree.structure(b)
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        np.testing.assert_array_equal(_array(x), _array(y))


def _array(leaf: Any) -> np.ndarray:
    return np.asarray(jax.random.key_data(leaf) if jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key) else leaf)


@ALGORITHMS
def test_step_keeps_the_tree_its_shapes_and_its_dtypes(row: Row) -> None:
    algorithm = row.build()
    before = jax.eval_shape(algorithm.init, jax.random.key(0))
    after, metrics = jax.eval_shape(algorithm.step, jax.random.key(0), before, jnp.int32(0))
    assert jax.tree.structure(before) == jax.tree.structure(after)
    for leaf, new in zip(jax.tree.leaves(before), jax.tree.leaves(after), strict=True):
        assert (leaf.shape, leaf.dtype, leaf.weak_type) == (new.shape, new.dtype, new.weak_type)
    assert all(pair.total.shape == () and pair.total.dtype == jnp.float32 for pair in metrics.values())


@ALGORITHMS
def test_one_trace_serves_equal_environments_and_other_hyperparameters(row: Row) -> None:
    num_traces = 0

    @jax.jit
    def first_state(algorithm: Any, key: jax.Array) -> Any:
        nonlocal num_traces
        num_traces += 1
        return jax.tree.leaves(algorithm), key

    for learning_rate in (1e-3, np.float32(2e-3), 1, jnp.float32(0.1)):
        first_state(replace(row.build(), learning_rate=learning_rate), jax.random.key(0))
    assert num_traces == 1
    strong = jax.eval_shape(lambda algorithm: jax.tree.leaves(algorithm), row.build())
    assert not any(leaf.weak_type for leaf in strong), "a weak type takes its dtype from what it meets"


@ALGORITHMS
def test_same_key_same_bits(row: Row) -> None:
    algorithm = row.build()
    state, run_key = _begin(algorithm, jax.random.split(jax.random.key(0), SEEDS)[0])
    assert_same_bits(_advance(algorithm, run_key, state, 0, 3), _alone(row, 0, 3))


@ALGORITHMS
def test_two_and_two_iterations_are_four(row: Row) -> None:
    algorithm = row.build()
    state, run_key = _begin(algorithm, jax.random.split(jax.random.key(0), SEEDS)[0])
    state, _, _ = _advance(algorithm, run_key, state, 0, 2)
    state, _, _ = _advance(algorithm, run_key, state, 2, 4)
    assert_same_bits(state, _alone(row, 0, 4)[0])


@ALGORITHMS
def test_train_is_the_same_run_in_one_call(row: Row) -> None:
    result = jax.jit(train, static_argnames=("num_iterations", "num_reports"))(
        row.build(), jax.random.split(jax.random.key(0), SEEDS)[0], num_iterations=3, num_reports=2
    )
    state, metrics, _ = _alone(row, 0, 3)
    assert int(result.iteration) == 3
    assert result.steps == 3 * row.build().steps_per_iteration
    assert set(result.metrics) == set(metrics)
    assert all(value.shape == (2,) for value in result.metrics.values())
    for x, y in zip(jax.tree.leaves(result.state.learner), jax.tree.leaves(state.learner), strict=True):
        np.testing.assert_allclose(_array(x), _array(y), rtol=1e-4, atol=1e-5)


@ALGORITHMS
def test_distinct_seeds_differ_in_everything(row: Row) -> None:
    states = _together(row)
    for path, leaf in jax.tree_util.tree_leaves_with_path(states):
        name, rows = jax.tree_util.keystr(path), _array(leaf).reshape(SEEDS, -1)
        # Counters, flags and coefficients may agree, and CartPole's rewards; whatever else holds real numbers may not.
        if np.issubdtype(rows.dtype, np.floating) and rows.shape[1] > 2 and not name.endswith(".reward"):
            for other in range(1, SEEDS):
                assert not np.array_equal(rows[0], rows[other]), f"seeds 0 and {other} agree in {name}"


@ALGORITHMS
def test_a_seed_among_others_is_the_same_seed_alone(row: Row) -> None:
    states = _together(row)
    for seed in range(SEEDS):
        alone, _, _ = _alone(row, seed, 3)
        for (path, x), y in zip(jax.tree_util.tree_leaves_with_path(states), jax.tree.leaves(alone), strict=True):
            np.testing.assert_allclose(
                _array(x)[seed], _array(y), rtol=1e-3, atol=1e-4, err_msg=jax.tree_util.keystr(path)
            )


@ALGORITHMS
def test_an_update_over_four_devices_is_one_on_the_joined_batch(row: Row) -> None:
    algorithm = row.build()
    state, _, _ = _alone(row, 0, 3)
    batch, axis = row.batch(algorithm, state)
    joined = jax.jit(row.update)(algorithm, state.learner, batch)

    def cut(leaf: jax.Array) -> jax.Array:
        return jnp.stack(jnp.split(leaf, 4, axis=axis))

    spread = replace(algorithm, axis="devices")
    learners = jax.jit(jax.vmap(row.update, in_axes=(None, None, 0), axis_name="devices"))(
        spread, state.learner, jax.tree.map(cut, batch)
    )
    for x, y in zip(jax.tree.leaves(learners), jax.tree.leaves(joined), strict=True):
        np.testing.assert_allclose(x[0], y, rtol=1e-3, atol=2e-5)
        assert_same_bits(x[0], x[3])


@ALGORITHMS
def test_environments_spread_over_devices_are_all_different(row: Row) -> None:
    spread = replace(row.build(), axis="devices")

    def step(key: jax.Array) -> Any:
        return spread.step(key, spread.init(key), jnp.int32(0))

    shapes = jax.eval_shape(jax.vmap(step, axis_name="devices"), jax.random.split(jax.random.key(0), 4))
    assert jax.tree.leaves(shapes[0].world.obs)[0].shape[:2] == (4, 2)  # 8 environments, 2 on each

    worlds = jax.jit(jax.vmap(lambda key: spread.init(key), axis_name="devices", axis_size=4, in_axes=None))(
        jax.random.key(0)
    )
    params = jax.tree.leaves(worlds.learner)
    assert all(np.array_equal(leaf[0], leaf[3]) for leaf in params)
    assert not np.array_equal(*(np.asarray(jax.tree.leaves(worlds.world.obs)[0][device]) for device in (0, 3)))


@ALGORITHMS
def test_every_hyperparameter_can_be_vmapped_and_changes_the_result(row: Row) -> None:
    algorithm = row.build()
    run, names = _lanes(row)
    factors = {
        "target_kl": 1e8,
        "adaptive_kl": 1e12,
        "clip_range": 1e4,
        "value_clip_range": 1e4,
        "exploration_end": 15.0,
    }  # thresholds: only a crossing shows
    members = {
        name: jnp.full(len(names) + 1, getattr(algorithm, name)).at[index].multiply(factors.get(name, 0.7))
        for index, name in enumerate(names)
    }
    keys = jax.random.split(jax.random.key(0), 1)[jnp.zeros(len(names) + 1, int)]
    learners = run(replace(algorithm, **members), keys).learner
    rows = np.concatenate([_array(x).reshape(len(names) + 1, -1) for x in jax.tree.leaves(learners)], axis=1)
    for index, name in enumerate(names):
        assert not np.array_equal(rows[index], rows[-1]), f"{name} changes nothing"


@ALGORITHMS
def test_metrics_are_finite(row: Row) -> None:
    _, metrics, _ = _alone(row, 0, 4)
    for name, value in values(metrics).items():
        assert np.isfinite(value) or metrics[name].weight == 0, name
    assert all(metric.weight > 0 for name, metric in metrics.items() if not name.startswith("episode_"))


@ALGORITHMS
def test_policy_acts_on_one_observation_and_on_many(row: Row) -> None:
    algorithm = row.build()
    state, _, _ = _alone(row, 0, 3)
    obs = state.world.obs
    for greedy in (True, False):
        policy = algorithm.policy(state, greedy=greedy)
        many, memory = policy.act(jax.random.key(0), obs, policy.initial_memory((8,)))
        one, _ = policy.act(jax.random.key(0), obs[0], policy.initial_memory(()))
        assert np.shape(many) == (8, *np.shape(one))
        assert jax.vmap(algorithm.env.action_space.contains)(many).all()
        assert jax.tree.structure(memory) == jax.tree.structure(policy.initial_memory((8,)))
        if greedy:
            np.testing.assert_allclose(many[0], one, rtol=1e-5, atol=1e-6)
