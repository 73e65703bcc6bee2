"""Policies of agents that value actions: greedy, or epsilon-greedy as in training."""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxrl.components.exploration import epsilon_greedy, exploration_noise, greedy_action
from jaxrl.components.normalization import RunningStats, normalize
from jaxrl.components.policies import action_mask
from jaxrl.components.q_networks import RecurrentQNetwork
from jaxrl.pytree import Scalar, dataclass, static


@dataclass
class ValuePolicy:
    """Acts on Q(obs, .), without memory."""

    params: Any
    observation_stats: RunningStats | None
    to_values: Callable[[jax.Array], jax.Array]
    """From the network's outputs to action values [..., A]: one of `value_distributions`."""
    epsilon: Scalar
    """A number, or one for each lane; for a policy that is not greedy."""
    network: nn.Module = static()
    """`__call__(obs) -> outputs`; a layer that draws noise does so while exploring, from the stream "noise"."""
    num_actions: int = static()
    greedy: bool = static(True)

    def values(self, obs: Any, noise_key: jax.Array | None = None) -> jax.Array:
        """Q [..., A] at raw observations [..., *obs]; noisy layers use their means unless a key is given."""
        if self.observation_stats is not None:
            obs = normalize(self.observation_stats, obs)
        return self.to_values(self.network.apply(self.params, obs, rngs=noise_streams(noise_key)))

    def act(self, key: jax.Array, obs: Any, memory: Any = ()) -> tuple[jax.Array, Any]:
        """The best action if greedy, else epsilon-greedy; returns (action, memory)."""
        if self.greedy:
            return greedy_action(self.values(obs), action_mask(obs)), memory
        epsilon_key, noise_key = jax.random.split(key)
        values = self.values(obs, noise_key)
        noise = exploration_noise(epsilon_key, values.shape[:-1], self.num_actions)
        return epsilon_greedy(values, noise, self.epsilon, action_mask(obs)), memory

    def noise(self, key: jax.Array, num_steps: int, num_envs: int) -> tuple[jax.Array, jax.Array]:
        """What `sample` needs for a rollout, leaves [T, ...]: one draw of a noisy network serves all of it.

        That is as Fortunato et al. 2018 have it: the noise is drawn anew after every phase of learning, and between
        two of them the agent acts by one network.
        """
        epsilon_key, noise_key = jax.random.split(key)
        uniforms = exploration_noise(epsilon_key, (num_steps, num_envs), self.num_actions)
        return uniforms, jnp.broadcast_to(noise_key, (num_steps,))

    def sample(self, obs: Any, memory: Any, noise: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, Any, Any]:
        """For `unroll`: (action, memory, nothing to record)."""
        uniforms, noise_key = noise
        return epsilon_greedy(self.values(obs, noise_key), uniforms, self.epsilon, action_mask(obs)), memory, ()

    def initial_memory(self, shape: tuple[int, ...]) -> tuple[()]:
        """Nothing is remembered."""
        return ()


@dataclass
class RecurrentValuePolicy:
    """Acts on Q(history, .), with a memory that the caller resets to `initial_memory` where an episode starts."""

    params: Any
    observation_stats: RunningStats | None
    epsilon: Scalar
    """A number, or one for each lane; for a policy that is not greedy."""
    network: RecurrentQNetwork = static()
    num_actions: int = static()
    greedy: bool = static(True)

    def values(self, obs: Any, memory: Any) -> tuple[jax.Array, Any]:
        """(Q [..., A], the memory after the observation)."""
        if self.observation_stats is not None:
            obs = normalize(self.observation_stats, obs)
        return self.network.apply(self.params, obs, memory, method="step")

    def act(self, key: jax.Array, obs: Any, memory: Any) -> tuple[jax.Array, Any]:
        """The best action if greedy, else epsilon-greedy; returns (action, memory)."""
        values, memory = self.values(obs, memory)
        if self.greedy:
            return greedy_action(values, action_mask(obs)), memory
        noise = exploration_noise(key, values.shape[:-1], self.num_actions)
        return epsilon_greedy(values, noise, self.epsilon, action_mask(obs)), memory

    def noise(self, key: jax.Array, num_steps: int, num_envs: int) -> jax.Array:
        """What `sample` needs for a rollout, [T, N, ...]."""
        return exploration_noise(key, (num_steps, num_envs), self.num_actions)

    def sample(self, obs: Any, memory: Any, noise: jax.Array) -> tuple[jax.Array, Any, Any]:
        """For `unroll`: (action, memory, the memory after the observation)."""
        values, memory = self.values(obs, memory)
        return epsilon_greedy(values, noise, self.epsilon, action_mask(obs)), memory, memory

    def initial_memory(self, shape: tuple[int, ...]) -> Any:
        """What is remembered before an episode, with leading axes `shape`."""
        return self.network.initial_memory(shape)


def noise_streams(key: jax.Array | None) -> dict[str, jax.Array] | None:
    """The random streams of one application of a network: the noise of its noisy layers, or none."""
    return None if key is None else {"noise": key}
