"""Sticky actions."""

from typing import Any

import jax
import jax.numpy as jnp

from jaxrl.envs.environment import Environment, TimeStep
from jaxrl.envs.spaces import Space, clip
from jaxrl.pytree import Scalar, dataclass, hyperparameter


@dataclass
class StickyActionsState:
    """The inner state, and what was played."""

    env_state: Any
    last_action: Any
    """What was played at the step before; zeros (in MinAtar and Atari: no-op) at the start of an episode."""


@dataclass
class StickyActions:
    """With `probability` the action played at the step before is played again, whatever was chosen.

    Machado et al. (2018), "Revisiting the Arcade Learning Environment", section 5.
    """

    env: Environment[Any]
    probability: Scalar = hyperparameter(default=0.1, minimum=0.0, maximum=1.0)

    @property
    def observation_space(self) -> Space:
        return self.env.observation_space

    @property
    def action_space(self) -> Space:
        return self.env.action_space

    def reset(self, key: jax.Array) -> tuple[StickyActionsState, Any]:
        env_state, obs = self.env.reset(key)
        example = jax.eval_shape(self.action_space.sample, key)
        zeros = clip(self.action_space, jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), example))
        return StickyActionsState(env_state=env_state, last_action=zeros), obs

    def step(self, key: jax.Array, state: StickyActionsState, action: Any) -> tuple[StickyActionsState, TimeStep]:
        stick_key, step_key = jax.random.split(key)
        stuck = jax.random.uniform(stick_key) < self.probability
        played = jax.tree.map(
            lambda last, chosen: jnp.where(stuck, last, jnp.asarray(chosen, last.dtype)), state.last_action, action
        )
        env_state, timestep = self.env.step(step_key, state.env_state, played)
        return StickyActionsState(env_state=env_state, last_action=played), timestep
