"""Advantage actor-critic: A3C (Mnih et al. 2016, https://arxiv.org/abs/1602.01783) with a batch in place of threads.

    repeat:
        run pi in N environments for T steps
        A_t = n-step return to the end of the rollout - V(s_t)          (gae_lambda = 1; GAE below 1)
        L = -mean log pi(a_t|s_t) A_t + value_coefficient * L_V - entropy_coefficient * H
        one RMSprop step on L, its gradient clipped by global norm

It is PPO with one epoch of one minibatch and no clipping; a test holds the two gradients equal.
"""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax

from jaxrl.algorithm import num_iterations
from jaxrl.components import policy_losses as losses
from jaxrl.components.axis import own_key, share
from jaxrl.components.distributions import Head, action_head
from jaxrl.components.initializers import init_network
from jaxrl.components.networks import ActorCritic, torso_for
from jaxrl.components.optimizers import rmsprop
from jaxrl.components.policies import ActorPolicy
from jaxrl.components.returns import generalized_advantages
from jaxrl.components.rollout_values import rollout_values
from jaxrl.components.rollouts import Actor, Transition, World, begin, unroll
from jaxrl.components.schedules import fraction_done, linear
from jaxrl.envs.registry import as_environment
from jaxrl.envs.vector import VectorEnvironment, vectorize
from jaxrl.metrics import Metrics, mean, over_axis
from jaxrl.pytree import Scalar, converted, dataclass, hyperparameter, static


@dataclass
class Learner:
    """What learns; the same on every device."""

    params: Any
    opt_state: optax.OptState


@dataclass
class State:
    """Everything that changes."""

    learner: Learner
    world: World


@dataclass
class A2C:
    """A2C for discrete, multi-discrete, masked and continuous actions."""

    env: Any = converted(as_environment)
    num_envs: int = static(16, minimum=1)
    """N, over all devices."""
    num_steps: int = static(8, minimum=1)
    """T, the length of a rollout."""
    total_steps: int = static(500_000, minimum=1)
    hidden_sizes: tuple[int, ...] = static((64, 64), minimum=1)
    activation: str = static("tanh")
    shared_torso: bool = static(False)
    """The actor and the critic read the same features."""
    torso: nn.Module | None = static(None)
    """A network of your own from observations to features, in place of the one chosen for the observation space."""
    normalize_advantages: bool = static(False)
    anneal_learning_rate: bool = static(True)
    """Linearly, to 0 at the last iteration."""
    axis: str | None = static(None)
    """The mapped axis over whose devices the environments are spread."""

    learning_rate: Scalar = hyperparameter(2e-3, minimum=0)
    rms_decay: Scalar = hyperparameter(0.99, minimum=0, maximum=1)
    rms_epsilon: Scalar = hyperparameter(1e-5, above=0)
    max_grad_norm: Scalar | None = hyperparameter(0.5, above=0)
    discount: Scalar = hyperparameter(0.99, minimum=0, maximum=1)  # gamma
    gae_lambda: Scalar = hyperparameter(1.0, minimum=0, maximum=1)  # lambda
    value_coefficient: Scalar = hyperparameter(0.5, minimum=0)
    entropy_coefficient: Scalar = hyperparameter(0.01, minimum=0)  # beta

    def check(self) -> None:
        """Refuse spaces that no network here fits."""
        self.network  # noqa: B018  # building it checks the spaces and the activation

    @property
    def steps_per_iteration(self) -> int:
        return self.num_envs * self.num_steps

    @property
    def head(self) -> Head:
        return action_head(self.env.action_space)

    @property
    def network(self) -> ActorCritic:
        torso = self.torso or torso_for(self.env.observation_space, self.hidden_sizes, self.activation)
        return ActorCritic(torso, self.head.num_outputs, self.head.num_free, self.shared_torso)

    @property
    def envs(self) -> VectorEnvironment:
        return vectorize(self.env, share(self.num_envs, self.axis, "num_envs"))

    def optimizer(self, iteration: jax.Array) -> optax.GradientTransformation:
        rate = self.learning_rate
        if self.anneal_learning_rate:
            rate = linear(rate, 0.0, fraction_done(iteration, num_iterations(self)))
        return rmsprop(
            rate, decay=self.rms_decay, epsilon=self.rms_epsilon, max_grad_norm=self.max_grad_norm, axis=self.axis
        )

    def init(self, key: jax.Array) -> State:
        params_key, world_key = jax.random.split(key)
        world = begin(own_key(world_key, self.axis), self.envs)
        params = init_network(self.network, params_key, jax.tree.map(lambda leaf: leaf[0], world.obs))
        return State(Learner(params, self.optimizer(jnp.int32(0)).init(params)), world)

    def step(self, key: jax.Array, state: State, iteration: jax.Array) -> tuple[State, Metrics]:
        world, rollout, episodes = self.collect(own_key(key, self.axis), state)
        learner, metrics = self.learn(state.learner, rollout, iteration)
        return State(learner, world), over_axis({**episodes, **metrics}, self.axis)

    def policy(self, state: State, greedy: bool = True) -> ActorPolicy:
        return ActorPolicy(state.learner.params, None, self.network, self.head, self.env.action_space, greedy)

    def collect(self, key: jax.Array, state: State) -> tuple[World, Transition, Metrics]:
        """Run pi for T steps in each environment."""
        noise_key, unroll_key = jax.random.split(key)
        envs, policy = self.envs, self.policy(state, greedy=False)
        noise = self.head.noise(noise_key, (self.num_steps, envs.num_envs))
        return unroll(unroll_key, envs, state.world, Actor(policy.sample), noise, record=lambda step: step)

    def learn(self, learner: Learner, rollout: Transition, iteration: jax.Array) -> tuple[Learner, Metrics]:
        """One gradient step on a rollout [T, N, ...]."""
        gradient, metrics = jax.grad(self.loss, has_aux=True)(learner.params, rollout)
        updates, opt_state = self.optimizer(iteration).update(gradient, learner.opt_state, learner.params)
        return Learner(optax.apply_updates(learner.params, updates), opt_state), metrics

    def loss(self, params: Any, rollout: Transition) -> tuple[jax.Array, Metrics]:
        value, next_value = rollout_values(
            lambda obs: self.network.apply(params, obs, method="critic"),
            rollout.obs,
            rollout.next_obs,
            rollout.truncated,
        )
        ends = rollout.terminated, rollout.truncated
        baseline, bootstrap = jax.lax.stop_gradient((value, next_value))
        advantage = generalized_advantages(rollout.reward, baseline, bootstrap, *ends, self.discount, self.gae_lambda)
        target = advantage + baseline
        if self.normalize_advantages:
            advantage = losses.normalized(advantage, self.axis)
        policy = ActorPolicy(params, None, self.network, self.head, self.env.action_space, greedy=False)
        distribution = policy.distribution(rollout.obs)
        log_prob, entropy = distribution.log_prob(rollout.extras[0]), distribution.entropy().mean()

        policy_loss = -(log_prob * advantage).mean()
        value_loss = losses.value_loss(value, target)
        loss = policy_loss + self.value_coefficient * value_loss - self.entropy_coefficient * entropy
        return loss, {
            "policy_loss": mean(policy_loss),
            "value_loss": mean(value_loss),
            "entropy": mean(entropy),
        }
