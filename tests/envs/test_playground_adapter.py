"""MuJoCo Playground's environments, held to the same ones stepped by hand, and what is said where they cannot be made.

The contract of an environment is tested for one of them by `test_suites.py`.
"""

import importlib
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

import jaxrl

pytestmark = pytest.mark.suites


def test_steps_are_those_of_playground_with_its_configuration_overridden() -> None:
    env = jaxrl.make("playground/CartpoleBalance", ctrl_dt=0.02, episode_length=4, vision_config={"nworld": 2})
    playground = importlib.import_module("mujoco_playground")
    overrides = {"ctrl_dt": 0.02, "impl": "jax"}
    own, key = playground.registry.load("CartpoleBalance", config_overrides=overrides), jax.random.key(5)
    actions = np.random.default_rng(0).uniform(-1, 1, (4, 1)).astype(np.float32)

    def ours(key: jax.Array) -> Any:
        state, obs = env.reset(key)
        return obs, jax.lax.scan(lambda state, action: env.step(key, state, action), state, actions)[1]

    def theirs(key: jax.Array) -> Any:
        def step(state: Any, action: Any) -> Any:
            state = own.step(state, action)
            return state, (state.obs, state.reward, state.done)

        state = own.reset(jax.random.key_data(key))
        return state.obs, jax.lax.scan(step, state, actions)[1]

    first, found = jax.device_get(jax.jit(ours)(key))
    with jax.numpy_rank_promotion("allow"):
        expected_first, (obs, reward, done) = jax.device_get(jax.jit(theirs)(key))
    np.testing.assert_allclose(first, expected_first, rtol=1e-5)
    np.testing.assert_allclose(found.obs, obs, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(found.reward, reward, rtol=1e-4)
    np.testing.assert_array_equal(found.terminated, done > 0)
    np.testing.assert_array_equal(found.truncated, [False, False, False, True])


@pytest.mark.parametrize(
    ("name", "settings", "sentence"),
    [
        ("CartpoleBalanc", {}, r"Playground has no environment 'CartpoleBalanc'; did you mean 'CartpoleBalance'\?"),
        (
            "CartpoleBalance",
            {"ctrl_d": 1.0},
            "playground/CartpoleBalance has no setting 'ctrl_d'; did you mean 'ctrl_dt'",
        ),
        ("CartpoleBalance", {"sim_dt": "a"}, "playground cannot make 'CartpoleBalance' .*'sim_dt'"),
    ],
)
def test_what_cannot_be_made_is_refused(name: str, settings: dict[str, Any], sentence: str) -> None:
    with pytest.raises((ValueError, TypeError), match=sentence):
        jaxrl.make(f"playground/{name}", **settings)


def test_models_that_are_not_there_are_asked_for_and_not_downloaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment = importlib.import_module("mujoco_playground._src.mjx_env")
    monkeypatch.setattr(environment, "MENAGERIE_PATH", tmp_path / "menagerie")
    with pytest.raises(FileNotFoundError, match=r"Go1Getup needs the robots of mujoco_menagerie.*`git clone https"):
        jaxrl.make("playground/Go1Getup")
