"""Maximum a posteriori policy optimisation (Abdolmaleki et al. 2018, https://arxiv.org/abs/1806.06920).

The Gaussian policy is fitted to a better one that is known at sampled actions alone, so that no gradient of the critic
with respect to an action is needed. Its mean and its std are kept near those of the target policy by bounds of their
own (Abdolmaleki et al. 2018, https://arxiv.org/abs/1812.02256). With M actions a_j ~ pi_target(.|obs) and
M actions a'_j ~ pi_target(.|next_obs):

    critics: mean of (Q(obs, action) - y)^2 / 2,   y = r + gamma^n (1 - terminated) mean_j Q_target(next_obs, a'_j)
    weights: w_j = exp(Q_target(obs, a_j) / eta) / sum_k exp(Q_target(obs, a_k) / eta)
    actor:   -mean of sum_j w_j log pi(a_j|obs) + alpha KL(pi_target || pi),   for its mean and for its std apart
    eta:     eta (epsilon + mean of log mean_j exp(Q_target(obs, a_j) / eta))
    alpha:   alpha (bound - KL(pi_target || pi)),   one for each entry of the action

With several critics, Q is the least of them. Critics value actions within [-1, 1]: a sample beyond is clipped for them
as it is for the environment, and counts as itself in the policy's likelihood.
"""

import dataclasses
import math
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp

from jaxrl.algorithms.actor_critic import actor_critic
from jaxrl.algorithms.actor_critic.actor_critic import ContinuousSettings, State
from jaxrl.algorithms.actor_critic.learner import Learner, descend, with_moved_targets
from jaxrl.components import mpo_losses as losses
from jaxrl.components.continuous import ContinuousPolicy, num_entries
from jaxrl.components.critic_losses import mean_error, squared_error
from jaxrl.components.critics import Critics
from jaxrl.components.gaussian import Gaussian
from jaxrl.components.replay import Batch
from jaxrl.metrics import Metrics, mean
from jaxrl.pytree import Scalar, dataclass, hyperparameter, static


@dataclasses.dataclass(frozen=True)
class BoundedMeanHead:
    """The bridge from outputs (m, s) to a Gaussian of mean tanh(m) and a std that is `initial_std` at s = 0."""

    shape: tuple[int, ...]
    """[D]."""
    initial_std: float
    min_std: float = 1e-3

    @property
    def num_outputs(self) -> int:
        """Two for each entry of the action."""
        return 2 * self.shape[0]

    def noise(self, key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
        """Normal noise [*shape, D]."""
        return jax.random.normal(key, (*shape, *self.shape))

    def __call__(self, outputs: jax.Array, free: None = None) -> Gaussian:
        """The distribution for m and s side by side in [..., 2 D]; its samples can lie beyond [-1, 1]."""
        unbounded, spread = jnp.split(outputs.astype(jnp.float32), 2, axis=-1)
        std = self.min_std + (self.initial_std - self.min_std) * jax.nn.softplus(spread) / math.log(2.0)
        return Gaussian(jnp.tanh(unbounded), jnp.log(std), self.shape)


@dataclass
class MPO(ContinuousSettings):
    """MPO for actions in a bounded Box; it explores by its own samples."""

    num_critics: int = static(1, minimum=1)
    num_samples: int = static(20, minimum=2)  # M
    """Actions drawn for an observation, for its target and for its weights."""
    target_period: int = static(100, minimum=1)
    """Gradient steps between two moves of the target networks."""
    initial_std: float = static(0.5)
    """Of the first policy, in half-widths of the range of actions."""
    n_step: int = static(5, minimum=1)
    """Rewards in a target before it bootstraps."""

    target_rate: Scalar = hyperparameter(1.0, above=0, maximum=1)  # tau
    """How far the target networks move at a time; 1 is a copy."""
    dual_learning_rate: Scalar = hyperparameter(1e-2, minimum=0)
    """Of the temperature and of the multipliers."""
    kl_bound: Scalar = hyperparameter(0.1, above=0)  # epsilon
    """Of the weighted actions from the target policy, in nats."""
    kl_bound_mean: Scalar = hyperparameter(2.5e-3, above=0)  # epsilon_mu
    """For each entry of the action."""
    kl_bound_std: Scalar = hyperparameter(1e-6, above=0)  # epsilon_sigma
    """For each entry of the action."""
    temperature: Scalar = hyperparameter(10.0, above=0)  # eta
    """At the beginning, in units of the return."""
    multiplier_mean: Scalar = hyperparameter(10.0, above=0)  # alpha_mu
    """At the beginning."""
    multiplier_std: Scalar = hyperparameter(1000.0, above=0)  # alpha_sigma
    """At the beginning."""
    noise_scale: Scalar = hyperparameter(0.0, minimum=0)
    """Standard deviation of the noise added to sampled actions, in half-widths of their range."""

    def check(self) -> None:
        """Refuse spaces that no network here fits, a replay that is too small, and a policy without spread."""
        if not self.initial_std > BoundedMeanHead.min_std:
            raise ValueError(
                f"initial_std must be above the least std of a policy, {BoundedMeanHead.min_std}, got "
                f"{self.initial_std}; the default is 0.5."
            )
        actor_critic.check(self)

    @property
    def steps_per_iteration(self) -> int:
        return self.num_envs * self.num_steps

    @property
    def head(self) -> BoundedMeanHead:
        return BoundedMeanHead((num_entries(actor_critic.space(self)),), self.initial_std)

    @property
    def critic_network(self) -> Critics:
        return actor_critic.critic_network(self)

    @property
    def targets(self) -> tuple[str, ...]:
        return ("actor", "critics")

    def init(self, key: jax.Array) -> State:
        return actor_critic.init(self, key)

    def init_params(self, key: jax.Array, obs: Any) -> dict[str, Any]:
        """The first actor, critics and dual variables."""
        shape = self.head.shape
        duals = {
            "temperature": losses.dual_variable(self.temperature),
            "mean": jnp.broadcast_to(losses.dual_variable(self.multiplier_mean), shape),
            "std": jnp.broadcast_to(losses.dual_variable(self.multiplier_std), shape),
        }
        return {**actor_critic.init_params(self, key, obs), "duals": duals}

    def step(self, key: jax.Array, state: State, iteration: jax.Array) -> tuple[State, Metrics]:
        return actor_critic.step(self, key, state, iteration)

    def policy(self, state: State, greedy: bool = True) -> ContinuousPolicy:
        return actor_critic.policy(self, state, greedy)

    def update(self, key: jax.Array, learner: Learner, batch: Batch, count: jax.Array) -> Any:
        """One gradient step of critics, actor and dual variables: (learner, errors [B], metrics)."""
        critic_key, policy_key = jax.random.split(key)
        learner, errors, metrics = self.critic_step(critic_key, learner, batch)
        learner, more = self.policy_step(policy_key, learner, batch)
        learner = with_moved_targets(self, learner, count, self.target_period)
        return learner, errors, {**metrics, **more}

    def critic_step(self, key: jax.Array, learner: Learner, batch: Batch) -> tuple[Learner, jax.Array, Metrics]:
        """Move the critics towards the value of the target policy; also the absolute errors [B]."""
        next_policy = self.distribution(learner.target_params["actor"], batch.next_obs)
        next_actions = drawn_actions(key, next_policy, self.num_samples)
        next_values = self.values(learner.target_params["critics"], batch.next_obs, next_actions)
        target = batch.reward + batch.discount * next_values.mean(axis=0)

        def loss(params: Any) -> tuple[jax.Array, jax.Array]:
            values = self.critic_network.apply(params, batch.obs, batch.action)
            return squared_error(values, target, batch.weight), values

        learner, values = descend(self, learner, "critics", loss)
        errors = mean_error(values, target)
        return learner, errors, {"td_error": mean(errors), "value": mean(values)}

    def policy_step(self, key: jax.Array, learner: Learner, batch: Batch) -> tuple[Learner, Metrics]:
        """Fit the actor to the target policy's better actions, within its bounds; then move the dual variables."""
        target_policy = self.distribution(learner.target_params["actor"], batch.obs)
        actions = drawn_actions(key, target_policy, self.num_samples)
        values = self.values(learner.target_params["critics"], batch.obs, actions)
        multipliers = jax.tree.map(losses.multiplier, learner.params["duals"])
        weights = losses.action_weights(values, multipliers["temperature"])

        def loss(params: Any) -> tuple[jax.Array, dict[str, jax.Array]]:
            policy = self.distribution(params, batch.obs)
            divergences = {
                "mean": losses.mean_divergence(policy, target_policy),
                "std": losses.std_divergence(policy, target_policy),
            }
            fits = [losses.likelihood_loss(part, actions, weights) for part in losses.decoupled(policy, target_policy)]
            penalties = [losses.divergence_loss(multipliers[name], divergences[name]) for name in divergences]
            return sum(fits + penalties, jnp.float32(0)), divergences

        learner, divergences = descend(self, learner, "actor", loss)
        metrics = {
            "temperature": mean(multipliers["temperature"]),
            "entropy": mean(target_policy.entropy()),
            "kl_mean": mean(divergences["mean"]),
            "kl_std": mean(divergences["std"]),
        }
        return self.dual_step(learner, values, divergences), metrics

    def dual_step(self, learner: Learner, values: jax.Array, divergences: dict[str, jax.Array]) -> Learner:
        """Move temperature and multipliers by the sampled actions' values [M, B] and the divergences [B, D]."""

        def loss(duals: Any) -> tuple[jax.Array, tuple[()]]:
            multipliers = jax.tree.map(losses.multiplier, duals)
            temperature_loss = losses.temperature_loss(multipliers["temperature"], values, self.kl_bound)
            mean_loss = losses.multiplier_loss(multipliers["mean"], divergences["mean"], self.kl_bound_mean)
            std_loss = losses.multiplier_loss(multipliers["std"], divergences["std"], self.kl_bound_std)
            return temperature_loss + mean_loss + std_loss, ()

        learner, _ = descend(self, learner, "duals", loss)
        duals = jax.tree.map(lambda dual: jnp.maximum(dual, losses.MIN_DUAL), learner.params["duals"])
        return replace(learner, params={**learner.params, "duals": duals})

    def distribution(self, params: Any, obs: Any) -> Gaussian:
        """The policy at observations [B, ...], over actions [B, D]."""
        return self.head(actor_critic.actor_network(self).apply(params, obs))

    def values(self, params: Any, obs: Any, actions: jax.Array) -> jax.Array:
        """[M, B], of M actions for each observation [M, B, D]: the least of the critics', within the range."""

        def value(action: jax.Array) -> jax.Array:
            least: jax.Array = self.critic_network.apply(params, obs, action).min(axis=0)
            return least

        return jax.vmap(value)(jnp.clip(actions, -1.0, 1.0))


def drawn_actions(key: jax.Array, policy: Gaussian, num_samples: int) -> jax.Array:
    """`num_samples` actions for each observation, [M, B, D]."""
    return jax.vmap(policy.sample)(sample_noise(key, (num_samples, *policy.mean.shape)))


def sample_noise(key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    """Normal noise `shape` = [M, B, D], all the randomness of an update's sampled actions."""
    return jax.random.normal(key, shape)
