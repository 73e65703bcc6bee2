"""Tabular worlds solved exactly, in numpy's float64: what a learner's values and policies can be measured with.

A time limit is no part of a solution: values are those of a world that goes on until a terminal state.
"""

import dataclasses
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from jaxrl.envs.wrappers.flatten_observation import FlattenObservation
from jaxrl.envs.wrappers.reset_mode import ResetMode
from jaxrl.envs.wrappers.time_limit import TimeLimit

from .outcomes import TabularEnvironment

Floats: TypeAlias = NDArray[np.float64]
TOLERANCE, MOST_SWEEPS = 1e-12, 200_000


@dataclasses.dataclass(frozen=True)
class Transitions:
    """A world as matrices, S states and A actions; a terminal state leads to itself and gives nothing."""

    probabilities: Floats
    """P [S, A, S]: of coming from a state, by an action, to another."""
    rewards: Floats
    """R [S, A]: the mean reward of an action in a state."""
    terminal: NDArray[np.bool_]
    """[S]."""
    starts: Floats
    """[S]: of starting in a state."""


def transitions(env: Any) -> Transitions:
    """The matrices of `env`, read from the outcomes that its own steps draw.

    It may stand in wrappers that leave its rules alone (a time limit, a reset mode, flattened observations). Raises
    TypeError for anything else.
    """
    world = _tabular(env)
    states, actions = np.arange(world.observation_space.n), np.arange(world.action_space.n)
    every_action = jax.vmap(world.outcomes, (None, 0))
    outcomes = jax.device_get(jax.vmap(every_action, (0, None))(jnp.asarray(states), jnp.asarray(actions)))
    chances = np.asarray(outcomes.probability, np.float64)
    chances = chances / chances.sum(axis=-1, keepdims=True)  # float32 thirds become thirds
    probabilities = np.zeros((states.size, actions.size, states.size))
    np.add.at(probabilities, (states[:, None, None], actions[None, :, None], outcomes.next_state), chances)
    rewards = (chances * outcomes.reward).sum(axis=-1)
    terminal = np.asarray(world.terminal)
    probabilities[terminal] = np.eye(states.size)[terminal][:, None]
    rewards[terminal] = 0.0
    return Transitions(probabilities, rewards, terminal, np.asarray(world.starts, np.float64))


def action_values(env: Any, values: Floats, discount: float) -> Floats:
    """Q [S, A] of acting once and then having `values` [S]: Q = R + discount * P V; 0 where a state is terminal."""
    model = transitions(env)
    return _action_values(model, np.asarray(values, np.float64), _checked(discount))


def policy_values(env: Any, policy: Any, discount: float) -> Floats:
    """V [S] of a `policy`, the probabilities [S, A] of its actions: the solution of V = R_pi + discount * P_pi V.

    Raises ValueError where a policy that never ends would have to be valued without a discount.
    """
    model, discount = transitions(env), _checked(discount)
    policy = np.asarray(policy, np.float64)
    if policy.shape != model.rewards.shape or not np.allclose(policy.sum(axis=1), 1.0, atol=1e-5):
        raise ValueError(
            f"policy must be probabilities {list(model.rewards.shape)} of every action in every state, each row with "
            f"a sum of 1, got shape {list(policy.shape)}; of a greedy policy's actions [S] make np.eye(A)[actions]."
        )
    goes_on = ~model.terminal
    moves = np.einsum("sa,sat->st", policy, model.probabilities)
    if discount == 1.0:
        _check_ends(moves, model.terminal)
    inner = np.eye(int(goes_on.sum())) - discount * moves[np.ix_(goes_on, goes_on)]
    values = np.zeros(len(moves))
    values[goes_on] = np.linalg.solve(inner, (policy * model.rewards).sum(axis=1)[goes_on])
    return values


def optimal_values(env: Any, discount: float) -> Floats:
    """V* [S], by value iteration until nothing moves by more than 1e-12 of the largest value.

    Raises ValueError where that takes too long, as it does without a discount where rewards can be had for ever.
    """
    model, discount = transitions(env), _checked(discount)
    values = np.zeros(len(model.terminal))
    for _ in range(MOST_SWEEPS):
        before, values = values, _action_values(model, values, discount).max(axis=1)
        if np.abs(values - before).max() <= TOLERANCE * max(1.0, np.abs(values).max()):
            return values
    raise ValueError(
        f"The optimal values at a discount of {discount:g} have not settled in {MOST_SWEEPS} sweeps; take a lower one."
    )


def _action_values(model: Transitions, values: Floats, discount: float) -> Floats:
    return model.rewards + discount * (model.probabilities @ np.where(model.terminal, 0.0, values))


def _checked(discount: float) -> float:
    if not 0.0 <= discount <= 1.0:
        raise ValueError(f"discount must be in [0, 1], got {discount:g}.")
    return float(discount)


def _check_ends(moves: Floats, terminal: NDArray[np.bool_]) -> None:
    ends = terminal
    for _ in range(len(terminal)):
        ends = terminal | (moves @ ends > 0)
    if not ends.all():
        raise ValueError(
            f"This policy never ends from state {int(np.argmin(ends))}, where it has no value at a discount of 1; "
            "take a lower one."
        )


def _tabular(env: Any) -> TabularEnvironment:
    while isinstance(env, (TimeLimit, ResetMode, FlattenObservation)):
        env = env.env
    if not all(hasattr(env, name) for name in ("outcomes", "starts", "terminal")):
        raise TypeError(
            f"Only a tabular environment has transition matrices, got {type(env).__name__}; "
            "give one with outcomes, starts and terminal, such as jaxrl.envs.tabular.FrozenLake."
        )
    return env
