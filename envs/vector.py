"""Many environments stepped as one: what the interaction loop meets."""

from typing import Any

import jax

from jaxrl.pytree import dataclass, static

from .environment import Environment, TimeStep
from .spaces import Space


@dataclass
class VectorEnvironment:
    """`num_envs` copies of `env` under `vmap`; an environment that steps a batch of its own has the same interface."""

    env: Environment[Any]
    num_envs: int = static(minimum=1)

    @property
    def observation_space(self) -> Space:
        """The space of one environment."""
        return self.env.observation_space

    @property
    def action_space(self) -> Space:
        """The space of one environment."""
        return self.env.action_space

    def reset(self, keys: jax.Array) -> tuple[Any, Any]:
        """First states and observations [K, ...] for keys [K], for any K."""
        return jax.vmap(self.env.reset)(keys)

    def step(self, keys: jax.Array, states: Any, actions: Any) -> tuple[Any, TimeStep]:
        """Step each of the N environments [N, ...] with its own key [N]."""
        return jax.vmap(self.env.step)(keys, states, actions)


def vectorize(env: Any, num_envs: int) -> VectorEnvironment:
    """`env` as a batch of `num_envs`: under `vmap`, or the one that it makes of itself."""
    own: VectorEnvironment = env.vectorize(num_envs) if is_host_stepped(env) else VectorEnvironment(env, num_envs)
    return own


def is_host_stepped(env: Any) -> bool:
    """Whether `env` steps a batch of its own outside of JAX, and can neither be copied nor saved."""
    return hasattr(env, "vectorize")
