"""Networks of the off-policy actor-critics: an actor, and several critics Q(s, a) as one vmapped network."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxrl.components.q_networks import QNetwork
from jaxrl.components.torsos import MLP, ResidualMLP, dense


class ActorNetwork(nn.Module):
    """What a `distributions.Head` asks for: observations [..., *obs] to outputs [..., num_outputs]."""

    torso: nn.Module
    num_outputs: int

    @nn.compact
    def __call__(self, obs: Any) -> jax.Array:
        """The last layer starts small, so that the first actions lie in the middle of their range."""
        return dense(self.num_outputs, 0.01)(self.torso(obs))

    def actor(self, obs: Any) -> tuple[jax.Array, None]:
        """(outputs, no parameters that do not depend on the observation), as `networks.ActorCritic` gives them."""
        return self(obs), None


def ensemble_of(network: type[nn.Module], size: int, in_axes: Any = None) -> Any:
    """The class of `size` networks as one: weights, statistics and dropout of their own, and a leading axis.

    `in_axes` are those of the inputs, as `jax.vmap` has them: all read the same ones, if nothing is given.
    """
    return nn.vmap(
        network,
        variable_axes={"params": 0, "batch_stats": 0},
        split_rngs={"params": True, "dropout": True},
        in_axes=in_axes,
        axis_size=size,
    )


class Critic(nn.Module):
    """Q(s, a) [..., num_outputs], of an observation's encoding side by side with the action."""

    encoder: nn.Module
    """From observations to what the hidden layers read."""
    hidden_sizes: tuple[int, ...]
    activation: str = "relu"
    layer_norm: bool = False
    dropout: float = 0.0
    residual: bool = False
    """A `ResidualMLP`, which has norms of its own and no dropout."""
    num_outputs: int = 1

    @nn.compact
    def __call__(self, obs: Any, action: jax.Array) -> jax.Array:
        """`action` [..., D], scaled to [-1, 1]; dropout is on where there is a random stream "dropout"."""
        features = jnp.concatenate([self.encoder(obs), action], axis=-1)
        if self.residual:
            features = ResidualMLP(self.hidden_sizes, self.activation)(features)
        else:
            features = MLP(self.hidden_sizes, self.activation, self.layer_norm, dropout=self.dropout)(features)
        return dense(self.num_outputs, 1.0)(features)


class Critics(nn.Module):
    """`num_critics` of them, with weights of their own: [E, ...], or [E, ..., K] with `num_atoms` = K."""

    encoder: nn.Module
    num_critics: int
    hidden_sizes: tuple[int, ...]
    activation: str = "relu"
    layer_norm: bool = False
    dropout: float = 0.0
    residual: bool = False
    num_atoms: int | None = None

    @nn.compact
    def __call__(self, obs: Any, action: jax.Array) -> jax.Array:
        """As each of them, with a leading axis E."""
        num_outputs = 1 if self.num_atoms is None else self.num_atoms
        # An action for each: then the first layers too are products side by side, and nothing has to be turned after.
        actions = jnp.broadcast_to(action, (self.num_critics, *action.shape))
        values: jax.Array = ensemble_of(Critic, self.num_critics, (None, 0))(
            self.encoder.clone(parent=None),
            self.hidden_sizes,
            self.activation,
            self.layer_norm,
            self.dropout,
            self.residual,
            num_outputs,
            name="ensemble",
        )(obs, actions)
        return values[..., 0] if self.num_atoms is None else values


class ActionCritics(nn.Module):
    """`num_critics` networks with weights of their own that value every discrete action: Q(s, .) [E, ..., A]."""

    torso: nn.Module
    num_critics: int
    num_actions: int

    @nn.compact
    def __call__(self, obs: Any) -> jax.Array:
        """As each of them, with a leading axis E."""
        networks = ensemble_of(QNetwork, self.num_critics)
        values: jax.Array = networks(self.torso.clone(parent=None), self.num_actions, name="ensemble")(obs)
        return values
