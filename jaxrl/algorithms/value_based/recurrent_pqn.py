"""PQN with a memory: a GRU or LSTM between the encoder and the action values (Gallici et al. 2024, their PQN-RNN).

What differs from `pqn.py`:

- the memory is reset before the core reads an observation that starts an episode;
- minibatches are whole sequences of some environments, never shuffled in time;
- learning re-runs the core over a rollout from the memory it started with;
- the value of a true successor is that of the memory after the step and `next_obs`.
"""

from dataclasses import replace
from typing import Any

import jax

from jaxrl.algorithms.value_based.pqn import (
    Learner,
    PQNSettings,
    State,
    best_value,
    pqn_environments,
    pqn_epsilon,
    pqn_learn,
    pqn_learner,
    pqn_seen,
    pqn_targets,
    pqn_torso,
)
from jaxrl.components.axis import own_key
from jaxrl.components.exploration import num_actions
from jaxrl.components.initializers import init_network
from jaxrl.components.q_networks import RecurrentQNetwork
from jaxrl.components.recurrent import by_environment
from jaxrl.components.rollout_values import successor_values
from jaxrl.components.rollouts import Actor, Transition, World, begin, unroll
from jaxrl.components.value_policies import RecurrentValuePolicy
from jaxrl.metrics import Metrics, over_axis
from jaxrl.pytree import Scalar, dataclass, static


@dataclass
class Batch:
    """A rollout made ready to learn from: sequences, leaves [N, T, ...]."""

    obs: Any
    """Normalised."""
    first: jax.Array
    memory: Any
    """[N, ...]: the memory before the sequence, not yet reset where its first observation starts an episode."""
    action: jax.Array
    target: jax.Array
    """G."""


@dataclass
class RecurrentPQN(PQNSettings):
    """PQN for what cannot be seen in one observation; fields as in `PQN`, and `core` and `memory_size`."""

    num_minibatches: int = static(4, minimum=1)
    """Of whole sequences: it must divide `num_envs`."""
    hidden_sizes: tuple[int, ...] = static((64,), minimum=1)
    """Of the encoder before the core."""
    core: str = static("gru", choices=("gru", "lstm"))
    memory_size: int = static(64, minimum=1)

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
    def network(self) -> RecurrentQNetwork:
        actions = num_actions(self.env.action_space)
        return RecurrentQNetwork(pqn_torso(self), actions, self.core, self.memory_size, self.dueling)

    def init(self, key: jax.Array) -> State:
        params_key, world_key = jax.random.split(key)
        network, envs = self.network, pqn_environments(self)
        world = begin(own_key(world_key, self.axis), envs, network.initial_memory((envs.num_envs,)))
        one = jax.tree.map(lambda leaf: leaf[None, :1], (world.obs, world.first))  # [T=1, N=1, ...]
        params = init_network(network, params_key, *one, network.initial_memory((1,)))
        return State(pqn_learner(self, params, world.obs), world)

    def step(self, key: jax.Array, state: State, iteration: jax.Array) -> tuple[State, Metrics]:
        rollout_key, learn_key = jax.random.split(own_key(key, self.axis))
        world, rollout, metrics = self.collect(rollout_key, state, iteration)
        batch = self.prepare(state.learner, rollout, state.world.memory)
        learner, learning = self.learn(learn_key, state.learner, batch, iteration)
        learner = pqn_seen(self, learner, rollout.obs)
        return State(learner, world), over_axis({**metrics, **learning}, self.axis)

    def policy(self, state: State, greedy: bool = True) -> RecurrentValuePolicy:
        return self.explorer(state.learner, self.exploration_end, greedy)

    def explorer(self, learner: Learner, epsilon: Scalar, greedy: bool = False) -> RecurrentValuePolicy:
        """Epsilon-greedy on Q."""
        actions = num_actions(self.env.action_space)
        return RecurrentValuePolicy(learner.params, learner.observation_stats, epsilon, self.network, actions, greedy)

    def collect(self, key: jax.Array, state: State, iteration: jax.Array) -> tuple[World, Transition, Metrics]:
        """Explore for T steps in each environment."""
        noise_key, unroll_key = jax.random.split(key)
        envs, explorer = pqn_environments(self), self.explorer(state.learner, pqn_epsilon(self, iteration))
        noise = explorer.noise(noise_key, self.num_steps, envs.num_envs)
        actor = Actor(explorer.sample, explorer.initial_memory((envs.num_envs,)))
        return unroll(unroll_key, envs, state.world, actor, noise, record=lambda step: step)

    def prepare(self, learner: Learner, rollout: Transition, memory: Any) -> Batch:
        """The targets of a rollout [T, N, ...] that began with `memory`; sequences [N, T, ...]."""
        obs, next_obs = (learner.normalized(x) for x in (rollout.obs, rollout.next_obs))
        network, next_memory = self.network, rollout.extras

        def value_after(memory: Any, obs: Any) -> jax.Array:
            return best_value(network.apply(learner.params, obs, memory, method="step")[0], obs)

        value = best_value(network.apply(learner.params, obs, rollout.first, memory)[0], obs)
        last = value_after(*jax.tree.map(lambda leaf: leaf[-1], (next_memory, next_obs)))
        next_value = successor_values(value, last, rollout.truncated, lambda: value_after(next_memory, next_obs))
        batch = Batch(obs, rollout.first, (), rollout.action, pqn_targets(self, rollout, next_value))
        return replace(by_environment(batch), memory=memory)

    def learn(self, key: jax.Array, learner: Learner, batch: Batch, iteration: jax.Array) -> tuple[Learner, Metrics]:
        """All epochs over the sequences of a rollout [N, T, ...]."""
        return pqn_learn(self, key, learner, batch, iteration)

    def action_values(self, params: Any, batch: Batch) -> jax.Array:
        """Q(obs, .) [N, T, A], from the memory that each sequence began with."""
        obs, first = by_environment((batch.obs, batch.first))
        values, _ = self.network.apply(params, obs, first, batch.memory)
        return by_environment(values)
