"""Gymnasium environments side by side, and how a policy's observations and actions fit theirs."""

import re
from typing import Any, Protocol

import flax.errors
import jax
import numpy as np

from jaxrl.algorithm import Policy
from jaxrl.envs.spaces import Box, Discrete, MultiDiscrete, Space

COPIES = 32
"""Of an environment that is given by its name: the network acts once for all of them."""


class Lanes(Protocol):
    """What is used of a `gymnasium.vector.VectorEnv`."""

    num_envs: int
    single_observation_space: Any
    single_action_space: Any

    def reset(self, *, seed: int) -> tuple[Any, Any]: ...

    def step(self, actions: Any) -> tuple[Any, Any, Any, Any, Any]: ...

    def close(self) -> None: ...


class Copies:
    """Environments side by side, each of which rests where its episode is over until the next reset."""

    def __init__(self, envs: list[Any]) -> None:
        self.envs, self.num_envs = envs, len(envs)
        self.single_observation_space, self.single_action_space = envs[0].observation_space, envs[0].action_space
        self._steps: list[Any] = []

    def reset(self, *, seed: int) -> tuple[Any, Any]:
        """Begin an episode in each, with the seeds `seed`, `seed + 1`, ..."""
        self._steps = [(env.reset(seed=seed + index)[0], 0.0, False, False) for index, env in enumerate(self.envs)]
        return self._stacked()[0], {}

    def step(self, actions: Any) -> tuple[Any, Any, Any, Any, Any]:
        """One step in each; where the episode is over, its last one again."""
        for index, (env, action) in enumerate(zip(self.envs, actions, strict=True)):
            _, _, terminated, truncated = self._steps[index]
            if not (terminated or truncated):
                self._steps[index] = env.step(action)[:4]
        return (*self._stacked(), {})

    def close(self) -> None:
        """Close each."""
        for env in self.envs:
            env.close()

    def _stacked(self) -> Any:
        return jax.tree.map(lambda *parts: np.stack(parts), *self._steps)


def lanes_of(env: Any, num_episodes: int) -> Lanes:
    """`env` (see `jaxrl.play`) as lanes; TypeError or ValueError where it cannot be."""
    import gymnasium
    from gymnasium.vector import AutoresetMode, VectorEnv

    if isinstance(env, str):
        try:
            return Copies([gymnasium.make(env) for _ in range(min(num_episodes, COPIES))])
        except (gymnasium.error.Error, ImportError) as error:
            reason = " ".join(str(error).split())
            raise ValueError(
                f"Gymnasium cannot make '{env}' ({reason}); give another name, or in Python the environment itself."
            ) from None
    if isinstance(env, gymnasium.Env):
        return Copies([env])
    if not isinstance(env, VectorEnv):
        raise TypeError(
            "play needs the name of a Gymnasium environment, a gymnasium.Env or a gymnasium.vector.VectorEnv, got "
            f"{type(env).__name__}; an environment of jaxrl is played by jaxrl.evaluate."
        )
    if env.metadata.get("autoreset_mode") == AutoresetMode.DISABLED:
        raise ValueError("play needs a VectorEnv that resets by itself; do not disable its autoreset_mode.")
    return env


def check_fit(policy: Policy, lanes: Lanes, obs: Any) -> None:
    """Raise ValueError where `policy` cannot act on `obs`, those of all lanes, or acts otherwise than they take."""
    space, key = lanes.single_observation_space, jax.random.key(0)
    stats = getattr(policy, "observation_stats", None)
    try:
        if stats is not None:
            jax.tree.map(_check_shape, stats.mean, obs)
        action, _ = jax.eval_shape(policy.act, key, obs, policy.initial_memory((lanes.num_envs,)))
    except (TypeError, ValueError, LookupError, AttributeError, flax.errors.FlaxError) as error:
        reason = " ".join(re.sub(r"\(https?://\S+\)", "", str(error)).split())
        raise ValueError(
            f"The policy cannot act on the environment's observations, {space} ({reason}); wrap the environment so "
            "that it shows what the policy was trained on."
        ) from None
    wanted, given = lanes.single_action_space, _action_space(policy)
    has_shape = getattr(action, "shape", None) == (lanes.num_envs, *(wanted.shape or ()))
    fits = has_shape and np.issubdtype(action.dtype, np.integer) == np.issubdtype(wanted.dtype, np.integer)
    if not fits or (given is not None and _counts(given) != _counts(wanted)):
        raise ValueError(
            f"The environment takes the actions {wanted}, and the policy gives {given or action}; wrap the environment "
            "so that it takes them."
        )


def action_for(space: Any, action: Any) -> Any:
    """The policy's actions as Gymnasium wants them: in the bounds of a Box, from the start of a discrete space."""
    if np.issubdtype(space.dtype, np.floating):
        return np.clip(action, space.low, space.high).astype(space.dtype)
    return np.asarray(action).astype(space.dtype) + getattr(space, "start", 0)


def _check_shape(mean: Any, obs: Any) -> None:
    if np.shape(obs)[1:] != mean.shape:
        raise ValueError(f"they have the shape {np.shape(obs)[1:]}, and it was trained on {mean.shape}")


def _action_space(policy: Any) -> Space | None:
    """What the policy says of it; policies of your own need not."""
    if hasattr(policy, "num_actions"):
        return Discrete(policy.num_actions)
    space = getattr(policy, "action_space", None)
    return space if isinstance(space, Discrete | MultiDiscrete | Box) else None


def _counts(space: Any) -> Any:
    """How many actions there are in each entry of a discrete space, ours or Gymnasium's."""
    return tuple(np.ravel(getattr(space, "nvec", getattr(space, "n", ()))).tolist())
