"""A plain PPO in one compiled program, in the style of PureJaxRL: what jaxrl is measured against.

Written for this benchmark, after the structure that PureJaxRL (https://github.com/luchris429/purejaxrl) made popular:
nested scans over updates, environment steps, epochs and minibatches; gymnax's own `step`, which draws a reset for
every lane at every step; keys split step by step; the critic inside the rollout; `jax.random.permutation` in every
epoch; optax on the tree of parameters; the log of every step returned. As there, a time limit counts as an end.

Two things differ from PureJaxRL: gymnax 1.x gives six values per step, and the initialisation is done one agent after
another under `vmap`, because jax's orthogonal initialiser, vmapped, can hang on a CPU (its batched QR decompositions
wait for each other). The second costs nothing that shows: it happens once.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax.linen.initializers import constant, orthogonal
from flax.training.train_state import TrainState


class Settings(NamedTuple):
    """PureJaxRL's names would be LR, NUM_ENVS, NUM_STEPS, ...; its values for CartPole are the defaults."""

    algorithm: str = "PPO"
    env: str = "CartPole-v1"
    num_envs: int = 4
    num_steps: int = 128
    total_steps: int = 500_000
    num_epochs: int = 4
    num_minibatches: int = 4
    learning_rate: float = 2.5e-4
    discount: float = 0.99
    gae_lambda: float = 0.95
    clip_range: float = 0.2
    entropy_coefficient: float = 0.01
    value_coefficient: float = 0.5
    max_grad_norm: float = 0.5
    activation: str = "tanh"

    @property
    def num_updates(self) -> int:
        return self.total_steps // (self.num_envs * self.num_steps)

    @property
    def gradient_steps(self) -> int:
        return self.num_updates * self.num_epochs * self.num_minibatches


class ActorCritic(nn.Module):
    """Two towers of two layers of 64."""

    num_actions: int
    activation: str

    @nn.compact
    def __call__(self, obs: jax.Array) -> tuple[jax.Array, jax.Array]:
        def tower(num_outputs: int, gain: float) -> jax.Array:
            hidden = obs
            for _ in range(2):
                dense = nn.Dense(64, kernel_init=orthogonal(np.sqrt(2)), bias_init=constant(0.0))
                hidden = getattr(nn, self.activation)(dense(hidden))
            return nn.Dense(num_outputs, kernel_init=orthogonal(gain), bias_init=constant(0.0))(hidden)

        return tower(self.num_actions, 0.01), tower(1, 1.0).squeeze(-1)


def world(settings: Settings) -> tuple[Any, Any]:
    import gymnax  # only now: it asks JAX for a device, and how many there are must be settled before
    from gymnax.wrappers import FlattenObservationWrapper, LogWrapper

    env, params = gymnax.make(settings.env)
    return LogWrapper(FlattenObservationWrapper(env)), params


def network_of(settings: Settings) -> ActorCritic:
    env, params = world(settings)
    return ActorCritic(env.action_space(params).n, settings.activation)


class Transition(NamedTuple):
    done: jax.Array
    action: jax.Array
    value: jax.Array
    reward: jax.Array
    log_prob: jax.Array
    obs: jax.Array
    log: dict[str, jax.Array]


class Runner(NamedTuple):
    """What is carried from update to update."""

    train_state: TrainState
    env_state: Any
    obs: jax.Array
    key: jax.Array


LOGGED = ("returned_episode_returns", "returned_episode_lengths", "returned_episode")


def train(key: jax.Array, settings: Settings) -> tuple[Any, dict[str, jax.Array]]:
    """The parameters after training, and the log of every step, leaves [updates, T, N]; `settings` are static."""
    env, params = world(settings)
    network = network_of(settings)
    network_key, reset_key, run_key = jax.random.split(key, 3)
    example = jnp.zeros(env.observation_space(params).shape)
    init = jax.custom_batching.sequential_vmap(network.init)
    train_state = TrainState.create(apply_fn=network.apply, params=init(network_key, example), tx=optimizer(settings))
    obs, env_state = jax.vmap(env.reset, in_axes=(0, None))(jax.random.split(reset_key, settings.num_envs), params)

    def update(runner: Runner, _: None) -> tuple[Runner, dict[str, jax.Array]]:
        return _update(runner, settings, env, params)

    runner = Runner(train_state, env_state, obs, run_key)
    runner, log = jax.lax.scan(update, runner, None, settings.num_updates)
    return runner.train_state.params, log


def optimizer(settings: Settings) -> optax.GradientTransformation:
    steps_per_update = settings.num_epochs * settings.num_minibatches

    def annealed(count: jax.Array) -> jax.Array:
        return settings.learning_rate * (1.0 - (count // steps_per_update) / settings.num_updates)

    return optax.chain(optax.clip_by_global_norm(settings.max_grad_norm), optax.adam(annealed, eps=1e-5))


def _update(runner: Runner, settings: Settings, env: Any, params: Any) -> tuple[Runner, dict[str, jax.Array]]:
    """Collect, then learn for several epochs."""

    def env_step(runner: Runner, _: None) -> tuple[Runner, Transition]:
        return _env_step(runner, settings, env, params)

    runner, rollout = jax.lax.scan(env_step, runner, None, settings.num_steps)
    _, last_value = runner.train_state.apply_fn(runner.train_state.params, runner.obs)
    advantages = gae(rollout, last_value, settings)
    batch = (rollout, advantages, advantages + rollout.value)

    learn = functools.partial(_learn, settings=settings)
    minibatches = functools.partial(_minibatches, batch=batch, settings=settings)
    train_state, key = epochs(runner.train_state, runner.key, minibatches, learn, settings.num_epochs)
    return runner._replace(train_state=train_state, key=key), rollout.log


def epochs(
    train_state: TrainState,
    key: jax.Array,
    minibatches: Callable[[jax.Array], Any],
    learn: Callable[[TrainState, Any], tuple[TrainState, jax.Array]],
    num_epochs: int,
) -> tuple[TrainState, jax.Array]:
    """A step of `learn` on each of the minibatches that a new key deals in every epoch."""

    def epoch(carry: tuple[TrainState, jax.Array], _: None) -> tuple[tuple[TrainState, jax.Array], jax.Array]:
        train_state, key = carry
        key, shuffle_key = jax.random.split(key)
        train_state, losses = jax.lax.scan(learn, train_state, minibatches(shuffle_key))
        return (train_state, key), losses

    return jax.lax.scan(epoch, (train_state, key), None, num_epochs)[0]


def _env_step(runner: Runner, settings: Settings, env: Any, params: Any) -> tuple[Runner, Transition]:
    train_state, env_state, obs, key = runner
    key, action_key = jax.random.split(key)
    logits, value = train_state.apply_fn(train_state.params, obs)
    action = jax.random.categorical(action_key, logits)
    log_prob = log_prob_of(logits, action)
    key, step_key = jax.random.split(key)
    step_keys = jax.random.split(step_key, settings.num_envs)
    step = jax.vmap(env.step, in_axes=(0, 0, 0, None))
    next_obs, env_state, reward, terminated, truncated, info = step(step_keys, env_state, action, params)
    log = {name: info[name] for name in LOGGED}
    transition = Transition(terminated | truncated, action, value, reward, log_prob, obs, log)
    return Runner(train_state, env_state, next_obs, key), transition


def gae(rollout: Transition, last_value: jax.Array, settings: Settings) -> jax.Array:
    def backward(carry: tuple[jax.Array, jax.Array], step: Transition) -> tuple[tuple[jax.Array, jax.Array], jax.Array]:
        advantage, next_value = carry
        goes_on = 1 - step.done
        error = step.reward + settings.discount * next_value * goes_on - step.value
        advantage = error + settings.discount * settings.gae_lambda * goes_on * advantage
        return (advantage, step.value), advantage

    start = (jnp.zeros_like(last_value), last_value)
    return jax.lax.scan(backward, start, rollout, reverse=True, unroll=16)[1]


def _minibatches(shuffle_key: jax.Array, batch: Any, settings: Settings) -> Any:
    size = settings.num_envs * settings.num_steps
    order = jax.random.permutation(shuffle_key, size)

    def cut(leaf: jax.Array) -> jax.Array:
        shuffled = jnp.take(leaf.reshape(size, *leaf.shape[2:]), order, axis=0)
        return shuffled.reshape(settings.num_minibatches, -1, *shuffled.shape[1:])

    return jax.tree.map(cut, batch)


def _learn(train_state: TrainState, minibatch: Any, settings: Settings) -> tuple[TrainState, jax.Array]:
    def loss(params: Any) -> jax.Array:
        return ppo_loss(*train_state.apply_fn(params, minibatch[0].obs), minibatch, settings)

    value, gradient = jax.value_and_grad(loss)(train_state.params)
    return train_state.apply_gradients(grads=gradient), value


def ppo_loss(logits: jax.Array, value: jax.Array, minibatch: Any, settings: Settings) -> jax.Array:
    """Of what the network says of a minibatch (rollout, advantages, targets)."""
    rollout, advantages, targets = minibatch
    near_old = rollout.value + (value - rollout.value).clip(-settings.clip_range, settings.clip_range)
    value_loss = 0.5 * jnp.maximum(jnp.square(value - targets), jnp.square(near_old - targets)).mean()
    ratio = jnp.exp(log_prob_of(logits, rollout.action) - rollout.log_prob)
    normalized = (advantages - advantages.mean()) / (advantages.std() + 1e-8)
    clipped = jnp.clip(ratio, 1.0 - settings.clip_range, 1.0 + settings.clip_range)
    policy_loss = -jnp.minimum(ratio * normalized, clipped * normalized).mean()
    log_probs = jax.nn.log_softmax(logits)
    entropy = -(jnp.exp(log_probs) * log_probs).sum(axis=-1).mean()
    return policy_loss + settings.value_coefficient * value_loss - settings.entropy_coefficient * entropy


def log_prob_of(logits: jax.Array, action: jax.Array) -> jax.Array:
    return jnp.take_along_axis(jax.nn.log_softmax(logits), action[..., None], axis=-1)[..., 0]


class Greedy(NamedTuple):
    """The trained agent as a policy for `jaxrl.evaluate`."""

    params: Any
    settings: Settings

    def act(self, key: jax.Array, obs: jax.Array, memory: Any) -> tuple[jax.Array, Any]:
        logits, _ = network_of(self.settings).apply(self.params, obs)
        return logits.argmax(axis=-1).astype(jnp.int32), memory

    def initial_memory(self, shape: tuple[int, ...]) -> tuple[()]:
        return ()
