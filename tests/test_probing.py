"""`check_algorithm` finds nothing wrong with what is right, and names the part that was broken on purpose."""

from dataclasses import replace
from functools import cache
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import long_runs
import pytest

import jaxrl
from jaxrl.pytree import dataclass

SMALL: dict[str, Any] = {"num_envs": 16, "total_steps": 32_768, "hidden_sizes": (32,), "learning_rate": 5e-3}
SMALL |= {"max_grad_norm": None, "discount": 0.8, "gae_lambda": 0.95}


class Blind(nn.Module):
    """Features that say nothing of the observation."""

    @nn.compact
    def __call__(self, obs):
        return nn.tanh(nn.Dense(32)(jnp.ones_like(obs)))


@dataclass
class CutIsEnd:
    """Calls a time limit a termination."""

    env: Any

    @property
    def observation_space(self):
        return self.env.observation_space

    @property
    def action_space(self):
        return self.env.action_space

    def reset(self, key):
        return self.env.reset(key)

    def step(self, key, state, action):
        state, timestep = self.env.step(key, state, action)
        ended = timestep.terminated | timestep.truncated
        return state, replace(timestep, terminated=ended, truncated=jnp.bool_(False))


BUILDS = {
    "right": lambda env: jaxrl.A2C(env, **SMALL),
    "broken": lambda env: jaxrl.A2C(CutIsEnd(env), torso=Blind(), **SMALL),
}


def value(ppo, state, obs, first):
    return ppo.network.apply(state.learner.params, obs, method="critic")


@cache
def answers(name, continuous=False, is_valued=True):
    with long_runs.engine():
        return jaxrl.check_algorithm(
            BUILDS[name], value if is_valued else None, continuous=continuous, key=jax.random.key(1)
        )


def test_what_is_right_passes():
    found = answers("right")
    assert found.are_right, found
    assert len(found.answers) == len(str(found).splitlines()) == 6
    assert all(line.startswith("right  ") for line in str(found).splitlines())
    assert "DelayedReward: value 0.80 (found 0." in str(found)
    assert "best action 1.00 (found 1.00 to 1.00)." in str(found)


def test_what_is_broken_is_named():
    found = answers("broken")
    wrong = {answer.probe: answer.sentence for answer in found.answers if not answer.is_right}
    assert {"ObservationReward", "MatchObservation", "InfiniteHorizon"} <= set(wrong)
    assert not {"ConstantReward", "ActionReward"} & set(wrong)
    assert wrong["ObservationReward"].endswith("; look at what the value network is shown.")
    assert wrong["InfiniteHorizon"].startswith("InfiniteHorizon: value 5.00 (found ")
    assert wrong["InfiniteHorizon"].endswith("; look at the bootstrap where a time limit cuts an episode.")
    assert "WRONG  ObservationReward: value -1.00 (found " in str(found)
    assert not found.are_right


def test_without_values_the_actions_alone_are_judged():
    found = answers("right", continuous=True, is_valued=False)
    assert [answer.probe for answer in found.answers] == ["ActionReward", "MatchObservation"]
    assert found.are_right, found
    assert "ActionReward: best action 0.50 (found 0." in str(found)


def test_values_are_one_for_each_observation():
    def of_every_action(algorithm, state, obs, first):
        return jnp.zeros((12, 2))

    with pytest.raises(ValueError, match=r"number for each of the 12 observations, \[12\], got \[12, 2\]; take"):
        jaxrl.check_algorithm(lambda env: jaxrl.A2C(env, num_envs=2, total_steps=64), of_every_action)


def test_values_need_a_discount():
    for discount, shown in ((1.0, "1"), (None, "None")):

        class Other:
            pass

        Other.discount = discount
        with pytest.raises(ValueError, match=f"Other has {shown}.*give it one, or leave out `value`"):
            jaxrl.check_algorithm(lambda env: Other(), value)
