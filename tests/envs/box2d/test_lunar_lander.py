"""LunarLander against Gymnasium's own, which rests on Box2D: stored episodes (`record_traces.py` says how) met again.

Given the same beginning, actions and engine noise, both must stay together: in free flight to 1e-4 in every quantity
of every body, and through touch-down to the step at which the episode ends.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import recorded
from scipy import stats

from jaxrl.envs import draw, make
from jaxrl.envs.box2d import heuristics, lunar_lander
from jaxrl.envs.box2d.world import fly
from jaxrl.envs.spaces import Box, Discrete

LANES, CHUNK = 64, 100


def bodies(world):
    return jnp.concatenate([world.position, world.angle[:, None], world.velocity, world.spin[:, None]], 1)


@functools.cache
def program(env):
    """The compiled functions (heights, force, wind) -> state, and (state, actions [T], noise [T, 2]) -> all steps."""

    def replay(state, actions, noise):
        def step(state, played):
            state, timestep = env.play(state, *played)
            return state, (timestep, bodies(state.world))

        return jax.lax.scan(step, state, (actions, noise))

    return jax.jit(jax.vmap(lambda *start: env.begin(*start)[0])), jax.jit(jax.vmap(replay))


def replayed(env, starts, actions, noise):
    """Episodes [N] played with given actions [N, T] and noise [N, T, 2]: TimeSteps and bodies [N, T]."""
    begin, replay = program(env)
    num, length = len(noise), noise.shape[1]
    wide = -(-length // CHUNK) * CHUNK

    def padded(array, steps):
        return np.pad(array, [(0, LANES - num), (0, steps - array.shape[1]), *[(0, 0)] * (array.ndim - 2)])

    state = begin(*(jnp.asarray(padded(np.stack(start), np.shape(start)[1]), jnp.float32) for start in starts))
    actions, noise = padded(actions, wide), jnp.asarray(padded(noise, wide), jnp.float32)
    found = []
    for begins in range(0, wide, CHUNK):
        steps = slice(begins, begins + CHUNK)
        state, answer = replay(state, jnp.asarray(actions[:, steps]), noise[:, steps])
        found.append(jax.device_get(answer))
    timesteps, poses = jax.tree.map(lambda *parts: np.concatenate(parts, 1)[:num, :length], *found)
    return timesteps, poses


def replay_stored(env, kind):
    episodes = recorded.episodes("lunar_lander.npz", kind)
    length = max(len(episode["reward"]) for episode in episodes)

    def column(field):
        rows = [episode[field] for episode in episodes]
        return np.stack([np.pad(row, [(0, length - len(row)), *[(0, 0)] * (row.ndim - 1)]) for row in rows])

    starts = [[episode[field] for episode in episodes] for field in ("heights", "force", "wind")]
    return episodes, *replayed(env, starts, column("action"), column("noise"))


CALM, WINDY = make("LunarLander-v3"), make("LunarLanderContinuous-v3", enable_wind=True)


@pytest.mark.parametrize(("env", "kind"), [(CALM, "calm"), (WINDY, "windy")])
def test_free_flight_is_that_of_box2d(env, kind, monkeypatch):
    if kind == "windy":  # high above the ground the step that knows no ground is enough, and compiled much faster
        monkeypatch.setattr(lunar_lander, "step", lambda world, state, ground, *rest: fly(world, state, *rest))
    episodes, timesteps, poses = replay_stored(env, kind)
    assert len(episodes) >= 4
    for index, episode in enumerate(episodes):
        assert len(episode["reward"]) == 100
        np.testing.assert_allclose(poses[index], episode["bodies"][1:], atol=1e-4)
        np.testing.assert_allclose(timesteps.obs[index], episode["obs"], atol=1e-4)
        np.testing.assert_allclose(timesteps.reward[index], episode["reward"], atol=5e-3)
        assert not timesteps.terminated[index].any()
    used = np.concatenate([episode["action"] for episode in episodes])
    assert (abs(used) > 0.5).any(0).all() if kind == "windy" else set(used) == {0, 1, 2, 3}


@pytest.mark.parametrize("kind", ["landing", "crash"])
def test_touch_down_comes_at_the_same_step_on_the_same_leg_with_the_same_end(kind):
    episodes, timesteps, _ = replay_stored(CALM, kind)
    differences = []
    for index, episode in enumerate(episodes):
        ends = len(episode["reward"]) - 1
        obs, reward = timesteps.obs[index, : ends + 1], timesteps.reward[index, : ends + 1]
        contacts = np.flatnonzero(episode["obs"][:, 6:].any(1))
        first = contacts[0] if contacts.size else ends
        np.testing.assert_array_equal(obs[: first + 1, 6:], episode["obs"][: first + 1, 6:])
        np.testing.assert_allclose(obs[:first], episode["obs"][:first], atol=2e-4)
        assert timesteps.terminated[index].argmax() == ends
        assert reward[-1] == episode["reward"][-1] == (100 if kind == "landing" else -100)
        differences.append(abs(reward.sum() - episode["reward"].sum()))
    assert np.median(differences) < 0.01
    assert np.max(differences) < 1.0


def test_random_play_has_gymnasiums_returns_and_lengths():
    """192 episodes against 1,000; benchmarks/box2d_fidelity.py compares 1,000, and the heuristic policy as well."""
    random = np.random.default_rng(0)
    returns, lengths = [], []
    for _ in range(3):
        starts = (random.uniform(0, 20 / 3, (LANES, 12)), random.uniform(-1000, 1000, (LANES, 2)), np.zeros((LANES, 2)))
        steps = 2 * CHUNK
        timesteps, _ = replayed(
            CALM, starts, random.integers(0, 4, (LANES, steps)), random.uniform(-1, 1, (LANES, steps, 2))
        )
        has_ended = timesteps.terminated.any(1)
        length = np.where(has_ended, timesteps.terminated.argmax(1) + 1, steps)
        returns += [reward[:end].sum() for reward, end in zip(timesteps.reward, length, strict=True)]
        lengths += list(length)
    with np.load(recorded.TRACES / "lunar_lander_samples.npz") as theirs:
        samples = (returns, theirs["random/return"]), (lengths, theirs["random/length"])
    p_values = [stats.ks_2samp(*pair).pvalue for pair in samples]
    assert min(p_values) > 0.01 / 2  # Holm's first step for two tests


def test_the_heuristic_is_gymnasiums():
    for episode in recorded.episodes("lunar_lander.npz", "landing")[:3]:
        chosen = jax.vmap(heuristics.lunar_lander)(jnp.asarray(episode["obs"][:-1]))
        assert (np.asarray(chosen) == episode["action"][1:]).mean() > 0.99  # rounding decides at a threshold


def test_it_is_drawn_from_above_the_ground_to_the_pad():
    begin, _ = program(CALM)
    lanes = [
        jnp.asarray(np.random.default_rng(0).uniform(0, 20 / 3, (LANES, width)), jnp.float32) for width in (12, 2, 2)
    ]
    state = jax.tree.map(lambda leaf: leaf[0], begin(*lanes))
    picture = draw(CALM, jax.device_get(state))
    assert picture.shape == (400, 600, 3)
    ground = np.asarray(state.ground)
    heights = 400 - ground[:, 1] * 30
    for x, height in zip(ground[1:-1, 0] * 30, heights[1:-1], strict=True):
        assert picture[int(height) + 4, int(x)].sum() > 500  # the moon is pale
        assert picture[int(height) - 60, int(x)].sum() < 150 or abs(x - 300) < 70  # and the sky dark, but for the flags
    hull = picture[0:25, 280:320].reshape(-1, 3)
    assert (hull[:, 2] > hull[:, 1].astype(int) + 50).any()  # the hull is violet, at the top


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"gravity": 3.0}, "gravity must be at most 0"),
        ({"velocity_iterations": 0}, "velocity_iterations must be at least 1"),
        ({"wind": 3.0}, "has no setting 'wind'"),
    ],
)
def test_wrong_settings_are_refused(settings, words):
    with pytest.raises((TypeError, ValueError), match=words):
        make("LunarLander-v3", **settings)


def test_it_has_gymnasiums_name_spaces_and_time_limit():
    gymnasium_names = ("LunarLander-v3", "LunarLanderContinuous-v3")
    assert (CALM.name, WINDY.name) == gymnasium_names
    assert (CALM.action_space, WINDY.action_space) == (Discrete(4), Box(-1.0, 1.0, (2,)))
    assert make("LunarLander-v3", continuous=True, enable_wind=True) == WINDY
    assert CALM.max_steps == 1000
    assert make("LunarLander-v3", max_steps=5).max_steps == 5
