"""envpool's environments, stepped by its threads: `jaxrl.make("envpool/LunarLander-v3")` (`host.py` says how).

envpool begins the next episode with the step after an end; here those that have ended are reset at once. It calls an
episode that ends by its own rules with its last step truncated; here the time limit is counted beside it, and such an
episode has terminated. Where the limit is 0 (BabyAI) it hangs on the episode, and is envpool's to count.
"""

import warnings
from typing import Any

import jax
import numpy as np

from .host import HostEnvironment
from .suite import as_settings, made, package

NEVER = 10**9
"""Steps after which envpool's own time limit cuts an episode."""
OURS = ("num_envs", "batch_size", "seed", "env_seed", "env_type")


class Batch:
    """`num_envs` environments `envpool.make(name, **settings)`, whose `max_episode_steps` is counted here."""

    def __init__(self, name: str, num_envs: int, seed: int, settings: dict[str, Any]) -> None:
        limit = settings["max_episode_steps"]
        self.max_steps = limit or NEVER
        options = {**settings, "num_envs": num_envs, "seed": seed, "max_episode_steps": limit and NEVER}
        self.envs = made("envpool", name, package("envpool").make_gymnasium, as_settings(options))
        self.times = np.zeros(num_envs, np.int64)
        self.single_action_space = self.envs.action_space

    def begin(self) -> Any:
        return self.envs.reset()[0]

    def step(self, actions: Any) -> tuple[Any, Any, Any, Any, Any]:
        successors, reward, terminated, truncated, _ = self.envs.step(actions)
        self.times += 1
        truncated = truncated | (self.times >= self.max_steps)
        lanes = np.flatnonzero(terminated | truncated)
        if not lanes.size:
            return successors, successors, reward, terminated, truncated
        self.times[lanes] = 0
        starts = jax.tree.map(np.array, successors)
        first, _ = self.envs.reset(lanes)
        jax.tree.map(lambda all_lanes, some: all_lanes.__setitem__(lanes, some), starts, first)
        return starts, successors, reward, terminated, truncated

    def close(self) -> None:
        self.envs.close()


def from_name(name: str, *, max_steps: int | None = None, **settings: Any) -> HostEnvironment:
    """`envpool.make(name, **settings)`; `max_steps` is its time limit.

    Raises ImportError, ValueError or TypeError with one sentence.
    """
    envpool = package("envpool")
    if name not in envpool.list_all_envs():
        raise ValueError(f"envpool has no environment '{name}'; envpool.list_all_envs() names them all.")
    for setting in OURS:
        if setting in settings:
            raise TypeError(f"envpool/{name} is given its {setting} by the program that steps it; leave it out.")
    spec = made("envpool", name, envpool.make_spec, as_settings(settings))
    if spec.config.max_num_players > 1:
        raise ValueError(
            f"envpool/{name} has {spec.config.max_num_players} players, and one agent is trained here; choose another."
        )
    settings.setdefault("max_episode_steps", max_steps or spec.config.max_episode_steps)
    env = HostEnvironment("envpool", name, as_settings(settings))
    env.observation_space  # noqa: B018  # what no network takes says so here
    return env


def spaces(name: str, settings: dict[str, Any]) -> tuple[Any, Any]:
    """Of observations and of actions, Gymnasium's."""
    spec = made("envpool", name, package("envpool").make_spec, as_settings(settings))
    with warnings.catch_warnings():  # a bound of float64 in a space of float32, which Gymnasium mentions
        warnings.simplefilter("ignore")
        return spec.gymnasium_observation_space, spec.gymnasium_action_space
