"""`check_env` finds every planted defect, and passes what is right."""

import dataclasses
import random
import re
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrl.envs import TimeStep, make, wrappers
from jaxrl.envs.check import check_env
from jaxrl.envs.spaces import Box, Discrete
from jaxrl.envs.template import Corridor
from jaxrl.pytree import dataclass, static


@dataclass
class Planted:
    """The corridor with one defect: what `on_reset` and `on_step` make of its answers, and the spaces it declares."""

    on_reset: Any = static(default=lambda key, state, obs: (state, obs))
    on_step: Any = static(default=lambda key, state, timestep: (state, timestep))
    observation_space: Any = static(default=Box(0.0, 1.0, (1,)))
    action_space: Any = static(default=Discrete(2))

    def reset(self, key):
        return self.on_reset(key, *Corridor().reset(key))

    def step(self, key, state, action):
        return self.on_step(key, *Corridor().step(key, state, action))


@dataclass
class Drift:
    """A point that starts anywhere and moves until it is far away; its state has no clock and nothing else fixed."""

    observation_space, action_space = Box(-2.0, 2.0, (1,)), Discrete(2)

    def reset(self, key):
        place = jax.random.uniform(key, (1,), minval=-0.5, maxval=0.5)
        return place, place

    def step(self, key, state, action):
        place = state + 0.3 * (2 * action - 1)
        no = jnp.asarray(False)
        return place, TimeStep(place, jnp.float32(0), terminated=(jnp.abs(place) > 1)[0], truncated=no, info={})


def step_with(**changes):
    """A step whose TimeStep has the entries that `changes` make of it."""

    def change(key, state, timestep):
        return state, dataclasses.replace(timestep, **{name: make(timestep) for name, make in changes.items()})

    return Planted(on_step=change)


def check(env):
    return check_env(env, num_envs=4, num_steps=120)


@pytest.mark.parametrize(
    "env",
    [Corridor(), Planted(), Drift(), Corridor(length=2, slip=1.0), "Probe/InfiniteHorizon-v0"],
    ids=["corridor", "planted", "drift", "short corridor", "infinite horizon"],
)
def test_what_is_right_passes(env):
    report = check(env)
    assert not report, report
    assert report == []
    assert str(report).startswith("No problems found.")


@pytest.mark.parametrize(
    "env",
    [
        make("CartPole-v1"),
        make("Catch-bsuite", sticky_actions=0.1, frame_stack=2),
        make("MemoryChain-bsuite", flatten=True, action_repeat=2),
        make("FrozenLake-misc", reset_mode="cached", clip_reward=True),
    ],
    ids=["cart pole", "catch", "memory chain", "frozen lake"],
)
def test_gymnaxs_environments_in_wrappers_pass(env):
    assert check_env(env, num_envs=4, num_steps=500) == []


OURS = ("CliffWalking-v1", "CliffWalkingSlippery-v1", "FrozenLake-v1", "FrozenLake8x8-v1", "RandomWalk-v0")
OURS += ("Snake-v0", "LQR-v0", "CartPoleNoVel-v1", "PendulumNoVel-v1")


@pytest.mark.parametrize("name", OURS)
def test_our_own_worlds_pass(name):
    assert check_env(make(name, max_steps=40), num_envs=4, num_steps=200) == []


class NoPytree:
    observation_space, action_space = Box(0.0, 1.0, (1,)), Discrete(2)
    reset, step = Corridor().reset, Corridor().step


@dataclass
class UnequalCopies:
    secret: Any = static()

    observation_space, action_space = Box(0.0, 1.0, (1,)), Discrete(2)
    reset, step = Corridor().reset, Corridor().step


class Unlike:
    def __deepcopy__(self, memo):
        return Unlike()


def numpy_noise(key, state, timestep):
    return state, dataclasses.replace(timestep, reward=jnp.float32(random.random()))


COUNT = iter(range(1000))


def new_info_key(key, state, timestep):
    return state, dataclasses.replace(timestep, info={f"at_{next(COUNT)}": jnp.float32(0)})


def callback(key, state, timestep):
    reward = jax.pure_callback(lambda: np.float32(1), jax.ShapeDtypeStruct((), jnp.float32), vmap_method="sequential")
    return state, dataclasses.replace(timestep, reward=reward)


def float_time(key, state, timestep):
    return {**state, "time": state["time"].astype(jnp.float32)}, timestep


def lost_field(key, state, timestep):
    return {"position": state["position"]}, timestep


def weak_state(key, state, obs):
    return {**state, "time": 0}, obs


def python_branch(key, state, timestep):
    return (state, timestep) if timestep.terminated else ({**state}, timestep)


DEFECTS = {
    "no pytree": (NoPytree(), "must be a pytree of numbers, found NoPytree"),
    "unequal copies": (UnequalCopies(secret=Unlike()), "must be equal with an equal hash"),
    "foreign space": (Planted(observation_space=(0, 1)), "observation_space must be one of jaxrl.envs.spaces .* tuple"),
    "reset gives obs alone": (Planted(on_reset=lambda key, state, obs: obs), r"must return the pair \(state, obs\)"),
    "gymnax order": (
        Planted(on_step=lambda key, state, timestep: (timestep.obs, state, timestep.reward, timestep.terminated, {})),
        r"step must return the pair \(state, TimeStep\), found a tuple of 5",
    ),
    "python branch": (Planted(on_step=python_branch), "step.* must be traceable .* TracerBoolConversionError"),
    "obs shape": (Planted(observation_space=Box(0.0, 1.0, (2,))), r"must be float32 \[2\] .* found float32 \[1\]"),
    "obs dtype": (Planted(observation_space=Box(0, 1, (1,), np.int32)), r"must be int32 \[1\] .* found float32 \[1\]"),
    "obs tree": (step_with(obs=lambda t: {"x": t.obs}), "The obs of step must have the tree of observation_space"),
    "weak obs": (step_with(obs=lambda t: jnp.full((1,), 0.5)), "The obs of step must have a strong dtype"),
    "int flag": (step_with(terminated=lambda t: t.terminated.astype(int)), r"terminated must be one bool, found int32"),
    "flag shape": (step_with(truncated=lambda t: t.truncated[None]), r"truncated must be one bool, found bool \[1\]"),
    "weak reward": (step_with(reward=lambda t: -1.0), r"reward must be a strong float32 scalar .* found weak float32"),
    "int reward": (step_with(reward=lambda t: jnp.int32(-1)), r"reward must be a strong float32 .* found int32"),
    "reward shape": (step_with(reward=lambda t: t.reward[None]), r"reward must be .* found float32 \[1\]"),
    "info": (step_with(info=lambda t: None), "info must be a dict, found NoneType"),
    "info keys": (Planted(on_step=new_info_key), "step must depend on its arguments alone"),
    "state dtype": (Planted(on_step=float_time), r"'\['time'\]' is int32 \[\] from reset and float32 \[\] from step"),
    "state tree": (Planted(on_step=lost_field), "step must return a state of the same tree as reset's"),
    "weak state": (Planted(on_reset=weak_state), r"the state of reset must have a strong dtype, found weak int32"),
    "numpy noise": (Planted(on_step=numpy_noise), "step must depend on its arguments alone, .* draw from the key"),
    "callback": (Planted(on_step=callback), "step must be pure JAX, found a call back to Python"),
    "outside": (
        Planted(observation_space=Box(0.0, 0.5, (1,))),
        r"entry \[0\] of obs went from 0 to 1 where .* 0 to 0.5",
    ),
    "not finite": (
        step_with(reward=lambda t: jnp.where(t.terminated, jnp.inf, t.reward)),
        "Every reward must be finite, found",
    ),
    "no end": (
        step_with(terminated=lambda t: jnp.asarray(False), truncated=lambda t: jnp.asarray(False)),
        "Episodes must end, but neither terminated nor truncated was set in 120 steps",
    ),
    "resets inside": (wrappers.AutoReset(Corridor()), "obs must be the true successor"),
    "resets without a clock": (wrappers.AutoReset(Drift()), "obs must be the true successor"),
    "resets in a limit": (wrappers.AutoReset(make("Pendulum-v1", max_steps=20)), "obs must be the true successor"),
    "returns to its start": (wrappers.AutoReset(make("Probe/DelayedReward-v0")), "obs must be the true successor"),
}


@pytest.mark.parametrize(("env", "sentence"), DEFECTS.values(), ids=DEFECTS.keys())
def test_every_planted_defect_is_found(env, sentence):
    report = check(env)
    assert len(report) == 1, report
    assert report

    assert re.search(sentence, report[0]), report
    assert "\n" not in report[0]
    assert str(report).startswith("1 problem found:\n- ")


def test_what_is_no_environment_at_all_is_refused():
    with pytest.raises(TypeError, match="add reset"):
        check_env(object())


def test_a_start_that_ignores_the_key_is_a_note_and_no_problem():
    report = check("Probe/DelayedReward-v0")
    assert not report
    assert report.notes == ["Every episode starts with the same observation, whatever the key."]


def test_a_state_may_hold_a_key():
    def with_key(key, state, obs):
        return {**state, "key": key}, obs

    @dataclass
    class Keyed:
        observation_space, action_space = Box(0.0, 1.0, (1,)), Discrete(2)

        def reset(self, key):
            return with_key(key, *Corridor().reset(key))

        def step(self, key, state, action):
            use_key, keep_key = jax.random.split(state["key"])
            plain = {"position": state["position"], "time": state["time"]}
            return with_key(keep_key, *Corridor().step(use_key, plain, action))

    assert check(Keyed()) == []
