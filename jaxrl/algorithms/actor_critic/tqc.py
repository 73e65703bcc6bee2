"""Truncated quantile critics (Kuznetsov et al. 2020, https://arxiv.org/abs/2005.04269).

Soft actor-critic with critics that give quantiles of the return, and an overestimation that is controlled by leaving
out the highest of them. With a' ~ pi(.|next_obs), E critics and K quantiles each:

    z_(1) <= ... <= z_(E K):  the target critics' quantiles at (next_obs, a'), pooled and sorted
    y_j      = r + gamma^n (1 - terminated) (z_(j) - alpha log pi(a'|next_obs)),   j = 1 .. E (K - num_dropped)
    critics: quantile regression of each critic's K quantiles on all y_j
    actor:   mean of alpha log pi(a|obs) - mean of all quantiles of all critics at (obs, a),   a ~ pi(.|obs)
"""

from typing import Any

import jax
import jax.numpy as jnp

from jaxrl.algorithms.actor_critic import actor_critic, sac
from jaxrl.algorithms.actor_critic.actor_critic import ContinuousSettings, State
from jaxrl.algorithms.actor_critic.learner import Learner, descend, every, with_moved_targets
from jaxrl.components.continuous import ContinuousPolicy, squashed_gaussian_head
from jaxrl.components.critics import Critics
from jaxrl.components.distributions import SquashedGaussianHead
from jaxrl.components.replay import Batch
from jaxrl.components.value_distributions import midpoints, quantile_huber_loss, quantile_targets
from jaxrl.metrics import Metrics, mean
from jaxrl.pytree import Scalar, dataclass, hyperparameter, static


@dataclass
class TQC(ContinuousSettings):
    """TQC for actions in a bounded Box."""

    num_critics: int = static(2, minimum=1)
    num_quantiles: int = static(25, minimum=1)  # K
    """Of each critic."""
    num_dropped: int = static(2, minimum=0)  # d
    """Of the highest quantiles, for each critic; the E num_dropped highest of all are left out of the target."""
    policy_delay: int = static(1, minimum=1)
    """Gradient steps of the critics for one of the actor and of the temperature."""
    learn_temperature: bool = static(True)

    temperature: Scalar = hyperparameter(1.0, above=0)  # alpha
    """At the beginning, or throughout."""
    target_entropy: Scalar = hyperparameter(-1.0)
    """For each entry of the action, in nats, of actions in [-1, 1]: 0.69 is that of a uniform policy."""
    huber_delta: Scalar = hyperparameter(1.0, above=0)  # kappa
    """Errors beyond it count linearly."""
    noise_scale: Scalar = hyperparameter(0.0, minimum=0)
    """Standard deviation of the noise added to sampled actions, in half-widths of their range."""

    def check(self) -> None:
        """Refuse spaces that no network here fits, a replay that is too small, and dropping every quantile."""
        actor_critic.check(self)
        if self.num_dropped >= self.num_quantiles:
            raise ValueError(
                f"num_dropped must be below num_quantiles = {self.num_quantiles}, got {self.num_dropped}; "
                "some quantiles must stay for the target."
            )

    @property
    def steps_per_iteration(self) -> int:
        return self.num_envs * self.num_steps

    @property
    def head(self) -> SquashedGaussianHead:
        return squashed_gaussian_head(actor_critic.space(self))

    @property
    def critic_network(self) -> Critics:
        return actor_critic.critic_network(self, num_atoms=self.num_quantiles)

    @property
    def targets(self) -> tuple[str, ...]:
        return ("critics",)

    def init(self, key: jax.Array) -> State:
        return actor_critic.init(self, key)

    def init_params(self, key: jax.Array, obs: Any) -> dict[str, Any]:
        """The first actor, critics and temperature."""
        return sac.initial_params(self, key, obs)

    def step(self, key: jax.Array, state: State, iteration: jax.Array) -> tuple[State, Metrics]:
        return actor_critic.step(self, key, state, iteration)

    def policy(self, state: State, greedy: bool = True) -> ContinuousPolicy:
        return actor_critic.policy(self, state, greedy)

    def update(self, key: jax.Array, learner: Learner, batch: Batch, count: jax.Array) -> Any:
        """One gradient step of the critics, then of actor and temperature: (learner, errors [B], metrics)."""
        critic_key, actor_key = jax.random.split(key)
        learner, errors, metrics = self.critic_step(critic_key, learner, batch)
        learner, more = every(
            self.policy_delay,
            count,
            lambda learner: sac.actor_step(self, actor_key, learner, batch, self.value),
            learner,
        )
        return with_moved_targets(self, learner, count), errors, {**metrics, **more}

    def critic_step(self, key: jax.Array, learner: Learner, batch: Batch) -> tuple[Learner, jax.Array, Metrics]:
        """Regress every critic on the truncated target; also how far the mean of each transition is off, [B]."""
        next_action, log_prob = sac.sampled(self, key, learner.params["actor"], batch.next_obs)
        quantiles = self.critic_network.apply(learner.target_params["critics"], batch.next_obs, next_action)
        soft = truncated(quantiles, self.num_dropped) - (sac.temperature(learner) * log_prob)[:, None]
        targets = jax.lax.stop_gradient(quantile_targets(batch.reward, batch.discount, soft))
        fractions = midpoints(self.num_quantiles)

        def loss(params: Any) -> tuple[jax.Array, jax.Array]:
            predicted = self.critic_network.apply(params, batch.obs, batch.action)  # [E, B, K]
            every_target = jnp.broadcast_to(targets[None], (self.num_critics, *targets.shape))
            every_fraction = jnp.broadcast_to(fractions[None, None], predicted.shape)
            loss = quantile_huber_loss(predicted, every_fraction, every_target, self.huber_delta)
            return (batch.weight[None] * loss).mean(axis=-1).sum(), predicted

        learner, predicted = descend(self, learner, "critics", loss)
        values = predicted.mean(axis=(0, -1))
        errors = jnp.abs(values - targets.mean(axis=-1))
        return learner, errors, {"td_error": mean(errors), "value": mean(values)}

    def value(self, key: jax.Array, params: Any, obs: Any, action: jax.Array) -> jax.Array:
        """What the actor climbs, [B]: the mean of all quantiles of all critics."""
        return self.critic_network.apply(params, obs, action).mean(axis=(0, -1))


def truncated(quantiles: jax.Array, num_dropped: int) -> jax.Array:
    """[E, B, K] to [B, E (K - num_dropped)]: pooled over the critics, sorted, without the highest E num_dropped."""
    num_critics, _, num_quantiles = quantiles.shape
    pooled = jnp.moveaxis(quantiles, 0, 1).reshape(-1, num_critics * num_quantiles)
    return jnp.sort(pooled, axis=-1)[:, : num_critics * (num_quantiles - num_dropped)]
