"""Evaluation: every lane plays one whole episode, so short episodes are not favoured, and the loop is bounded."""

from typing import Any

import jax
import jax.numpy as jnp

from jaxrl.algorithm import Policy
from jaxrl.engine.train import typed_key
from jaxrl.envs.registry import as_environment
from jaxrl.envs.vector import vectorize
from jaxrl.pytree import dataclass


@dataclass
class Episodes:
    """One episode per lane."""

    returns: jax.Array
    """float32 [num_episodes]: undiscounted; of an episode that was not completed, what it had collected."""
    lengths: jax.Array
    """int32 [num_episodes]."""
    completed: jax.Array
    """bool [num_episodes]: the episode ended (by termination or truncation) within `max_steps`."""


def evaluate(policy: Policy, env: Any, key: jax.Array, num_episodes: int = 128, max_steps: int = 10_000) -> Episodes:
    """Play `num_episodes` whole episodes at once, at most `max_steps` steps each; pure, and vmaps over policies.

    The policy is greedy or samples as it was made: `algorithm.policy(state, greedy=True)`. Its normaliser is frozen.
    """
    if not isinstance(num_episodes, int) or num_episodes < 1:
        raise ValueError(f"num_episodes must be a static int of at least 1, got {num_episodes!r}.")
    lanes = vectorize(as_environment(env), num_episodes)
    reset_key, play_key = jax.random.split(typed_key(key))
    env_state, obs = lanes.reset(jax.random.split(reset_key, num_episodes))
    nothing = Episodes(
        returns=jnp.zeros(num_episodes, jnp.float32),
        lengths=jnp.zeros(num_episodes, jnp.int32),
        completed=jnp.zeros(num_episodes, bool),
    )

    def someone_plays(carry: Any) -> jax.Array:
        step, _, _, _, episodes = carry
        return (step < max_steps) & ~episodes.completed.all()

    def play(carry: Any) -> Any:
        step, env_state, obs, memory, episodes = carry
        act_key, step_key = jax.random.split(jax.random.fold_in(play_key, step))
        action, memory = policy.act(act_key, obs, memory)
        step_keys = jax.random.split(step_key, num_episodes)
        env_state, timestep = lanes.step(step_keys, env_state, action)
        playing = ~episodes.completed
        episodes = Episodes(
            returns=episodes.returns + jnp.where(playing, timestep.reward, 0.0),
            lengths=episodes.lengths + playing,
            completed=episodes.completed | timestep.terminated | timestep.truncated,
        )
        return step + 1, env_state, timestep.obs, memory, episodes

    start = (jnp.int32(0), env_state, obs, policy.initial_memory((num_episodes,)), nothing)
    return jax.lax.while_loop(someone_plays, play, start)[-1]
