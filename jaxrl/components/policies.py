"""Policies as pytrees: parameters and frozen statistics are leaves, so one can be vmapped, saved and carried away."""

from typing import Any

import flax.linen as nn
import jax

from jaxrl.components.distributions import Distribution, Head
from jaxrl.components.normalization import RunningStats, normalize
from jaxrl.components.recurrent import RecurrentActorCritic
from jaxrl.envs.spaces import Space, clip
from jaxrl.pytree import dataclass, static


def action_mask(obs: Any) -> jax.Array | None:
    """The mask of allowed actions that a dict observation may carry, else None."""
    return obs.get("action_mask") if isinstance(obs, dict) else None


@dataclass
class ActorPolicy:
    """A stochastic policy without memory: network outputs are the parameters of a distribution over actions."""

    params: Any
    observation_stats: RunningStats | None
    network: nn.Module = static()
    """Has a method `actor(obs) -> (outputs, free)`, as `networks.ActorCritic`."""
    head: Head = static()
    action_space: Space = static()
    greedy: bool = static(True)

    def distribution(self, obs: Any) -> Distribution:
        """The distribution over actions at raw observations [..., *obs]."""
        if self.observation_stats is not None:
            obs = normalize(self.observation_stats, obs)
        outputs, free = self.network.apply(self.params, obs, method="actor")
        return self.head(outputs, free, action_mask(obs))

    def act(self, key: jax.Array, obs: Any, memory: Any = ()) -> tuple[Any, Any]:
        """The mode if greedy, else a sample, clipped to the action space; returns (action, memory)."""
        return clip(self.action_space, _choose(self, key, self.distribution(obs))), memory

    def sample(self, obs: Any, memory: Any, noise: Any) -> tuple[Any, Any, Any]:
        """For `unroll`: (clipped action, memory, (the action as drawn, its log-probability))."""
        action, log_prob = self.distribution(obs).sample_and_log_prob(noise)
        return clip(self.action_space, action), memory, (action, log_prob)

    def initial_memory(self, shape: tuple[int, ...]) -> tuple[()]:
        """Nothing is remembered."""
        return ()


@dataclass
class RecurrentActorPolicy:
    """A stochastic policy with a memory, which the caller resets to `initial_memory` where an episode starts."""

    params: Any
    observation_stats: RunningStats | None
    network: RecurrentActorCritic = static()
    head: Head = static()
    action_space: Space = static()
    greedy: bool = static(True)

    def distribution(self, obs: Any, memory: Any) -> tuple[Distribution, Any]:
        """The distribution over actions at raw observations [..., *obs], and the memory after them."""
        if self.observation_stats is not None:
            obs = normalize(self.observation_stats, obs)
        (outputs, free), _, memory = self.network.apply(self.params, obs, memory, method="step")
        return self.head(outputs, free, action_mask(obs)), memory

    def act(self, key: jax.Array, obs: Any, memory: Any) -> tuple[Any, Any]:
        """The mode if greedy, else a sample, clipped to the action space; returns (action, memory)."""
        distribution, memory = self.distribution(obs, memory)
        return clip(self.action_space, _choose(self, key, distribution)), memory

    def sample(self, obs: Any, memory: Any, noise: Any) -> tuple[Any, Any, Any]:
        """For `unroll`: (clipped action, memory, (the action as drawn, its log-probability, memory))."""
        distribution, memory = self.distribution(obs, memory)
        action, log_prob = distribution.sample_and_log_prob(noise)
        return clip(self.action_space, action), memory, (action, log_prob, memory)

    def initial_memory(self, shape: tuple[int, ...]) -> Any:
        """What is remembered before an episode, with leading axes `shape`."""
        return self.network.initial_memory(shape)


def _choose(policy: ActorPolicy | RecurrentActorPolicy, key: jax.Array, distribution: Distribution) -> jax.Array:
    if policy.greedy:
        return distribution.mode()
    return distribution.sample(policy.head.noise(key, distribution.entropy().shape))
