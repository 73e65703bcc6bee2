"""Policies in Gymnasium's own environments, held to a plain loop; and what was trained here is good there."""

import re

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from gymnasium import spaces

import jaxrl
from jaxrl.cli.main import main
from jaxrl.pytree import dataclass, static

TINY = {"num_envs": 4, "hidden_sizes": (8,), "total_steps": 512}


def drawn_policy(agent, greedy=True):
    """With drawn parameters, which takes no time to compile."""
    shapes = jax.eval_shape(lambda key: agent.policy(agent.init(key), greedy), jax.random.key(0))
    numbers = np.random.default_rng(0)
    return jax.tree.map(lambda leaf: numbers.normal(size=leaf.shape).astype(leaf.dtype), shapes)


def played_by_hand(policy, env, seed, convert):
    obs, _ = env.reset(seed=seed)
    memory, total, length, is_over = policy.initial_memory(()), 0.0, 0, False
    act = jax.jit(policy.act)
    while not is_over:
        action, memory = act(jax.random.key(0), obs, memory)
        obs, reward, terminated, truncated, _ = env.step(convert(action))
        total, length, is_over = total + reward, length + 1, terminated or truncated
    return total, length


CASES = {
    "discrete": (lambda: jaxrl.DQN("CartPole-v1", **TINY), "CartPole-v1", int),
    "with a memory": (lambda: jaxrl.RecurrentPPO("CartPole-v1", memory_size=8, **TINY), "CartPole-v1", int),
    "box": (lambda: jaxrl.PPO("Pendulum-v1", **TINY), "Pendulum-v1", lambda action: np.asarray(action)),
}


@pytest.mark.parametrize("name", CASES)
def test_episodes_are_those_of_a_plain_loop(name):
    agent, env_name, convert = CASES[name]
    policy = drawn_policy(agent())
    episodes, env = jaxrl.play(policy, env_name, num_episodes=4, seed=7), gymnasium.make(env_name)
    for index, (total, length) in enumerate(zip(episodes.returns, episodes.lengths, strict=True)):
        by_hand = played_by_hand(policy, env, 7 + index, convert)
        np.testing.assert_allclose((total, length), by_hand, rtol=1e-4)
    assert episodes.completed.all()
    assert (episodes.returns.dtype, episodes.lengths.dtype) == (np.float32, np.int32)


def test_a_name_an_environment_and_a_batch_of_them_are_the_same():
    policy = drawn_policy(jaxrl.DQN("CartPole-v1", **TINY))
    by_name = jaxrl.play(policy, "CartPole-v1", num_episodes=7, seed=3)
    assert len(set(by_name.lengths.tolist())) > 1
    for env in (
        gymnasium.make("CartPole-v1"),
        gymnasium.make_vec("CartPole-v1", num_envs=3, vectorization_mode="sync"),
        gymnasium.make_vec("CartPole-v1", 3, "sync", {"autoreset_mode": gymnasium.vector.AutoresetMode.SAME_STEP}),
    ):
        episodes = jaxrl.play(policy, env, num_episodes=7, seed=3)
        for given, wanted in zip(jax.tree.leaves(episodes), jax.tree.leaves(by_name), strict=True):
            np.testing.assert_array_equal(given, wanted)


@dataclass
class Fixed:
    """Plays `action` in every lane, and nothing else."""

    action: jax.Array
    action_space: jaxrl.envs.spaces.Space = static()

    def act(self, key, obs, memory):
        lanes = jax.tree.leaves(obs)[0].shape[0]
        return jnp.broadcast_to(self.action, (lanes, *self.action.shape)), memory

    def initial_memory(self, shape):
        return ()


class Echo(gymnasium.Env):
    """Keeps the actions it is given; shows a dict."""

    observation_space = spaces.Dict({"place": spaces.Discrete(4), "speed": spaces.Box(-1, 1, (2,))})

    def __init__(self, action_space):
        self.action_space, self.given = action_space, []

    def reset(self, *, seed=None, options=None):
        return {"place": 1, "speed": np.zeros(2, np.float32)}, {}

    def step(self, action):
        assert self.action_space.contains(action)
        self.given.append(np.asarray(action))
        return {"place": 2, "speed": np.ones(2, np.float32)}, 0.5, False, False, {}


Box, Discrete, MultiDiscrete = jaxrl.envs.spaces.Box, jaxrl.envs.spaces.Discrete, jaxrl.envs.spaces.MultiDiscrete
CONVERTED = [
    (Discrete(3), spaces.Discrete(3, start=-1), np.int32(2), 1),
    (MultiDiscrete((2, 3)), spaces.MultiDiscrete([2, 3]), np.int32([1, 2]), [1, 2]),
    (Box(-9, 9, (1, 2)), spaces.Box(-1, 2, (1, 2), np.float64), np.float32([[-7.0, 0.5]]), [[-1.0, 0.5]]),
]


@pytest.mark.parametrize(("ours", "theirs", "action", "wanted"), CONVERTED)
def test_actions_are_given_as_the_space_wants_them_and_the_bound_cuts_an_endless_episode(ours, theirs, action, wanted):
    env = Echo(theirs)
    episodes = jaxrl.play(Fixed(action, ours), env, num_episodes=2, max_steps=4)
    np.testing.assert_array_equal(env.given, [wanted] * 8)
    np.testing.assert_array_equal(episodes.returns, [2.0, 2.0])
    np.testing.assert_array_equal(episodes.lengths, [4, 4])
    assert not episodes.completed.any()


class Counting(gymnasium.Env):
    """Episodes of `seed` steps that give 1 each; a step past the end is an error."""

    observation_space, action_space = spaces.Box(0, 1, (1,)), spaces.Discrete(1)

    def reset(self, *, seed=None, options=None):
        self.left = seed
        return np.zeros(1, np.float32), {}

    def step(self, action):
        assert self.left > 0
        self.left -= 1
        return np.zeros(1, np.float32), 1.0, self.left == 0, False, {}


def test_every_episode_is_played_to_its_end_and_counted_once():
    gymnasium.register("Counting-v0", Counting)
    try:
        for num_episodes in (1, 5, 70):  # fewer than the copies, and more
            episodes = jaxrl.play(Fixed(np.int32(0), Discrete(1)), "Counting-v0", num_episodes=num_episodes, seed=2)
            np.testing.assert_array_equal(episodes.lengths, np.arange(2, 2 + num_episodes))
            np.testing.assert_array_equal(episodes.returns, episodes.lengths)
    finally:
        del gymnasium.registry["Counting-v0"]


@dataclass
class Drawing:
    """Plays at random."""

    action_space: jaxrl.envs.spaces.Space = static()

    def act(self, key, obs, memory):
        return jax.random.randint(key, jax.tree.leaves(obs)[0].shape[:1], 0, self.action_space.n), memory

    def initial_memory(self, shape):
        return ()


def test_a_policy_that_samples_draws_anew_at_every_step_and_for_every_seed():
    def drawn(seed):
        env = Echo(spaces.Discrete(1_000_000))
        jaxrl.play(Drawing(Discrete(1_000_000)), env, num_episodes=2, max_steps=10, seed=seed)
        return [int(action) for action in env.given]

    assert len(set(drawn(1))) == 20
    assert drawn(1) == drawn(1)
    assert not set(drawn(1)) & set(drawn(100))


@dataclass
class Remembering:
    """Plays the number of steps that it remembers."""

    action_space: jaxrl.envs.spaces.Space = static()

    def act(self, key, obs, memory):
        return memory, memory + 1

    def initial_memory(self, shape):
        return jnp.zeros(shape, jnp.int32)


def test_a_memory_lasts_for_an_episode():
    env = Echo(spaces.Discrete(9))
    jaxrl.play(Remembering(Discrete(9)), env, num_episodes=2, max_steps=4)
    np.testing.assert_array_equal(env.given, [0, 1, 2, 3] * 2)


CARTPOLE = Fixed(np.int32(1), Discrete(2))
WRONG = [
    (
        lambda: (CARTPOLE, "CartPol-v1"),
        {},
        ValueError,
        "Gymnasium cannot make 'CartPol-v1' (Environment `CartPol` doesn't",
    ),
    (lambda: (CARTPOLE, jaxrl.make("CartPole-v1")), {}, TypeError, "play needs the name of a Gymnasium environment, a"),
    (lambda: (CARTPOLE, "CartPole-v1"), {"num_episodes": 0}, ValueError, "num_episodes must be a whole number of at"),
    (lambda: (CARTPOLE, "CartPole-v1"), {"seed": -1}, ValueError, "seed must be a whole number of at least 0, got -1."),
    (
        lambda: (CARTPOLE, gymnasium.make_vec("CartPole-v1", 2, "sync", {"autoreset_mode": "Disabled"})),
        {},
        ValueError,
        "play needs a VectorEnv that resets by itself; do not disable its autoreset_mode.",
    ),
    (
        lambda: (CARTPOLE, "MountainCar-v0"),
        {},
        ValueError,
        "The environment takes the actions Discrete(3), and the policy gives Discrete(n=2); wrap the",
    ),
    (
        lambda: (CARTPOLE, "Pendulum-v1"),
        {},
        ValueError,
        "The environment takes the actions Box(-2.0, 2.0, (1,), float32), and the policy gives Discrete(n=2); wrap",
    ),
    (
        lambda: (drawn_policy(jaxrl.DQN("CartPole-v1", **TINY)), "Acrobot-v1"),
        {},
        ValueError,
        "The policy cannot act on the environment's observations, Box([",
    ),
    (
        lambda: (drawn_policy(jaxrl.PPO("CartPole-v1", normalize_observations=True, **TINY)), Counting()),
        {"seed": 1},
        ValueError,
        "The policy cannot act on the environment's observations, Box(0.0, 1.0, (1,), float32) (they have the shape "
        "(1,), and it was trained on (4,)); wrap the environment so that it shows what the policy was trained on.",
    ),
]


@pytest.mark.parametrize(("make", "options", "kind", "sentence"), WRONG)
def test_what_does_not_fit_is_said_in_one_sentence(make, options, kind, sentence):
    with pytest.raises(kind, match=re.escape(sentence)) as error:
        jaxrl.play(*make(), **options)
    assert "\n" not in str(error.value)


def test_the_command_line_plays_every_seed_of_a_run(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    agent = jaxrl.A2C("CartPole-v1", num_envs=2, num_steps=4, total_steps=32, hidden_sizes=(3,))
    run = jaxrl.run(agent, seeds=2, directory="run", eval_episodes=2, progress=False)
    assert main(["evaluate", "run", "gymnasium=true", "episodes=4", "seed=3"]) == 0
    out = capsys.readouterr().out
    assert "mean of 2 seeds and its 95 % bootstrap interval; 4 greedy episodes each" in out
    means = [jaxrl.play(run.policy(seed), "CartPole-v1", num_episodes=4, seed=3).returns.mean() for seed in (0, 1)]
    assert float(out.split()[1]) == pytest.approx(np.mean(means), abs=0.006)

    assert main(["evaluate", "run", "gymnasium=Acrobot-v1"]) == 2
    assert capsys.readouterr().err.startswith("jaxrl: The policy cannot act on the environment's observations, Box([")
    path = tmp_path / "run" / "policies.npz"
    with np.load(path) as file:
        policies = {
            name: np.where([[True], [False]], array.reshape(2, -1), np.nan).reshape(array.shape)
            for name, array in file.items()
        }
    np.savez(path, **policies)
    assert main(["evaluate", "run", "gymnasium=CartPole-v1", "episodes=4"]) == 0
    assert "NaN or infinity in the policy of seed 1; left out of the return" in capsys.readouterr().out
