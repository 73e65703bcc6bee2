"""Automatic reset, for people who step by hand."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp

from jaxrl.envs.environment import Environment, TimeStep
from jaxrl.envs.spaces import Space
from jaxrl.pytree import dataclass


@dataclass
class AutoReset:
    """Starts the next episode inside the step that ends one.

    At an end `obs` is the first of the next episode and `info["final_obs"]` is the true successor (at other steps the
    two are equal). Training does its own resets and is slower and wrong with this wrapper: it reads `obs` as the
    successor.
    """

    env: Environment[Any]

    @property
    def observation_space(self) -> Space:
        return self.env.observation_space

    @property
    def action_space(self) -> Space:
        return self.env.action_space

    def reset(self, key: jax.Array) -> tuple[Any, Any]:
        return self.env.reset(key)

    def step(self, key: jax.Array, state: Any, action: Any) -> tuple[Any, TimeStep]:
        step_key, reset_key = jax.random.split(key)
        state, timestep = self.env.step(step_key, state, action)
        ended = timestep.terminated | timestep.truncated
        state, obs = jax.tree.map(lambda a, b: jnp.where(ended, a, b), self.env.reset(reset_key), (state, timestep.obs))
        return state, dataclasses.replace(timestep, obs=obs, info={**timestep.info, "final_obs": timestep.obs})
