"""PPO with a memory: a GRU or LSTM between the encoder and the heads (Huang et al. 2022, the five LSTM details).

What differs from `ppo.py`:

- the memory is reset before the core reads an observation that starts an episode;
- minibatches are whole sequences of some environments, never shuffled in time;
- learning re-runs the core over a rollout from the memory it started with, so the first ratio is 1;
- the value of a true successor is that of the memory after the step and `next_obs`.
"""

from dataclasses import replace
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxrl.algorithms.policy_gradient.ppo import Learner, ppo_learn, ppo_optimizer
from jaxrl.components.axis import own_key, share
from jaxrl.components.distributions import Head, action_head
from jaxrl.components.initializers import init_network
from jaxrl.components.networks import torso_for
from jaxrl.components.normalizers import initial_normalizers
from jaxrl.components.policies import RecurrentActorPolicy, action_mask
from jaxrl.components.recurrent import RecurrentActorCritic, by_environment
from jaxrl.components.returns import generalized_advantages
from jaxrl.components.rollout_values import successor_values
from jaxrl.components.rollouts import Actor, Transition, World, begin, unroll
from jaxrl.envs.registry import as_environment
from jaxrl.envs.vector import VectorEnvironment, vectorize
from jaxrl.metrics import Metrics, over_axis
from jaxrl.pytree import Scalar, converted, dataclass, hyperparameter, static


@dataclass
class State:
    """Everything that changes; `world.memory` [N, ...] is what the agent remembers."""

    learner: Learner
    world: World
    discounted_return: jax.Array
    """float32 [N]: of each running episode so far, for the scaling of rewards."""


@dataclass
class Batch:
    """A rollout made ready to learn from: sequences, leaves [N, T, ...]."""

    obs: Any
    """Normalised."""
    first: jax.Array
    memory: Any
    """[N, ...]: the memory before the sequence, not yet reset where its first observation starts an episode."""
    action: Any
    log_prob: jax.Array
    value: jax.Array
    advantage: jax.Array
    target: jax.Array
    old: Any
    """pi_old(.|obs) where the KL penalty needs it, else `()`."""


@dataclass
class RecurrentPPO:
    """PPO for what cannot be seen in one observation; fields as in `PPO`, and `core` and `memory_size`."""

    env: Any = converted(as_environment)
    num_envs: int = static(16, minimum=1)
    """N, over all devices; `num_minibatches` must divide it."""
    num_steps: int = static(64, minimum=1)
    """T, the length of a rollout and of the sequences learned from."""
    total_steps: int = static(500_000, minimum=1)
    num_epochs: int = static(4, minimum=1)
    num_minibatches: int = static(4, minimum=1)
    core: str = static("gru", choices=("gru", "lstm"))
    memory_size: int = static(64, minimum=1)
    hidden_sizes: tuple[int, ...] = static((64,), minimum=1)
    """Of the encoder before the core."""
    activation: str = static("tanh")
    torso: nn.Module | None = static(None)
    """An encoder of your own from observations to features."""
    normalize_observations: bool = static(True)
    normalize_rewards: bool = static(True)
    """On: both heads learn through one core, where the errors of unscaled values would drown the policy's gradient."""
    normalize_advantages: bool = static(True)
    anneal_learning_rate: bool = static(True)
    axis: str | None = static(None)

    learning_rate: Scalar = hyperparameter(1e-3, minimum=0)
    adam_epsilon: Scalar = hyperparameter(1e-5, above=0)
    max_grad_norm: Scalar | None = hyperparameter(0.5, above=0)
    discount: Scalar = hyperparameter(0.99, minimum=0, maximum=1)  # gamma
    gae_lambda: Scalar = hyperparameter(0.95, minimum=0, maximum=1)  # lambda
    clip_range: Scalar | None = hyperparameter(0.2, above=0)  # epsilon
    value_clip_range: Scalar | None = hyperparameter(0.2, above=0)
    value_coefficient: Scalar = hyperparameter(0.5, minimum=0)  # c_1
    entropy_coefficient: Scalar = hyperparameter(0.01, minimum=0)  # c_2
    target_kl: Scalar | None = hyperparameter(None, above=0)
    adaptive_kl: Scalar | None = hyperparameter(None, above=0)  # d_targ
    initial_kl_coefficient: Scalar = hyperparameter(1.0, minimum=0)  # beta

    def check(self) -> None:
        """Refuse sizes that do not divide, and spaces that no network here fits."""
        if self.num_envs % self.num_minibatches:
            raise ValueError(
                "num_envs must be a multiple of num_minibatches, because minibatches are whole sequences, got "
                f"{self.num_envs} and {self.num_minibatches}."
            )
        self.network  # noqa: B018  # building it checks the spaces and the activation

    @property
    def steps_per_iteration(self) -> int:
        return self.num_envs * self.num_steps

    @property
    def head(self) -> Head:
        return action_head(self.env.action_space)

    @property
    def network(self) -> RecurrentActorCritic:
        torso = self.torso or torso_for(self.env.observation_space, self.hidden_sizes, self.activation)
        return RecurrentActorCritic(torso, self.head.num_outputs, self.head.num_free, self.core, self.memory_size)

    @property
    def envs(self) -> VectorEnvironment:
        return vectorize(self.env, share(self.num_envs, self.axis, "num_envs"))

    def init(self, key: jax.Array) -> State:
        params_key, world_key = jax.random.split(key)
        network, envs = self.network, self.envs
        world = begin(own_key(world_key, self.axis), envs, network.initial_memory((envs.num_envs,)))
        one = jax.tree.map(lambda leaf: leaf[None, :1], (world.obs, world.first))  # [T=1, N=1, ...]
        params = init_network(network, params_key, *one, network.initial_memory((1,)))
        learner = Learner(
            params=params,
            opt_state=ppo_optimizer(self, jnp.int32(0)).init(params),
            normalizers=initial_normalizers(
                world.obs, observations=self.normalize_observations, rewards=self.normalize_rewards
            ),
            kl_coefficient=jnp.float32(self.initial_kl_coefficient),
        )
        return State(learner, world, discounted_return=jnp.zeros_like(world.episode_return))

    def step(self, key: jax.Array, state: State, iteration: jax.Array) -> tuple[State, Metrics]:
        rollout_key, learn_key = jax.random.split(own_key(key, self.axis))
        world, rollout, episodes = self.collect(rollout_key, state)
        batch = self.prepare(state.learner, rollout, state.world.memory)
        learner, metrics = self.learn(learn_key, state.learner, batch, iteration)
        normalizers, discounted_return = learner.normalizers.updated(
            rollout, state.discounted_return, self.discount, self.axis
        )
        state = State(replace(learner, normalizers=normalizers), world, discounted_return)
        return state, over_axis({**episodes, **metrics}, self.axis)

    def policy(self, state: State, greedy: bool = True) -> RecurrentActorPolicy:
        params, stats = state.learner.params, state.learner.normalizers.observations
        return RecurrentActorPolicy(params, stats, self.network, self.head, self.env.action_space, greedy)

    def collect(self, key: jax.Array, state: State) -> tuple[World, Transition, Metrics]:
        """Run pi_old for T steps in each environment."""
        noise_key, unroll_key = jax.random.split(key)
        envs, policy = self.envs, self.policy(state, greedy=False)
        noise = self.head.noise(noise_key, (self.num_steps, envs.num_envs))
        actor = Actor(policy.sample, policy.initial_memory((envs.num_envs,)))
        return unroll(unroll_key, envs, state.world, actor, noise, record=lambda step: step)

    def prepare(self, learner: Learner, rollout: Transition, memory: Any) -> Batch:
        """Values, advantages and targets of a rollout [T, N, ...] that began with `memory`; sequences [N, T, ...]."""
        obs, next_obs = (learner.normalizers.normalized(x) for x in (rollout.obs, rollout.next_obs))
        reward = learner.normalizers.scaled(rollout.reward)
        action, log_prob, next_memory = rollout.extras
        network = self.network

        def value_after(memory: Any, obs: Any) -> jax.Array:
            return network.apply(learner.params, obs, memory, method="step")[1]

        outputs, value, _ = network.apply(learner.params, obs, rollout.first, memory)
        last = value_after(*jax.tree.map(lambda leaf: leaf[-1], (next_memory, next_obs)))
        next_value = successor_values(value, last, rollout.truncated, lambda: value_after(next_memory, next_obs))
        ends = rollout.terminated, rollout.truncated
        advantage = generalized_advantages(reward, value, next_value, *ends, self.discount, self.gae_lambda)
        old = () if self.adaptive_kl is None else self.head(outputs[0], outputs[1], action_mask(obs))
        batch = Batch(obs, rollout.first, (), action, log_prob, value, advantage, advantage + value, old)
        return replace(by_environment(batch), memory=memory)

    def learn(self, key: jax.Array, learner: Learner, batch: Batch, iteration: jax.Array) -> tuple[Learner, Metrics]:
        """All epochs over the sequences of a rollout [N, T, ...]."""
        return ppo_learn(self, key, learner, batch, iteration)

    def forward(self, params: Any, batch: Batch) -> tuple[Any, jax.Array]:
        """pi(.|obs) and V(obs), leaves [N, T, ...], from the memory that each sequence began with."""
        obs, first = by_environment((batch.obs, batch.first))  # time first
        (outputs, free), value, _ = self.network.apply(params, obs, first, batch.memory)
        outputs, value = by_environment((outputs, value))
        return self.head(outputs, free, action_mask(batch.obs)), value
