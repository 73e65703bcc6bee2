"""An algorithm without a network whose every number is known, for the tests of the engine."""

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl.envs.environment import TimeStep
from jaxrl.envs.spaces import Box
from jaxrl.metrics import Mean, mean
from jaxrl.pytree import Scalar, dataclass, hyperparameter, static


@dataclass
class Countdown:
    """Pays the action for `length` steps."""

    length: int = static(4)

    observation_space = property(lambda self: Box(0, self.length, (1,)))
    action_space = property(lambda self: Box(-np.inf, np.inf, ()))

    def reset(self, key):
        return jnp.int32(0), jnp.zeros(1)

    def step(self, key, state, action):
        state = state + 1
        obs = state[None].astype(jnp.float32)
        return state, TimeStep(obs, action, state >= self.length, jnp.asarray(False), {})


@dataclass
class Constant:
    """Always the same action."""

    action: jax.Array
    greedy: bool = static()
    noise: jax.Array | None = None

    def act(self, key, obs, memory):
        return jnp.broadcast_to(self.action, obs.shape[:-1]), memory

    def initial_memory(self, shape):
        return ()


@dataclass
class Learner:
    weight: jax.Array
    twin: jax.Array
    momentum: jax.Array


@dataclass
class World:
    """What a world may hold and a learner may not: NaN, a key, and an array without entries."""

    nan: jax.Array
    key: jax.Array
    empty: jax.Array


@dataclass
class State:
    learner: Learner
    world: World


@dataclass
class Drift:
    """Adds `rate` to its weight at every iteration; the seeds with a negative start break at `breaks_at`."""

    env: Countdown
    total_steps: int = static(70)
    steps_per_iteration: int = static(10)
    breaks_at: int | None = static(None)
    axis: str | None = static(None)
    rate: Scalar = hyperparameter(0.5)

    def init(self, key):
        weight = jax.random.normal(key)
        return State(Learner(weight, weight, weight), World(jnp.full(3, jnp.nan), key, jnp.zeros((0, 2))))

    def step(self, key, state, iteration):
        weight, momentum = state.learner.weight + self.rate, state.learner.momentum
        if self.breaks_at is not None:  # what acts stays finite: the policy of a broken learner still plays
            is_broken = (state.learner.twin < 0) & (iteration + 1 >= self.breaks_at)
            momentum = jnp.where(is_broken, jnp.inf, momentum)
        ends = jnp.float32(iteration % 2)  # an episode ends in odd iterations
        metrics = {
            "loss": mean((weight + 0.0 * momentum)[None]),  # NaN where it broke
            "episode_return": Mean(4 * weight * ends, ends),
            "noise": mean(jax.random.normal(key, (2,))),
        }
        return State(Learner(weight, state.learner.twin, momentum), state.world), metrics

    def policy(self, state, greedy=True):
        return Constant(state.learner.weight, greedy, None if greedy else state.learner.twin)


DRIFT = Drift(Countdown())
