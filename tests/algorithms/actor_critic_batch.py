"""One batch, and an environment whose range of actions is not symmetric, for the tests of the actor-critics."""

from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl.components.replay import Batch
from jaxrl.envs.environment import TimeStep
from jaxrl.envs.spaces import Box
from jaxrl.pytree import dataclass

B = 16
KEYS = jax.random.split(jax.random.key(0), 8)
SMALL: dict[str, Any] = {"hidden_sizes": (8,), "batch_size": B}
AXES = Box(np.array([-1.0, 0.0]), np.array([3.0, 10.0]))


@dataclass
class Stretched:
    """Actions in a box that is neither symmetric nor a cube; nothing steps it here."""

    observation_space = Box(-9.0, 9.0, (3,))
    action_space = AXES

    def reset(self, key: jax.Array) -> Any:
        return jnp.int32(0), jax.random.normal(key, (3,))

    def step(self, key: jax.Array, state: Any, action: Any) -> Any:
        end = jnp.bool_(False)
        return state, TimeStep(jax.random.normal(key, (3,)), jnp.float32(0), terminated=end, truncated=end, info={})


def one_batch() -> Batch:
    return Batch(
        obs=jax.random.normal(KEYS[0], (B, 3)),
        action=jax.random.uniform(KEYS[1], (B, 2), minval=-1.0),
        reward=jax.random.normal(KEYS[2], (B,)),
        discount=jnp.where(jnp.arange(B) % 3 == 0, 0.0, 0.9),
        next_obs=jax.random.normal(KEYS[3], (B, 3)),
        weight=jax.random.uniform(KEYS[4], (B,)),
    )


def learner_of(agent: Any) -> Any:
    learner = agent.init(KEYS[5]).learner
    # Targets of their own, so that what is taken from them shows.
    other = agent.init(KEYS[6]).learner
    return replace(learner, target_params=other.target_params)
