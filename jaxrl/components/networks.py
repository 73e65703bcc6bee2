"""Actor-critic networks. An actor's outputs are the parameters that a `distributions.Head` asks for.

`outputs` are [..., num_outputs]; `free` are the head's parameters that do not depend on the observation, [num_free],
or None if it has none. A critic's values are [...].
"""

from typing import Any

import flax.linen as nn
import jax

from jaxrl.components.torsos import CNN as CNN
from jaxrl.components.torsos import MLP as MLP
from jaxrl.components.torsos import dense
from jaxrl.components.torsos import torso_for as torso_for

ActorOutputs = tuple[jax.Array, jax.Array | None]


class ActorCritic(nn.Module):
    """A policy and a value function, on one torso if `shared`, else on a torso each (equal, with weights of their own).

    The policy's last layer starts at gain 0.01, so that the first policy is nearly uniform.
    """

    torso: nn.Module
    num_outputs: int
    num_free: int = 0
    shared: bool = False

    def setup(self) -> None:
        """Name the parts; the given torso is a template, copied so that its parameters stand under these names."""
        self.actor_torso = self.torso.copy(name=None)
        if not self.shared:
            self.critic_torso = self.torso.copy(name=None)
        self.policy_head = dense(self.num_outputs, 0.01)
        self.value_head = dense(1, 1.0)
        if self.num_free:
            self.free = self.param("free", nn.initializers.zeros, (self.num_free,))

    def __call__(self, obs: Any) -> tuple[ActorOutputs, jax.Array]:
        """Both: ((outputs, free), value)."""
        return self.actor(obs), self.critic(obs)

    def actor(self, obs: Any) -> ActorOutputs:
        """(outputs, free)."""
        return self.policy_head(self.actor_torso(obs)), self.free if self.num_free else None

    def critic(self, obs: Any) -> jax.Array:
        """Values [...]."""
        features = self.actor_torso(obs) if self.shared else self.critic_torso(obs)
        return self.value_head(features)[..., 0]


class ValueNetwork(nn.Module):
    """V(s) [...], a critic of its own."""

    torso: nn.Module

    @nn.compact
    def __call__(self, obs: Any) -> jax.Array:
        """Values of observations with any leading axes."""
        value: jax.Array = dense(1, 1.0)(self.torso(obs))
        return value[..., 0]
