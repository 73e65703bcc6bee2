"""Soft actor-critic for discrete actions (Christodoulou 2019, https://arxiv.org/abs/1910.07207).

As `sac.py`, with every expectation over actions exact, and H the entropy of pi(.|obs):

    V(s)         = sum over a of pi(a|s) min over critics of Q_target(s, a) + alpha H(s)
    y            = r + gamma^n (1 - terminated) V(next_obs)
    critics:     mean of (Q(obs, action) - y)^2 / 2
    actor:       -mean of [sum over a of pi(a|obs) min over critics of Q(obs, a) + alpha H(obs)]
    temperature: mean of log alpha (H(obs) - target_entropy log A)
"""

import math
from typing import Any

import jax
import jax.numpy as jnp

from jaxrl.algorithms.actor_critic import actor_critic
from jaxrl.algorithms.actor_critic.actor_critic import ActorCriticSettings, State
from jaxrl.algorithms.actor_critic.learner import Learner, descend, every, with_moved_targets
from jaxrl.algorithms.actor_critic.sac import temperature
from jaxrl.components import critic_losses as losses
from jaxrl.components.categorical import Categorical
from jaxrl.components.critics import ActionCritics
from jaxrl.components.distributions import CategoricalHead
from jaxrl.components.exploration import num_actions
from jaxrl.components.initializers import init_network
from jaxrl.components.policies import ActorPolicy, action_mask
from jaxrl.components.replay import Batch, Step, kept
from jaxrl.components.rollouts import Actor, World, unroll
from jaxrl.components.torsos import torso_for
from jaxrl.components.value_losses import pick
from jaxrl.metrics import Metrics, mean
from jaxrl.pytree import Scalar, dataclass, hyperparameter, static


@dataclass
class DiscreteSAC(ActorCriticSettings):
    """SAC for discrete actions, masked or not."""

    num_critics: int = static(2, minimum=1)
    policy_delay: int = static(1, minimum=1)
    """Gradient steps of the critics for one of the actor and of the temperature."""
    learn_temperature: bool = static(True)

    temperature: Scalar = hyperparameter(1.0, above=0)  # alpha
    """At the beginning, or throughout."""
    target_entropy: Scalar = hyperparameter(0.5, minimum=0, maximum=1)
    """As a part of log A, the entropy of a uniform policy."""

    def check(self) -> None:
        """Refuse other actions than discrete ones, and a replay that is too small."""
        num_actions(self.env.action_space)
        actor_critic.check_networks(self)
        if self.residual:
            raise ValueError("DiscreteSAC has no residual blocks, got residual=True; give it a torso of your own.")

    @property
    def steps_per_iteration(self) -> int:
        return self.num_envs * self.num_steps

    @property
    def head(self) -> CategoricalHead:
        return CategoricalHead(num_actions(self.env.action_space))

    @property
    def critic_network(self) -> ActionCritics:
        style = self.hidden_sizes, self.activation, self.layer_norm
        torso = self.torso or torso_for(self.env.observation_space, *style)
        return ActionCritics(torso, self.num_critics, self.head.num_actions)

    @property
    def targets(self) -> tuple[str, ...]:
        return ("critics",)

    def init(self, key: jax.Array) -> State:
        return actor_critic.init(self, key)

    def init_params(self, key: jax.Array, obs: Any) -> dict[str, Any]:
        """The first actor, critics and temperature."""
        actor_key, critic_key = jax.random.split(key)
        return {
            "actor": init_network(actor_critic.actor_network(self), actor_key, obs),
            "critics": init_network(self.critic_network, critic_key, obs),
            "log_temperature": jnp.log(self.temperature),
        }

    def step(self, key: jax.Array, state: State, iteration: jax.Array) -> tuple[State, Metrics]:
        return actor_critic.step(self, key, state, iteration, sample)

    def policy(self, state: State, greedy: bool = True) -> ActorPolicy:
        learner, network = state.learner, actor_critic.actor_network(self)
        stats = learner.observation_stats
        return ActorPolicy(learner.params["actor"], stats, network, self.head, self.env.action_space, greedy)

    def update(self, key: jax.Array, learner: Learner, batch: Batch, count: jax.Array) -> Any:
        """One gradient step of the critics, then of actor and temperature: (learner, errors [B], metrics)."""
        learner, errors, metrics = self.critic_step(learner, batch)
        learner, more = every(self.policy_delay, count, lambda learner: self.actor_step(learner, batch), learner)
        return with_moved_targets(self, learner, count), errors, {**metrics, **more}

    def critic_step(self, learner: Learner, batch: Batch) -> tuple[Learner, jax.Array, Metrics]:
        """Move the critics towards the soft value of the next observation; also the absolute errors [B]."""
        next_policy = self.distribution(learner.params["actor"], batch.next_obs)
        next_values = self.critic_network.apply(learner.target_params["critics"], batch.next_obs).min(axis=0)
        soft_value = soft_values(next_policy, next_values, temperature(learner))
        target = batch.reward + batch.discount * soft_value

        def loss(params: Any) -> tuple[jax.Array, jax.Array]:
            all_values = self.critic_network.apply(params, batch.obs)
            values = pick(all_values, jnp.broadcast_to(batch.action[None], all_values.shape[:-1]))
            return losses.squared_error(values, target, batch.weight), values

        learner, values = descend(self, learner, "critics", loss)
        errors = losses.mean_error(values, target)
        return learner, errors, {"td_error": mean(errors), "value": mean(values)}

    def actor_step(self, learner: Learner, batch: Batch) -> tuple[Learner, Metrics]:
        """Move the actor up its soft value, then the temperature towards its target."""
        alpha = temperature(learner)
        values = self.critic_network.apply(learner.params["critics"], batch.obs).min(axis=0)

        def loss(params: Any) -> tuple[jax.Array, jax.Array]:
            policy = self.distribution(params, batch.obs)
            return -soft_values(policy, values, alpha).mean(), policy.entropy()

        def temperature_loss(log_temperature: jax.Array) -> tuple[jax.Array, tuple[()]]:
            target_entropy = self.target_entropy * math.log(self.head.num_actions)
            return losses.temperature_loss(log_temperature, -entropy, target_entropy), ()

        learner, entropy = descend(self, learner, "actor", loss)
        if self.learn_temperature:
            learner, _ = descend(self, learner, "log_temperature", temperature_loss)
        return learner, {"entropy": mean(entropy), "temperature": mean(alpha)}

    def distribution(self, params: Any, obs: Any) -> Categorical:
        """pi(.|obs) for normalised observations."""
        return self.head(actor_critic.actor_network(self).apply(params, obs), None, action_mask(obs))


def soft_values(policy: Categorical, values: jax.Array, temperature: Scalar) -> jax.Array:
    """sum over a of pi(a) Q(a) + alpha H(pi), [B], for values [B, A]."""
    return (jax.nn.softmax(policy.logits) * values).sum(axis=-1) + temperature * policy.entropy()


def sample(agent: DiscreteSAC, key: jax.Array, state: State, iteration: jax.Array) -> tuple[World, Step, Metrics]:
    """Act by the policy for T steps in each environment."""
    noise_key, unroll_key = jax.random.split(key)
    envs, policy = actor_critic.environments(agent), agent.policy(state, greedy=False)
    noise = agent.head.noise(noise_key, (agent.num_steps, envs.num_envs))
    return unroll(unroll_key, envs, state.world, Actor(policy.sample), noise, record=kept)
