"""Environments without an agent: random actions, with the loop that training uses."""

from typing import Any

import jax

from jaxrl.components.rollouts import Actor, World, unroll
from jaxrl.envs.vector import VectorEnvironment


def play(key: jax.Array, world: World, envs: VectorEnvironment, num_steps: int) -> tuple[World, jax.Array]:
    """`num_steps` random actions in each environment, restarts included: the world afterwards, and all rewards."""
    act_key, play_key = jax.random.split(key)
    noise = jax.random.split(act_key, num_steps)

    def actions(obs: Any, memory: Any, key: jax.Array) -> Any:
        return jax.vmap(envs.env.action_space.sample)(jax.random.split(key, envs.num_envs)), memory, ()

    world, rewards, _ = unroll(play_key, envs, world, Actor(actions), noise, lambda step: step.reward.sum())
    return world, rewards.sum()
