"""Many settings of an algorithm at once, each with many seeds: those that differ in numbers alone are one program."""

import contextlib
import dataclasses
import os
import sys
from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from numpy.typing import NDArray

from jaxrl.algorithm import Algorithm, Policy
from jaxrl.engine import run_folder
from jaxrl.engine.evolution import PBT, Search
from jaxrl.engine.hosts import is_first, on_first
from jaxrl.engine.options import Options, check_options, options_of
from jaxrl.engine.population import leaf_names, with_values
from jaxrl.engine.ranking import Ranked, ranked, table_lines
from jaxrl.engine.record import Run
from jaxrl.engine.run import carry_out
from jaxrl.engine.search_space import Space, bounds_of, settings_of
from jaxrl.engine.sweep_folder import one_of_many, rank, write_programs
from jaxrl.pytree import unknown_name


@dataclasses.dataclass(frozen=True, repr=False)
class Sweep:
    """What a sweep came to (P settings, S seeds, R reports); printing it gives the best settings with intervals."""

    settings: tuple[dict[str, Any], ...]
    """What was tried, name -> value."""
    runs: tuple[Run, ...]
    """One for each compiled program."""
    places: tuple[tuple[int, int], ...]
    """For each setting its run, and its number among the settings of that run."""
    directory: Path | None

    @property
    def returns(self) -> NDArray[np.float64]:
        """[P, S]: each agent's mean evaluation return; NaN for one that diverged."""
        return np.stack([self._of(setting, self.runs[run].returns) for setting, (run, _) in enumerate(self.places)])

    @property
    def metrics(self) -> dict[str, NDArray[np.float32]]:
        """Name -> [P, S, R], for sweeps whose settings have the same reports; else see the `runs`."""
        lengths = {len(run.steps) for run in self.runs}
        if len(lengths) > 1:
            raise ValueError(
                f"the programs of this sweep have {sorted(lengths)} reports; take the metrics of its runs."
            )
        names = set.intersection(*(set(run.metrics) for run in self.runs))
        return {
            name: np.stack([self._of(at, self.runs[run].metrics[name]) for at, (run, _) in enumerate(self.places)])
            for name in sorted(names)
        }

    @property
    def ranking(self) -> list[Ranked]:
        """The settings, best mean return first; those of which every seed diverged are last."""
        return ranked(self.settings, self.returns)

    @property
    def best(self) -> dict[str, Any]:
        """The setting with the best mean return."""
        return self.ranking[0].values

    def policy(self, setting: int, seed: int, greedy: bool = True) -> Policy:
        """The policy of one agent."""
        if not 0 <= setting < len(self.settings):
            raise IndexError(f"The sweep has the settings 0 to {len(self.settings) - 1}, got setting {setting}.")
        run, place = self.places[setting]
        count = len(self.runs[run].population.settings)
        if not 0 <= seed < self.runs[run].seeds:
            raise IndexError(f"The sweep has the seeds 0 to {self.runs[run].seeds - 1}, got seed {seed}.")
        return self.runs[run].policy(seed * count + place, greedy)

    def _of(self, setting: int, values: NDArray[Any]) -> NDArray[Any]:
        """The rows of one setting, a row for each seed."""
        run, place = self.places[setting]
        return values[place :: len(self.runs[run].population.settings)]

    def __repr__(self) -> str:
        seconds = sum(run.timing.training for run in self.runs)
        programs = "1 program" if len(self.runs) == 1 else f"{len(self.runs)} programs"
        speed = sum(run.steps_of_all for run in self.runs) / max(seconds, 1e-9)
        where = [] if self.directory is None else [f"  folder     {self.directory}"]
        title = f"{len(self.settings):,} settings in {programs}, {seconds:.1f} s, {speed:,.0f} steps/s over all agents"
        return "\n".join([title, *table_lines(self.ranking), *where])


def sweep(
    algorithm: Algorithm[Any],
    space: Space,
    *,
    num_samples: int | None = None,
    search: Search | None = None,
    directory: str | os.PathLike[str] | None = None,
    **options: Any,
) -> Sweep:
    """Train every setting of `space` with every seed, and rank them.

    Settings that differ in numbers alone are trained by one compiled program; what shapes the program (sizes, networks)
    makes several programs, which are trained one after another.

    Args:
        algorithm: what the settings are settings of.
        space: name -> a list of values (a grid: each with each) or `Uniform`, `LogUniform` or `Choice`; or a list of
            settings, name -> value. A double underscore reaches inside: `env__params__gravity`.
        num_samples: how many draws from the distributions, each crossed with the grid.
        search: `PBT` or `SuccessiveHalving` changes the population while it trains; None leaves it as it is.
        directory: a new folder: sweep.csv with the ranking, and what `run` writes, in a folder for each program where
            there are several.
        **options: those of `run`.

    Raises:
        TypeError, ValueError, ImportError, OSError: one sentence, before anything is compiled.
        Interrupted: as `run`; `resume` goes on with a sweep of one program, `resume_sweep` with one of several.
    """
    chosen = options_of(directory=directory, search=search, **options)
    key_data = np.asarray(jax.random.key_data(chosen.key)).ravel().tolist()
    settings = settings_of(space, num_samples, key_data)
    chosen = dataclasses.replace(chosen, search=with_bounds(chosen.search, bounds_of(space, settings), algorithm))
    return train_parts(parts_of([with_values(algorithm, values) for values in settings], settings, chosen), chosen)


def with_bounds(search: Any, bounds: Mapping[str, tuple[float, float]], algorithm: Algorithm[Any]) -> Any:
    """`search`, and where it is `PBT` without bounds of its own, those of the numbers that `algorithm` can vary.

    Raises ValueError with one sentence where its own name what is no such number.
    """
    if not isinstance(search, PBT):
        return search
    known = leaf_names(algorithm)
    for name in dict(search.bounds):
        if name not in known:
            raise ValueError(
                unknown_name(f"PBT.bounds names what {type(algorithm).__name__} cannot vary,", name, known)
            )
    found = search.bounds or {name: ends for name, ends in bounds.items() if name in known}
    return dataclasses.replace(search, bounds=found)


@dataclasses.dataclass(frozen=True)
class Part:
    """Of a sweep, what one program trains."""

    algorithms: tuple[Algorithm[Any], ...]
    settings: dict[int, dict[str, Any]]
    """The number of each setting in the whole sweep -> its values, in the order of `algorithms`."""
    options: Options


def parts_of(
    algorithms: Sequence[Algorithm[Any]], settings: Sequence[Mapping[str, Any]], options: Options
) -> list[Part]:
    """`algorithms`, called `settings`, as the fewest parts; raises as `run` where one cannot be trained."""
    groups = groups_of(algorithms)
    parts = []
    for group, folder in zip(groups, _folders(options, settings, groups), strict=True):
        chosen = dataclasses.replace(options, directory=folder)
        if options.search is not None and len(group) == 1:
            raise ValueError(
                "A search chooses among settings that differ in numbers, and one of the programs has a single setting; "
                "give it more of them, or leave search out."
            )
        check_options(algorithms[group[0]], chosen)
        parts.append(Part(tuple(algorithms[at] for at in group), {at: dict(settings[at]) for at in group}, chosen))
    return parts


def train_parts(parts: Sequence[Part], options: Options) -> Sweep:
    """Train the parts of a sweep one after another, and rank all of it."""
    runs: list[Run] = []
    places: dict[int, tuple[int, int]] = {}
    settings: dict[int, dict[str, Any]] = {}
    folder = options.folder if len(parts) > 1 else None
    if folder is not None:
        on_first(lambda: _open_folders(folder, parts))
    for part in parts:
        if options.progress and len(parts) > 1 and is_first():
            name = "" if part.options.folder is None else part.options.folder.name
            print(f"[{len(runs) + 1}/{len(parts)}] {name}".rstrip(), file=sys.stderr, flush=True)
        places |= {at: (len(runs), place) for place, at in enumerate(part.settings)}
        settings |= part.settings
        with contextlib.nullcontext() if folder is None else one_of_many(folder):
            runs.append(carry_out(part.algorithms, part.options, is_resumed=False, has_folder=folder is not None))
    order = sorted(settings)
    found = Sweep(tuple(settings[at] for at in order), tuple(runs), tuple(places[at] for at in order), options.folder)
    if folder is not None:
        on_first(lambda: rank(folder))
    return found


def _open_folders(folder: Path, parts: Sequence[Part]) -> None:
    """All of them before the first program begins, so that `resume_sweep` finds those that are left."""
    from jaxrl.engine.results import open_folder

    for part in parts:
        open_folder(part.options.directory, part.algorithms, part.options.as_settings())
    write_programs(folder, {Path(part.options.directory).name: part.settings for part in parts})


def groups_of(algorithms: Sequence[Algorithm[Any]]) -> list[list[int]]:
    """Which of the algorithms one program can train together, in the order in which they come."""
    groups: dict[Hashable, list[int]] = {}
    for number, algorithm in enumerate(algorithms):
        leaves, structure = jax.tree.flatten(algorithm)
        groups.setdefault((structure, tuple(map(np.shape, leaves))), []).append(number)
    return list(groups.values())


def _folders(
    options: Options, settings: Sequence[Mapping[str, Any]], groups: Sequence[Sequence[int]]
) -> list[Path | None]:
    """A folder for each program: the sweep's where it is the only one, else one in it, named after what differs."""
    if options.folder is None or len(groups) == 1:
        return [options.folder] * len(groups)
    run_folder.check_new(options.folder)
    return [
        options.folder / _name([settings[at] for at in group], settings, number) for number, group in enumerate(groups)
    ]


def _name(group: Sequence[Mapping[str, Any]], settings: Sequence[Mapping[str, Any]], number: int) -> str:
    """`num_envs=64`: what all of a group have and not all others."""
    shared = {
        name: value
        for name, value in group[0].items()
        if all(other.get(name) == value for other in group) and any(other.get(name) != value for other in settings)
    }
    return folder_name(shared) or f"program-{number + 1}"


def folder_name(values: Mapping[str, Any]) -> str:
    """`num_envs=64,hidden_sizes=[8]`, without what is awkward in the name of a folder."""
    text = ",".join(f"{name}={value}" for name, value in values.items())
    return "".join(letter if letter.isalnum() or letter in "._=,-+[]" else "-" for letter in text)[:120]
