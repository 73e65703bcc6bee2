"""One agent over several devices, with a real program on each: the engine's own mesh, and a user's `pmap`."""

import signal
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import long_runs
import numpy as np
import optax
import pytest
from conformance_table import ROWS, Row
from jax.sharding import Mesh
from jax.sharding import PartitionSpec as P

import jaxrl
from jaxrl.engine.interrupts import Interrupted
from jaxrl.engine.reporting import tables

ITERATIONS = 2
# Without what a folder, an evaluation or a picture would take.
QUIET: dict[str, Any] = {"num_reports": 1, "eval_episodes": 0, "checkpoint_every": None, "progress": False}
# One worker takes all tests of a row: what is compiled for one serves the others.
PARAMS = [pytest.param(row, id=row.name, marks=pytest.mark.xdist_group(f"data parallel {row.name}")) for row in ROWS]
SOME = [param for param in PARAMS if param.id in ("ppo", "dqn")]


def _short(row: Row) -> Any:
    algorithm = row.build()
    return replace(algorithm, total_steps=ITERATIONS * algorithm.steps_per_iteration)


@cache
def _two_agents(row: Row) -> Any:
    """States [2, ...], on four devices each."""
    return jaxrl.run(_short(row), seeds=2, devices=8, devices_per_agent=4, **QUIET).state


def _on_devices(leaf: Any) -> list[np.ndarray]:
    """What each device holds of `leaf`, in the order of the devices."""
    shards = sorted(leaf.addressable_shards, key=lambda shard: shard.device.id)
    return [np.asarray(shard.data) for shard in shards]


@pytest.mark.parametrize("row", PARAMS)
def test_two_agents_over_four_devices_each(row: Row) -> None:
    states = _two_agents(row)
    for path, leaf in jax.tree_util.tree_leaves_with_path(states.learner):
        name, replicas = jax.tree_util.keystr(path), _on_devices(leaf)
        assert np.isfinite(leaf).all(), name
        for agent in range(2):
            first, *others = replicas[4 * agent :][:4]
            for other in others:
                np.testing.assert_array_equal(first, other, err_msg=f"{name} differs between agent {agent}'s devices")
    parameters = np.concatenate([np.reshape(leaf, (2, -1)) for leaf in jax.tree.leaves(states.learner.params)], axis=1)
    assert not np.array_equal(*parameters), "both agents are the same"
    worlds = [part for leaf in jax.tree.leaves(states.world.obs) for part in _on_devices(leaf)]
    assert len({world.tobytes() for world in worlds}) == len(worlds), "two devices play in the same worlds"


@pytest.mark.parametrize("row", SOME)
def test_an_agent_among_others_is_the_one_that_a_users_pmap_trains(row: Row) -> None:
    algorithm = _short(row)
    learners = _two_agents(row).learner
    train = jax.pmap(
        lambda algorithm, key, _: jaxrl.train(algorithm, key, num_reports=1).state.learner,
        axis_name="devices",
        in_axes=(None, None, 0),
        devices=jax.devices()[:4],
    )
    for agent, key in enumerate(jax.random.split(jax.random.key(0), 2)):
        replicas = train(replace(algorithm, axis="devices"), key, jnp.arange(4))
        for together, alone in zip(jax.tree.leaves(learners), jax.tree.leaves(replicas), strict=True):
            np.testing.assert_array_equal(alone, np.broadcast_to(alone[0], alone.shape))
            np.testing.assert_allclose(together[agent], alone[0], rtol=1e-3, atol=1e-4)


def test_a_step_of_plain_sgd_over_four_devices_is_one_on_the_joined_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Adam would hide gradients that are added and not averaged: it divides by their size."""
    monkeypatch.setattr(optax, "scale_by_adam", lambda **options: optax.identity())
    row = ROWS[0]
    algorithm = replace(row.build(), max_grad_norm=None, learning_rate=100.0, num_epochs=1)

    def update(learner: Any, batch: Any, axis: str | None) -> Any:
        """Leaves [1, ...], of one device."""
        return jax.tree.map(lambda leaf: leaf[None], row.update(replace(algorithm, axis=axis), learner, batch))

    state = jax.jit(algorithm.init)(jax.random.key(0))
    batch = jax.jit(lambda state: row.batch(algorithm, state)[0])(state)
    joined = jax.jit(partial(update, axis=None))(state.learner, batch)
    spread = jax.shard_map(
        partial(update, axis="devices"),
        mesh=Mesh(np.asarray(jax.devices()[:4]), ("devices",)),
        in_specs=(P(), P("devices")),
        out_specs=P("devices"),
        check_vma=False,
    )
    found = jax.jit(spread)(state.learner, batch)
    for one, four in zip(jax.tree.leaves(joined), jax.tree.leaves(found), strict=True):
        np.testing.assert_array_equal(four, np.broadcast_to(four[0], four.shape))
        np.testing.assert_allclose(four[0], one[0], rtol=1e-4, atol=1e-6)
    for before, after in zip(jax.tree.leaves(state.learner.params), jax.tree.leaves(joined.params), strict=True):
        assert np.abs(after[0] - before).max() > 1e-3, "too small a step to tell a sum from a mean"


def test_ppo_learns_with_its_environments_on_two_devices() -> None:
    ppo = jaxrl.PPO("CartPole-v1", total_steps=100_000)
    with long_runs.engine():
        run = jaxrl.run(ppo, seeds=8, devices=2, devices_per_agent=2, **(QUIET | {"eval_episodes": 16}))
    assert run.returns.mean() > 400


def test_such_a_run_is_saved_resumed_evaluated_and_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dqn = _short(next(row for row in ROWS if row.name == "dqn"))
    options = QUIET | {"devices": 2, "eval_episodes": 2, "num_reports": 2, "progress": True}
    with monkeypatch.context() as patch:
        patch.setattr(tables, "append_csv", lambda *arguments: signal.raise_signal(signal.SIGTERM))
        with pytest.raises(Interrupted):
            jaxrl.run(dqn, **options | {"checkpoint_every": 60.0}, directory=tmp_path / "run")
    with pytest.raises(ValueError, match=r"had 2 devices for each agent, and would now have 1"):
        jaxrl.resume(tmp_path / "run", devices=1, progress=False)
    resumed = jaxrl.resume(tmp_path / "run", progress=False)
    whole = jaxrl.run(dqn, **options)
    for one, other in zip(jax.tree.leaves(resumed.state), jax.tree.leaves(whole.state), strict=True):
        np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(resumed.returns, whole.returns)
    loaded, policy = jaxrl.load_policy(tmp_path / "run"), whole.policy(0)
    for one, other in zip(jax.tree.leaves(loaded), jax.tree.leaves(policy), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"num_envs": 9}, r"num_envs must be a multiple of the 2 devices of axis 'data', got 9"),
        ({"replay_capacity": 257}, r"replay_capacity must be a multiple of the 2 devices of axis 'data', got 257"),
        ({"batch_size": 33}, r"batch_size must be a multiple of the 2 devices of axis 'data', got 33"),
    ],
)
def test_what_the_devices_do_not_divide_is_refused_in_a_sentence(settings: dict[str, int], sentence: str) -> None:
    dqn = jaxrl.DQN("CartPole-v1", **{"num_envs": 8, "replay_capacity": 256, "batch_size": 32, **settings})
    with pytest.raises(ValueError, match=sentence):
        jaxrl.run(dqn, devices=2, **QUIET)
