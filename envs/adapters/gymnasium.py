"""Any environment of Gymnasium: `jaxrl.make("gymnasium/Ant-v5")`, stepped on the host (`host.py` says how).

A batch is Gymnasium's own vector environment, in one process.
"""

import importlib
from typing import Any

import jax
import numpy as np

from .host import HostEnvironment
from .suite import as_settings


class Batch:
    """`num_envs` environments `gymnasium.make(name, **settings)`."""

    def __init__(self, name: str, num_envs: int, seed: int, settings: dict[str, Any]) -> None:
        gymnasium = importlib.import_module("gymnasium")
        options = {"autoreset_mode": importlib.import_module("gymnasium.vector").AutoresetMode.SAME_STEP}
        self.seed = seed
        try:
            self.envs = gymnasium.make_vec(name, num_envs, "sync", options, **settings)
        except Exception as error:  # an environment's constructor raises whatever it likes
            raise ValueError(f"Gymnasium cannot make '{name}': {' '.join(str(error).split())}") from error
        self.single_action_space = self.envs.single_action_space

    def begin(self) -> Any:
        return self.envs.reset(seed=self.seed)[0]

    def step(self, actions: Any) -> tuple[Any, Any, Any, Any, Any]:
        starts, reward, terminated, truncated, info = self.envs.step(actions)
        successors = jax.tree.map(np.array, starts)
        for lane in np.flatnonzero(info.get("_final_obs", ())):
            last = info["final_obs"][lane]
            jax.tree.map(lambda all_lanes, one, lane=lane: all_lanes.__setitem__(lane, one), successors, last)
        return starts, successors, reward, terminated, truncated

    def close(self) -> None:
        self.envs.close()


def from_name(name: str, *, max_steps: int | None = None, **settings: Any) -> HostEnvironment:
    """`gymnasium.make(name, **settings)`; `max_steps` is its time limit.

    Raises ValueError or TypeError with one sentence where Gymnasium does not make it, or shows what no network takes.
    """
    if max_steps is not None:
        settings["max_episode_steps"] = max_steps
    env = HostEnvironment("gymnasium", name, as_settings(settings))
    env.observation_space  # noqa: B018  # what cannot be made says so here
    return env


def spaces(name: str, settings: dict[str, Any]) -> tuple[Any, Any]:
    """Of observations and of actions, Gymnasium's."""
    batch = Batch(name, 1, 0, settings)
    batch.close()
    return batch.envs.single_observation_space, batch.envs.single_action_space
