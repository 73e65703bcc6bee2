"""Two gymnax 1.0 environments whose rules are not those of the originals, put right.

`make` uses these under the original names; a gymnax instance that a person passes is taken as it is.
"""

from typing import Any

import jax
import jax.numpy as jnp
from gymnax.environments.classic_control import continuous_mountain_car
from gymnax.environments.minatar import asterix


class CorrectedMountainCarContinuous(continuous_mountain_car.ContinuousMountainCar):
    """Gymnasium's MountainCarContinuous-v0: the left wall takes the car's speed, the goal does not.

    gymnax zeroes a negative velocity at the goal instead of at the wall, so that a car rolling back over the goal
    wins, and one at the wall keeps pressing against it.
    """

    def step_env(self, key: jax.Array, state: Any, action: Any, params: Any) -> Any:
        """One step; see gymnax's `Environment.step_env`."""
        push = jnp.clip(action, params.min_action, params.max_action) * params.power
        velocity = state.velocity + push.squeeze() - jnp.cos(3 * state.position) * params.gravity
        velocity = jnp.clip(velocity, -params.max_speed, params.max_speed)
        position = jnp.clip(state.position + velocity, params.min_position, params.max_position)
        velocity = jnp.where((position == params.min_position) & (velocity < 0), 0.0, velocity)
        state = state.replace(position=position, velocity=velocity, time=state.time + 1)
        done = self.is_terminated(state, params)
        reward = 100.0 * done - 0.1 * jnp.sum(jnp.square(action))
        obs, state = self._apply_transition_gradient_policy(self.get_obs(state), state)
        return obs, state, reward, done, {"discount": self.discount(state, params)}


class CorrectedAsterix(asterix.MinAsterix):
    """MinAtar's Asterix: what spawns takes a free row, any with the same chance, and nothing when there is none.

    gymnax never looks at one of the eight rows, drawn at random; where the others are full it removes what is in one
    of them. That happens once spawning is at its fastest, from step 918 of an episode.
    """

    def step_env(self, key: jax.Array, state: Any, action: Any, params: Any) -> Any:
        """One step; see gymnax's `Environment.step_env`."""
        is_due = state.spawn_timer == 0
        state = state.replace(
            entities=jnp.where(is_due, _spawned(key, state.entities), state.entities),
            spawn_timer=jnp.where(is_due, state.spawn_speed, state.spawn_timer),
        )
        state = asterix.step_agent(state, self.action_set[action])
        state, reward, done = asterix.step_entities(state)
        state = asterix.step_timers(state, params)
        state = state.replace(time=state.time + 1, terminal=done)
        info = {"discount": self.discount(state, params)}
        return self.get_obs(state), state, reward.astype(jnp.float32), done, info


def _spawned(key: jax.Array, entities: jax.Array) -> jax.Array:
    """`entities` [8, 5] (x, y, moves right, is gold, exists) with one more, if a row is free."""
    row_key, kind_key = jax.random.split(key)
    moves_right, is_gold = jax.random.uniform(kind_key, (2,)) < jnp.array([1 / 2, 1 / 3])
    free = entities[:, 4] == 0
    row = jnp.argmax(jnp.where(free, jax.random.uniform(row_key, free.shape), -1.0))
    entity = jnp.stack([jnp.where(moves_right, 0, 9), row + 1, moves_right, is_gold, True]).astype(entities.dtype)
    return jnp.where(free.any(), entities.at[row].set(entity), entities)


CORRECTED = {"Asterix-MinAtar": CorrectedAsterix, "MountainCarContinuous-v0": CorrectedMountainCarContinuous}
