import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrl.envs import TimeStep, wrappers
from jaxrl.envs.spaces import Box, Dict, Discrete
from jaxrl.pytree import dataclass, static


@dataclass
class Counter:
    """Counts up from where it starts; reward is what it counts to; over at `end`; the action is shown in info."""

    end: int = static(default=100)
    masked: bool = static(default=False)
    action_space = Discrete(4)

    @property
    def observation_space(self):
        box = Box(0.0, 100.0, (2,))
        return Dict({"count": box, "action_mask": Box(False, True, (4,), bool)}) if self.masked else box

    def reset(self, key):
        count = jax.random.randint(key, (), 0, 3)
        return count, self._obs(count)

    def step(self, key, state, action):
        count = state + 1
        info = {"action": jnp.asarray(action, jnp.int32)}
        no = jnp.asarray(False)
        reward = count.astype(jnp.float32)
        return count, TimeStep(self._obs(count), reward, terminated=count >= self.end, truncated=no, info=info)

    def _obs(self, count):
        box = jnp.stack([count, 10 * count]).astype(jnp.float32)
        return {"count": box, "action_mask": jnp.arange(4) <= count} if self.masked else box


def play(env, actions, seed=0):
    """(first obs, TimeStep [T, ...]) of stepping through `actions`, under one scan."""

    @jax.jit
    def run(key, actions):
        state, obs = env.reset(key)

        def step(state, inputs):
            return env.step(*inputs[:1], state, inputs[1])

        return obs, jax.lax.scan(step, state, (jax.random.split(key, len(actions)), actions))[1]

    return run(jax.random.key(seed), jnp.asarray(actions))


START = int(Counter().reset(jax.random.key(0))[0])


def test_time_limit_truncates_and_does_not_terminate():
    _, steps = play(wrappers.TimeLimit(Counter(), 3), [0] * 4)
    np.testing.assert_array_equal(steps.truncated, [False, False, True, True])
    assert not steps.terminated.any()


def test_time_limit_leaves_an_earlier_end_alone():
    _, steps = play(wrappers.TimeLimit(Counter(end=START + 2), 5), [0, 0])
    np.testing.assert_array_equal(steps.terminated, [False, True])
    assert not steps.truncated.any()


def test_frame_stack_starts_with_the_first_frame_and_shifts():
    env = wrappers.FrameStack(Counter(), 3)
    obs, steps = play(env, [0, 0, 0])
    frame = [START, 10 * START]
    np.testing.assert_array_equal(obs, frame * 3)
    expected = [[START + t, 10 * (START + t)] for t in range(4)]
    np.testing.assert_array_equal(steps.obs[0], frame * 2 + expected[1])
    np.testing.assert_array_equal(steps.obs[2], np.concatenate(expected[1:]))
    assert env.observation_space == Box(0.0, 100.0, (6,))


def test_frame_stack_puts_images_side_by_side_in_channels_and_keeps_an_action_mask():
    stacked = wrappers.FrameStack(Counter(masked=True), 2)
    obs, steps = play(stacked, [0])
    assert obs["count"].shape == (4,)
    assert obs["action_mask"].shape == (4,)
    assert stacked.observation_space.contains(jax.tree.map(lambda leaf: leaf[0], steps.obs))
    assert wrappers.frame_stack._stacked_space(Box(0, 1, (4, 5, 3)), 2).shape == (4, 5, 6)
    assert wrappers.frame_stack._stacked_space(Box(0.0, 1.0, ()), 2).shape == (2,)


def test_sticky_actions_repeat_with_their_probability():
    chosen = np.random.RandomState(0).randint(1, 4, 4000)
    _, steps = play(wrappers.StickyActions(Counter(), 0.25), chosen)
    played = np.asarray(steps.info["action"])
    previous = np.concatenate([[0], played[:-1]])
    assert np.isin(played, [0, 1, 2, 3]).all()
    assert ((played == chosen) | (played == previous)).all()
    rate = (played != chosen)[previous != chosen].mean()
    assert abs(rate - 0.25) < 4 * np.sqrt(0.25 * 0.75 / 2600)


@pytest.mark.parametrize(("probability", "expected"), [(0.0, [2, 1, 3]), (1.0, [0, 0, 0])])
def test_sticky_actions_at_the_ends_of_the_range(probability, expected):
    _, steps = play(wrappers.StickyActions(Counter(), probability), [2, 1, 3])
    np.testing.assert_array_equal(steps.info["action"], expected)  # an episode starts with action 0 as the last one


def test_the_sticky_probability_can_be_vmapped():
    def last(probability):
        return play(wrappers.StickyActions(Counter(), probability), [2, 1, 3])[1].info["action"]

    np.testing.assert_array_equal(jax.vmap(last)(jnp.array([0.0, 1.0])), [[2, 1, 3], [0, 0, 0]])


def test_action_repeat_adds_rewards_and_stops_at_the_end():
    _, steps = play(wrappers.ActionRepeat(Counter(end=START + 5), 3), [1, 2])
    first, second = sum(START + t for t in (1, 2, 3)), sum(START + t for t in (4, 5))
    np.testing.assert_array_equal(steps.reward, [first, second])
    np.testing.assert_array_equal(steps.terminated, [False, True])
    np.testing.assert_array_equal(steps.obs[1], [START + 5, 10 * (START + 5)])
    _, once = play(wrappers.ActionRepeat(Counter(), 1), [1, 2])
    np.testing.assert_array_equal(once.reward, [START + 1, START + 2])


@dataclass
class Noise:
    """Nothing but a random reward."""

    observation_space, action_space = Box(0.0, 0.0, (1,)), Discrete(1)

    def reset(self, key):
        return (), jnp.zeros(1)

    def step(self, key, state, action):
        no = jnp.asarray(False)
        return (), TimeStep(jnp.zeros(1), jax.random.uniform(key), terminated=no, truncated=no, info={})


def test_action_repeat_gives_every_repeat_a_key_of_its_own():
    key = jax.random.key(5)
    _, timestep = wrappers.ActionRepeat(Noise(), 3).step(key, (), 0)
    draws = jax.vmap(jax.random.uniform)(jax.random.split(key, 3))
    np.testing.assert_allclose(timestep.reward, draws.sum(), rtol=1e-6)


def test_clip_reward_clips():
    _, steps = play(wrappers.ClipReward(Counter(), START + 1.5, START + 2.5), [0] * 3)
    np.testing.assert_array_equal(steps.reward, [START + 1.5, START + 2.0, START + 2.5])


def test_flatten_gives_one_vector_and_keeps_a_mask_apart():
    obs, _ = play(wrappers.FlattenObservation(Counter()), [0])
    np.testing.assert_array_equal(obs, [START, 10 * START])
    masked = wrappers.FlattenObservation(Counter(masked=True))
    obs, steps = play(masked, [0])
    np.testing.assert_array_equal(obs["observation"], [START, 10 * START])
    assert masked.observation_space.contains(obs)
    assert steps.obs["action_mask"].shape == (1, 4)


def test_select_observation_shows_only_the_entries_asked_for():
    env = wrappers.SelectObservation(Counter(), (1,))
    obs, steps = play(env, [0])
    np.testing.assert_array_equal(obs, [10 * START])
    np.testing.assert_array_equal(steps.obs, [[10 * START + 10]])
    assert env.observation_space == Box(0.0, 100.0, (1,))
    with pytest.raises(ValueError, match="entries of an axis of size 2, got"):
        wrappers.SelectObservation(Counter(), (2,))
    with pytest.raises(TypeError, match="needs a Box observation"):
        wrappers.SelectObservation(Counter(masked=True), (0,))


def test_reset_mode_changes_nothing_but_the_declaration():
    env = wrappers.ResetMode(Counter(), "cached")
    assert env.reset_mode == "cached"
    for wrapped, plain in zip(
        jax.tree.leaves(play(env, [1, 2])), jax.tree.leaves(play(Counter(), [1, 2])), strict=True
    ):
        np.testing.assert_array_equal(wrapped, plain)


def test_auto_reset_starts_the_next_episode_and_keeps_the_true_successor():
    env = wrappers.AutoReset(Counter(end=5))
    obs, steps = play(env, [0] * 12)
    ended = np.asarray(steps.terminated)
    assert ended.sum() >= 2
    np.testing.assert_array_equal(steps.info["final_obs"][ended], [[5, 50]] * ended.sum())
    assert (steps.obs[ended][:, 0] < 3).all()
    np.testing.assert_array_equal(steps.obs[~ended], steps.info["final_obs"][~ended])
    counts = np.concatenate([obs[:1], steps.obs[:, 0]])
    np.testing.assert_array_equal((counts[:-1] + 1)[~ended], counts[1:][~ended])
