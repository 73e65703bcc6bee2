"""Deep deterministic policy gradient (Lillicrap et al. 2016, https://arxiv.org/abs/1509.02971).

In the loop of `actor_critic.py`, on windows of n steps:

    y       = r + gamma^n (1 - terminated) Q_target(next_obs, mu_target(next_obs))
    critic: mean of (Q(obs, action) - y)^2 / 2
    actor:  -mean of Q(obs, mu(obs))
    both target networks move by target_rate towards their originals

The noise added to actions is that of `noise_scale` and `noise_correlation`: white, or the paper's Ornstein-Uhlenbeck
process. There is no batch normalisation; `normalize_observations` does what the paper used it for.
"""

from collections.abc import Callable
from typing import Any

import jax

from jaxrl.algorithms.actor_critic import actor_critic
from jaxrl.algorithms.actor_critic.actor_critic import ContinuousSettings, State
from jaxrl.algorithms.actor_critic.learner import Learner, descend, with_moved_targets
from jaxrl.components import critic_losses as losses
from jaxrl.components.continuous import ContinuousPolicy, PointHead, num_entries
from jaxrl.components.critics import Critics
from jaxrl.components.replay import Batch
from jaxrl.metrics import Metrics, mean
from jaxrl.pytree import dataclass, static


@dataclass
class DDPG(ContinuousSettings):
    """DDPG for actions in a bounded Box."""

    num_critics: int = static(1, minimum=1)
    """The target is the least of their values."""

    def check(self) -> None:
        """Refuse spaces that no network here fits, and a replay that is too small."""
        actor_critic.check(self)

    @property
    def steps_per_iteration(self) -> int:
        return self.num_envs * self.num_steps

    @property
    def head(self) -> PointHead:
        return PointHead(num_entries(actor_critic.space(self)))

    @property
    def critic_network(self) -> Critics:
        return actor_critic.critic_network(self)

    @property
    def targets(self) -> tuple[str, ...]:
        return ("actor", "critics")

    def init(self, key: jax.Array) -> State:
        return actor_critic.init(self, key)

    def init_params(self, key: jax.Array, obs: Any) -> dict[str, Any]:
        """The first actor and critic."""
        return actor_critic.init_params(self, key, obs)

    def step(self, key: jax.Array, state: State, iteration: jax.Array) -> tuple[State, Metrics]:
        return actor_critic.step(self, key, state, iteration)

    def policy(self, state: State, greedy: bool = True) -> ContinuousPolicy:
        return actor_critic.policy(self, state, greedy)

    def update(self, key: jax.Array, learner: Learner, batch: Batch, count: jax.Array) -> Any:
        """One gradient step of the critic and of the actor: (learner, errors [B], metrics)."""
        next_action = deterministic_action(self, learner.target_params["actor"], batch.next_obs)
        learner, errors, metrics = critic_step(self, learner, batch, next_action)
        learner, more = actor_step(self, learner, batch, self.value)
        return with_moved_targets(self, learner, count), errors, {**metrics, **more}

    def value(self, params: Any, obs: Any, action: jax.Array) -> jax.Array:
        """What the actor climbs, [B]: the first critic."""
        return self.critic_network.apply(params, obs, action)[0]


def deterministic_action(agent: Any, params: Any, obs: Any) -> jax.Array:
    """mu(obs), [B, D] in [-1, 1]."""
    return agent.head(actor_critic.actor_network(agent).apply(params, obs)).mode()


def critic_step(agent: Any, learner: Learner, batch: Batch, next_action: jax.Array) -> tuple[Learner, jax.Array, Any]:
    """Move the critics towards the value of `next_action` [B, D]; also the absolute errors [B]."""
    network = agent.critic_network
    next_value = network.apply(learner.target_params["critics"], batch.next_obs, next_action).min(axis=0)
    target = batch.reward + batch.discount * next_value

    def loss(params: Any) -> tuple[jax.Array, Any]:
        values = network.apply(params, batch.obs, batch.action)
        return losses.squared_error(values, target, batch.weight), values

    learner, values = descend(agent, learner, "critics", loss)
    errors = losses.mean_error(values, target)
    return learner, errors, {"td_error": mean(errors), "value": mean(values)}


def actor_step(agent: Any, learner: Learner, batch: Batch, value: Callable[..., jax.Array]) -> tuple[Learner, Metrics]:
    """Move the actor up `value(params, obs, action)` [B] (Silver et al. 2014, the deterministic policy gradient)."""

    def loss(params: Any) -> tuple[jax.Array, Metrics]:
        action = deterministic_action(agent, params, batch.obs)
        loss = -value(learner.params["critics"], batch.obs, action).mean()
        return loss, {"actor_loss": mean(loss)}

    return descend(agent, learner, "actor", loss)
