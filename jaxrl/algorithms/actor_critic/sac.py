"""Soft actor-critic (Haarnoja et al. 2018b, https://arxiv.org/abs/1812.05905), and its ensembles REDQ and DroQ.

In the loop of `actor_critic.py`, on windows of n steps, with a' ~ pi(.|next_obs) of the policy that learns:

    y            = r + gamma^n (1 - terminated) (min over critics of Q_target(next_obs, a') - alpha log pi(a'|next_obs))
    critics:     mean of (Q(obs, action) - y)^2 / 2
    actor:       mean of alpha log pi(a|obs) - min over critics of Q(obs, a),   a ~ pi(.|obs)
    temperature: mean of -log alpha (log pi(a|obs) + target_entropy)

REDQ (Chen et al. 2021) is `num_critics=10, subset_size=2` and more gradient steps: the target takes the least of a
random subset, the actor the mean of all. DroQ (Hiraoka et al. 2022) is `dropout=0.01, layer_norm=True` and two critics.

Densities are those of actions in [-1, 1], so that neither the temperature nor the target entropy depends on the units
of the environment's actions.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

import jax
import jax.numpy as jnp

from jaxrl.algorithms.actor_critic import actor_critic
from jaxrl.algorithms.actor_critic.actor_critic import ContinuousSettings, State
from jaxrl.algorithms.actor_critic.learner import Learner, descend, every, with_moved_targets
from jaxrl.components import critic_losses as losses
from jaxrl.components.continuous import ContinuousPolicy, num_entries, squashed_gaussian_head
from jaxrl.components.critics import Critics
from jaxrl.components.distributions import SquashedGaussianHead
from jaxrl.components.replay import Batch
from jaxrl.metrics import Metrics, mean
from jaxrl.pytree import Scalar, dataclass, hyperparameter, static

if TYPE_CHECKING:
    from jaxrl.algorithms.actor_critic.crossq import CrossQ
    from jaxrl.algorithms.actor_critic.tqc import TQC

AnySAC: TypeAlias = "SAC | TQC | CrossQ"
"""The forms whose actor and temperature learn alike."""


@dataclass
class SAC(ContinuousSettings):
    """SAC for actions in a bounded Box."""

    num_critics: int = static(2, minimum=1)
    subset_size: int | None = static(None, minimum=1)  # M of REDQ
    """Critics, drawn anew each time, whose least value is the target; None for all of them."""
    dropout: float = static(0.0)
    """The part of the critics' features that is left out, at random."""
    policy_delay: int = static(1, minimum=1)
    """Gradient steps of the critics for one of the actor and of the temperature."""
    learn_temperature: bool = static(True)

    temperature: Scalar = hyperparameter(1.0, above=0)  # alpha
    """At the beginning, or throughout."""
    target_entropy: Scalar = hyperparameter(-1.0)
    """For each entry of the action, in nats, of actions in [-1, 1]: 0.69 is that of a uniform policy."""
    noise_scale: Scalar = hyperparameter(0.0, minimum=0)
    """Standard deviation of the noise added to sampled actions, in half-widths of their range."""

    def check(self) -> None:
        """Refuse spaces that no network here fits, a replay that is too small, and a subset larger than the whole."""
        actor_critic.check(self)
        if self.subset_size is not None and self.subset_size > self.num_critics:
            raise ValueError(f"subset_size must be at most num_critics = {self.num_critics}, got {self.subset_size}.")
        if not 0.0 <= self.dropout < 1.0:
            raise ValueError(f"dropout must be at least 0 and below 1, got {self.dropout}.")
        if self.dropout and self.residual:
            raise ValueError(
                "Residual blocks have no dropout, got residual=True and dropout too; leave one of them out."
            )

    @property
    def steps_per_iteration(self) -> int:
        return self.num_envs * self.num_steps

    @property
    def head(self) -> SquashedGaussianHead:
        return squashed_gaussian_head(actor_critic.space(self))

    @property
    def critic_network(self) -> Critics:
        return actor_critic.critic_network(self, self.dropout)

    @property
    def targets(self) -> tuple[str, ...]:
        return ("critics",)

    def init(self, key: jax.Array) -> State:
        return actor_critic.init(self, key)

    def init_params(self, key: jax.Array, obs: Any) -> dict[str, Any]:
        """The first actor, critics and temperature."""
        return initial_params(self, key, obs)

    def step(self, key: jax.Array, state: State, iteration: jax.Array) -> tuple[State, Metrics]:
        return actor_critic.step(self, key, state, iteration)

    def policy(self, state: State, greedy: bool = True) -> ContinuousPolicy:
        return actor_critic.policy(self, state, greedy)

    def update(self, key: jax.Array, learner: Learner, batch: Batch, count: jax.Array) -> Any:
        """One gradient step of the critics, then of actor and temperature: (learner, errors [B], metrics)."""
        critic_key, actor_key = jax.random.split(key)
        learner, errors, metrics = self.critic_step(critic_key, learner, batch)
        learner, more = every(
            self.policy_delay, count, lambda learner: actor_step(self, actor_key, learner, batch, self.value), learner
        )
        return with_moved_targets(self, learner, count), errors, {**metrics, **more}

    def critic_step(self, key: jax.Array, learner: Learner, batch: Batch) -> tuple[Learner, jax.Array, Metrics]:
        """Move the critics towards the soft value of the next observation; also the absolute errors [B]."""
        sample_key, subset_key, target_key, online_key = jax.random.split(key, 4)
        next_action, log_prob = sampled(self, sample_key, learner.params["actor"], batch.next_obs)
        next_values = self.values(target_key, learner.target_params["critics"], batch.next_obs, next_action)
        if self.subset_size is not None:
            next_values = jax.random.choice(subset_key, next_values, (self.subset_size,), replace=False)
        soft_value = next_values.min(axis=0) - temperature(learner) * log_prob
        target = batch.reward + batch.discount * soft_value

        def loss(params: Any) -> tuple[jax.Array, jax.Array]:
            values = self.values(online_key, params, batch.obs, batch.action)
            return losses.squared_error(values, target, batch.weight), values

        learner, values = descend(self, learner, "critics", loss)
        errors = losses.mean_error(values, target)
        return learner, errors, {"td_error": mean(errors), "value": mean(values)}

    def values(self, key: jax.Array, params: Any, obs: Any, action: jax.Array) -> jax.Array:
        """Q_1, ..., Q_E [E, B], with dropout if any."""
        return self.critic_network.apply(params, obs, action, rngs={"dropout": key})

    def value(self, key: jax.Array, params: Any, obs: Any, action: jax.Array) -> jax.Array:
        """What the actor climbs, [B]: the least of the critics' values, or their mean where targets take a subset."""
        values = self.values(key, params, obs, action)
        return values.min(axis=0) if self.subset_size is None else values.mean(axis=0)


def initial_params(agent: AnySAC, key: jax.Array, obs: Any) -> dict[str, Any]:
    """The first actor, critics and temperature."""
    return {**actor_critic.init_params(agent, key, obs), "log_temperature": jnp.log(agent.temperature)}


def actor_step(
    agent: AnySAC, key: jax.Array, learner: Learner, batch: Batch, value: Callable[..., jax.Array]
) -> tuple[Learner, Metrics]:
    """Move the actor up `value(key, params, obs, action)` [B] and its entropy, then the temperature to its target."""
    sample_key, value_key = jax.random.split(key)
    alpha = temperature(learner)

    def loss(params: Any) -> tuple[jax.Array, jax.Array]:
        action, log_prob = sampled(agent, sample_key, params, batch.obs)
        return (alpha * log_prob - value(value_key, learner.params["critics"], batch.obs, action)).mean(), log_prob

    def temperature_loss(log_temperature: jax.Array) -> tuple[jax.Array, tuple[()]]:
        target_entropy = agent.target_entropy * num_entries(actor_critic.space(agent))
        return losses.temperature_loss(log_temperature, log_prob, target_entropy), ()

    learner, log_prob = descend(agent, learner, "actor", loss)
    if agent.learn_temperature:
        learner, _ = descend(agent, learner, "log_temperature", temperature_loss)
    return learner, {"entropy": mean(-log_prob), "temperature": mean(alpha)}


def sampled(agent: AnySAC, key: jax.Array, params: Any, obs: Any) -> tuple[jax.Array, jax.Array]:
    """(a ~ pi(.|obs) [B, D] in [-1, 1], log pi(a|obs) [B])."""
    distribution = agent.head(actor_critic.actor_network(agent).apply(params, obs))
    return distribution.sample_and_log_prob(agent.head.noise(key, distribution.batch_shape))


def temperature(learner: Learner) -> jax.Array:
    """alpha []."""
    return jnp.exp(learner.params["log_temperature"])
