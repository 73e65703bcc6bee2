"""Advantage-weighted regression (Peng et al. 2019, https://arxiv.org/abs/1910.00177), on- and off-policy.

    repeat:
        run pi in N environments for T steps; keep them in the replay, with the actions as drawn
        for num_updates:
            draw B sequences of L steps from anywhere in the replay
            R_t = r_t + gamma (1 - terminated_t) ((1 - lambda_t) V(next_obs_t) + lambda_t R_{t+1})
                  lambda_t = 0 where the episode was cut and in the last step
            A_t = R_t - V(obs_t)
            critic: mean of (V(obs) - R)^2 / 2
            actor:  -mean of min(exp(A / beta), w_max) log pi(action|obs)

Both losses are regressions: R, A and the weights are constants. The best policy of the second is proportional to
mu(a|s) exp(A(s, a) / beta), for the mixture mu of the policies that filled the replay.

`replay_capacity=None` keeps the newest rollout alone, and mu is then the policy that acted: on-policy AWR, which wants
fewer gradient steps, on whole rollouts (`sequence_length=num_steps`). Unlike in the paper, returns are those within a
sequence, by the values at the time of the gradient step.
"""

from dataclasses import replace
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxrl.algorithms.actor_critic import actor_critic
from jaxrl.algorithms.actor_critic.actor_critic import State
from jaxrl.algorithms.actor_critic.learner import Learner, descend, new_learner
from jaxrl.components import normalization
from jaxrl.components import policy_losses as losses
from jaxrl.components.axis import own_key, share
from jaxrl.components.distributions import Head, action_head
from jaxrl.components.initializers import init_network
from jaxrl.components.networks import ActorCritic, ValueNetwork, torso_for
from jaxrl.components.normalization import RunningStats
from jaxrl.components.off_policy import Source, iterations_before, learn_from
from jaxrl.components.policies import ActorPolicy
from jaxrl.components.replay import Replay, Step, empty_replay, kept, step_shapes, write
from jaxrl.components.returns import lambda_returns
from jaxrl.components.rollout_values import rollout_values
from jaxrl.components.rollouts import Actor, Transition, World, begin, unroll
from jaxrl.components.sequences import SequenceRing, sequence_ring_of, stretches_at, uniform_stretches
from jaxrl.envs.registry import as_environment
from jaxrl.metrics import Metrics, mean, over_axis
from jaxrl.pytree import Scalar, converted, dataclass, hyperparameter, static


@dataclass
class AWR:
    """AWR for discrete, multi-discrete, masked and continuous actions."""

    env: Any = converted(as_environment)
    num_envs: int = static(8, minimum=1)
    """N, over all devices."""
    num_steps: int = static(32, minimum=1)
    """T, between two phases of learning."""
    num_updates: int = static(16, minimum=1)
    """Gradient steps of the critic and of the actor in each phase of learning."""
    total_steps: int = static(500_000, minimum=1)
    batch_size: int = static(32, minimum=1)  # B
    """Sequences, over all devices; a gradient step learns from `batch_size * sequence_length` steps."""
    sequence_length: int = static(16, minimum=1)  # L
    """Steps after which a return bootstraps at the latest."""
    replay_capacity: int | None = static(50_000, minimum=1)
    """Steps kept, over all devices, held to whole rollouts; None for the newest rollout alone."""
    learning_starts: int = static(0, minimum=0)
    """Environment steps before the first gradient step."""
    hidden_sizes: tuple[int, ...] = static((64, 64), minimum=1)
    """Of the actor, and of the critic."""
    activation: str = static("tanh")
    torso: nn.Module | None = static(None)
    """A network of your own from observations to features, in place of the one chosen for the observation space."""
    normalize_observations: bool = static(False)
    normalize_advantages: bool = static(False)
    """To mean 0 and standard deviation 1 in each batch: the temperature is then in units of their spread."""
    axis: str | None = static(None)
    """The mapped axis over whose devices the environments and the replay are spread."""

    learning_rate: Scalar = hyperparameter(3e-4, minimum=0)
    """Of the actor."""
    critic_learning_rate: Scalar = hyperparameter(3e-3, minimum=0)
    adam_beta1: Scalar = hyperparameter(0.9, minimum=0, maximum=1)
    """Decay of the mean of gradients."""
    adam_epsilon: Scalar = hyperparameter(1e-5, above=0)
    max_grad_norm: Scalar | None = hyperparameter(None, above=0)
    discount: Scalar = hyperparameter(0.99, minimum=0, maximum=1)  # gamma
    trace_decay: Scalar = hyperparameter(0.95, minimum=0, maximum=1)  # lambda
    temperature: Scalar = hyperparameter(1.0, above=0)  # beta
    """In units of the return: the lower, the more the best actions count, and the farther a policy moves at a time."""
    max_weight: Scalar = hyperparameter(20.0, above=0)  # w_max

    def check(self) -> None:
        """Refuse spaces that no network here fits, and a replay that holds no sequence."""
        self.actor_network  # noqa: B018  # building it checks the spaces and the activation
        if self.replay_capacity is None and self.sequence_length > self.num_steps:
            raise ValueError(
                f"sequence_length must be at most num_steps = {self.num_steps} where replay_capacity=None keeps the "
                f"newest rollout alone, got {self.sequence_length}."
            )
        if self.axis is None:
            self.sequences  # noqa: B018  # the same of the sizes

    @property
    def steps_per_iteration(self) -> int:
        return self.num_envs * self.num_steps

    @property
    def head(self) -> Head:
        return action_head(self.env.action_space)

    @property
    def encoder(self) -> nn.Module:
        return self.torso or torso_for(self.env.observation_space, self.hidden_sizes, self.activation)

    @property
    def actor_network(self) -> ActorCritic:
        """Of which the actor alone has parameters."""
        return ActorCritic(self.encoder, self.head.num_outputs, self.head.num_free)

    @property
    def critic_network(self) -> ValueNetwork:
        return ValueNetwork(self.encoder)

    @property
    def targets(self) -> tuple[str, ...]:
        return ()

    @property
    def sequences(self) -> SequenceRing:
        """This device's part of the replay."""
        capacity = self.steps_per_iteration if self.replay_capacity is None else self.replay_capacity
        capacity = share(capacity, self.axis, "replay_capacity")
        num_envs = share(self.num_envs, self.axis, "num_envs")
        return sequence_ring_of(capacity, num_envs, self.num_steps, self.sequence_length)

    def init(self, key: jax.Array) -> State:
        params_key, world_key = jax.random.split(key)
        world = begin(own_key(world_key, self.axis), actor_critic.environments(self))
        actor_key, critic_key = jax.random.split(params_key)
        obs = jax.tree.map(lambda leaf: leaf[0], world.obs)
        params = {
            "actor": init_network(self.actor_network, actor_key, obs, method="actor"),
            "critics": init_network(self.critic_network, critic_key, obs),
        }
        stats = RunningStats.of(world.obs) if self.normalize_observations else None
        steps = step_shapes(world.obs, self.env.action_space)
        replay = empty_replay(self.sequences.ring, steps, prioritized=False)
        return State(new_learner(self, params, stats), replay, world)

    def step(self, key: jax.Array, state: State, iteration: jax.Array) -> tuple[State, Metrics]:
        rollout_key, learn_key = jax.random.split(own_key(key, self.axis))
        world, rollout, episodes = self.collect(rollout_key, state)
        replay = write(state.replay, self.sequences.ring, rollout, iteration)
        learner, metrics = self.learn(learn_key, state.learner, replay, iteration)
        if learner.observation_stats is not None:
            stats = normalization.update(learner.observation_stats, rollout.obs, self.axis)
            learner = replace(learner, observation_stats=stats)
        return State(learner, replay, world), over_axis({**episodes, **metrics}, self.axis)

    def policy(self, state: State, greedy: bool = True) -> ActorPolicy:
        params, stats = state.learner.params["actor"], state.learner.observation_stats
        return ActorPolicy(params, stats, self.actor_network, self.head, self.env.action_space, greedy)

    def collect(self, key: jax.Array, state: State) -> tuple[World, Step, Metrics]:
        """Run pi for T steps in each environment."""
        noise_key, unroll_key = jax.random.split(key)
        envs, policy = actor_critic.environments(self), self.policy(state, greedy=False)
        noise = self.head.noise(noise_key, (self.num_steps, envs.num_envs))
        return unroll(unroll_key, envs, state.world, Actor(policy.sample), noise, record=as_drawn)

    def learn(self, key: jax.Array, learner: Learner, replay: Replay, iteration: jax.Array) -> tuple[Learner, Metrics]:
        """`num_updates` gradient steps, once there are sequences to draw."""
        sequences = self.sequences
        source = Source(
            draw=lambda key, shape: uniform_stretches(key, sequences, iteration, shape),
            batch=lambda items: stretches_at(replay.rows, sequences, items),
            num_items=sequences.ring.num_filled(iteration) * sequences.ring.num_envs,
            iterations_before=max(iterations_before(self), sequences.span - 1),
        )
        learner, _, metrics = learn_from(self, key, (learner, None), source, iteration, self.update)
        return learner, metrics

    def update(self, key: jax.Array, learner: Learner, batch: Step, count: jax.Array) -> Any:
        """One gradient step of the critic and of the actor on sequences [L, B]: (learner, errors [B], metrics)."""
        batch = prepared(learner, batch)
        target, advantage = self.targets_and_advantages(learner.params["critics"], batch)
        scaled = losses.normalized(advantage, self.axis) if self.normalize_advantages else advantage
        weights = losses.advantage_weights(scaled, self.temperature, self.max_weight)

        def critic_loss(params: Any) -> tuple[jax.Array, Metrics]:
            loss = losses.value_loss(self.critic_network.apply(params, batch.obs), target)
            return loss, {"value_loss": mean(loss)}

        def actor_loss(params: Any) -> tuple[jax.Array, Metrics]:
            policy = ActorPolicy(params, None, self.actor_network, self.head, self.env.action_space)
            distribution = policy.distribution(batch.obs)
            loss = losses.likelihood_loss(distribution.log_prob(batch.action), weights)
            return loss, {"policy_loss": mean(loss), "entropy": mean(distribution.entropy())}

        learner, critic_metrics = descend(self, learner, "critics", critic_loss)
        learner, actor_metrics = descend(self, learner, "actor", actor_loss)
        metrics = {"advantage": mean(advantage), "weight": mean(weights), **critic_metrics, **actor_metrics}
        return learner, jnp.abs(advantage).mean(axis=0), metrics

    def targets_and_advantages(self, params: Any, batch: Step) -> tuple[jax.Array, jax.Array]:
        """R and A = R - V(obs), both [L, B], by the critic's parameters."""
        value, next_value = rollout_values(
            lambda obs: self.critic_network.apply(params, obs), batch.obs, batch.next_obs, batch.truncated
        )
        ends = batch.terminated, batch.truncated
        target = lambda_returns(batch.reward, next_value, *ends, self.discount, self.trace_decay)
        return target, target - value


def as_drawn(transition: Transition) -> Step:
    """What is kept of a transition; the action before it was clipped for the environment."""
    return replace(kept(transition), action=transition.extras[0])


def prepared(learner: Learner, batch: Step) -> Step:
    """A batch with its observations normalised."""
    if learner.observation_stats is None:
        return batch
    obs, next_obs = (normalization.normalize(learner.observation_stats, x) for x in (batch.obs, batch.next_obs))
    return replace(batch, obs=obs, next_obs=next_obs)
