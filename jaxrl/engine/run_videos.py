"""Films of the policies in a run folder."""

import dataclasses
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax

from jaxrl.algorithm import Policy
from jaxrl.engine import run_folder
from jaxrl.engine.compilation import disk_cache
from jaxrl.engine.load import agent_of, load_finite_policy, load_settings
from jaxrl.engine.recording import MAX_STEPS, Episode, film_episode
from jaxrl.engine.recording_gymnasium import film_in_gymnasium
from jaxrl.engine.videos import write_gif, write_mp4
from jaxrl.envs.drawing import drawer_of

VIDEOS = "videos"


@dataclasses.dataclass(frozen=True)
class Video:
    """An episode of one seed, and where it was written."""

    name: str
    agent: str
    """Which one, such as `seed 3`."""
    episode: Episode
    files: dict[Path, int]
    """File -> pictures in it."""
    missing: str | None
    """Why there is no MP4."""


def record_saved(  # noqa: PLR0913  # options, each by name
    directory: str | os.PathLike[str],
    seeds: Sequence[int | str] = ("best", "median"),
    *,
    output: str | os.PathLike[str] | None = None,
    episode: int = 0,
    max_steps: int = MAX_STEPS,
    gymnasium: str | None = None,
    setting: int | None = None,
) -> list[Video]:
    """Play a greedy episode with `seeds` of the run in `directory`, and write each as a GIF and, with PyAV, an MP4.

    "best" and "median" are meant by the final evaluation; one agent that is both is filmed once. `episode` is the seed
    of all that is random. The files go to the folder's own `videos/`, where earlier ones are replaced, or to the folder
    `output`, where nothing is. With `gymnasium` the episode is played in that environment of Gymnasium. Of a sweep the
    seeds are those of `setting`, or without it "best" and "median" are meant among all agents.
    Raises FileNotFoundError, FileExistsError, ValueError, IndexError or TypeError with one sentence each.
    """
    folder = Path(directory)
    settings = load_settings(folder)
    count = len(settings)
    env = settings[0].env
    numbers = _numbers(folder, seeds, setting)
    policies = {
        name: load_finite_policy(folder, number // count, setting=number % count) for name, number in numbers.items()
    }
    target = folder / VIDEOS if output is None else Path(output)
    if output is not None:
        _check_free(target, list(numbers))
    if gymnasium is None:
        drawer_of(env)  # refuses what cannot be drawn before a folder is made
    _make_folder(target)

    def film(policy: Policy, world: Any, title: str) -> Episode:
        if gymnasium is not None:
            return film_in_gymnasium(policy, gymnasium, world, seed=episode, max_steps=max_steps, title=title)
        return film_episode(policy, world, jax.random.key(episode), max_steps=max_steps, title=title)

    videos = []
    for name, number in numbers.items():
        title = f"seed {number // count}" + (f" of setting {number % count}" if count > 1 else "")
        with disk_cache():
            filmed = film(policies[name], settings[number % count].env, title)
        videos.append(_write(target, name, title, filmed))
    return videos


def ranked_seeds(folder: Path, setting: int | None = None) -> list[int]:
    """The agents by the mean return of their final evaluation, best first; those that diverged are left out."""
    count = run_folder.num_settings(folder)
    returns = {
        agent: mean
        for agent, mean in run_folder.read_returns(folder).items()
        if setting is None or agent % count == setting
    }
    ranked = sorted((seed for seed in returns if math.isfinite(returns[seed])), key=lambda seed: -returns[seed])
    if not ranked:
        raise ValueError(
            f"The run in '{folder}' has no evaluated seed that did not diverge; name a seed by its number."
        )
    return ranked


def _numbers(folder: Path, seeds: Sequence[int | str], setting: int | None) -> dict[str, int]:
    """What each film is called -> the number of its agent; none twice. The median is the better of two."""
    numbers: dict[str, int] = {}
    for seed in seeds:
        if isinstance(seed, int):
            name = f"seed-{seed}" if setting is None else f"setting-{setting}-seed-{seed}"
            number = agent_of(folder, seed, setting)
        elif seed in ("best", "median"):
            ranked = ranked_seeds(folder, setting)
            name, number = seed, ranked[0 if seed == "best" else (len(ranked) - 1) // 2]
        else:
            raise ValueError(f"seed must be best, median or a number, got '{seed}'.")
        if number not in numbers.values():
            numbers[name] = number
    return numbers


def _check_free(target: Path, names: Sequence[str]) -> None:
    taken = [path for name in names for path in (target / f"{name}.gif", target / f"{name}.mp4") if path.exists()]
    if taken:
        raise FileExistsError(f"'{taken[0]}' exists, and nothing is overwritten there; choose another output=.")


def _make_folder(target: Path) -> None:
    try:
        target.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = error.strerror or str(error)
        raise type(error)(f"The directory '{target}' cannot be made ({reason}); choose another output=.") from None


def _write(target: Path, name: str, agent: str, episode: Episode) -> Video:
    gif, mp4 = target / f"{name}.gif", target / f"{name}.mp4"
    files, missing = {gif: write_gif(gif, episode.film)}, None
    try:
        files[mp4] = write_mp4(mp4, episode.film)
    except ImportError as error:
        missing = str(error)
    return Video(name, agent, episode, files, missing)
