"""Parallelised Q-network: Q-learning without a replay or a target network (Gallici et al. 2024).

"Simplifying Deep Temporal Difference Learning", https://arxiv.org/abs/2407.04811.

    repeat:
        act epsilon-greedily on Q for T steps in N environments
        G_t = r_t + gamma (1 - terminated_t) ((1 - lambda_t) max_a Q(next_obs_t, a) + lambda_t G_{t+1})
              lambda_t = 0 where the episode was cut and in the last row
        for num_epochs, for each shuffled minibatch:
            L = mean 0.5 (Q(obs, action) - G)^2
            RAdam step on L, its gradient clipped by global norm

A layer norm before every activation takes the place of the target network. The targets are those of the parameters
that acted, through all epochs, and a cut episode bootstraps from its true successor.
"""

from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeAlias

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax

from jaxrl.algorithm import num_iterations
from jaxrl.components import normalization
from jaxrl.components.axis import own_key, share
from jaxrl.components.categorical import masked
from jaxrl.components.epochs import Passes, run_epochs
from jaxrl.components.exploration import num_actions
from jaxrl.components.initializers import init_network
from jaxrl.components.normalization import RunningStats
from jaxrl.components.optimizers import radam
from jaxrl.components.policies import action_mask
from jaxrl.components.q_networks import QNetwork
from jaxrl.components.returns import lambda_returns
from jaxrl.components.rollout_values import rollout_values
from jaxrl.components.rollouts import Actor, Transition, World, begin, unroll
from jaxrl.components.schedules import fraction_done, linear
from jaxrl.components.torsos import torso_for
from jaxrl.components.value_distributions import Expected
from jaxrl.components.value_losses import pick
from jaxrl.components.value_policies import ValuePolicy
from jaxrl.envs.registry import as_environment
from jaxrl.envs.vector import VectorEnvironment, vectorize
from jaxrl.metrics import Metrics, mean, over_axis
from jaxrl.pytree import Scalar, converted, dataclass, hyperparameter, static

if TYPE_CHECKING:
    from jaxrl.algorithms.value_based.recurrent_pqn import RecurrentPQN

AnyPQN: TypeAlias = "PQN | RecurrentPQN"
"""The two forms whose targets, loss and optimizer are the same."""


@dataclass
class PQNSettings:
    """The fields of both forms, declared once."""

    env: Any = converted(as_environment)
    num_envs: int = static(32, minimum=1)
    """N, over all devices."""
    num_steps: int = static(64, minimum=1)
    """T, the length of a rollout."""
    total_steps: int = static(500_000, minimum=1)
    num_epochs: int = static(4, minimum=1)
    num_minibatches: int = static(16, minimum=1)
    hidden_sizes: tuple[int, ...] = static((128, 128), minimum=1)
    activation: str = static("relu")
    layer_norm: bool = static(True)
    """Before every activation: what keeps learning without a target network stable."""
    dueling: bool = static(False)
    """Q = V + A - mean A, from a head each."""
    torso: nn.Module | None = static(None)
    """A network of your own from observations to features, in place of the one chosen for the observation space."""
    normalize_observations: bool = static(False)
    anneal_learning_rate: bool = static(True)
    """Linearly, to 0 at the last iteration."""
    axis: str | None = static(None)
    """The mapped axis over whose devices the environments are spread."""

    learning_rate: Scalar = hyperparameter(5e-4, minimum=0)
    adam_epsilon: Scalar = hyperparameter(1e-8, above=0)
    max_grad_norm: Scalar | None = hyperparameter(10.0, above=0)
    discount: Scalar = hyperparameter(0.99, minimum=0, maximum=1)  # gamma
    trace_decay: Scalar = hyperparameter(0.95, minimum=0, maximum=1)  # lambda
    reward_scale: Scalar = hyperparameter(0.1, above=0)
    """Rewards are multiplied by it where they are learned from."""
    exploration_start: Scalar = hyperparameter(1.0, minimum=0, maximum=1)  # epsilon
    exploration_end: Scalar = hyperparameter(0.05, minimum=0, maximum=1)
    exploration_fraction: Scalar = hyperparameter(0.2, above=0, maximum=1)
    """The part of the run in which epsilon goes from start to end."""


@dataclass
class Learner:
    """What learns; the same on every device."""

    params: Any
    opt_state: optax.OptState
    observation_stats: RunningStats | None
    """Frozen through a rollout and its epochs."""

    def normalized(self, obs: Any) -> Any:
        """Observations as the network sees them; any leading axes."""
        return obs if self.observation_stats is None else normalization.normalize(self.observation_stats, obs)


@dataclass
class State:
    """Everything that changes."""

    learner: Learner
    world: World


@dataclass
class Batch:
    """A rollout made ready to learn from, leaves [B, ...] with B = T * N."""

    obs: Any
    """Normalised."""
    action: jax.Array
    target: jax.Array
    """G."""


@dataclass
class PQN(PQNSettings):
    """PQN for discrete actions, masked or not; the defaults solve CartPole-v1."""

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
    def network(self) -> QNetwork:
        return QNetwork(pqn_torso(self), num_actions(self.env.action_space), dueling=self.dueling)

    def init(self, key: jax.Array) -> State:
        params_key, world_key = jax.random.split(key)
        world = begin(own_key(world_key, self.axis), pqn_environments(self))
        params = init_network(self.network, params_key, jax.tree.map(lambda leaf: leaf[0], world.obs))
        return State(pqn_learner(self, params, world.obs), world)

    def step(self, key: jax.Array, state: State, iteration: jax.Array) -> tuple[State, Metrics]:
        rollout_key, learn_key = jax.random.split(own_key(key, self.axis))
        world, rollout, metrics = self.collect(rollout_key, state, iteration)
        batch = self.prepare(state.learner, rollout)
        learner, learning = self.learn(learn_key, state.learner, batch, iteration)
        learner = pqn_seen(self, learner, rollout.obs)
        return State(learner, world), over_axis({**metrics, **learning}, self.axis)

    def policy(self, state: State, greedy: bool = True) -> ValuePolicy:
        return self.explorer(state.learner, self.exploration_end, greedy)

    def explorer(self, learner: Learner, epsilon: Scalar, greedy: bool = False) -> ValuePolicy:
        """Epsilon-greedy on Q."""
        actions = num_actions(self.env.action_space)
        return ValuePolicy(
            learner.params, learner.observation_stats, Expected(), epsilon, self.network, actions, greedy
        )

    def collect(self, key: jax.Array, state: State, iteration: jax.Array) -> tuple[World, Transition, Metrics]:
        """Explore for T steps in each environment."""
        noise_key, unroll_key = jax.random.split(key)
        envs, explorer = pqn_environments(self), self.explorer(state.learner, pqn_epsilon(self, iteration))
        noise = explorer.noise(noise_key, self.num_steps, envs.num_envs)
        return unroll(unroll_key, envs, state.world, Actor(explorer.sample), noise, record=lambda step: step)

    def prepare(self, learner: Learner, rollout: Transition) -> Batch:
        """The targets of a rollout [T, N, ...], flattened to [T * N, ...]."""
        obs, next_obs = (learner.normalized(x) for x in (rollout.obs, rollout.next_obs))

        def value(obs: Any) -> jax.Array:
            return best_value(self.network.apply(learner.params, obs), obs)

        _, next_value = rollout_values(value, obs, next_obs, rollout.truncated)
        batch = Batch(obs, rollout.action, pqn_targets(self, rollout, next_value))
        return jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), batch)

    def learn(self, key: jax.Array, learner: Learner, batch: Batch, iteration: jax.Array) -> tuple[Learner, Metrics]:
        """All epochs over one batch [B, ...]."""
        return pqn_learn(self, key, learner, batch, iteration)

    def action_values(self, params: Any, batch: Batch) -> jax.Array:
        """Q(obs, .) [B, A]."""
        return self.network.apply(params, batch.obs)


def pqn_torso(pqn: AnyPQN) -> nn.Module:
    """The torso given, or the one that suits the observations."""
    if pqn.torso is not None:
        return pqn.torso
    return torso_for(pqn.env.observation_space, pqn.hidden_sizes, pqn.activation, pqn.layer_norm)


def pqn_environments(pqn: AnyPQN) -> VectorEnvironment:
    """This device's environments."""
    return vectorize(pqn.env, share(pqn.num_envs, pqn.axis, "num_envs"))


def pqn_learner(pqn: AnyPQN, params: Any, obs: Any) -> Learner:
    """What learns, before it has; `obs` [N, ...] shows what is to be normalised."""
    stats = RunningStats.of(obs) if pqn.normalize_observations else None
    return Learner(params, pqn_optimizer(pqn, jnp.int32(0)).init(params), stats)


def pqn_epsilon(pqn: AnyPQN, iteration: jax.Array) -> jax.Array:
    """The probability of a random action in this iteration."""
    fraction = fraction_done(iteration, num_iterations(pqn)) / pqn.exploration_fraction
    return linear(pqn.exploration_start, pqn.exploration_end, fraction)


def best_value(values: jax.Array, obs: Any) -> jax.Array:
    """max over the allowed a of Q(obs, a): [..., A] -> [...]."""
    return masked(values, action_mask(obs)).max(axis=-1)


def pqn_targets(pqn: AnyPQN, rollout: Transition, next_value: jax.Array) -> jax.Array:
    """G [T, N], given max_a Q of the true successors [T, N]."""
    ends = rollout.terminated, rollout.truncated
    return lambda_returns(rollout.reward * pqn.reward_scale, next_value, *ends, pqn.discount, pqn.trace_decay)


def pqn_learn(
    pqn: AnyPQN, key: jax.Array, learner: Learner, batch: Any, iteration: jax.Array
) -> tuple[Learner, Metrics]:
    """All epochs over one batch."""
    optimizer = pqn_optimizer(pqn, iteration)

    def update(learner: Learner, minibatch: Any) -> tuple[Learner, Metrics]:
        gradient, metrics = jax.grad(pqn_loss, argnums=1, has_aux=True)(pqn, learner.params, minibatch)
        updates, opt_state = optimizer.update(gradient, learner.opt_state, learner.params)
        return replace(learner, params=optax.apply_updates(learner.params, updates), opt_state=opt_state), metrics

    passes = Passes(pqn.num_epochs, pqn.num_minibatches, axis=pqn.axis)
    learner, metrics = run_epochs(key, learner, batch, update, passes)
    return learner, {**metrics, "epsilon": mean(pqn_epsilon(pqn, iteration))}


def pqn_loss(pqn: AnyPQN, params: Any, batch: Any) -> tuple[jax.Array, Metrics]:
    """Half the mean squared error of Q(obs, action), on a minibatch."""
    value = pick(pqn.action_values(params, batch), batch.action)
    error = value - batch.target
    loss = 0.5 * jnp.square(error).mean()
    return loss, {"loss": mean(loss), "td_error": mean(jnp.abs(error)), "value": mean(value)}


def pqn_seen(pqn: AnyPQN, learner: Learner, obs: Any) -> Learner:
    """The learner whose statistics have taken in the observations of a rollout [T, N, ...]."""
    if learner.observation_stats is None:
        return learner
    return replace(learner, observation_stats=normalization.update(learner.observation_stats, obs, pqn.axis))


def pqn_optimizer(pqn: AnyPQN, iteration: jax.Array) -> optax.GradientTransformation:
    """RAdam at this iteration's learning rate, after clipping by global norm."""
    rate = pqn.learning_rate
    if pqn.anneal_learning_rate:
        rate = linear(rate, 0.0, fraction_done(iteration, num_iterations(pqn)))
    return radam(rate, epsilon=pqn.adam_epsilon, max_grad_norm=pqn.max_grad_norm, axis=pqn.axis)
