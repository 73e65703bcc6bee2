"""The adapters of other packages: the contract for all, and their own library, stepped by hand, as the oracle."""

import functools
import importlib
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxrl
from jaxrl.envs.adapters.suite import package
from jaxrl.envs.wrappers.time_limit import TimeLimit

NAMES = (
    "brax/inverted_pendulum",
    "craftax/Craftax-Classic-Symbolic-v1",
    "jumanji/Game2048-v1",
    "mjx/HalfCheetah-v5",
    "navix/Navix-Empty-Random-5x5-v0",
    "pgx/connect_four",
    "pgx/minatar-breakout",
    "playground/CartpoleBalance",
    "xminigrid/MiniGrid-EmptyRandom-6x6",
)
SETTINGS: dict[str, dict[str, Any]] = {
    "mjx/HalfCheetah-v5": {"max_steps": 100},  # whose episodes have no other end
    "playground/CartpoleBalance": {"max_steps": 100},
}
IN_DEV = ("pgx/connect_four",)
"""Whose packages are among the development tools; the others are tested by `make suites`."""


def param(name: str) -> Any:
    """One worker takes all tests of a world."""
    marks = [pytest.mark.xdist_group(name)]
    return pytest.param(name, id=name, marks=marks if name in IN_DEV else [*marks, pytest.mark.suites])


PARAMS = [param(name) for name in NAMES]


def made(name: str, **settings: Any) -> Any:
    return jaxrl.make(name, **SETTINGS.get(name, {}), **settings)


def played(env: Any, key: jax.Array, num_steps: int) -> Any:
    """One lane of random legal play, [num_steps]: actions and timesteps; it goes on past ends."""

    def play(carry: Any, key: jax.Array) -> Any:
        state, obs = carry
        action_key, step_key = jax.random.split(key)
        action = env.action_space.sample(action_key)
        if isinstance(obs, dict) and "action_mask" in obs and obs["action_mask"].ndim == 1:
            action = jax.random.categorical(action_key, jnp.where(obs["action_mask"], 0.0, -jnp.inf)).astype(jnp.int32)
        state, found = env.step(step_key, state, action)
        return (state, found.obs), (action, found)

    return jax.jit(lambda key: jax.lax.scan(play, env.reset(key), jax.random.split(key, num_steps))[1])(key)


@pytest.mark.parametrize("name", PARAMS)
def test_it_keeps_the_contract(name: str) -> None:
    assert jaxrl.envs.check_env(made(name), num_envs=4, num_steps=400) == []


@pytest.mark.parametrize("name", PARAMS)
def test_a_forced_limit_truncates_and_shows_the_true_successor(name: str) -> None:
    key = jax.random.key(0)
    limited = TimeLimit(made(name), 3)
    _, cut = played(limited, key, 3)
    _, whole = played(made(name), key, 3)
    assert cut.truncated[2]
    close = functools.partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-5)  # XLA adds in another order
    jax.tree.map(close, cut.obs, whole.obs)
    np.testing.assert_array_equal(cut.terminated, whole.terminated)


@pytest.mark.parametrize("name", PARAMS)
def test_every_reset_is_a_fresh_draw(name: str) -> None:
    _, obs = jax.jit(jax.vmap(made(name).reset))(jax.random.split(jax.random.key(1), 16))
    told = {b"".join(np.asarray(leaf[lane]).tobytes() for leaf in jax.tree.leaves(obs)) for lane in range(16)}
    assert len(told) > 1


@pytest.mark.parametrize("name", PARAMS)
def test_ppo_trains_in_it(name: str) -> None:
    env = made(name, flatten=True)
    ppo = jaxrl.PPO(env, num_envs=4, num_steps=8, total_steps=64, num_minibatches=2, hidden_sizes=(8,))
    state = jax.jit(jaxrl.train)(ppo, jax.random.key(0)).state
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(state.learner.params))


def test_jumanjis_steps_are_those_of_jumanji() -> None:
    jumanji: Any = importlib.import_module("jumanji")
    env, own, key = (
        jaxrl.make("jumanji/Maze-v0", time_limit=7),
        jumanji.make("Maze-v0", time_limit=7),
        jax.random.key(5),
    )
    actions, found = played(env, key, 7)
    state, _ = own.reset(key)
    for step in range(7):
        state, last = own.step(state, actions[step])
        np.testing.assert_array_equal(found.obs["walls"][step], last.observation.walls)
        np.testing.assert_array_equal(found.obs["agent_position"]["row"][step], last.observation.agent_position.row)
        np.testing.assert_allclose(found.obs["step_count"][step], (step + 1) / 7)
        assert found.reward[step] == last.reward
        assert (found.terminated | found.truncated)[step] == last.last()
        assert found.terminated[step] == (last.last() and last.discount == 0)
    assert (found.terminated | found.truncated)[6]


def test_pgxs_opponent_answers_each_move_of_ours() -> None:
    """Tic-tac-toe: before each of our moves there are as many stones of theirs as of ours, or one more."""
    env = jaxrl.make("pgx/tic_tac_toe")

    def play(key: jax.Array) -> Any:
        return played(env, key, 5)[1]

    found = jax.device_get(jax.jit(jax.vmap(play))(jax.random.split(jax.random.key(2), 200)))
    stones = found.obs["observation"].sum(axis=(2, 3))  # [games, steps, (ours, theirs)]
    done = found.terminated.cumsum(axis=1) > 0
    ahead = stones[..., 1] - stones[..., 0]
    assert set(np.unique(ahead[~done])) == {0, 1}  # who moved first
    legal = found.obs["action_mask"].sum(axis=2)
    np.testing.assert_array_equal(legal[~done], 9 - stones.sum(axis=2)[~done])
    ends = found.terminated & (found.terminated.cumsum(axis=1) == 1)
    rewards = found.reward[ends]
    assert {-1.0, 1.0} <= set(rewards) <= {-1.0, 0.0, 1.0}
    assert not found.reward[~done].any()


def test_an_opponent_of_ones_own_plays() -> None:
    def leftmost(key: jax.Array, state: Any) -> jax.Array:
        return jnp.argmax(state.legal_action_mask).astype(jnp.int32)

    env = jaxrl.make("pgx/connect_four", opponent=leftmost)
    _, found = played(env, jax.random.key(0), 3)
    theirs = found.obs["observation"][0, :, :, 1]
    assert theirs[:, 0].sum() == theirs.sum() > 0


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("jumanji/Snak-v1", "jumanji cannot make 'Snak-v1'"),
        ("jumanji/Connector-v3", "jumanji/Connector-v3 has 10 agents with a reward each, and one agent is trained"),
        ("pgx/ludo", "pgx cannot make 'ludo'"),
        ("pgx/leduc_holdem", None),
    ],
)
def test_what_cannot_be_made_is_refused(name: str, sentence: str | None) -> None:
    if sentence is None:
        assert jaxrl.make(name).action_space.n == 3
        return
    with pytest.raises(ValueError, match=sentence):
        jaxrl.make(name)


def test_a_missing_package_is_named_with_its_extra() -> None:
    with pytest.raises(ImportError, match=r'none/... need the package none.* pip install "jaxrl\[none\]"'):
        package("none")
