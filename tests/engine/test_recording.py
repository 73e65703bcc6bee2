"""What is filmed is what a plain loop over `env.step` plays; what is written is what was filmed."""

import dataclasses
import sys

import av
import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

import jaxrl
from jaxrl.engine.recording import caption, film_episode, record
from jaxrl.engine.recording_gymnasium import film_in_gymnasium
from jaxrl.engine.videos import Film, captioned, write_gif, write_mp4
from jaxrl.envs.drawing import draw
from jaxrl.envs.environment import TimeStep
from jaxrl.envs.spaces import Box, Discrete
from jaxrl.pytree import dataclass, static


@dataclass
class Grower:
    """A bar that grows with every action 1 and at times by itself; it ends at `goal`."""

    goal: int = static(6)
    observation_space = Box(0.0, 100.0, (1,))
    action_space = Discrete(2)
    frame_rate = 50

    def reset(self, key):
        length = jax.random.randint(key, (), 0, 3)
        return {"length": length}, jnp.float32(length)[None]

    def step(self, key, state, action):
        length = state["length"] + action + jax.random.bernoulli(key, 0.3)
        no = jnp.bool_(False)
        timestep = TimeStep(jnp.float32(length)[None], jnp.float32(length), length >= self.goal, no, {})
        return {"length": length}, timestep

    def draw(self, state):
        picture = np.full((60, 201, 3), 240, np.uint8)
        picture[20:40, : 30 * int(state["length"]) + 5] = (200, 60, 60)
        return picture


@dataclass
class EverySecond:
    """Action 1 at every second step: its memory is the number of steps."""

    noise: float = 0.0

    def act(self, key, obs, memory):
        return memory % 2, memory + 1

    def initial_memory(self, shape):
        return jnp.zeros(shape, jnp.int32)


def played(policy, env, key):
    """States and rewards of `evaluate`'s first lane, step by step."""
    reset_key, play_key = jax.random.split(key)
    state, obs = env.reset(jax.random.split(reset_key, 1)[0])
    states, rewards, memory = [state], [], policy.initial_memory((1,))
    ended = False
    while not ended:
        act_key, step_key = jax.random.split(jax.random.fold_in(play_key, len(rewards)))
        action, memory = policy.act(act_key, obs[None], memory)
        state, timestep = env.step(jax.random.split(step_key, 1)[0], state, action[0])
        states.append(state)
        rewards.append(float(timestep.reward))
        obs, ended = timestep.obs, timestep.terminated | timestep.truncated
    return states, rewards


@pytest.mark.parametrize("seed", [0, 3])
def test_the_film_is_the_episode_that_a_plain_loop_plays(seed):
    key = jax.random.key(seed)
    env = jaxrl.make(Grower(), sticky_actions=0.2)
    episode = film_episode(EverySecond(), env, key, title="seed 4")
    states, rewards = played(EverySecond(), env, key)
    assert episode.completed
    assert episode.rewards.tolist() == rewards
    assert (episode.length, episode.film.num_frames, episode.film.rate) == (len(rewards), len(states), 50)
    for number, (state, picture) in enumerate(zip(states, episode.film.frames(), strict=True)):
        expected = captioned(draw(env, state), "seed 4", caption(number, rewards))
        np.testing.assert_array_equal(picture, expected)
    episodes = jaxrl.evaluate(EverySecond(), env, key, num_episodes=1)
    assert episode.episode_return == float(episodes.returns[0])


def test_an_episode_that_does_not_end_is_cut():
    episode = film_episode(EverySecond(), Grower(goal=99), jax.random.key(0), max_steps=7)
    assert not episode.completed
    assert (episode.length, episode.film.num_frames) == (7, 8)


def test_the_caption_counts_the_steps_and_the_return():
    assert caption(2, [1.0, -3.5, 9.0]) == "step 2   return -2.50"
    plain, one = np.full((40, 300, 3), 9, np.uint8), captioned(np.full((40, 300, 3), 9, np.uint8), "seed 1", "step 1")
    np.testing.assert_array_equal(one[:40], plain)
    assert one.shape == (68, 300, 3)
    assert (one[40:, :150] < 128).any()
    assert (one[40:, 150:] < 128).any()
    assert (captioned(plain, "", "")[40:] == 255).all()


def test_a_small_picture_is_enlarged():
    small = np.arange(5 * 70 * 3, dtype=np.uint8).reshape(5, 70, 3)
    large = captioned(small, "", "")
    assert large.shape == (15 + 28, 210, 3)
    np.testing.assert_array_equal(large[1:15:3, 1::3], small)
    np.testing.assert_array_equal(large[2:15:3, 2::3], small)


@pytest.fixture
def film():
    """21 pictures of odd width, each another one."""

    def frame(number):
        picture = np.full((50, 71, 3), (250, 250, 247), np.uint8)
        picture[10:40, 5 + 2 * number : 20 + 2 * number] = (62, 107, 166)
        return picture

    return Film(frame, 21, 20.0)


def gif_frames(path):
    with Image.open(path) as image:
        frames = []
        for number in range(image.n_frames):
            image.seek(number)
            frames.append((np.asarray(image.convert("RGB")).astype(int), image.info["duration"]))
    return [picture for picture, _ in frames], [duration for _, duration in frames]


def test_a_gif_reads_back_as_the_film(film, tmp_path):
    assert write_gif(tmp_path / "a.gif", film) == 21
    pictures, durations = gif_frames(tmp_path / "a.gif")
    assert durations == [50] * 20 + [1050]
    for picture, frame in zip(pictures, film.frames(), strict=True):
        assert np.abs(picture - frame).max() <= 8


@pytest.mark.parametrize(
    ("rate", "stride", "total"), [(50.0, 2, 440), (30.0, 1, 700), (15.0, 1, 1400), (200.0, 7, 140)]
)
def test_a_gif_keeps_the_speed_and_leaves_out_what_viewers_cannot_follow(film, tmp_path, rate, stride, total):
    film = dataclasses.replace(film, rate=rate)
    assert write_gif(tmp_path / "a.gif", film) == len({*range(0, 21, stride), 20})
    pictures, durations = gif_frames(tmp_path / "a.gif")
    np.testing.assert_allclose(pictures[-1], film.frame(20), atol=8)
    assert min(durations) >= 20
    assert all(duration % 10 == 0 for duration in durations)
    assert sum(durations) - 1000 == pytest.approx(total, abs=10)


def test_an_mp4_decodes_to_the_film(film, tmp_path):
    assert write_mp4(tmp_path / "a.mp4", film) == 21
    with av.open(str(tmp_path / "a.mp4")) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.codec_context.pix_fmt, stream.average_rate) == ("h264", "yuv420p", 20)
        decoded = [frame.to_ndarray(format="rgb24").astype(int) for frame in container.decode(video=0)]
    for picture, frame in zip(decoded, film.frames(), strict=True):
        assert picture.shape == (50, 72, 3)
        assert np.abs(picture[:, :71] - frame).mean() < 4


def test_record_writes_by_the_name_of_the_file(tmp_path):
    path = tmp_path / "grower.gif"
    path.write_text("what was there is replaced")
    episode = record(EverySecond(), Grower(), path, jax.random.key(1))
    assert len(gif_frames(path)[0]) == -(-(episode.length + 1) // 2) + (episode.length % 2)
    with pytest.raises(
        ValueError, match=r"^path must be a file name that ends with \.gif or \.mp4, got '.*grower\.avi'\.$"
    ):
        record(EverySecond(), Grower(), tmp_path / "grower.avi", jax.random.key(1))
    with pytest.raises(ValueError, match=r"^max_steps must be a whole number of at least 1, got 0\.$"):
        record(EverySecond(), Grower(), path, jax.random.key(1), max_steps=0)


def test_without_pyav_one_sentence_says_what_to_install(film, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(
        ImportError, match=r'^MP4 needs PyAV: pip install "jaxrl\[video\]"; a GIF needs nothing more\.$'
    ):
        write_mp4(tmp_path / "a.mp4", film)
    assert not (tmp_path / "a.mp4").exists()


def test_gymnasiums_own_pictures_are_filmed():
    episode = film_in_gymnasium(EverySecond(), "CartPole-v1", jaxrl.make("CartPole-v1"), seed=3, max_steps=4, title="a")
    world = gymnasium.make("CartPole-v1", render_mode="rgb_array")
    world.reset(seed=3)
    expected = [world.render()]
    for action in (0, 1, 0, 1):
        world.step(action)
        expected.append(world.render())
    world.close()
    assert not episode.completed
    assert (episode.film.rate, episode.rewards.tolist()) == (50, [1.0] * 4)
    for number, (picture, frame) in enumerate(zip(episode.film.frames(), expected, strict=True)):
        np.testing.assert_array_equal(picture, captioned(frame, "a", caption(number, episode.rewards)))


def test_a_task_that_is_not_the_trained_one_is_refused():
    env = jaxrl.make("CartPoleNoVel-v1")
    with pytest.raises(
        ValueError, match=r"shape \(2,\) and 2 actions, and Gymnasium's 'CartPole-v1' has .* \(4,\) and 2"
    ):
        film_in_gymnasium(EverySecond(), "CartPole-v1", env)
    with pytest.raises(ValueError, match=r"^Gymnasium has no environment 'CartPoleNoVel-v1' that it can draw: "):
        film_in_gymnasium(EverySecond(), "CartPoleNoVel-v1", env)


def test_without_pygame_gymnasium_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "pygame", None)
    with pytest.raises(RuntimeError, match=r"^Gymnasium cannot draw: pygame is not installed, .*pip install"):
        film_in_gymnasium(EverySecond(), "CartPole-v1", jaxrl.make("CartPole-v1"))
