"""Continuous actions of off-policy agents: their range, the noise added to them, and a policy of both.

Inside an algorithm every action is a vector [..., D] in [-1, 1], the range of the environment's actions scaled, entry
by entry. So a critic reads all entries alike, noise is in half-widths of the range whatever its bounds, and the
entropy of a policy does not depend on the units of its actions.
"""

import dataclasses
import math
from typing import Any, Protocol

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from jaxrl.components.distributions import SquashedGaussianHead
from jaxrl.components.normalization import RunningStats, normalize
from jaxrl.envs.spaces import Box, Space, clip
from jaxrl.pytree import Scalar, dataclass, static


def bounded_box(space: Space) -> Box:
    """The space, if it is a floating-point Box with finite bounds low < high; raises ValueError otherwise."""
    is_box = isinstance(space, Box) and np.issubdtype(space.dtype, np.floating)
    if not isinstance(space, Box) or not is_box or not space.is_bounded or np.any(space.low >= space.high):
        raise ValueError(
            "An actor-critic for continuous control needs a floating-point Box of actions with finite bounds "
            f"low < high, got {space}; give the environment such a space, or use PPO, which also takes others."
        )
    return space


def num_entries(space: Box) -> int:
    """D, the length of an action as a vector."""
    return math.prod(space.shape)


def scaled(space: Box, action: jax.Array) -> jax.Array:
    """Actions [..., *shape] of the environment to [..., D] in [-1, 1]."""
    flat = action.reshape(*action.shape[: action.ndim - len(space.shape)], num_entries(space))
    centre, width = _centre_and_width(space, flat.ndim)
    return (flat - centre) / width


def unscaled(space: Box, action: jax.Array) -> jax.Array:
    """[..., D] in [-1, 1] to actions [..., *shape] of the environment, within its bounds in every digit."""
    centre, width = _centre_and_width(space, action.ndim)
    flat = centre + width * action
    return clip(space, flat.reshape(*action.shape[:-1], *space.shape).astype(space.dtype))


def correlated_noise(previous: jax.Array, normal: jax.Array, correlation: Scalar) -> jax.Array:
    """rho x + sqrt(1 - rho^2) n: noise of standard deviation 1 that remembers what it was a step ago.

    This is the Ornstein-Uhlenbeck process dx = -theta x dt + sigma dW at steps of dt, with rho = exp(-theta dt), in
    units of its stationary deviation sigma / sqrt(2 theta). rho = 0 is white Gaussian noise.
    """
    return correlation * previous + jnp.sqrt(1.0 - jnp.square(correlation)) * normal


@dataclass
class Point:
    """A distribution that is a single action, tanh(outputs): what a deterministic actor plays."""

    outputs: jax.Array
    """[..., D]."""

    def mode(self) -> jax.Array:
        """The action [..., D]."""
        return jnp.tanh(self.outputs)

    def sample(self, noise: jax.Array) -> jax.Array:
        """The same; there is no noise."""
        return self.mode()


@dataclasses.dataclass(frozen=True)
class PointHead:
    """The bridge from a deterministic actor's outputs to its action."""

    num_outputs: int

    def noise(self, key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
        """Nothing, [*shape, 0]."""
        return jnp.zeros((*shape, 0))

    def __call__(self, outputs: jax.Array, free: None = None) -> Point:
        """The action for outputs [..., D]."""
        return Point(outputs)


def squashed_gaussian_head(space: Box) -> SquashedGaussianHead:
    """The head of a stochastic actor; its actions and densities are those in [-1, 1]^D."""
    size = num_entries(space)
    return SquashedGaussianHead((size,), (-1.0,) * size, (1.0,) * size)


class ContinuousHead(Protocol):
    """The bridge from an actor's outputs to a distribution over actions in [-1, 1]; hashable, so that it is static."""

    @property
    def num_outputs(self) -> int:
        """Outputs for each observation that the actor must give."""
        ...

    def noise(self, key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
        """All randomness of sampling for leading axes `shape`, in one draw."""
        ...

    def __call__(self, outputs: jax.Array) -> Any:
        """The distribution, with `mode()` and `sample(noise)`."""
        ...


@dataclass
class ContinuousPolicy:
    """A policy in a Box, with noise added to its actions while it explores; its memory is that noise, [..., D]."""

    params: Any
    observation_stats: RunningStats | None
    noise_scale: Scalar
    """Standard deviation of the added noise, in half-widths of the range of actions."""
    noise_correlation: Scalar
    """Of the added noise, between two steps of an episode."""
    network: nn.Module = static()
    """`__call__(obs) -> outputs`, as `critics.ActorNetwork`."""
    head: ContinuousHead = static()
    action_space: Box = static()
    greedy: bool = static(True)

    def distribution(self, obs: Any) -> Any:
        """The distribution over actions in [-1, 1] at raw observations [..., *obs]."""
        if self.observation_stats is not None:
            obs = normalize(self.observation_stats, obs)
        return self.head(self.network.apply(self.params, obs))

    def act(self, key: jax.Array, obs: Any, memory: jax.Array) -> tuple[jax.Array, jax.Array]:
        """The mode if greedy, else a sample with noise added; returns (action of the environment, memory)."""
        if self.greedy:
            return unscaled(self.action_space, self.distribution(obs).mode()), memory
        action, memory = self.explore(obs, memory, self.noise(key, memory.shape[:-1]))
        return unscaled(self.action_space, action), memory

    def explore(self, obs: Any, memory: jax.Array, noise: Any) -> tuple[jax.Array, jax.Array]:
        """A sample with noise added, clipped to [-1, 1], and the memory, from all the randomness that it takes."""
        own, normal = noise
        memory = correlated_noise(memory, normal, self.noise_correlation)
        return jnp.clip(self.distribution(obs).sample(own) + self.noise_scale * memory, -1.0, 1.0), memory

    def noise(self, key: jax.Array, shape: tuple[int, ...]) -> tuple[jax.Array, jax.Array]:
        """All randomness of `explore` for leading axes `shape`: (of the sample, normal [*shape, D])."""
        own_key, normal_key = jax.random.split(key)
        normal = jax.random.normal(normal_key, (*shape, num_entries(self.action_space)))
        return self.head.noise(own_key, shape), normal

    def initial_memory(self, shape: tuple[int, ...]) -> jax.Array:
        """No noise yet, [*shape, D]."""
        return jnp.zeros((*shape, num_entries(self.action_space)))


def _centre_and_width(space: Box, ndim: int) -> "tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]":
    """Of the range of the last axis, with `ndim` axes: action = centre + width * x for x in [-1, 1]."""
    low, high = (
        np.asarray(bound, np.float32).reshape(*[1] * (ndim - 1), num_entries(space))
        for bound in (space.low, space.high)
    )
    return (high + low) / 2, (high - low) / 2
