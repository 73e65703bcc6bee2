"""What ARCHITECTURE.md says of reproducibility and no other test holds: agents and how they are cut up."""

from dataclasses import replace
from typing import Any

import jax
import long_runs
import numpy as np
import pytest
from conformance_table import ROWS

import jaxrl
from jaxrl.engine import plan

QUIET: dict[str, Any] = {"eval_episodes": 0, "progress": False}
SEEDS, ITERATIONS = 5, 3


@pytest.mark.parametrize(("lanes", "devices", "num_chunks"), [(2, 1, 3), (1, 3, 2)])
def test_over_the_first_iterations_an_agent_is_the_one_alone_however_they_are_cut_up(
    lanes: int, devices: int, num_chunks: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    algorithm = next(row for row in ROWS if row.name == "dqn").build()
    algorithm = replace(algorithm, total_steps=ITERATIONS * algorithm.steps_per_iteration)
    monkeypatch.setattr(plan, "CPU_LANES", lanes)
    run = jaxrl.run(algorithm, seeds=SEEDS, devices=devices, num_reports=1, **QUIET)
    assert len(run.chunks) == num_chunks
    train = jax.jit(jaxrl.train, static_argnames="num_reports")
    alone = [train(algorithm, key, num_reports=1).state for key in jax.random.split(jax.random.key(0), SEEDS)]
    for (path, together), *each in zip(
        jax.tree_util.tree_leaves_with_path(run.state), *map(jax.tree.leaves, alone), strict=True
    ):
        np.testing.assert_allclose(together, np.stack(each), rtol=1e-3, atol=1e-4, err_msg=jax.tree_util.keystr(path))


def test_whole_runs_agree_in_distribution_whatever_their_last_digits(monkeypatch: pytest.MonkeyPatch) -> None:
    a2c = jaxrl.A2C("CartPole-v1", num_envs=8, num_steps=8, total_steps=10_000)
    returns = []
    for lanes in (8, 1):
        monkeypatch.setattr(plan, "CPU_LANES", lanes)
        with long_runs.engine():
            run = jaxrl.run(a2c, seeds=16, devices=1, num_reports=2, **QUIET)
        returns.append(run.metrics["episode_return"][:, -1].astype(float))
    assert not np.array_equal(*returns), "their last digits are the same: this shows nothing"
    error = np.sqrt(sum(each.var(ddof=1) / len(each) for each in returns))
    assert abs(returns[0].mean() - returns[1].mean()) < 3 * error
