"""A plain DQN in one compiled program, in the style of PureJaxRL: what jaxrl's DQN is measured against.

Written for this benchmark, after the structure of PureJaxRL (https://github.com/luchris429/purejaxrl): one scan whose
body steps gymnax's environments (its own `step`, which draws a reset for every lane at every step), adds to a flashbax
flat buffer, and learns behind a branch on counters that it carries; keys split step by step; optax on the tree of
parameters; the log of every step returned. As there, a time limit counts as an end.

What differs from PureJaxRL: every vmapped seed has keys of its own (there the buffer's initialisation overwrites them,
so that all seeds are one run), gymnax 1.x gives six values per step, and double targets, dueling heads, soft targets
and several gradient steps per environment step can be asked for, so that Rejax's settings are done by the same loop.
"""

from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from flax.training.train_state import TrainState


class Settings(NamedTuple):
    """PureJaxRL's names would be NUM_ENVS, BUFFER_SIZE, ...; its values for CartPole are the defaults."""

    algorithm: str = "DQN"
    """Which of their algorithms the peers run; there is no other here."""
    env: str = "CartPole-v1"
    num_envs: int = 10
    total_steps: int = 500_000
    buffer_size: int = 10_000
    batch_size: int = 128
    learning_starts: int = 10_000
    num_updates: int = 1
    """Gradient steps after each step of all environments."""
    target_period: int = 500
    """Environment steps between two moves of the target network."""
    target_rate: float = 1.0
    hidden_sizes: tuple[int, ...] = (120, 84)
    activation: str = "relu"
    double: bool = False
    dueling: bool = False
    learning_rate: float = 2.5e-4
    max_grad_norm: float | None = None
    discount: float = 0.99
    exploration_end: float = 0.05
    exploration_fraction: float = 0.5

    @property
    def num_iterations(self) -> int:
        return self.total_steps // self.num_envs

    @property
    def gradient_steps(self) -> int:
        """Of a whole run."""
        return (self.total_steps - self.learning_starts) // self.num_envs * self.num_updates


class QNetwork(nn.Module):
    num_actions: int
    hidden_sizes: tuple[int, ...]
    activation: str
    dueling: bool

    @nn.compact
    def __call__(self, obs: jax.Array) -> jax.Array:
        hidden = obs
        for size in self.hidden_sizes:
            hidden = getattr(nn, self.activation)(nn.Dense(size)(hidden))
        values = nn.Dense(self.num_actions)(hidden)
        if self.dueling:
            values = nn.Dense(1)(hidden) + values - values.mean(axis=-1, keepdims=True)
        return values


class TimeStep(NamedTuple):
    obs: jax.Array
    action: jax.Array
    reward: jax.Array
    done: jax.Array


class Agent(TrainState):
    target_params: Any
    timesteps: jax.Array
    num_learned: jax.Array


class Runner(NamedTuple):
    """What is carried from step to step."""

    agent: Agent
    buffer_state: Any
    env_state: Any
    obs: jax.Array
    key: jax.Array


class Parts(NamedTuple):
    """What never changes."""

    settings: Settings
    env: Any
    env_params: Any
    buffer: Any


def train(key: jax.Array, settings: Settings) -> tuple[Runner, dict[str, jax.Array]]:
    """Everything there is after training, and the log of every step [iterations]; `settings` are static."""
    parts = _parts(settings)
    network = network_of(settings)
    network_key, reset_key, example_key, run_key = jax.random.split(key, 4)
    reset_keys = jax.random.split(reset_key, settings.num_envs)
    obs, env_state = jax.vmap(parts.env.reset, in_axes=(0, None))(reset_keys, parts.env_params)
    params = network.init(network_key, jnp.zeros(obs.shape[1:]))
    clip = optax.identity() if settings.max_grad_norm is None else optax.clip_by_global_norm(settings.max_grad_norm)
    agent = Agent.create(
        apply_fn=network.apply,
        params=params,
        tx=optax.chain(clip, optax.adam(settings.learning_rate)),
        target_params=params,
        timesteps=jnp.int32(0),
        num_learned=jnp.int32(0),
    )
    action = parts.env.action_space(parts.env_params).sample(example_key)
    example = TimeStep(obs[0], action, jnp.float32(0), jnp.bool_(False))
    runner = Runner(agent, parts.buffer.init(example), env_state, obs, run_key)
    return jax.lax.scan(lambda runner, _: _iteration(runner, parts), runner, None, settings.num_iterations)


def network_of(settings: Settings) -> QNetwork:
    import gymnax  # only now: it asks JAX for a device, and how many there are must be settled before

    env, env_params = gymnax.make(settings.env)
    num_actions = env.action_space(env_params).n
    return QNetwork(num_actions, settings.hidden_sizes, settings.activation, settings.dueling)


def _parts(settings: Settings) -> Parts:
    import flashbax
    import gymnax
    from gymnax.wrappers import LogWrapper

    env, env_params = gymnax.make(settings.env)
    buffer = flashbax.make_flat_buffer(
        max_length=settings.buffer_size,
        min_length=settings.batch_size,
        sample_batch_size=settings.batch_size,
        add_batch_size=settings.num_envs,
    )
    return Parts(settings, LogWrapper(env), env_params, buffer)


def _iteration(runner: Runner, parts: Parts) -> tuple[Runner, dict[str, jax.Array]]:
    settings = parts.settings
    agent, buffer_state, env_state, obs, key = runner
    key, action_key, step_key, learn_key = jax.random.split(key, 4)
    action = _explore(action_key, agent, obs, settings)
    step = jax.vmap(parts.env.step, in_axes=(0, 0, 0, None))
    step_keys = jax.random.split(step_key, settings.num_envs)
    next_obs, env_state, reward, terminated, truncated, info = step(step_keys, env_state, action, parts.env_params)
    agent = agent.replace(timesteps=agent.timesteps + settings.num_envs)
    buffer_state = parts.buffer.add(buffer_state, TimeStep(obs, action, reward, terminated | truncated))

    def learn(agent: Agent) -> tuple[Agent, jax.Array]:
        keys = jax.random.split(learn_key, settings.num_updates)
        return jax.lax.scan(lambda agent, key: _learn(agent, buffer_state, key, parts), agent, keys)

    def wait(agent: Agent) -> tuple[Agent, jax.Array]:
        return agent, jnp.zeros(settings.num_updates)

    learns = parts.buffer.can_sample(buffer_state) & (agent.timesteps > settings.learning_starts)
    agent, losses = jax.lax.cond(learns, learn, wait, agent)
    agent = jax.lax.cond(
        agent.timesteps % settings.target_period == 0, lambda agent: _moved(agent, settings), lambda agent: agent, agent
    )
    log = {
        "timesteps": agent.timesteps,
        "updates": agent.num_learned,
        "loss": losses.mean(),
        "returns": info["returned_episode_returns"].mean(),
    }
    return Runner(agent, buffer_state, env_state, next_obs, key), log


def _explore(key: jax.Array, agent: Agent, obs: jax.Array, settings: Settings) -> jax.Array:
    values = agent.apply_fn(agent.params, obs)
    random_key, choice_key = jax.random.split(key)
    annealed = agent.timesteps / (settings.exploration_fraction * settings.total_steps)
    epsilon = jnp.clip(1.0 + (settings.exploration_end - 1.0) * annealed, settings.exploration_end)
    at_random = jax.random.randint(random_key, values.shape[:-1], 0, values.shape[-1])
    return jnp.where(jax.random.uniform(choice_key, values.shape[:-1]) < epsilon, at_random, values.argmax(axis=-1))


def _learn(agent: Agent, buffer_state: Any, key: jax.Array, parts: Parts) -> tuple[Agent, jax.Array]:
    first, second = parts.buffer.sample(buffer_state, key).experience
    next_values = agent.apply_fn(agent.target_params, second.obs)
    selector = agent.apply_fn(agent.params, second.obs) if parts.settings.double else next_values
    next_value = _pick(next_values, selector.argmax(axis=-1))
    target = first.reward + parts.settings.discount * (1 - first.done) * next_value

    def loss(params: Any) -> jax.Array:
        return optax.l2_loss(_pick(agent.apply_fn(params, first.obs), first.action), target).mean()

    value, gradient = jax.value_and_grad(loss)(agent.params)
    agent = agent.apply_gradients(grads=gradient)
    return agent.replace(num_learned=agent.num_learned + 1), value


def _moved(agent: Agent, settings: Settings) -> Agent:
    target_params = optax.incremental_update(agent.params, agent.target_params, settings.target_rate)
    return agent.replace(target_params=target_params)


def _pick(values: jax.Array, action: jax.Array) -> jax.Array:
    return jnp.take_along_axis(values, action[..., None], axis=-1)[..., 0]


class Greedy(NamedTuple):
    """The trained agent as a policy for `jaxrl.evaluate`."""

    params: Any
    settings: Settings

    def act(self, key: jax.Array, obs: jax.Array, memory: Any) -> tuple[jax.Array, Any]:
        values = network_of(self.settings).apply(self.params, obs)
        return values.argmax(axis=-1).astype(jnp.int32), memory

    def initial_memory(self, shape: tuple[int, ...]) -> tuple[()]:
        return ()
