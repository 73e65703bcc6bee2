"""BipedalWalker against Gymnasium's own, which rests on Box2D: stored episodes (`record_walker_traces.py` says how)
met again, on the same ground, with the same push and actions.

In Gymnasium's `reset` the legs fall out of the hull onto the ground, which they leave only now and then, so that both
sides part slowly from the first step on: rounding grows with every touch.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import recorded
from scipy import stats

from jaxrl.envs import draw, make
from jaxrl.envs.box2d import bipedal_walker, geometry, heuristics, terrain
from jaxrl.envs.box2d.ray_casts import cast_rays
from jaxrl.envs.drawing.shapes import VIOLET
from jaxrl.envs.spaces import Box

ENV = make("BipedalWalker-v3")
LONGEST = 100
TOUCHES = [8, 13]
"""The entries of an observation that say whether each leg touches the ground."""


def padded(rows, length):
    return np.stack([np.pad(row, [(0, length - len(row)), *[(0, 0)] * (row.ndim - 1)], mode="edge") for row in rows])


EPISODES = recorded.episodes("bipedal_walker.npz", "random") + recorded.episodes("bipedal_walker.npz", "walk")


@functools.cache
def begun():
    """First states and observations of the stored episodes."""
    heights = padded([episode["heights"] for episode in EPISODES], terrain.NUM_POINTS)
    return jax.jit(jax.vmap(ENV.begin))(heights, np.stack([episode["force"] for episode in EPISODES]))


@functools.cache
def replayed():
    """The stored episodes played with their actions: first observations, TimeSteps, and bodies from the start on."""

    def bodies(world):
        return jnp.concatenate([world.position, world.angle[:, None], world.velocity, world.spin[:, None]], 1)

    def replay(state, actions):
        def step(state, action):
            state, timestep = ENV.step(None, state, action)
            return state, (timestep, bodies(state.world))

        return jax.lax.scan(step, state, actions)[1]

    state, first_obs = begun()
    actions = padded([episode["action"] for episode in EPISODES], LONGEST)
    timesteps, poses = jax.jit(jax.vmap(replay))(state, actions)
    first = jax.vmap(bodies)(state.world)
    return jax.device_get((first_obs, timesteps, jnp.concatenate([first[:, None], poses], 1)))


def test_the_first_step_drops_the_legs_as_box2d_does():
    """Free flight of the hull and the upper legs; the lower legs meet the ground on their way."""
    first_obs, _, poses = replayed()
    for index, episode in enumerate(EPISODES):
        np.testing.assert_allclose(poses[index, 0], episode["bodies"][0], atol=1e-4)
        np.testing.assert_allclose(first_obs[index], episode["obs"][0], atol=1e-4)
        assert (episode["obs"][0, TOUCHES] == 1).all()


def test_on_the_ground_it_stays_with_box2d():
    """Every quantity of every body over 30 steps, in which the feet leave the ground and touch it again."""
    _, timesteps, poses = replayed()
    for index, episode in enumerate(EPISODES):
        touches = episode["obs"][1:31, TOUCHES]
        assert 0 < touches.mean() < 1
        np.testing.assert_array_equal(timesteps.obs[index, :30, TOUCHES].T, touches)
        np.testing.assert_allclose(poses[index, :31, :, :3], episode["bodies"][..., :3], atol=1e-3)
        np.testing.assert_allclose(poses[index, :31, :, 3:], episode["bodies"][..., 3:], atol=1e-2)
        np.testing.assert_allclose(timesteps.reward[index, :30], episode["reward"][:30], atol=2e-3)
        assert np.median(abs(poses[index, :31] - episode["bodies"])) < 1e-4


def test_episodes_end_at_the_same_step_in_the_same_way():
    """But for one, which parts from Gymnasium's shortly before it falls."""
    _, timesteps, _ = replayed()
    differences, returns = [], []
    for index, episode in enumerate(EPISODES):
        length, ends = len(episode["reward"]), timesteps.terminated[index]
        our_length = ends.argmax() + 1 if ends.any() else LONGEST
        assert ends.any() == episode["terminated"].any()
        differences.append(abs(our_length - length))
        returns.append(abs(timesteps.reward[index, :our_length].sum() - episode["reward"].sum()))
        if ends.any():
            assert timesteps.reward[index, our_length - 1] == episode["reward"][-1] == -100
    assert sum(episode["terminated"].any() for episode in EPISODES) >= 5
    assert sorted(differences)[-2] == 0
    assert max(differences) < 10
    assert np.median(returns) < 0.01


def test_the_lidar_sees_what_gymnasiums_sees():
    rays, edges = bipedal_walker.RAYS, bipedal_walker.RAY_EDGES
    cast = jax.jit(jax.vmap(lambda ground, origin: cast_rays(ground, origin, rays, edges)))
    for episode in EPISODES[::3]:
        bodies, center = episode["bodies"][:, 0], bipedal_walker.WORLD.polygons[0].center
        origins = bodies[:, :2] - np.stack([geometry.rotated(center, angle) for angle in bodies[:, 2]])
        heights = padded([episode["heights"]], terrain.NUM_POINTS)[0]
        ground = np.stack([terrain.SPACING * np.arange(terrain.NUM_POINTS, dtype=np.float32), heights], -1)
        found = cast(np.broadcast_to(ground, (len(origins), *ground.shape)), origins)
        np.testing.assert_allclose(found, episode["obs"][: len(origins), 14:], atol=1e-4)
        assert (found < 1).any()
        assert (found == 1).any()


def test_the_hills_are_gymnasiums_in_distribution():
    (theirs,) = [trace["heights"] for trace in recorded.episodes("bipedal_walker.npz", "terrain")]
    keys = jax.random.split(jax.random.key(0), 1000)
    ours = np.asarray(jax.jit(jax.vmap(terrain.draw_heights, (0, None)))(keys, ENV.roughness))
    assert (ours[:, : terrain.START_PAD + 1] == np.float32(terrain.LEVEL)).all()
    steps = np.diff(ours[:, terrain.START_PAD :], axis=1)
    assert (steps == 0).mean() == pytest.approx(1 / 7, abs=0.005)  # every 5th to 9th point repeats the one before
    at = [21, 22, 30, 31, 60, 100, 150, 198, 199]
    ours = np.concatenate([ours[:, at], np.diff(ours[:, at])], 1)
    theirs = np.concatenate([theirs[:, 2:], np.diff(theirs[:, 2:])], 1)
    p_values = stats.ks_2samp(ours, theirs, axis=0).pvalue
    assert p_values.min() > 0.01 / len(p_values)  # Holm's first step


def test_gymnasiums_hills_follow_the_same_rule():
    """The random part of each slope, worked out from recorded hills, has to lie within its bounds and reach them."""
    found = []
    for episode in EPISODES:
        hills, slope = episode["heights"].astype(np.float64), 0.0
        pushes, is_level = np.zeros(len(hills)), np.diff(hills, prepend=0.0) == 0
        for i in range(terrain.START_PAD + 1, len(hills)):
            if not is_level[i]:
                toward = 0.01 * np.sign(np.round(terrain.LEVEL - hills[i - 1], 6))
                pushes[i] = hills[i] - hills[i - 1] - 0.8 * slope - toward
                slope = hills[i] - hills[i - 1]
        found += list(pushes[pushes != 0])
        stays = is_level & (np.arange(len(hills)) >= terrain.START_PAD)
        np.testing.assert_allclose(terrain.heights(jnp.float32(pushes), stays), hills, atol=1e-5)
    assert 0.95 * ENV.roughness < np.abs(found).max() < ENV.roughness + 1e-5
    assert stats.kstest(found, "uniform", (-ENV.roughness, 2 * ENV.roughness)).pvalue > 0.01


def test_the_controller_is_gymnasiums():
    controller = jax.jit(lambda obs: jax.lax.scan(heuristics.bipedal_walker, heuristics.walker_plan(), obs)[1])
    walks = recorded.episodes("bipedal_walker.npz", "walk")
    for episode in walks:
        np.testing.assert_allclose(controller(episode["obs"][:-1]), episode["action"], atol=1e-4)
    assert len(walks) >= 4


def test_it_is_drawn_with_its_legs_on_the_ground():
    state, _ = jax.tree.map(lambda leaf: leaf[0], begun())
    picture = draw(ENV, jax.device_get(state))
    assert picture.shape == (400, 600, 3)
    ground = 400 - round(terrain.LEVEL * 30)
    column = round(600 / 5 + (float(state.world.position[bipedal_walker.LOWER_1, 0]) - bipedal_walker.START_X) * 30)
    sky, earth = picture[5, 300], picture[395, 300]
    assert (picture[ground - 3, 10] == sky).all()
    assert (picture[ground + 3, 10] == earth).all()
    assert earth[1] > earth[2]  # green
    assert (picture[ground - 5, column] != sky).any()  # a foot
    hull = 400 - round(float(state.world.position[bipedal_walker.HULL, 1]) * 30)
    assert (picture[hull, 120] == VIOLET).all()
    assert (picture[hull + 5, 150] == VIOLET).all()
    assert (picture[hull - 6, 150] == sky).all()  # the hull is cut off there, above in front


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"gravity": 3.0}, "gravity must be at most 0"),
        ({"position_iterations": 0}, "position_iterations must be at least 1"),
        ({"hardcore": True}, "has no setting 'hardcore'"),
    ],
)
def test_wrong_settings_are_refused(settings, words):
    with pytest.raises((TypeError, ValueError), match=words):
        make("BipedalWalker-v3", **settings)


def test_it_has_gymnasiums_name_spaces_and_time_limit():
    assert ENV.name == "BipedalWalker-v3"
    assert ENV.action_space == Box(-1.0, 1.0, (4,))
    space, leg = ENV.observation_space, [np.pi, 5, np.pi, 5]
    np.testing.assert_array_equal(space.high[1:], np.float32([5, 5, 5, *leg, 5, *leg, 5, *[1] * 10]))
    np.testing.assert_array_equal(-space.low[1:], np.float32([5, 5, 5, *leg, 0, *leg, 0, *[1] * 10]))
    assert space.high[0] == -space.low[0] == np.float32(2 * np.pi)  # theirs says pi, and a hull that rolls passes it
    assert ENV.max_steps == 1600
    assert make("BipedalWalker-v3", max_steps=5).max_steps == 5
