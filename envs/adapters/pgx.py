"""Pgx's games: `jaxrl.make("pgx/tic_tac_toe")`. In a game of two an opponent plays the other side.

The opponent draws evenly among the legal moves, or is a function of your own, `opponent(key, state) -> action`.
Who begins is for the game to say: the learning side is player 0, and pgx draws which player moves first.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl.envs.environment import TimeStep
from jaxrl.envs.spaces import Box, Dict, Discrete
from jaxrl.pytree import dataclass, static

from .suite import Settings, as_settings, made, package, theirs, timestep

Opponent = Callable[[jax.Array, Any], jax.Array]


def random_opponent(key: jax.Array, state: Any) -> jax.Array:
    """Any legal move, all equally likely."""
    return jax.random.categorical(key, jnp.where(state.legal_action_mask, 0.0, -jnp.inf)).astype(jnp.int32)


@dataclass
class Pgx:
    """What player 0 sees when it is to move, with the legal moves as `action_mask`."""

    name: str = static()
    opponent: Opponent = static(default=random_opponent)
    settings: Settings = static(default=())

    @property
    def observation_space(self) -> Dict:
        game = _built(self.name, self.settings)
        state = jax.eval_shape(game.init, jax.random.key(0))
        seen, mask = state.observation, state.legal_action_mask
        is_bool = seen.dtype == np.bool_
        box = Box(0 if is_bool else -np.inf, 1 if is_bool else np.inf, seen.shape, seen.dtype)
        return Dict({"observation": box, "action_mask": Box(0, 1, mask.shape, np.bool_)})

    @property
    def action_space(self) -> Discrete:
        return Discrete(int(_built(self.name, self.settings).num_actions))

    def reset(self, key: jax.Array) -> tuple[Any, Any]:
        init_key, play_key = jax.random.split(key)
        state = theirs(_built(self.name, self.settings).init, init_key)
        state, _ = self._until_our_move(play_key, state, jnp.zeros(()))
        return state, _shown(state)

    def step(self, key: jax.Array, state: Any, action: Any) -> tuple[Any, TimeStep]:
        step_key, play_key = jax.random.split(key)
        state = theirs(_built(self.name, self.settings).step, state, action, step_key)
        state, reward = self._until_our_move(play_key, state, state.rewards[0])
        is_over = state.terminated
        return state, timestep(_shown(state), reward, is_over, state.truncated & ~is_over)

    def _until_our_move(self, key: jax.Array, state: Any, reward: jax.Array) -> tuple[Any, jax.Array]:
        """Let the opponent play while it is its turn; the rewards of player 0 are added up."""
        game = _built(self.name, self.settings)
        if game.num_players == 1:
            return state, reward

        def is_theirs(carry: Any) -> jax.Array:
            _, state, _ = carry
            return (state.current_player != 0) & ~(state.terminated | state.truncated)

        def play(carry: Any) -> Any:
            key, state, reward = carry
            key, move_key, step_key = jax.random.split(key, 3)
            state = theirs(game.step, state, self.opponent(move_key, state), step_key)
            return key, state, reward + state.rewards[0]

        _, state, reward = jax.lax.while_loop(is_theirs, play, (key, state, reward))
        return state, reward


def from_name(name: str, *, opponent: Opponent = random_opponent, **settings: Any) -> Pgx:
    """`pgx.make(name, **settings)`; raises ImportError or ValueError with one sentence."""
    env = Pgx(name, opponent, as_settings(settings))
    players = _built(env.name, env.settings).num_players
    if players > 2:
        raise ValueError(f"pgx/{name} is a game of {players} players, and one opponent is played here; choose another.")
    return env


def _shown(state: Any) -> dict[str, jax.Array]:
    return {"observation": state.observation, "action_mask": state.legal_action_mask}


@functools.cache
def _built(name: str, settings: Settings) -> Any:
    return made("pgx", name, package("pgx").make, settings)
