"""Batch renormalisation against its formulae."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl.components.batch_renorm import BatchRenorm

X = 3.0 + 2.0 * jax.random.normal(jax.random.key(0), (4, 8, 5))
EPSILON = 1e-3


def _variables(mean: float, variance: float, count: float) -> Any:
    variables = BatchRenorm(training=True).init(jax.random.key(1), X)
    stats = {"mean": jnp.full(5, mean), "variance": jnp.full(5, variance), "count": jnp.float32(count)}
    return {**variables, "batch_stats": stats}


def test_a_new_network_has_fresh_statistics() -> None:
    stats = BatchRenorm(training=True).init(jax.random.key(1), X)["batch_stats"]
    np.testing.assert_array_equal(stats["mean"], np.zeros(5))
    np.testing.assert_array_equal(stats["variance"], np.ones(5))
    assert stats["count"] == 0


def test_before_the_warm_up_is_over_it_is_batch_normalisation() -> None:
    y, changed = BatchRenorm(training=True, warm_up=10).apply(_variables(7.0, 9.0, 9), X, mutable=["batch_stats"])
    x = np.asarray(X)
    mean, variance = x.mean(axis=(0, 1)), x.var(axis=(0, 1))
    np.testing.assert_allclose(y, (x - mean) / np.sqrt(variance + EPSILON), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(changed["batch_stats"]["mean"], 0.99 * 7.0 + 0.01 * mean, rtol=1e-5)
    np.testing.assert_allclose(changed["batch_stats"]["variance"], 0.99 * 9.0 + 0.01 * variance, rtol=1e-5)
    assert changed["batch_stats"]["count"] == 10


def test_afterwards_it_is_nearly_normalisation_by_the_running_statistics() -> None:
    variables = _variables(2.0, 5.0, 10)
    y, _ = BatchRenorm(training=True, warm_up=10).apply(variables, X, mutable=["batch_stats"])
    frozen = BatchRenorm(training=False, warm_up=10).apply(variables, X)
    np.testing.assert_allclose(y, frozen, rtol=1e-3, atol=1e-4)  # no limit is reached, so the correction is exact
    np.testing.assert_allclose(frozen, (np.asarray(X) - 2.0) / np.sqrt(5.0 + EPSILON), rtol=1e-4, atol=1e-5)


def test_the_correction_is_limited() -> None:
    y, _ = BatchRenorm(training=True, warm_up=0).apply(_variables(-1e3, 1e-4, 0), X, mutable=["batch_stats"])
    x = np.asarray(X)
    batch_normalised = (x - x.mean(axis=(0, 1))) / np.sqrt(x.var(axis=(0, 1)) + EPSILON)
    np.testing.assert_allclose(y, batch_normalised * 3.0 + 5.0, rtol=1e-3, atol=1e-3)


def test_statistics_are_those_of_all_devices() -> None:
    variables = _variables(0.0, 1.0, 0)
    spread = BatchRenorm(training=True, axis="devices")
    together, changed = BatchRenorm(training=True).apply(variables, X, mutable=["batch_stats"])
    apart, stats = jax.vmap(lambda x: spread.apply(variables, x, mutable=["batch_stats"]), axis_name="devices")(X)
    np.testing.assert_allclose(apart, together, rtol=1e-4, atol=1e-5)
    for name, leaf in changed["batch_stats"].items():
        np.testing.assert_allclose(stats["batch_stats"][name][0], leaf, rtol=1e-5, atol=1e-6)
