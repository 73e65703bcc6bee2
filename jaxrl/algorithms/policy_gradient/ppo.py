"""Proximal policy optimization (Schulman et al. 2017, https://arxiv.org/abs/1707.06347).

With the details that implementations agree on (Huang et al. 2022, "The 37 implementation details of PPO").

    repeat:
        run pi_old in N environments for T steps
        A_t = sum_l (discount * gae_lambda)^l delta_{t+l};  target_t = A_t + V(s_t)
        for num_epochs, for each shuffled minibatch:
            r = pi(a|s) / pi_old(a|s)
            L = -mean min(r A, clip(r, 1 - clip_range, 1 + clip_range) A)
                + value_coefficient * L_V - entropy_coefficient * H + beta * KL(pi_old || pi)
            Adam step on L, its gradient clipped by global norm

Values are computed after the rollout, in one batch, and an episode cut by a time limit is bootstrapped from its true
successor.
"""

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax

from jaxrl.algorithm import num_iterations
from jaxrl.components import policy_losses as losses
from jaxrl.components.axis import mean_over, own_key, share
from jaxrl.components.distributions import Head, action_head
from jaxrl.components.epochs import Passes, run_epochs
from jaxrl.components.initializers import init_network
from jaxrl.components.networks import ActorCritic, torso_for
from jaxrl.components.normalizers import Normalizers, initial_normalizers
from jaxrl.components.optimizers import adam
from jaxrl.components.policies import ActorPolicy, action_mask
from jaxrl.components.returns import generalized_advantages
from jaxrl.components.rollout_values import rollout_values
from jaxrl.components.rollouts import Actor, Transition, World, begin, unroll
from jaxrl.components.schedules import fraction_done, linear
from jaxrl.envs.registry import as_environment
from jaxrl.envs.vector import VectorEnvironment, vectorize
from jaxrl.metrics import Metrics, mean, over_axis
from jaxrl.pytree import Scalar, converted, dataclass, hyperparameter, static

if TYPE_CHECKING:
    from jaxrl.algorithms.policy_gradient.recurrent_ppo import RecurrentPPO

AnyPPO: TypeAlias = "PPO | RecurrentPPO"
"""The two forms whose loss, optimizer and statistics are the same."""


@dataclass
class Learner:
    """What learns; the same on every device."""

    params: Any
    opt_state: optax.OptState
    normalizers: Normalizers
    kl_coefficient: jax.Array
    """float32 []: beta, the weight of the KL penalty."""


@dataclass
class State:
    """Everything that changes."""

    learner: Learner
    world: World
    discounted_return: jax.Array
    """float32 [N]: of each running episode so far, for the scaling of rewards."""


@dataclass
class Batch:
    """A rollout made ready to learn from, leaves [B, ...] with B = T * N."""

    obs: Any
    """Normalised."""
    action: Any
    log_prob: jax.Array
    value: jax.Array
    advantage: jax.Array
    target: jax.Array
    old: Any
    """pi_old(.|obs) where the KL penalty needs it, else `()`."""


@dataclass
class PPO:
    """PPO for discrete, multi-discrete, masked and continuous actions; the defaults solve CartPole-v1."""

    env: Any = converted(as_environment)
    num_envs: int = static(8, minimum=1)
    """N, over all devices."""
    num_steps: int = static(32, minimum=1)
    """T, the length of a rollout."""
    total_steps: int = static(500_000, minimum=1)
    num_epochs: int = static(4, minimum=1)
    num_minibatches: int = static(4, minimum=1)
    hidden_sizes: tuple[int, ...] = static((64, 64), minimum=1)
    activation: str = static("tanh")
    shared_torso: bool = static(False)
    """The actor and the critic read the same features."""
    torso: nn.Module | None = static(None)
    """A network of your own from observations to features, in place of the one chosen for the observation space."""
    normalize_observations: bool = static(False)
    normalize_rewards: bool = static(False)
    normalize_advantages: bool = static(True)
    """Within each minibatch."""
    anneal_learning_rate: bool = static(True)
    """Linearly, to 0 at the last iteration."""
    axis: str | None = static(None)
    """The mapped axis over whose devices the environments are spread."""

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
    """Leave out an iteration's remaining epochs once the approximate KL of one exceeds this."""
    adaptive_kl: Scalar | None = hyperparameter(None, above=0)  # d_targ
    """Penalise KL(pi_old || pi) with a weight that is adapted towards this KL; None for no penalty."""
    initial_kl_coefficient: Scalar = hyperparameter(1.0, minimum=0)  # beta

    def check(self) -> None:
        """Refuse sizes that do not divide, and spaces that no network here fits."""
        if self.steps_per_iteration % self.num_minibatches:
            raise ValueError(
                f"num_envs * num_steps must be a multiple of num_minibatches, got {self.num_envs} * {self.num_steps} "
                f"and {self.num_minibatches}."
            )
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

    def init(self, key: jax.Array) -> State:
        params_key, world_key = jax.random.split(key)
        world = begin(own_key(world_key, self.axis), self.envs)
        first_obs = jax.tree.map(lambda leaf: leaf[0], world.obs)
        params = init_network(self.network, params_key, first_obs)
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
        batch = self.prepare(state.learner, rollout)
        learner, metrics = self.learn(learn_key, state.learner, batch, iteration)
        normalizers, discounted_return = learner.normalizers.updated(
            rollout, state.discounted_return, self.discount, self.axis
        )
        state = State(replace(learner, normalizers=normalizers), world, discounted_return)
        return state, over_axis({**episodes, **metrics}, self.axis)

    def policy(self, state: State, greedy: bool = True) -> ActorPolicy:
        params, stats = state.learner.params, state.learner.normalizers.observations
        return ActorPolicy(params, stats, self.network, self.head, self.env.action_space, greedy)

    def collect(self, key: jax.Array, state: State) -> tuple[World, Transition, Metrics]:
        """Run pi_old for T steps in each environment."""
        noise_key, unroll_key = jax.random.split(key)
        envs, policy = self.envs, self.policy(state, greedy=False)
        noise = self.head.noise(noise_key, (self.num_steps, envs.num_envs))
        return unroll(unroll_key, envs, state.world, Actor(policy.sample), noise, record=lambda step: step)

    def prepare(self, learner: Learner, rollout: Transition) -> Batch:
        """Values, advantages and targets of a rollout [T, N, ...], flattened to [T * N, ...]."""
        obs, next_obs = (learner.normalizers.normalized(x) for x in (rollout.obs, rollout.next_obs))
        reward = learner.normalizers.scaled(rollout.reward)
        network = self.network
        value, next_value = rollout_values(
            lambda x: network.apply(learner.params, x, method="critic"), obs, next_obs, rollout.truncated
        )
        ends = rollout.terminated, rollout.truncated
        advantage = generalized_advantages(reward, value, next_value, *ends, self.discount, self.gae_lambda)
        action, log_prob = rollout.extras
        batch = Batch(obs, action, log_prob, value, advantage, target=advantage + value, old=())
        batch = jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), batch)
        old = () if self.adaptive_kl is None else self.distribution(learner.params, batch.obs)
        return replace(batch, old=old)

    def learn(self, key: jax.Array, learner: Learner, batch: Batch, iteration: jax.Array) -> tuple[Learner, Metrics]:
        """All epochs over one batch [B, ...]."""
        return ppo_learn(self, key, learner, batch, iteration)

    def forward(self, params: Any, batch: Batch) -> tuple[Any, jax.Array]:
        """pi(.|obs) and V(obs) for a batch."""
        return self.distribution(params, batch.obs), self.network.apply(params, batch.obs, method="critic")

    def distribution(self, params: Any, obs: Any) -> Any:
        """pi(.|obs) for normalised observations."""
        outputs, free = self.network.apply(params, obs, method="actor")
        return self.head(outputs, free, action_mask(obs))


def ppo_learn(
    ppo: "AnyPPO", key: jax.Array, learner: Learner, batch: Any, iteration: jax.Array
) -> tuple[Learner, Metrics]:
    """All epochs over one batch, then the rule of the adaptive penalty."""
    optimizer = ppo_optimizer(ppo, iteration)

    def update(learner: Learner, minibatch: Any) -> tuple[Learner, Metrics]:
        gradient, metrics = jax.grad(ppo_loss, argnums=1, has_aux=True)(
            ppo, learner.params, learner.kl_coefficient, minibatch
        )
        updates, opt_state = optimizer.update(gradient, learner.opt_state, learner.params)
        return replace(learner, params=optax.apply_updates(learner.params, updates), opt_state=opt_state), metrics

    def with_normalized_advantages(minibatches: Any) -> Any:
        if not ppo.normalize_advantages:
            return minibatches
        # For all of an epoch at once: devices then exchange the sums of an epoch and not those of each minibatch.
        normalized = jax.vmap(partial(losses.normalized, axis=ppo.axis))(minibatches.advantage)
        return replace(minibatches, advantage=normalized)

    passes = Passes(ppo.num_epochs, ppo.num_minibatches, ppo.target_kl, ppo.axis)
    learner, metrics = run_epochs(key, learner, batch, update, passes, with_normalized_advantages)
    if ppo.adaptive_kl is not None:
        kl = mean_over(ppo.axis, batch.old.kl(ppo.forward(learner.params, batch)[0]).mean())
        coefficient = losses.adapted_coefficient(learner.kl_coefficient, kl, ppo.adaptive_kl)
        learner = replace(learner, kl_coefficient=coefficient)
        metrics["kl_coefficient"] = mean(coefficient)
    return learner, metrics


def ppo_loss(ppo: "AnyPPO", params: Any, kl_coefficient: jax.Array, batch: Any) -> tuple[jax.Array, Metrics]:
    """Eq. 9 of the paper as a loss, and eq. 8's penalty, on a minibatch; its advantages count as they are."""
    distribution, value = ppo.forward(params, batch)
    log_ratio = distribution.log_prob(batch.action) - batch.log_prob
    ratio, entropy = jnp.exp(log_ratio), distribution.entropy().mean()

    policy_loss = losses.surrogate_loss(ratio, batch.advantage, ppo.clip_range)
    value_loss = losses.value_loss(value, batch.target, batch.value, ppo.value_clip_range)
    loss = policy_loss + ppo.value_coefficient * value_loss - ppo.entropy_coefficient * entropy
    if ppo.adaptive_kl is not None:
        loss += kl_coefficient * batch.old.kl(distribution).mean()
    return loss, {
        "policy_loss": mean(policy_loss),
        "value_loss": mean(value_loss),
        "entropy": mean(entropy),
        "approximate_kl": mean(losses.approximate_kl(log_ratio)),
        "clip_fraction": mean(losses.clip_fraction(ratio, ppo.clip_range)),
    }


def ppo_optimizer(ppo: "AnyPPO", iteration: jax.Array) -> optax.GradientTransformation:
    """Adam at this iteration's learning rate, after clipping by global norm."""
    rate = ppo.learning_rate
    if ppo.anneal_learning_rate:
        rate = linear(rate, 0.0, fraction_done(iteration, num_iterations(ppo)))
    return adam(rate, epsilon=ppo.adam_epsilon, max_grad_norm=ppo.max_grad_norm, axis=ppo.axis)
