"""CrossQ (Bhatt et al. 2024, https://arxiv.org/abs/1902.05605): soft actor-critic without target networks.

What makes that stable is batch renormalisation in the critics, over a batch that holds both sides of the equation:

    Q(obs, action), Q(next_obs, a') = critics([obs; next_obs], [action; a']),   a' ~ pi(.|next_obs)
    y            = r + gamma^n (1 - terminated) (min over critics of Q(next_obs, a') - alpha log pi(a'|next_obs))
    critics:     mean of (Q(obs, action) - y)^2 / 2, y a constant
    actor and temperature: as in `sac.py`, with the critics' running statistics

The actor is an ordinary network; `normalize_observations` does for it what the critics do themselves.
"""

from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp

from jaxrl.algorithms.actor_critic import actor_critic, sac
from jaxrl.algorithms.actor_critic.actor_critic import ContinuousSettings, State
from jaxrl.algorithms.actor_critic.learner import Learner, descend, every
from jaxrl.components import critic_losses as losses
from jaxrl.components.batch_renorm import RenormalizedCritics
from jaxrl.components.continuous import ContinuousPolicy, squashed_gaussian_head
from jaxrl.components.distributions import SquashedGaussianHead
from jaxrl.components.replay import Batch
from jaxrl.components.torsos import torso_for
from jaxrl.metrics import Metrics, mean
from jaxrl.pytree import Scalar, dataclass, hyperparameter, static


@dataclass
class CrossQ(ContinuousSettings):
    """CrossQ for actions in a bounded Box."""

    num_critics: int = static(2, minimum=1)
    critic_hidden_sizes: tuple[int, ...] = static((2048, 2048), minimum=1)
    """Of each critic after its encoder; `hidden_sizes` are the actor's alone."""
    renorm_warm_up: int = static(100_000, minimum=0)
    """Gradient steps before the running statistics correct those of the batch."""
    policy_delay: int = static(3, minimum=1)
    """Gradient steps of the critics for one of the actor and of the temperature."""
    learn_temperature: bool = static(True)

    learning_rate: Scalar = hyperparameter(1e-3, minimum=0)
    """Of everything but the critics."""
    adam_beta1: Scalar = hyperparameter(0.5, minimum=0, maximum=1)
    temperature: Scalar = hyperparameter(1.0, above=0)  # alpha
    """At the beginning, or throughout."""
    target_entropy: Scalar = hyperparameter(-1.0)
    """For each entry of the action, in nats, of actions in [-1, 1]: 0.69 is that of a uniform policy."""
    noise_scale: Scalar = hyperparameter(0.0, minimum=0)
    """Standard deviation of the noise added to sampled actions, in half-widths of their range."""

    def check(self) -> None:
        """Refuse spaces that no network here fits, a replay that is too small, and norms that would be two."""
        actor_critic.check(self)
        if self.layer_norm:
            raise ValueError("CrossQ normalises its critics by batch, got layer_norm=True; leave it out, or use SAC.")
        if self.residual:
            raise ValueError("CrossQ has no residual blocks, got residual=True; leave it out, or use SAC.")

    @property
    def steps_per_iteration(self) -> int:
        return self.num_envs * self.num_steps

    @property
    def head(self) -> SquashedGaussianHead:
        return squashed_gaussian_head(actor_critic.space(self))

    @property
    def critic_network(self) -> RenormalizedCritics:
        encoder = self.torso or torso_for(self.env.observation_space, (), self.activation)
        style = self.critic_hidden_sizes, self.activation
        return RenormalizedCritics(encoder, self.num_critics, *style, axis=self.axis, warm_up=self.renorm_warm_up)

    @property
    def targets(self) -> tuple[str, ...]:
        return ()

    def init(self, key: jax.Array) -> State:
        return actor_critic.init(self, key)

    def init_params(self, key: jax.Array, obs: Any) -> dict[str, Any]:
        """The first actor, critics (with their statistics) and temperature."""
        return sac.initial_params(self, key, obs)

    def step(self, key: jax.Array, state: State, iteration: jax.Array) -> tuple[State, Metrics]:
        return actor_critic.step(self, key, state, iteration)

    def policy(self, state: State, greedy: bool = True) -> ContinuousPolicy:
        return actor_critic.policy(self, state, greedy)

    def update(self, key: jax.Array, learner: Learner, batch: Batch, count: jax.Array) -> Any:
        """One gradient step of the critics, then of actor and temperature: (learner, errors [B], metrics)."""
        critic_key, actor_key = jax.random.split(key)
        learner, errors, metrics = self.critic_step(critic_key, learner, batch)

        def actor_step(learner: Learner) -> tuple[Learner, Metrics]:
            return sac.actor_step(self, actor_key, learner, batch, self.value)

        learner, more = every(self.policy_delay, count, actor_step, learner)
        return learner, errors, {**metrics, **more}

    def critic_step(self, key: jax.Array, learner: Learner, batch: Batch) -> tuple[Learner, jax.Array, Metrics]:
        """Move the critics towards the soft value of the next observation; also the absolute errors [B]."""
        next_action, log_prob = sac.sampled(self, key, learner.params["actor"], batch.next_obs)
        alpha = sac.temperature(learner)

        def loss(params: Any) -> tuple[jax.Array, Any]:
            (values, next_values), stats = self.joint_values(params, batch, next_action)
            soft_value = next_values.min(axis=0) - alpha * log_prob
            target = jax.lax.stop_gradient(batch.reward + batch.discount * soft_value)
            return losses.squared_error(values, target, batch.weight), (values, target, stats)

        learner, (values, target, stats) = descend(self, learner, "critics", loss)
        critics = {**learner.params["critics"], "batch_stats": stats}
        learner = replace(learner, params={**learner.params, "critics": critics})
        errors = losses.mean_error(values, target)
        return learner, errors, {"td_error": mean(errors), "value": mean(values)}

    def joint_values(
        self, params: Any, batch: Batch, next_action: jax.Array
    ) -> tuple[tuple[jax.Array, jax.Array], Any]:
        """((Q(obs, action), Q(next_obs, next_action)), running statistics), in one pass over both; Q are [E, B]."""
        obs = jax.tree.map(lambda now, then: jnp.concatenate([now, then]), batch.obs, batch.next_obs)
        action = jnp.concatenate([batch.action, next_action])
        network = self.critic_network.clone(training=True)
        values, changed = network.apply(params, obs, action, mutable=["batch_stats"])
        now, then = jnp.split(values, 2, axis=1)
        return (now, then), changed["batch_stats"]

    def value(self, key: jax.Array, params: Any, obs: Any, action: jax.Array) -> jax.Array:
        """What the actor climbs, [B]: the least of the critics' values, by their running statistics."""
        return self.critic_network.apply(params, obs, action).min(axis=0)
