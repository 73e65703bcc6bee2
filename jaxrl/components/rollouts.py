"""Interaction: a batch of environments is stepped, restarted where an episode ends, and recorded as asked for."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxrl.components.resets import restarts
from jaxrl.envs.environment import reset_mode
from jaxrl.envs.vector import VectorEnvironment
from jaxrl.metrics import Metrics, mean
from jaxrl.pytree import dataclass


class Actor(NamedTuple):
    """Who plays."""

    act: Callable[[Any, Any, Any], tuple[Any, Any, Any]]
    """`act(obs, memory, noise) -> (action for the environment, memory, extras to record)`, all [N, ...]."""
    initial_memory: Any = ()
    """[N, ...]: replaces the memory where an episode starts, before `act` sees the observation."""


@dataclass
class World:
    """Where N environments stand between two iterations; every leaf is [N, ...]."""

    env_state: Any
    obs: Any
    """What the next action is chosen on."""
    first: jax.Array
    """bool [N]: `obs` is the first of its episode."""
    memory: Any
    """The policy's memory before `obs`, not yet reset where `first`; `()` when it has none."""
    episode_return: jax.Array
    """float32 [N]: the rewards of the running episode so far."""
    episode_length: jax.Array
    """int32 [N]."""
    starts: Any
    """(env_state, obs) of each lane's first episode where the environment's reset mode is `cached`, else `()`."""


@dataclass
class Transition:
    """One step of N environments, or [T, N, ...] once recorded."""

    obs: Any
    """What was acted on."""
    action: Any
    """What the environment was given."""
    reward: jax.Array
    terminated: jax.Array
    truncated: jax.Array
    next_obs: Any
    """The true successor, also where the episode ended."""
    first: jax.Array
    """bool: `obs` starts an episode."""
    memory: Any
    """The memory that chose `action`, reset where `first`."""
    extras: Any
    """Whatever `act` added."""


def begin(key: jax.Array, env: VectorEnvironment, memory: Any = ()) -> World:
    """Start every environment on an episode of its own; `memory` is the policy's, [N, ...]."""
    starts = env.reset(jax.random.split(key, env.num_envs))
    env_state, obs = starts
    return World(
        env_state=env_state,
        obs=obs,
        first=jnp.ones(env.num_envs, bool),
        memory=memory,
        episode_return=jnp.zeros(env.num_envs, jnp.float32),
        episode_length=jnp.zeros(env.num_envs, jnp.int32),
        starts=starts if reset_mode(env.env) == "cached" else (),
    )


def where_done(done: jax.Array, at_end: Any, otherwise: Any) -> Any:
    """Per lane: `at_end` where `done` [N], else `otherwise`; trees of leaves [N, ...]."""

    def select(a: jax.Array, b: jax.Array) -> jax.Array:
        return jnp.where(done.reshape(done.shape + (1,) * (b.ndim - done.ndim)), a, b)

    return jax.tree.map(select, at_end, otherwise)


def unroll(
    key: jax.Array,
    env: VectorEnvironment,
    world: World,
    actor: Actor,
    noise: Any,
    record: Callable[[Transition], Any],
) -> tuple[World, Any, Metrics]:
    """Take T steps in each of N environments.

    `noise` [T, N, ...] is all the randomness of `actor`, drawn before the loop; its leading axis is the number of
    steps. `record` picks what is kept of each `Transition`; nothing else is stored. Returns the world afterwards,
    what was recorded [T, N, ...], and the returns and lengths of the episodes that ended.
    """
    step_key, reset_key = jax.random.split(key)
    num_steps = jax.tree.leaves(noise)[0].shape[0]
    step_keys = jax.random.split(step_key, (num_steps, env.num_envs))
    source = restarts(reset_key, env, num_steps, (world.env_state, world.obs), world.starts)

    def step(carry: Any, inputs: Any) -> Any:
        world, pool, num_ended, episodes = carry
        step_key, noise = inputs
        memory = where_done(world.first, actor.initial_memory, world.memory)
        action, next_memory, extras = actor.act(world.obs, memory, noise)
        env_state, timestep = env.step(step_key, world.env_state, action)
        done = timestep.terminated | timestep.truncated
        transition = Transition(
            obs=world.obs,
            action=action,
            reward=timestep.reward,
            terminated=timestep.terminated,
            truncated=timestep.truncated,
            next_obs=timestep.obs,
            first=world.first,
            memory=memory,
            extras=extras,
        )
        episode_return = world.episode_return + timestep.reward
        episode_length = world.episode_length + 1
        ended = {"episode_return": mean(episode_return, done), "episode_length": mean(episode_length, done)}
        pool, starts = source.take(pool, num_ended, done, env_state)
        new_state, new_obs = where_done(done, starts, (env_state, timestep.obs))
        world = World(
            env_state=new_state,
            obs=new_obs,
            first=done,
            memory=next_memory,
            episode_return=jnp.where(done, 0.0, episode_return),
            episode_length=jnp.where(done, 0, episode_length),
            starts=world.starts,
        )
        num_ended += done.sum(dtype=jnp.int32)
        return (world, pool, num_ended, jax.tree.map(jnp.add, episodes, ended)), record(transition)

    no_episodes = {name: mean(jnp.zeros(0)) for name in ("episode_return", "episode_length")}
    carry = (world, source.pool, jnp.int32(0), no_episodes)
    (world, _, _, episodes), recorded = jax.lax.scan(step, carry, (step_keys, noise))
    return world, recorded, episodes
