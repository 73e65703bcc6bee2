"""Whole episodes in Gymnasium environments, with the policies that were trained in ours."""

import os
from typing import Any

import jax
import numpy as np

from jaxrl.algorithm import Policy
from jaxrl.engine.evaluate import Episodes
from jaxrl.engine.lanes import Lanes, action_for, check_fit, lanes_of
from jaxrl.engine.load import is_finite, load_algorithm, load_policies
from jaxrl.engine.record import name_of

SAME_TASKS = ("gymnasium", "mjx", "envpool")
"""Suites whose environments are called like Gymnasium's and have its rules."""


def play(policy: Policy, env: Any, *, num_episodes: int = 32, seed: int = 0, max_steps: int = 10_000) -> Episodes:
    """Play `num_episodes` whole episodes of a Gymnasium environment, at most `max_steps` steps each.

    `env` is a name such as "CartPole-v1" (or that of the same task in another suite, "mjx/Ant-v5"), of which copies are
    played side by side, a `gymnasium.Env`, or a `gymnasium.vector.VectorEnv`, of which every lane plays one episode
    after a reset. Episode i starts from the seed `seed + i`. The policy is greedy or samples as it was made. The fields
    of the result are numpy arrays.

    Raises ValueError where the environment shows or takes something else than the policy, or cannot be made, and
    TypeError for anything else than an environment of Gymnasium; one sentence each.
    """
    for name, value, least in (("num_episodes", num_episodes, 1), ("seed", seed, 0), ("max_steps", max_steps, 1)):
        if not isinstance(value, int) or value < least:
            raise ValueError(f"{name} must be a whole number of at least {least}, got {value!r}.")
    if isinstance(env, str):
        for suite in SAME_TASKS:
            env = env.removeprefix(f"{suite}/")
    lanes = lanes_of(env, num_episodes)
    try:
        rounds = [
            _play_once(policy, lanes, seed + first, max_steps) for first in range(0, num_episodes, lanes.num_envs)
        ]
    finally:
        if isinstance(env, str):
            lanes.close()
    return jax.tree.map(lambda *parts: np.concatenate(parts)[:num_episodes], *rounds)


def play_saved(
    directory: str | os.PathLike[str], env: Any = None, *, num_episodes: int = 32, seed: int = 0
) -> Episodes:
    """`play` with the greedy policy of every seed of a run; leaves [S, num_episodes].

    Without `env`, in the Gymnasium environment that has the name of the run's own. The returns of a policy that holds
    NaN or infinity, because its training diverged, are NaN.
    """
    algorithm = load_algorithm(directory)
    policies = load_policies(directory, algorithm=algorithm)
    played: list[Episodes] = []
    for index, finite in enumerate(is_finite(policies)):
        policy: Policy = jax.tree.map(lambda leaf, index=index: leaf[index], policies)
        if finite:
            played.append(play(policy, env or name_of(algorithm.env), num_episodes=num_episodes, seed=seed))
        else:
            played.append(_nothing(num_episodes))
    return jax.tree.map(lambda *parts: np.stack(parts), *played)


def _nothing(num_episodes: int) -> Episodes:
    """Of a policy that cannot play."""
    returns: Any = np.full(num_episodes, np.nan, np.float32)
    lengths: Any = np.zeros(num_episodes, np.int32)
    completed: Any = np.ones(num_episodes, np.bool_)
    return Episodes(returns=returns, lengths=lengths, completed=completed)


@jax.jit
def _act(policy: Policy, seed: Any, step: Any, obs: Any, memory: Any) -> tuple[Any, Any]:
    return policy.act(jax.random.fold_in(jax.random.key(seed), step), obs, memory)


def _play_once(policy: Policy, lanes: Lanes, seed: int, max_steps: int) -> Episodes:
    """One episode in every lane."""
    obs, _ = lanes.reset(seed=seed)
    check_fit(policy, lanes, obs)
    memory = policy.initial_memory((lanes.num_envs,))
    returns: Any = np.zeros(lanes.num_envs, np.float64)
    lengths: Any = np.zeros(lanes.num_envs, np.int32)
    completed: Any = np.zeros(lanes.num_envs, np.bool_)
    for step in range(max_steps):
        action, memory = _act(policy, seed, step, obs, memory)
        obs, rewards, terminated, truncated, _ = lanes.step(action_for(lanes.single_action_space, action))
        returns += np.where(completed, 0.0, rewards)
        lengths += ~completed
        completed |= terminated | truncated
        if completed.all():
            break
    return Episodes(returns=returns.astype(np.float32), lengths=lengths, completed=completed)
