"""Recurrent replay distributed DQN (Kapturowski et al. 2019, https://openreview.net/forum?id=r1lyTjAqYX).

    repeat:
        act epsilon-greedily on Q(history) for T steps in N environments; keep the rows, and the memory they began with
        for num_updates:
            draw B sequences by priority
            re-run both networks over the burn-in from the stored memory, without gradient, then over the trace:
            y_t  = h(r_t + ... + gamma^(m-1) r_(t+m-1) + gamma^m h^-1(Q_target(s_(t+m), argmax_a Q(s_(t+m), a))))
            Adam step on the mean of weight * mean_t (Q(s_t, a_t) - y_t)^2 / 2
            priority of a sequence: eta max_t |delta_t| + (1 - eta) mean_t |delta_t|

with h(x) = sgn(x) (sqrt(|x| + 1) - 1) + x / 1000, and m up to n, fewer where the episode or the trace ends before. A
termination is not bootstrapped from, a truncation is, from its true successor. Inside a sequence the memory is reset
where an episode starts. Unlike in the paper, beta rises to 1, as everywhere here.
"""

from dataclasses import replace
from typing import Any

import jax

from jaxrl.algorithms.value_based import q_learning
from jaxrl.algorithms.value_based.q_learning import Learner, Losses, QSettings
from jaxrl.components import normalization
from jaxrl.components import value_losses as losses
from jaxrl.components.axis import own_key, share
from jaxrl.components.exploration import epsilon_ladder, greedy_action, num_actions
from jaxrl.components.initializers import init_network
from jaxrl.components.off_policy import Source, iterations_before, learn_from
from jaxrl.components.policies import action_mask
from jaxrl.components.q_networks import RecurrentQNetwork
from jaxrl.components.replay import Step, kept, step_shapes
from jaxrl.components.returns import n_step_returns
from jaxrl.components.rollout_values import successor_values
from jaxrl.components.rollouts import Actor, World, begin, unroll, where_done
from jaxrl.components.sequences import (
    SequenceBatch,
    SequenceReplay,
    SequenceRing,
    empty_sequence_replay,
    sequence_error,
    sequence_ring_of,
    sequences_at,
    uniform_sequences,
    write_chunk,
)
from jaxrl.components.value_policies import RecurrentValuePolicy
from jaxrl.metrics import Metrics, mean, over_axis
from jaxrl.pytree import Scalar, dataclass, hyperparameter, static


@dataclass
class State:
    """Everything that changes; `world.memory` [N, ...] is what the agent remembers."""

    learner: Learner
    replay: SequenceReplay
    world: World


@dataclass
class R2D2(QSettings):
    """R2D2 for discrete actions, masked or not; a sequence begins at every `num_steps`-th step."""

    num_steps: int = static(8, minimum=1)
    """T, between two phases of learning, and between the beginnings of two sequences."""
    num_updates: int = static(4, minimum=1)
    burn_in: int = static(8, minimum=0)
    """Steps at the beginning of a sequence that only bring the memory up to date."""
    trace_length: int = static(16, minimum=1)  # L
    """Steps of a sequence that are learned from."""
    core: str = static("lstm", choices=("gru", "lstm"))
    memory_size: int = static(64, minimum=1)
    hidden_sizes: tuple[int, ...] = static((64,), minimum=1)
    """Of the encoder before the core."""
    batch_size: int = static(32, minimum=1)
    """Sequences, over all devices."""
    replay_capacity: int = static(50_000, minimum=1)
    """Transitions kept, over all devices; held to whole rollouts."""
    n_step: int = static(5, minimum=1)
    double: bool = static(True)
    dueling: bool = static(True)
    prioritized: bool = static(True)
    rescale_values: bool = static(True)
    """Learn h(Q), whose errors stay small where returns are large."""
    exploration_ladder: bool = static(False)
    """Each environment explores at a rate of its own for the whole run, 0.4^(1 + 7 i / (N - 1)) as in Ape-X."""

    priority_exponent: Scalar = hyperparameter(0.9, minimum=0)  # alpha
    importance_exponent: Scalar = hyperparameter(0.6, minimum=0, maximum=1)  # beta
    priority_mix: Scalar = hyperparameter(0.9, minimum=0, maximum=1)  # eta
    huber_delta: Scalar | None = hyperparameter(None, above=0)
    """Errors beyond it count linearly; None for the squared loss."""

    def check(self) -> None:
        """Refuse noisy layers, spaces that no network here fits, and a replay that is too small."""
        if self.noisy:
            raise ValueError("R2D2 has no noisy layers, got noisy=True; leave it out.")
        self.network  # noqa: B018  # building it checks the spaces and the activation
        if self.axis is None:
            self.sequences  # noqa: B018  # the same of the capacity

    @property
    def steps_per_iteration(self) -> int:
        return self.num_envs * self.num_steps

    @property
    def network(self) -> RecurrentQNetwork:
        torso, actions = q_learning.torso(self), num_actions(self.env.action_space)
        return RecurrentQNetwork(torso, actions, self.core, self.memory_size, self.dueling, gain=self.head_gain)

    @property
    def sequences(self) -> SequenceRing:
        """This device's part of the replay."""
        capacity = share(self.replay_capacity, self.axis, "replay_capacity")
        num_envs = share(self.num_envs, self.axis, "num_envs")
        return sequence_ring_of(capacity, num_envs, self.num_steps, self.burn_in + self.trace_length)

    def init(self, key: jax.Array) -> State:
        params_key, world_key = jax.random.split(key)
        network, envs = self.network, q_learning.environments(self)
        memory = network.initial_memory((envs.num_envs,))
        world = begin(own_key(world_key, self.axis), envs, memory)
        one = jax.tree.map(lambda leaf: leaf[None, :1], (world.obs, world.first))  # [T=1, N=1, ...]
        params = init_network(network, params_key, *one, network.initial_memory((1,)))
        learner = q_learning.new_learner(self, params, world.obs)
        steps = step_shapes(world.obs, self.env.action_space)
        replay = empty_sequence_replay(self.sequences, steps, memory, prioritized=self.prioritized)
        return State(learner, replay, world)

    def step(self, key: jax.Array, state: State, iteration: jax.Array) -> tuple[State, Metrics]:
        rollout_key, learn_key = jax.random.split(own_key(key, self.axis))
        envs = q_learning.environments(self)
        memory = where_done(state.world.first, self.network.initial_memory((envs.num_envs,)), state.world.memory)
        world, rollout, episodes = self.collect(rollout_key, state, iteration)
        replay = write_chunk(state.replay, self.sequences, rollout, memory, iteration)
        learner, replay, metrics = self.learn(learn_key, state.learner, replay, iteration)
        if learner.observation_stats is not None:
            stats = normalization.update(learner.observation_stats, rollout.obs, self.axis)
            learner = replace(learner, observation_stats=stats)
        metrics["epsilon"] = mean(self.epsilon(iteration))
        return State(learner, replay, world), over_axis({**episodes, **metrics}, self.axis)

    def policy(self, state: State, greedy: bool = True) -> RecurrentValuePolicy:
        return self.explorer(state.learner, self.exploration_end, greedy)

    def explorer(self, learner: Learner, epsilon: Scalar, greedy: bool = False) -> RecurrentValuePolicy:
        """Epsilon-greedy on Q."""
        actions = num_actions(self.env.action_space)
        return RecurrentValuePolicy(learner.params, learner.observation_stats, epsilon, self.network, actions, greedy)

    def epsilon(self, iteration: jax.Array) -> jax.Array:
        """The probability of a random action, one for all environments or, on the ladder, [N]."""
        if self.exploration_ladder:
            return epsilon_ladder(self.num_envs, self.axis)
        return q_learning.epsilon(self, iteration)

    def collect(self, key: jax.Array, state: State, iteration: jax.Array) -> tuple[World, Step, Metrics]:
        """Explore for T steps in each environment."""
        noise_key, unroll_key = jax.random.split(key)
        envs, explorer = q_learning.environments(self), self.explorer(state.learner, self.epsilon(iteration))
        noise = explorer.noise(noise_key, self.num_steps, envs.num_envs)
        actor = Actor(explorer.sample, explorer.initial_memory((envs.num_envs,)))
        return unroll(unroll_key, envs, state.world, actor, noise, record=kept)

    def learn(
        self, key: jax.Array, learner: Learner, replay: SequenceReplay, iteration: jax.Array
    ) -> tuple[Learner, SequenceReplay, Metrics]:
        """`num_updates` gradient steps, once there are sequences to draw."""
        sequences = self.sequences
        source = Source(
            draw=lambda key, shape: uniform_sequences(key, sequences, iteration, shape),
            batch=lambda items: sequences_at(replay, sequences, items),
            num_items=sequences.num_complete(iteration),
            iterations_before=max(iterations_before(self), sequences.span - 1),
        )

        def update(key: jax.Array, learner: Learner, batch: SequenceBatch, count: jax.Array) -> Any:
            return q_learning.update(self, key, learner, batch, count, iteration)

        learns = (learner, replay.priorities)
        learner, priorities, metrics = learn_from(self, key, learns, source, iteration, update)
        return learner, replace(replay, priorities=priorities), metrics

    def loss(self, params: Any, target_params: Any, batch: SequenceBatch, key: jax.Array) -> Losses:
        """The squared or Huber loss of each sequence [B]: the mean over its trace."""
        values, memories = self.unroll(params, batch)
        steps = Step(batch.obs, batch.action, batch.reward, batch.terminated, batch.truncated, batch.next_obs)
        trace: Step = jax.tree.map(lambda leaf: leaf[self.burn_in :], steps)
        frozen = jax.lax.stop_gradient((params, values, memories))
        target = jax.lax.stop_gradient(self.targets(trace, frozen, (target_params, *self.unroll(target_params, batch))))
        value = losses.pick(values, trace.action)
        error = value - target
        loss = losses.huber(error, self.huber_delta).mean(axis=0)
        return Losses(loss, sequence_error(error, self.priority_mix), value)

    def unroll(self, params: Any, batch: SequenceBatch) -> tuple[jax.Array, Any]:
        """Q [L, B, A] of the trace and the memory after each of its steps; no gradient goes into the burn-in."""
        seen, memory, start = (batch.obs, batch.first), batch.memory, self.burn_in
        if start:
            before = jax.tree.map(lambda leaf: leaf[:start], seen)
            memory = jax.lax.stop_gradient(self.network.apply(params, *before, memory)[1])
        trace = jax.tree.map(lambda leaf: leaf[start:], seen)
        return self.network.apply(params, *trace, memory, method="unroll")

    def targets(self, trace: Step, online: Any, target: Any) -> jax.Array:
        """y [L, B]; `online` and `target` are (params, Q [L, B, A], memories [L, B, ...]) of the two networks."""

        def best(obs: Any, values: jax.Array, target_values: jax.Array) -> jax.Array:
            selector = values if self.double else target_values
            value = losses.pick(target_values, greedy_action(selector, action_mask(obs)))
            return losses.inverse_signed_sqrt(value) if self.rescale_values else value

        def after(obs: Any, memory: Any, target_memory: Any) -> jax.Array:
            pairs = ((online[0], memory), (target[0], target_memory))
            return best(obs, *(self.network.apply(params, obs, memory, method="step")[0] for params, memory in pairs))

        successors = trace.next_obs, online[2], target[2]
        last = after(*jax.tree.map(lambda leaf: leaf[-1], successors))
        value = best(trace.obs, online[1], target[1])
        next_value = successor_values(value, last, trace.truncated, lambda: after(*successors))
        ends = trace.terminated, trace.truncated
        returns = n_step_returns(trace.reward, next_value, *ends, self.discount, self.n_step)
        return losses.signed_sqrt(returns) if self.rescale_values else returns
