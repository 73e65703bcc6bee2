"""How an agent that values actions explores: epsilon-greedy."""

import jax
import jax.numpy as jnp

from jaxrl.components.axis import share
from jaxrl.components.categorical import masked
from jaxrl.envs.spaces import Discrete, Space
from jaxrl.pytree import Scalar


def num_actions(space: Space) -> int:
    """How many actions there are to value; raises ValueError unless they are discrete."""
    if not isinstance(space, Discrete):
        raise ValueError(
            f"An algorithm that learns a value for each action needs a Discrete action space, got {space}; "
            "PPO and A2C also take the others."
        )
    return space.n


def exploration_noise(key: jax.Array, shape: tuple[int, ...], num_actions: int) -> jax.Array:
    """All randomness of `epsilon_greedy`, drawn in bulk: uniform in [0, 1), [*shape, 1 + num_actions]."""
    return jax.random.uniform(key, (*shape, 1 + num_actions))


def epsilon_ladder(num_envs: int, axis: str | None = None) -> jax.Array:
    """[N]: 0.4^(1 + 7 i / (N - 1)) for environment i of N, from 0.4 to 0.0007 (Horgan et al. 2018, Ape-X).

    With `axis`, the N are those of all devices and the result is this device's part.
    """
    here = share(num_envs, axis, "num_envs")
    offset = 0 if axis is None else jax.lax.axis_index(axis) * here
    index = (offset + jnp.arange(here)).astype(jnp.float32)
    return 0.4 ** (1.0 + 7.0 * index / max(num_envs - 1, 1))


def greedy_action(values: jax.Array, mask: jax.Array | None = None) -> jax.Array:
    """int32 [...]: the allowed action of the highest value [..., A]."""
    return jnp.argmax(masked(values, mask), axis=-1).astype(jnp.int32)


def epsilon_greedy(values: jax.Array, noise: jax.Array, epsilon: Scalar, mask: jax.Array | None = None) -> jax.Array:
    """int32 [...]: with probability epsilon an allowed action at random, else the best of `values` [..., A].

    `epsilon` is a number, or one for each lane.
    """
    at_random = jnp.argmax(masked(noise[..., 1:], mask), axis=-1)
    return jnp.where(noise[..., 0] < epsilon, at_random, greedy_action(values, mask)).astype(jnp.int32)
