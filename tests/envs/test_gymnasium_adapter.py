"""Gymnasium's own environments inside of a compiled program, held to the same ones stepped by hand."""

from typing import Any

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from gymnasium import spaces

import jaxrl
from jaxrl.components.rollouts import Actor, begin, unroll
from jaxrl.engine.record import name_of
from jaxrl.envs.adapters import host
from jaxrl.envs.spaces import Box, Dict, Discrete, MultiDiscrete
from jaxrl.envs.vector import vectorize

LANES, STEPS = 3, 40


class Strange(gymnasium.Env[Any, Any]):
    """Shows a dict of odd types, begins its actions at -1, and ends after as many steps as it was asked for."""

    observation_space = spaces.Dict(
        {
            "place": spaces.Box(-np.inf, np.inf, (2,), np.float64),
            "bits": spaces.MultiBinary(2),
            "kinds": spaces.MultiDiscrete([2, 3]),
        }
    )
    action_space = spaces.Discrete(3, start=-1)

    def __init__(self, length: int = 4) -> None:
        self.length, self.time, self.place = length, 0, np.zeros(2)

    def _obs(self) -> dict[str, Any]:
        kinds = np.array([self.time % 2, self.time % 3])
        return {"place": self.place.copy(), "bits": np.array([1, self.time % 2], np.int8), "kinds": kinds}

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self.time, self.place = 0, self.np_random.normal(size=2)
        return self._obs(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        assert self.action_space.contains(action)
        self.time += 1
        self.place = self.place + int(action)
        return self._obs(), float(action), self.time >= self.length, False, {}


gymnasium.register("Strange-v0", Strange)


def played(env: Any, actions: jax.Array) -> Any:
    """The transitions [T, N, ...] of given actions."""
    batch = vectorize(env, actions.shape[1])

    def play(key: jax.Array) -> Any:
        actor = Actor(lambda obs, memory, action: (action, memory, {}))
        return unroll(key, batch, begin(key, batch), actor, actions, lambda transition: transition)[1]

    return jax.device_get(jax.jit(play)(jax.random.key(3)))


def by_hand(name: str, actions: Any, **settings: Any) -> list[dict[str, Any]]:
    """The same in a plain loop over environments that know nothing of one another."""
    seed = int(jax.random.bits(jax.random.split(jax.random.key(3), LANES)[0], dtype=jnp.uint32)) % 2**31
    lanes = []
    for lane in range(LANES):
        env = gymnasium.make(name, **settings)
        obs, _ = env.reset(seed=seed + lane)
        rows = []
        for action in actions[:, lane]:
            chosen = action + getattr(env.action_space, "start", 0)
            next_obs, reward, terminated, truncated, _ = env.step(chosen)
            rows.append((obs, next_obs, reward, terminated, truncated))
            obs = env.reset()[0] if terminated or truncated else next_obs
        names = ("obs", "next_obs", "reward", "terminated", "truncated")
        lanes.append(dict(zip(names, zip(*rows, strict=True), strict=True)))
    return lanes


@pytest.mark.parametrize(
    ("name", "settings"),
    [("CartPole-v1", {"max_steps": 15}), ("Pendulum-v1", {"max_steps": 9, "g": 5.0}), ("Strange-v0", {"length": 5})],
)
def test_every_transition_is_that_of_the_environment_stepped_by_hand(name: str, settings: dict[str, Any]) -> None:
    env = jaxrl.make(f"gymnasium/{name}", **settings)
    keys = jax.random.split(jax.random.key(1), (STEPS, LANES))
    actions = jax.vmap(jax.vmap(env.action_space.sample))(keys)
    found = played(env, actions)
    limits = {"max_episode_steps": settings.pop("max_steps")} if "max_steps" in settings else {}
    expected = by_hand(name, np.asarray(actions), **settings, **limits)
    assert (found.terminated | found.truncated).sum() >= 3
    for lane, rows in enumerate(expected):
        for part in ("reward", "terminated", "truncated"):
            np.testing.assert_allclose(getattr(found, part)[:, lane], rows[part], rtol=1e-6, err_msg=part)
        for part in ("obs", "next_obs"):
            mine = jax.tree.map(lambda leaf, lane=lane: leaf[:, lane], getattr(found, part))
            for one, other in zip(
                jax.tree.leaves(mine),
                jax.tree.leaves(jax.tree.map(lambda *all: np.stack(all), *rows[part])),
                strict=True,
            ):
                np.testing.assert_allclose(one, other, rtol=1e-6, atol=1e-6, err_msg=part)


def test_spaces_are_the_same_in_our_types() -> None:
    env = jaxrl.make("gymnasium/Strange-v0")
    assert env.action_space == Discrete(3)
    assert env.observation_space == Dict(
        {
            "place": Box(-np.inf, np.inf, (2,)),
            "bits": Box(0, 1, (2,), np.int8),
            "kinds": MultiDiscrete((2, 3)),
        }
    )
    assert env == jaxrl.make("gymnasium/Strange-v0")
    assert name_of(env) == "gymnasium/Strange-v0"
    assert hash(env) == hash(jaxrl.make("gymnasium/Strange-v0"))


def test_ppo_learns_in_it_and_its_run_can_be_loaded(tmp_path: Any) -> None:
    ppo = jaxrl.PPO("gymnasium/CartPole-v1", num_envs=8, num_steps=32, total_steps=20_000, learning_rate=1e-3)
    options = {"num_reports": 4, "eval_episodes": 8, "checkpoint_every": None, "progress": False}
    run = jaxrl.run(ppo, directory=tmp_path / "run", **options)
    assert run.metrics["episode_return"][0, -1] > 130  # a random policy has 22; six seeds had 183 to 288
    policy = jaxrl.load_policy(tmp_path / "run")
    assert jaxrl.play(policy, "CartPole-v1", num_episodes=8).returns.mean() > 100


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"seeds": 2}, r"make\('gymnasium/CartPole-v1'\) is stepped outside of JAX.* seeds must be 1, or .*, got 2"),
        ({"devices": 2}, "devices must be None or 1, got 2"),
        ({"directory": "run"}, r"checkpoint_every must be None \(in a shell null\), got 60"),
    ],
)
def test_what_cannot_be_copied_or_saved_is_refused(options: dict[str, Any], sentence: str, tmp_path: Any) -> None:
    options |= {"directory": tmp_path / options["directory"]} if "directory" in options else {}
    with pytest.raises(ValueError, match=sentence):
        jaxrl.run(jaxrl.PPO("gymnasium/CartPole-v1"), progress=False, **options)


def test_agents_under_vmap_are_refused() -> None:
    keys = jax.random.split(jax.random.key(0), 3)
    with pytest.raises(ValueError, match="cannot be copied, and 3 agents would share it under vmap; train one agent"):
        jax.vmap(jaxrl.PPO("gymnasium/CartPole-v1").init)(keys)


@pytest.mark.parametrize(
    ("name", "settings", "sentence"),
    [
        ("gymnasium/None-v0", {}, r"Gymnasium cannot make 'None-v0': .*doesn't exist"),
        ("gymnasium/CartPole-v1", {"size": 3}, r"Gymnasium cannot make 'CartPole-v1': .*unexpected keyword .*'size'"),
        ("gymnasium/CartPole-v1", {"frame_stack": 2}, "is stepped as a batch outside of JAX.* wrapped by frame_stack"),
        ("gymnasium/", {}, "There is no environment 'gymnasium/'"),
        ("gym/CartPole-v1", {}, "There is no environment 'gym/CartPole-v1'"),
    ],
)
def test_what_cannot_be_made_is_refused(name: str, settings: dict[str, Any], sentence: str) -> None:
    with pytest.raises((ValueError, TypeError), match=sentence):
        jaxrl.make(name, **settings)


def test_a_batch_that_was_closed_says_so() -> None:
    batch = vectorize(jaxrl.make("gymnasium/CartPole-v1"), 2)
    states, _ = batch.reset(jax.random.split(jax.random.key(0), 2))
    for _ in range(host.MOST_BATCHES):
        jax.block_until_ready(batch.reset(jax.random.split(jax.random.key(0), 2)))
    assert len(host._batches) == host.MOST_BATCHES
    with pytest.raises(RuntimeError, match="were closed, because more than 8 batches were begun after them"):
        batch._step((states.number[0], np.zeros(2, np.int32)))
