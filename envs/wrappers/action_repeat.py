"""Action repeat."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp

from jaxrl.envs.environment import Environment, TimeStep
from jaxrl.envs.spaces import Space
from jaxrl.pytree import dataclass, static


@dataclass
class ActionRepeat:
    """Plays every action `num_repeats` times, or until the episode ends; the rewards are added up."""

    env: Environment[Any]
    num_repeats: int = static(minimum=1)

    @property
    def observation_space(self) -> Space:
        return self.env.observation_space

    @property
    def action_space(self) -> Space:
        return self.env.action_space

    def reset(self, key: jax.Array) -> tuple[Any, Any]:
        return self.env.reset(key)

    def step(self, key: jax.Array, state: Any, action: Any) -> tuple[Any, TimeStep]:
        step_keys = jax.random.split(key, self.num_repeats)

        def repeat(carry: tuple[Any, TimeStep], step_key: jax.Array) -> tuple[tuple[Any, TimeStep], None]:
            state, so_far = carry
            ended = so_far.terminated | so_far.truncated
            next_state, timestep = self.env.step(step_key, state, action)
            added = dataclasses.replace(timestep, reward=so_far.reward + timestep.reward)
            return jax.tree.map(lambda a, b: jnp.where(ended, a, b), carry, (next_state, added)), None

        first = self.env.step(step_keys[0], state, action)
        (state, timestep), _ = jax.lax.scan(repeat, first, step_keys[1:])
        return state, timestep
