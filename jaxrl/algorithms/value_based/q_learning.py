"""What DQN and its family share: everything but the network and the loss.

    repeat:
        act epsilon-greedily on Q for T steps in N environments; keep the transitions
        for num_updates:
            draw B windows of n steps: obs, action, r_1 + ... + gamma^(n-1) r_n, next_obs
            Adam step on the mean of weight * loss(params, target_params, window)
            every target_period gradient steps: target_params += target_rate (params - target_params)

A member of the family is a dataclass with the fields of `QSettings`, a `network`, `to_values` from its outputs to
action values, and a `loss`; its `init`, `step` and `policy` are those of this file.
"""

from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax

from jaxrl.algorithm import num_iterations
from jaxrl.components import normalization
from jaxrl.components.axis import own_key, share
from jaxrl.components.exploration import num_actions
from jaxrl.components.initializers import init_network
from jaxrl.components.normalization import RunningStats
from jaxrl.components.off_policy import OffPolicySettings, learn_from_replay, ring_for
from jaxrl.components.optimizers import adam
from jaxrl.components.q_networks import QNetwork
from jaxrl.components.replay import Batch, Replay, Step, empty_replay, kept, step_shapes, write
from jaxrl.components.rollouts import Actor, World, begin, unroll
from jaxrl.components.schedules import fraction_done, linear
from jaxrl.components.targets import moved_target
from jaxrl.components.torsos import torso_for
from jaxrl.components.value_policies import ValuePolicy, noise_streams
from jaxrl.envs.vector import VectorEnvironment, vectorize
from jaxrl.metrics import Metrics, mean, over_axis
from jaxrl.pytree import Scalar, dataclass, hyperparameter, static

if TYPE_CHECKING:
    from jaxrl.algorithms.value_based.c51 import C51
    from jaxrl.algorithms.value_based.dqn import DQN
    from jaxrl.algorithms.value_based.iqn import IQN
    from jaxrl.algorithms.value_based.munchausen_dqn import MunchausenDQN
    from jaxrl.algorithms.value_based.qr_dqn import QRDQN
    from jaxrl.algorithms.value_based.r2d2 import R2D2
    from jaxrl.algorithms.value_based.rainbow import Rainbow

AnyDQN: TypeAlias = "DQN | C51 | QRDQN | IQN | MunchausenDQN | Rainbow"
"""The family."""
AnyLearner: TypeAlias = "AnyDQN | R2D2"
"""The family, and its recurrent relative: the two share how parameters are updated."""


@dataclass
class QSettings(OffPolicySettings):
    """The fields of the whole family, besides those of every algorithm with a replay."""

    hidden_sizes: tuple[int, ...] = static((64, 64), minimum=1)
    activation: str = static("silu")
    layer_norm: bool = static(False)
    torso: nn.Module | None = static(None)
    """A network of your own from observations to features, in place of the one chosen for the observation space."""
    double: bool = static(False)
    """Choose the next action by the network that learns, and value it by the target network."""
    dueling: bool = static(False)
    """Q = V + A - mean A, from a head each."""
    head_gain: float = static(1.0)
    """Of the last layer's first weights: near 0, no action is thought better than another before it was tried."""
    noisy: bool = static(False)
    """Explore by noise on the weights instead of epsilon-greedily."""
    noisy_sigma: float = static(0.5)
    """sigma_0: the noise at the beginning, in units of 1 / sqrt(inputs of a layer)."""
    target_period: int = static(1, minimum=1)
    """Gradient steps between two moves of the target network."""
    anneal_learning_rate: bool = static(False)
    """Linearly, to 0 at the last iteration."""

    learning_rate: Scalar = hyperparameter(1e-3, minimum=0)
    adam_epsilon: Scalar = hyperparameter(1e-5, above=0)
    max_grad_norm: Scalar | None = hyperparameter(10.0, above=0)
    target_rate: Scalar = hyperparameter(5e-3, above=0, maximum=1)
    """How far the target network moves: a small part at every step (Polyak averaging), or 1, a copy, now and then."""
    exploration_start: Scalar = hyperparameter(1.0, minimum=0, maximum=1)  # epsilon
    exploration_end: Scalar = hyperparameter(0.05, minimum=0, maximum=1)
    exploration_fraction: Scalar = hyperparameter(0.5, above=0, maximum=1)
    """The part of the run in which epsilon goes from start to end."""


@dataclass
class Learner:
    """What learns; the same on every device."""

    params: Any
    target_params: Any
    opt_state: optax.OptState
    observation_stats: RunningStats | None


@dataclass
class State:
    """Everything that changes."""

    learner: Learner
    replay: Replay
    world: World


class Losses(NamedTuple):
    """What a `loss` says of each window of a batch [B]."""

    loss: jax.Array
    error: jax.Array
    """How wrong the prediction was, at least 0: the priority of the transition."""
    value: jax.Array
    """The predicted Q(obs, action)."""


def check(agent: AnyDQN) -> None:
    """Refuse other actions than discrete ones, unknown activations, and a replay too small for a rollout."""
    agent.network  # noqa: B018  # building it checks the spaces and the activation
    if agent.axis is None:
        ring_for(agent)


def init(agent: AnyDQN, key: jax.Array) -> State:
    """Parameters, an empty replay, and environments at a first observation."""
    params_key, world_key = jax.random.split(key)
    world = begin(own_key(world_key, agent.axis), environments(agent))
    params = init_network(agent.network, params_key, jax.tree.map(lambda leaf: leaf[0], world.obs))
    learner = new_learner(agent, params, world.obs)
    steps = step_shapes(world.obs, agent.env.action_space)
    return State(learner, empty_replay(ring_for(agent), steps, prioritized=agent.prioritized), world)


def new_learner(agent: AnyLearner, params: Any, obs: Any) -> Learner:
    """The target network is a copy; statistics, if any, are of observations like `obs`."""
    return Learner(
        params=params,
        target_params=params,
        opt_state=optimizer(agent, jnp.int32(0)).init(params),
        observation_stats=RunningStats.of(obs) if agent.normalize_observations else None,
    )


def step(agent: AnyDQN, key: jax.Array, state: State, iteration: jax.Array) -> tuple[State, Metrics]:
    """One iteration: act, keep, learn."""
    rollout_key, learn_key = jax.random.split(own_key(key, agent.axis))
    world, rollout, episodes = collect(agent, rollout_key, state, iteration)
    replay = write(state.replay, ring_for(agent), rollout, iteration)

    def update_learner(key: jax.Array, learner: Learner, batch: Batch, count: jax.Array) -> Any:
        return update(agent, key, learner, batch, count, iteration)

    learner, replay, metrics = learn_from_replay(agent, learn_key, state.learner, replay, iteration, update_learner)
    if learner.observation_stats is not None:
        stats = normalization.update(learner.observation_stats, rollout.obs, agent.axis)
        learner = replace(learner, observation_stats=stats)
    metrics["epsilon"] = mean(epsilon(agent, iteration))
    return State(learner, replay, world), over_axis({**episodes, **metrics}, agent.axis)


def policy(agent: AnyDQN, state: State, greedy: bool) -> ValuePolicy:
    """Greedy, or exploring as at the end of training."""
    return _policy(agent, state.learner, agent.exploration_end, greedy)


def collect(agent: AnyDQN, key: jax.Array, state: State, iteration: jax.Array) -> tuple[World, Step, Metrics]:
    """Explore for T steps in each environment."""
    noise_key, unroll_key = jax.random.split(key)
    envs = environments(agent)
    explorer = _policy(agent, state.learner, epsilon(agent, iteration), greedy=False)
    noise = explorer.noise(noise_key, agent.num_steps, envs.num_envs)
    return unroll(unroll_key, envs, state.world, Actor(explorer.sample), noise, record=kept)


def update(  # what a gradient step depends on
    agent: AnyLearner, key: jax.Array, learner: Learner, batch: Any, count: jax.Array, iteration: jax.Array
) -> tuple[Learner, jax.Array, Metrics]:
    """Gradient step number `count` of the run, on one batch; also how wrong each prediction was [B]."""
    if learner.observation_stats is not None:
        stats = learner.observation_stats
        obs, next_obs = (normalization.normalize(stats, x) for x in (batch.obs, batch.next_obs))
        batch = replace(batch, obs=obs, next_obs=next_obs)

    def weighted_loss(params: Any) -> tuple[jax.Array, Losses]:
        found = agent.loss(params, learner.target_params, batch, key)
        return (batch.weight * found.loss).mean(), found

    gradient, found = jax.grad(weighted_loss, has_aux=True)(learner.params)
    updates, opt_state = optimizer(agent, iteration).update(gradient, learner.opt_state, learner.params)
    params = optax.apply_updates(learner.params, updates)
    target_params = moved_target(params, learner.target_params, count, agent.target_period, agent.target_rate)
    learner = replace(learner, params=params, target_params=target_params, opt_state=opt_state)
    metrics = {"loss": mean(found.loss), "td_error": mean(found.error), "value": mean(found.value)}
    return learner, found.error, metrics


def outputs(agent: AnyDQN, params: Any, obs: Any, noise_key: jax.Array, *args: Any) -> jax.Array:
    """The network's outputs at normalised observations; noisy layers draw from the key, others ignore it."""
    return agent.network.apply(params, obs, *args, rngs=noise_streams(noise_key))


def q_network(agent: AnyDQN, num_atoms: int | None = None) -> QNetwork:
    """Q(s, .), or `num_atoms` outputs for each action."""
    actions, sigma = num_actions(agent.env.action_space), sigma_of(agent)
    return QNetwork(torso(agent), actions, num_atoms, agent.dueling, sigma, gain=agent.head_gain)


def torso(agent: QSettings) -> nn.Module:
    """The torso given, or the one that suits the observations."""
    if agent.torso is not None:
        return agent.torso
    space, sigma = agent.env.observation_space, sigma_of(agent)
    return torso_for(space, agent.hidden_sizes, agent.activation, layer_norm=agent.layer_norm, noisy_sigma=sigma)


def sigma_of(agent: QSettings) -> float | None:
    """The initial noise of noisy layers, or None for ordinary ones."""
    return agent.noisy_sigma if agent.noisy else None


def environments(agent: QSettings) -> VectorEnvironment:
    """This device's environments."""
    return vectorize(agent.env, share(agent.num_envs, agent.axis, "num_envs"))


def epsilon(agent: AnyLearner, iteration: jax.Array) -> jax.Array:
    """The probability of a random action in this iteration."""
    fraction = fraction_done(iteration, num_iterations(agent)) / agent.exploration_fraction
    return linear(agent.exploration_start, agent.exploration_end, fraction)


def optimizer(agent: AnyLearner, iteration: jax.Array) -> optax.GradientTransformation:
    """Adam at this iteration's learning rate, after clipping by global norm."""
    rate = agent.learning_rate
    if agent.anneal_learning_rate:
        rate = linear(rate, 0.0, fraction_done(iteration, num_iterations(agent)))
    return adam(rate, epsilon=agent.adam_epsilon, max_grad_norm=agent.max_grad_norm, axis=agent.axis)


def _policy(agent: AnyDQN, learner: Learner, epsilon: Scalar, greedy: bool) -> ValuePolicy:
    actions = num_actions(agent.env.action_space)
    if agent.noisy:
        epsilon = jnp.float32(0.0)  # the noise explores
    return ValuePolicy(
        learner.params, learner.observation_stats, agent.to_values, epsilon, agent.network, actions, greedy
    )
