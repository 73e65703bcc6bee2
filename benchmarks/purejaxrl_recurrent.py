"""A plain recurrent PPO in one compiled program, in the style of PureJaxRL's `ppo_rnn.py`.

Written for this benchmark, with the parts that it shares with `purejaxrl_style.py`: the network with its GRU is scanned
over time as a whole, flax's `GRUCell` in `nn.scan`, and minibatches are whole sequences of some environments. The
network is that of jaxrl's `RecurrentPPO` (a layer, a GRU, two heads), smaller than PureJaxRL's.
"""

import functools
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from flax.linen.initializers import constant, orthogonal
from flax.training.train_state import TrainState
from purejaxrl_style import LOGGED, Settings, Transition, epochs, gae, log_prob_of, optimizer, ppo_loss, world

SIZE = 64
"""Of the layer and of the memory."""


class ScannedGRU(nn.Module):
    @functools.partial(
        nn.scan, variable_broadcast="params", in_axes=0, out_axes=0, split_rngs={"params": False}
    )  # over time
    @nn.compact
    def __call__(self, memory: jax.Array, row: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        features, first = row
        memory = jnp.where(first[:, None], jnp.zeros_like(memory), memory)
        return nn.GRUCell(SIZE)(memory, features)


class ActorCritic(nn.Module):
    num_actions: int
    activation: str

    @nn.compact
    def __call__(self, memory: jax.Array, obs: jax.Array, first: jax.Array) -> Any:
        def dense(size: int, gain: float) -> nn.Dense:
            return nn.Dense(size, kernel_init=orthogonal(gain), bias_init=constant(0.0))

        features = getattr(nn, self.activation)(dense(SIZE, np.sqrt(2))(obs))
        memory, features = ScannedGRU()(memory, (features, first))
        return memory, dense(self.num_actions, 0.01)(features), dense(1, 1.0)(features).squeeze(-1)


class Runner(NamedTuple):
    """What is carried from update to update."""

    train_state: TrainState
    env_state: Any
    obs: jax.Array
    first: jax.Array
    memory: jax.Array
    key: jax.Array


class Sequences(NamedTuple):
    rollout: Transition
    first: jax.Array


def network_of(settings: Settings) -> ActorCritic:
    env, params = world(settings)
    return ActorCritic(env.action_space(params).n, settings.activation)


def train(key: jax.Array, settings: Settings) -> tuple[Any, dict[str, jax.Array]]:
    """The parameters after training, and the log of every step, leaves [updates, T, N]; `settings` are static."""
    env, params = world(settings)
    network, num_envs = network_of(settings), settings.num_envs
    network_key, reset_key, run_key = jax.random.split(key, 3)
    obs, env_state = jax.vmap(env.reset, in_axes=(0, None))(jax.random.split(reset_key, num_envs), params)
    memory, first = jnp.zeros((num_envs, SIZE)), jnp.ones(num_envs, bool)
    init = jax.custom_batching.sequential_vmap(network.init)
    variables = init(network_key, memory, obs[None], first[None])
    train_state = TrainState.create(apply_fn=network.apply, params=variables, tx=optimizer(settings))

    def update(runner: Runner, _: None) -> tuple[Runner, dict[str, jax.Array]]:
        return _update(runner, settings, env, params)

    runner = Runner(train_state, env_state, obs, first, memory, run_key)
    runner, log = jax.lax.scan(update, runner, None, settings.num_updates)
    return runner.train_state.params, log


def _update(runner: Runner, settings: Settings, env: Any, params: Any) -> tuple[Runner, dict[str, jax.Array]]:
    """Collect, then learn for several epochs."""
    before = runner.memory

    def env_step(runner: Runner, _: None) -> tuple[Runner, Sequences]:
        return _env_step(runner, settings, env, params)

    runner, (rollout, first) = jax.lax.scan(env_step, runner, None, settings.num_steps)
    train_state = runner.train_state
    _, _, last_value = train_state.apply_fn(train_state.params, runner.memory, runner.obs[None], runner.first[None])
    advantages = gae(rollout, last_value[0], settings)
    batch = (before[None], rollout, first, advantages, advantages + rollout.value)

    learn = functools.partial(_learn, settings=settings)
    minibatches = functools.partial(_minibatches, batch=batch, settings=settings)
    train_state, key = epochs(train_state, runner.key, minibatches, learn, settings.num_epochs)
    return runner._replace(train_state=train_state, key=key), rollout.log


def _env_step(runner: Runner, settings: Settings, env: Any, params: Any) -> tuple[Runner, Sequences]:
    train_state, env_state, obs, first, memory, key = runner
    key, action_key, step_key = jax.random.split(key, 3)
    memory, logits, value = train_state.apply_fn(train_state.params, memory, obs[None], first[None])
    logits, value = logits[0], value[0]
    action = jax.random.categorical(action_key, logits)
    step = jax.vmap(env.step, in_axes=(0, 0, 0, None))
    step_keys = jax.random.split(step_key, settings.num_envs)
    next_obs, env_state, reward, terminated, truncated, info = step(step_keys, env_state, action, params)
    done, log = terminated | truncated, {name: info[name] for name in LOGGED}
    transition = Transition(done, action, value, reward, log_prob_of(logits, action), obs, log)
    return Runner(train_state, env_state, next_obs, done, memory, key), Sequences(transition, first)


def _minibatches(shuffle_key: jax.Array, batch: Any, settings: Settings) -> Any:
    """Leaves [T, N, ...] as [minibatches, T, N / minibatches, ...]."""
    order = jax.random.permutation(shuffle_key, settings.num_envs)

    def cut(leaf: jax.Array) -> jax.Array:
        shuffled = jnp.take(leaf, order, axis=1)
        parts = shuffled.reshape(len(leaf), settings.num_minibatches, -1, *leaf.shape[2:])
        return jnp.swapaxes(parts, 0, 1)

    return jax.tree.map(cut, batch)


def _learn(train_state: TrainState, minibatch: Any, settings: Settings) -> tuple[TrainState, jax.Array]:
    before, rollout, first, advantages, targets = minibatch

    def loss(params: Any) -> jax.Array:
        _, logits, value = train_state.apply_fn(params, before[0], rollout.obs, first)
        return ppo_loss(logits, value, (rollout, advantages, targets), settings)

    value, gradient = jax.value_and_grad(loss)(train_state.params)
    return train_state.apply_gradients(grads=gradient), value


class Greedy(NamedTuple):
    """The trained agent as a policy for `jaxrl.evaluate`, which plays one episode in each lane."""

    params: Any
    settings: Settings

    def act(self, key: jax.Array, obs: jax.Array, memory: jax.Array) -> tuple[jax.Array, jax.Array]:
        first = jnp.zeros(obs.shape[:1], bool)
        memory, logits, _ = network_of(self.settings).apply(self.params, memory, obs[None], first[None])
        return logits[0].argmax(axis=-1).astype(jnp.int32), memory

    def initial_memory(self, shape: tuple[int, ...]) -> jax.Array:
        return jnp.zeros((*shape, SIZE))
