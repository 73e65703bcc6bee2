"""What the off-policy actor-critics share: everything but how actor and critics learn.

    repeat:
        act in N environments for T steps, with noise; keep the transitions
        for num_updates:
            draw B windows of n steps: obs, action, r_1 + ... + gamma^(n-1) r_n, next_obs
            one update of the algorithm: critics, actor, target networks

A member of the family is a dataclass with the fields of `ActorCriticSettings`, a `head`, the names of its targets, and
an `update`; its `init`, `step` and `policy` are those of this file. Continuous actions are vectors in [-1, 1]
throughout (see `components/continuous.py`).
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxrl.algorithms.actor_critic.learner import Learner, new_learner
from jaxrl.components import normalization
from jaxrl.components.axis import of_first, own_key, share
from jaxrl.components.continuous import ContinuousPolicy, bounded_box, num_entries, scaled, unscaled
from jaxrl.components.critics import ActorNetwork, Critics
from jaxrl.components.initializers import init_network
from jaxrl.components.normalization import RunningStats
from jaxrl.components.off_policy import OffPolicySettings, learn_from_replay, ring_for
from jaxrl.components.replay import Batch, Replay, Step, empty_replay, kept, step_shapes, write
from jaxrl.components.rollouts import Actor, World, begin, unroll
from jaxrl.components.torsos import ResidualMLP, torso_for
from jaxrl.envs.spaces import Box
from jaxrl.envs.vector import VectorEnvironment, vectorize
from jaxrl.metrics import Metrics, over_axis
from jaxrl.pytree import Scalar, dataclass, hyperparameter, static


@dataclass
class ActorCriticSettings(OffPolicySettings):
    """The fields of the whole family, besides those of every algorithm with a replay."""

    num_envs: int = static(8, minimum=1)
    """N, over all devices."""
    num_updates: int = static(8, minimum=1)
    """Gradient steps in each phase of learning; `num_envs * num_steps` of them are one for each transition."""
    total_steps: int = static(1_000_000, minimum=1)
    batch_size: int = static(256, minimum=1)
    """B, over all devices."""
    replay_capacity: int = static(100_000, minimum=1)
    """Transitions kept, over all devices; held to whole rollouts."""
    hidden_sizes: tuple[int, ...] = static((256, 256), minimum=1)
    """Of the actor, and of each critic after its encoder."""
    activation: str = static("relu")
    layer_norm: bool = static(False)
    """In the critics, before each activation."""
    residual: bool = static(False)
    """Residual blocks in place of plain layers in actor and critics, one for each of `hidden_sizes` (SimBa)."""
    torso: nn.Module | None = static(None)
    """A network of your own from observations to features, in place of the one chosen for the observation space."""
    reset_period: int | None = static(None, minimum=1)
    """Begin with new networks every so many gradient steps, keeping the replay (Nikishin et al. 2022)."""

    learning_rate: Scalar = hyperparameter(3e-4, minimum=0)
    """Of everything but the critics."""
    critic_learning_rate: Scalar = hyperparameter(1e-3, minimum=0)
    adam_beta1: Scalar = hyperparameter(0.9, minimum=0, maximum=1)
    """Decay of the mean of gradients."""
    adam_epsilon: Scalar = hyperparameter(1e-8, above=0)
    max_grad_norm: Scalar | None = hyperparameter(None, above=0)
    target_rate: Scalar = hyperparameter(5e-3, above=0, maximum=1)  # tau
    """How far the target networks move at a time."""


@dataclass
class ContinuousSettings(ActorCriticSettings):
    """The fields of those whose actions are continuous."""

    noise_scale: Scalar = hyperparameter(0.1, minimum=0)  # sigma
    """Standard deviation of the noise added to actions, in half-widths of their range."""
    noise_correlation: Scalar = hyperparameter(0.0, minimum=0, maximum=1)
    """Of that noise from step to step: 0 is white noise, more an Ornstein-Uhlenbeck process, exp(-theta dt)."""


@dataclass
class State:
    """Everything that changes."""

    learner: Learner
    replay: Replay
    world: World


Collect = Callable[[Any, jax.Array, State, jax.Array], tuple[World, Step, Metrics]]
"""`collect(agent, key, state, iteration)`: T steps in each environment."""


def check(agent: Any) -> None:
    """Refuse unbounded or discrete actions, unknown activations, and a replay too small for a rollout."""
    space(agent)
    check_networks(agent)


def check_networks(agent: Any) -> None:
    """The part of `check` that does not depend on the kind of actions."""
    actor_network(agent)  # building it checks the observations and the activation
    if agent.residual and len(set(agent.hidden_sizes)) != 1:
        raise ValueError(f"residual=True needs hidden_sizes that are all equal, got {agent.hidden_sizes}.")
    if agent.residual and agent.layer_norm:
        raise ValueError(
            "Residual blocks have layer norms of their own, got layer_norm=True too; leave one of them out."
        )
    if agent.axis is None:
        ring_for(agent)


def init(agent: Any, key: jax.Array) -> State:
    """Parameters, an empty replay, and environments at a first observation."""
    params_key, world_key = jax.random.split(key)
    envs, is_continuous = environments(agent), isinstance(agent.env.action_space, Box)
    memory = jnp.zeros((envs.num_envs, num_entries(space(agent)))) if is_continuous else ()
    world = begin(own_key(world_key, agent.axis), envs, memory)
    params = agent.init_params(params_key, jax.tree.map(lambda leaf: leaf[0], world.obs))
    stats = RunningStats.of(world.obs) if agent.normalize_observations else None
    learner = new_learner(agent, params, stats)
    steps = step_shapes(world.obs, agent.env.action_space)
    return State(learner, empty_replay(ring_for(agent), steps, prioritized=agent.prioritized), world)


def step(
    agent: Any, key: jax.Array, state: State, iteration: jax.Array, collect: Collect | None = None
) -> tuple[State, Metrics]:
    """One iteration: act (by `explore`, unless there is another way to), keep, learn."""
    rollout_key, learn_key = jax.random.split(own_key(key, agent.axis))
    world, rollout, episodes = (collect or explore)(agent, rollout_key, state, iteration)
    replay = write(state.replay, ring_for(agent), rollout, iteration)

    def update(key: jax.Array, learner: Learner, batch: Batch, count: jax.Array) -> Any:
        if agent.reset_period is None:
            return agent.update(key, learner, prepared(agent, learner, batch), count)
        update_key, reset_key = jax.random.split(key)
        learner, errors, metrics = agent.update(update_key, learner, prepared(agent, learner, batch), count)
        return reset_now_and_then(agent, reset_key, learner, batch, count), errors, metrics

    learner, replay, metrics = learn_from_replay(agent, learn_key, state.learner, replay, iteration, update)
    if learner.observation_stats is not None:
        stats = normalization.update(learner.observation_stats, rollout.obs, agent.axis)
        learner = replace(learner, observation_stats=stats)
    return State(learner, replay, world), over_axis({**episodes, **metrics}, agent.axis)


def reset_now_and_then(agent: Any, key: jax.Array, learner: Learner, batch: Batch, count: jax.Array) -> Learner:
    """A new learner, with the old statistics, after every `reset_period`-th gradient step."""

    def reset() -> Learner:
        obs = jax.tree.map(lambda leaf: leaf[0], batch.obs)
        params = of_first(agent.axis, agent.init_params(key, obs))
        return new_learner(agent, params, learner.observation_stats)

    return jax.lax.cond((count + 1) % agent.reset_period == 0, reset, lambda: learner)


def policy(agent: Any, state: State, greedy: bool) -> ContinuousPolicy:
    """Greedy, or exploring as in training."""
    learner, noise = state.learner, (agent.noise_scale, agent.noise_correlation)
    network = actor_network(agent)
    stats = learner.observation_stats
    return ContinuousPolicy(learner.params["actor"], stats, *noise, network, agent.head, space(agent), greedy)


def explore(agent: Any, key: jax.Array, state: State, iteration: jax.Array) -> tuple[World, Step, Metrics]:
    """Explore for T steps in each environment: uniformly in the range of actions until `learning_starts`."""
    noise_key, unroll_key = jax.random.split(key)
    envs, explorer = environments(agent), policy(agent, state, greedy=False)
    noise = explorer.noise(noise_key, (agent.num_steps, envs.num_envs))
    knows_nothing = iteration * agent.steps_per_iteration < agent.learning_starts

    def act(obs: Any, memory: jax.Array, noise: Any) -> tuple[jax.Array, jax.Array, tuple[()]]:
        action, memory = explorer.explore(obs, memory, noise)
        uniform = 2.0 * jax.scipy.special.ndtr(noise[1]) - 1.0
        return unscaled(space(agent), jnp.where(knows_nothing, uniform, action)), memory, ()

    actor = Actor(act, initial_memory=explorer.initial_memory((envs.num_envs,)))
    return unroll(unroll_key, envs, state.world, actor, noise, record=kept)


def prepared(agent: Any, learner: Learner, batch: Batch) -> Batch:
    """A batch with its observations normalised, and continuous actions as [B, D] in [-1, 1]."""
    if learner.observation_stats is not None:
        stats = learner.observation_stats
        obs, next_obs = (normalization.normalize(stats, x) for x in (batch.obs, batch.next_obs))
        batch = replace(batch, obs=obs, next_obs=next_obs)
    if isinstance(agent.env.action_space, Box):
        batch = replace(batch, action=scaled(space(agent), batch.action))
    return batch


def init_params(agent: Any, key: jax.Array, obs: Any) -> dict[str, Any]:
    """The first actor and critics, for observations like `obs`."""
    actor_key, critic_key = jax.random.split(key)
    action = jnp.zeros(num_entries(space(agent)))
    return {
        "actor": init_network(actor_network(agent), actor_key, obs),
        "critics": init_network(agent.critic_network, critic_key, obs, action),
    }


def critic_network(agent: Any, dropout: float = 0.0, num_atoms: int | None = None) -> Critics:
    """Q_1, ..., Q_E of an observation and an action, or that many atoms of each."""
    encoder = agent.torso or torso_for(agent.env.observation_space, (), agent.activation)
    style = agent.hidden_sizes, agent.activation, agent.layer_norm, dropout, agent.residual
    return Critics(encoder, agent.num_critics, *style, num_atoms)


def actor_network(agent: Any) -> ActorNetwork:
    """From an observation to the outputs that the head reads."""
    space, style = agent.env.observation_space, (agent.hidden_sizes, agent.activation)
    if agent.torso is not None:
        return ActorNetwork(agent.torso, agent.head.num_outputs)
    if agent.residual:
        blocks = (torso_for(space, (), agent.activation), ResidualMLP(*style))
        return ActorNetwork(nn.Sequential(blocks), agent.head.num_outputs)
    return ActorNetwork(torso_for(space, *style), agent.head.num_outputs)


def environments(agent: Any) -> VectorEnvironment:
    """This device's environments."""
    return vectorize(agent.env, share(agent.num_envs, agent.axis, "num_envs"))


def space(agent: Any) -> Box:
    """The range of actions."""
    return bounded_box(agent.env.action_space)
