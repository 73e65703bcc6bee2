"""Gymnasium's robots in MJX beside Gymnasium's own: the same first states and actions, the same trajectories."""

import importlib
import inspect
import math
from typing import Any

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxrl
from jaxrl.envs.adapters.mjx_robots import ROBOTS

pytestmark = pytest.mark.suites

STEPS = 15
LEFT_OUT = {"self", "xml_file", "default_camera_config", "main_body", "kwargs"}
"""Arguments of Gymnasium's that are no numbers."""


def robots(*names: str) -> Any:
    """One worker takes all tests of a robot."""
    params = [pytest.param(name, id=f"mjx/{name}", marks=pytest.mark.xdist_group(name)) for name in names]
    return pytest.mark.parametrize("name", params)


def starts(name: str, own: Any) -> list[tuple[Any, Any]]:
    """Positions and velocities in numbers that float32 has: a draw of Gymnasium's, and one that is not healthy.

    The second is too high and falls, or (Hopper) turns until its angle is too large.
    """
    own.reset(seed=0)
    qpos, qvel = np.float32(own.data.qpos.copy()), np.float32(own.data.qvel.copy())
    strange_qpos, strange_qvel = qpos.copy(), qvel.copy()
    if name == "Hopper-v5":
        strange_qpos[2], strange_qvel[2] = 0.15, 1.0
    else:
        strange_qpos[ROBOTS[name].height] = ROBOTS[name].settings.get("healthy_z_range", (0, 1))[1] + 0.03
    return [(qpos, qvel), (strange_qpos, strange_qvel)]


def theirs(own: Any, qpos: Any, qvel: Any, actions: Any) -> Any:
    """Gymnasium's observations [1 + STEPS, ...], rewards and ends [STEPS] from a first state."""
    importlib.import_module("mujoco").mj_resetData(own.model, own.data)
    own.set_state(np.float64(qpos), np.float64(qvel))
    first = own._get_obs()
    obs, reward, terminated = zip(*(own.step(action)[:3] for action in actions), strict=True)
    return np.stack([first, *obs]), np.stack(reward), np.stack(terminated)


def check_trajectories(name: str, **settings: Any) -> Any:
    """Hold `STEPS` random actions from each of `starts` to Gymnasium's; returns which of the steps terminated."""
    env, own = jaxrl.make(f"mjx/{name}", max_steps=None, **settings), gymnasium.make(name, **settings).unwrapped
    space, generator = env.action_space, np.random.default_rng(0)
    actions = generator.uniform(space.low, space.high, (STEPS, *space.shape)).astype(np.float32)

    @jax.jit
    def play(qpos: Any, qvel: Any) -> Any:
        def step(state: Any, action: Any) -> Any:
            return env.step(jax.random.key(0), state, action)

        state, obs = env.begin(qpos, qvel)
        return obs, jax.lax.scan(step, state, actions)[1]

    ends = []
    for qpos, qvel in starts(name, own):
        first, found = jax.device_get(play(qpos, qvel))
        obs, reward, terminated = theirs(own, qpos, qvel, actions)
        np.testing.assert_allclose(np.concatenate([first[None], found.obs]), obs, rtol=1e-3, atol=3e-3)
        np.testing.assert_allclose(found.reward, reward, rtol=1e-3, atol=1e-3)
        np.testing.assert_array_equal(found.terminated, terminated)
        ends.append(terminated)
    return np.stack(ends)


def along_the_capsule(plane: Any, capsule: Any) -> Any:
    """MJX's contacts of a plane with a capsule, but for a frame that lies along the capsule however steep it stands."""
    normal, axis = plane.mat[:, 2], capsule.mat[:, 2]
    first = axis - normal * jnp.dot(normal, axis)
    first /= jnp.linalg.norm(first)
    frame = jnp.stack([normal, first, jnp.cross(normal, first)])
    centers = capsule.pos + jnp.array([[1.0], [-1.0]]) * axis * capsule.size[1]
    distance = (centers - plane.pos) @ normal - capsule.size[0]
    return distance, centers - normal * (capsule.size[0] + 0.5 * distance)[:, None], jnp.stack([frame, frame])


@pytest.fixture
def frames_as_in_mujoco(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lays the pyramid of friction of the Ant's ankles as MuJoCo does; MJX turns it where a capsule stands steep.

    No other robot here has steep capsules that touch the floor in three dimensions.
    """
    if name == "Ant-v5":
        primitive = importlib.import_module("mujoco.mjx._src.collision_primitive")
        functions = importlib.import_module("mujoco.mjx._src.collision_driver")._COLLISION_FUNC
        kinds = next(kinds for kinds, function in functions.items() if function is primitive.plane_capsule)
        monkeypatch.setitem(functions, kinds, primitive.collider(ncon=2)(along_the_capsule))


@robots(*ROBOTS)
@pytest.mark.usefixtures("frames_as_in_mujoco")
def test_a_trajectory_is_gymnasiums(name: str) -> None:
    ends = check_trajectories(name)
    has_ends = "healthy_reward" in ROBOTS[name].settings
    assert ends.any() == has_ends
    assert not ends.all()


@robots("HalfCheetah-v5")
def test_settings_do_what_gymnasiums_do(name: str) -> None:
    ends = check_trajectories(
        name,
        frame_skip=2,
        forward_reward_weight=3.0,
        ctrl_cost_weight=0.7,
        exclude_current_positions_from_observation=False,
    )
    assert not ends.any()  # a cheetah goes on, however it lies


@robots(*ROBOTS)
def test_settings_and_their_defaults_are_the_arguments_of_gymnasiums_constructor(name: str) -> None:
    kind = type(gymnasium.make(name).unwrapped)
    arguments = inspect.signature(kind.__init__).parameters
    assert {key: given.default for key, given in arguments.items() if key not in LEFT_OUT} == ROBOTS[name].settings
    assert arguments["xml_file"].default == ROBOTS[name].xml


@robots(*ROBOTS)
def test_spaces_are_gymnasiums_with_and_without_each_part(name: str) -> None:
    parts = [part for part in ROBOTS[name].settings if part.startswith(("exclude_", "include_"))]
    for settings in ({}, *({part: not ROBOTS[name].settings[part]} for part in parts)):
        own, env = gymnasium.make(name, **settings), jaxrl.make(f"mjx/{name}", **settings)
        assert env.observation_space.shape == own.observation_space.shape
        np.testing.assert_array_equal(env.action_space.low, own.action_space.low)
        np.testing.assert_array_equal(env.action_space.high, own.action_space.high)


@robots(*ROBOTS)
def test_first_states_are_drawn_as_gymnasiums(name: str) -> None:
    """By the spread of each entry over 2,000 draws of ours, and of all entries over 50 of Gymnasium's."""
    env, own = jaxrl.make(f"mjx/{name}"), gymnasium.make(name).unwrapped
    states, _ = jax.jit(jax.vmap(env.reset))(jax.random.split(jax.random.key(0), 2_000))
    qpos, qvel = jax.device_get((states.env_state.qpos, states.env_state.qvel))
    scale = ROBOTS[name].settings["reset_noise_scale"]
    is_quaternion = slice(3, 7) if ROBOTS[name].height == 2 else slice(0, 0)
    offset = np.delete(qpos - own.init_qpos, is_quaternion, axis=1)
    assert np.abs(offset).max() < scale * 1.001
    np.testing.assert_allclose(offset.std(axis=0), scale / math.sqrt(3), rtol=0.1)

    drawn = []
    for seed in range(50):
        own.reset(seed=seed)
        drawn.append(own.data.qvel.copy())
    np.testing.assert_allclose(qvel.std(), np.std(drawn), rtol=0.1)
    np.testing.assert_allclose(
        (qvel**4).mean() / qvel.var() ** 2, (np.stack(drawn) ** 4).mean() / np.var(drawn) ** 2, rtol=0.2
    )


@pytest.mark.parametrize(
    ("name", "settings", "sentence"),
    [
        ("mjx/Humanoi-v5", {}, r"There is no robot 'Humanoi-v5'; did you mean 'Humanoid-v5'\?"),
        ("mjx/HalfCheetah-v5", {"healthy_reward": 1.0}, "mjx/HalfCheetah-v5 has no setting 'healthy_reward'"),
        ("mjx/Hopper-v5", {"healthy_z_range": [1.0]}, r"healthy_z_range must be two numbers .*, got \(1.0,\)"),
        ("mjx/Hopper-v5", {"frame_skip": 0}, "frame_skip must be at least 1, got 0"),
    ],
)
def test_what_cannot_be_is_refused(name: str, settings: dict[str, Any], sentence: str) -> None:
    with pytest.raises((ValueError, TypeError), match=sentence):
        jaxrl.make(name, **settings)
