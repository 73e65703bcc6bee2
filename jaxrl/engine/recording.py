"""What a policy does, as a film: an episode is played on the device, and drawn on the host."""

import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from jaxrl.algorithm import Policy
from jaxrl.engine.train import typed_key
from jaxrl.engine.videos import Film, captioned, write_gif, write_mp4
from jaxrl.envs.drawing import drawer_of
from jaxrl.envs.registry import as_environment

MAX_STEPS = 1_000


@dataclasses.dataclass(frozen=True)
class Episode:
    """One episode as it was seen (L steps)."""

    film: Film
    """L + 1 pictures: the start, and what every step led to."""
    rewards: NDArray[np.float32]
    """[L]."""
    completed: bool
    """The episode ended (by termination or truncation) within the bound."""

    @property
    def length(self) -> int:
        """L."""
        return len(self.rewards)

    @property
    def episode_return(self) -> float:
        """Undiscounted."""
        return float(self.rewards.sum(dtype=np.float64))


def record(
    policy: Policy,
    env: Any,
    path: str | os.PathLike[str],
    key: jax.Array,
    *,
    max_steps: int = MAX_STEPS,
    title: str = "",
) -> Episode:
    """Play an episode of `env`, at most `max_steps` steps, and write it to `path`, a .gif or .mp4, which is replaced.

    The episode is that of `evaluate(policy, env, key, num_episodes=1)`. Below the picture stand `title` and the return
    so far. Raises TypeError where `env` cannot be drawn (see `jaxrl.envs.draw`), ValueError for another kind of file,
    ImportError where an MP4 is wanted without PyAV.
    """
    target = Path(path)
    if target.suffix not in WRITERS:
        raise ValueError(f"path must be a file name that ends with {' or '.join(WRITERS)}, got '{target}'.")
    episode = film_episode(policy, env, key, max_steps=max_steps, title=title)
    WRITERS[target.suffix](target, episode.film)
    return episode


WRITERS = {".gif": write_gif, ".mp4": write_mp4}


def film_episode(policy: Policy, env: Any, key: jax.Array, *, max_steps: int = MAX_STEPS, title: str = "") -> Episode:
    """Play one episode in a compiled program; see `record`."""
    if isinstance(max_steps, bool) or not isinstance(max_steps, int) or max_steps < 1:
        raise ValueError(f"max_steps must be a whole number of at least 1, got {max_steps!r}.")
    env = as_environment(env)
    drawer = drawer_of(env)
    states, rewards, ended = jax.device_get(_play(policy, env, typed_key(key), max_steps))
    length = int(np.argmax(ended)) + 1 if ended.any() else max_steps
    rewards = rewards[:length]

    def frame(number: int) -> NDArray[np.uint8]:
        picture = drawer.draw(jax.tree.map(lambda leaf: leaf[number], states))
        return captioned(picture, title, caption(number, rewards))

    return Episode(Film(frame, length + 1, drawer.frame_rate), rewards, bool(ended.any()))


def caption(step: int, rewards: Sequence[float] | NDArray[np.float32]) -> str:
    """What is known after `step` steps with `rewards`."""
    return f"step {step}   return {np.sum(rewards[:step], dtype=np.float64):.2f}"


@jax.jit(static_argnums=3)
def _play(policy: Policy, env: Any, key: jax.Array, max_steps: int) -> tuple[Any, jax.Array, jax.Array]:
    """States [max_steps + 1, ...], rewards and ends [max_steps], past the end too; with the keys of `evaluate`."""
    reset_key, play_key = jax.random.split(key)
    state, obs = jax.vmap(env.reset)(jax.random.split(reset_key, 1))

    def step(carry: Any, number: jax.Array) -> tuple[Any, Any]:
        state, obs, memory = carry
        act_key, step_key = jax.random.split(jax.random.fold_in(play_key, number))
        action, memory = policy.act(act_key, obs, memory)
        state, timestep = jax.vmap(env.step)(jax.random.split(step_key, 1), state, action)
        ended = timestep.terminated | timestep.truncated
        return (state, timestep.obs, memory), (state, timestep.reward, ended)

    start = (state, obs, policy.initial_memory((1,)))
    _, (states, rewards, ended) = jax.lax.scan(step, start, jnp.arange(max_steps, dtype=jnp.int32))
    states = jax.tree.map(lambda first, later: jnp.concatenate([first[None], later])[:, 0], state, states)
    return states, rewards[:, 0], ended[:, 0]
