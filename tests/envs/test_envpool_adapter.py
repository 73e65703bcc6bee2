"""envpool's environments inside of a compiled program, held to the same ones in envpool's own way, one at a time."""

import importlib
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxrl
from jaxrl.components.rollouts import Actor, begin, unroll
from jaxrl.envs.spaces import Dict
from jaxrl.envs.vector import vectorize

pytestmark = pytest.mark.suites

LANES = 3


def played(env: Any, actions: jax.Array) -> Any:
    """The transitions [T, N, ...] of given actions."""
    batch = vectorize(env, actions.shape[1])

    def play(key: jax.Array) -> Any:
        actor = Actor(lambda obs, memory, action: (action, memory, {}))
        return unroll(key, batch, begin(key, batch), actor, actions, lambda transition: transition)[1]

    return jax.device_get(jax.jit(play)(jax.random.key(3)))


def one_by_one(name: str, actions: Any, **settings: Any) -> list[list[Any]]:
    """For each lane (obs, next_obs, reward, is over), from pools of one that begin anew with the step after an end."""
    seed = int(jax.random.bits(jax.random.split(jax.random.key(3), LANES)[0], dtype=jnp.uint32)) % 2**31
    lanes = []
    for lane in range(LANES):
        pool = importlib.import_module("envpool").make_gymnasium(name, num_envs=1, seed=seed + lane, **settings)
        obs, rows = pool.reset()[0], []
        for action in actions[:, lane]:
            next_obs, reward, terminated, truncated, _ = pool.step(action[None])
            rows.append((obs, next_obs, reward[0], (terminated | truncated)[0]))
            obs = pool.step(action[None])[0] if rows[-1][3] else next_obs
        lanes.append(list(zip(*rows, strict=True)))
    return lanes


@pytest.mark.parametrize(
    ("name", "limit", "num_steps"),
    [
        ("CartPole-v1", 15, 60),
        ("Pendulum-v1", 9, 60),
        ("CheetahRun-v1", 20, 60),
        ("LunarLander-v3", 1_000, 180),
        ("BabyAI-GoToObj-v0", 0, 180),  # 64, which envpool says of no name
    ],
)
def test_every_transition_is_that_of_a_pool_of_one(name: str, limit: int, num_steps: int) -> None:
    env = jaxrl.make(f"envpool/{name}", max_episode_steps=limit)
    keys = jax.random.split(jax.random.key(1), (num_steps, LANES))
    actions = jax.vmap(jax.vmap(env.action_space.sample))(keys)
    found = played(env, actions)
    is_over = found.terminated | found.truncated
    assert (is_over.sum(axis=0) > 0).all()
    assert isinstance(env.observation_space, Dict) == (name in ("CheetahRun-v1", "BabyAI-GoToObj-v0"))
    for lane, (obs, next_obs, reward, expected_over) in enumerate(
        one_by_one(name, np.asarray(actions), max_episode_steps=limit)
    ):
        np.testing.assert_array_equal(is_over[:, lane], expected_over)
        np.testing.assert_allclose(found.reward[:, lane], reward, rtol=1e-6)
        for ours, theirs in ((found.obs, obs), (found.next_obs, next_obs)):
            expected = jax.tree.map(lambda *rows: np.concatenate(rows), *theirs)
            jax.tree.map(
                lambda one, other, lane=lane: np.testing.assert_allclose(one[:, lane], other, rtol=1e-6, atol=1e-6),
                ours,
                expected,
            )


def test_an_end_by_the_rules_is_one_also_at_the_time_limit() -> None:
    """envpool itself says of such an end that it was cut."""
    actions = jnp.ones((30, LANES), jnp.int32)
    free = played(jaxrl.make("envpool/CartPole-v1"), actions)
    length = int(np.argmax(free.terminated[:, 0])) + 1
    assert not free.truncated.any()
    assert 5 < length < 15
    cut = played(jaxrl.make("envpool/CartPole-v1", max_steps=length), actions)
    assert cut.terminated[length - 1, 0]
    assert cut.truncated[length - 1, 0]
    shorter = played(jaxrl.make("envpool/CartPole-v1", max_steps=length - 1), actions)
    assert shorter.truncated[length - 2].all()
    assert not shorter.terminated.any()


def test_ppo_trains_in_it_and_its_run_can_be_loaded(tmp_path: Any) -> None:
    ppo = jaxrl.PPO("envpool/CartPole-v1", num_envs=8, num_steps=32, total_steps=20_000, learning_rate=1e-3)
    options = {"num_reports": 4, "eval_episodes": 8, "checkpoint_every": None, "progress": False}
    run = jaxrl.run(ppo, directory=tmp_path / "run", **options)
    assert run.metrics["episode_return"][0, -1] > 100  # a random policy has 22
    policy = jaxrl.load_policy(tmp_path / "run")
    assert jaxrl.play(policy, "envpool/CartPole-v1", num_episodes=8).returns.mean() > 80


@pytest.mark.parametrize(
    ("name", "settings", "sentence"),
    [
        ("envpool/None-v0", {}, "envpool has no environment 'None-v0'"),
        ("envpool/CartPole-v1", {"size": 3}, r"envpool cannot make 'CartPole-v1' \(.*size"),
        ("envpool/CartPole-v1", {"batch_size": 3}, "envpool/CartPole-v1 is given its batch_size by the program"),
        ("envpool/CartPole-v1", {"frame_stack": 2}, "is stepped as a batch outside of JAX.* wrapped by frame_stack"),
        ("envpool/Go9x9-v1", {}, "envpool/Go9x9-v1 has 2 players, and one agent is trained here"),
    ],
)
def test_what_cannot_be_made_is_refused(name: str, settings: dict[str, Any], sentence: str) -> None:
    with pytest.raises((ValueError, TypeError), match=sentence):
        jaxrl.make(name, **settings)
