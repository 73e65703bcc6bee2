"""`jaxrl train`: one run, or many with comma-separated values: those that differ in numbers are one program."""

import dataclasses
import itertools
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from jaxrl.algorithm import Algorithm
from jaxrl.cli.composition import Choice, compose_runs
from jaxrl.cli.distributed import is_for_hydra, names_launcher
from jaxrl.cli.errors import UsageError, as_usage_error
from jaxrl.cli.help import train_help
from jaxrl.engine.cores import use_all_cores
from jaxrl.engine.hosts import on_first
from jaxrl.engine.options import Options
from jaxrl.engine.plan import DoesNotFit
from jaxrl.engine.search_space import bounds_of
from jaxrl.engine.sweep import parts_of, train_parts, with_bounds
from jaxrl.envs.registry import make
from jaxrl.settings import TARGET, build, build_object, import_class


def train(arguments: Sequence[str]) -> int:
    """Train what `arguments` ask for; the status is 1 where every seed of a run diverged."""
    words = [word for word in arguments if not word.startswith("-")]
    flags = {word for word in arguments if word.startswith("-")}
    unknown = flags - {"-m", "--multirun", "-h", "--help", "--settings"}
    if unknown:
        raise UsageError(f"There is no option '{min(unknown)}'; see jaxrl train --help.")
    if names_launcher(words):
        if not flags & {"-h", "--help", "--settings"}:
            from jaxrl.cli.launch import launch

            return launch(words)
        words = [word for word in words if not is_for_hydra(word)]
    with as_usage_error():
        use_all_cores()
    choices = compose_runs(words)
    if flags & {"-h", "--help"}:
        print(train_help(choices[0]), end="")
        return 0
    algorithms = [algorithm_of(choice) for choice in choices]
    if "--settings" in flags:
        print("---\n".join(yaml.safe_dump(choice.settings, sort_keys=False) for choice in choices), end="")
        return 0
    return _train_all(choices, algorithms)


def _train_all(choices: Sequence[Choice], algorithms: Sequence[Algorithm[Any]]) -> int:
    """Everything is checked before the first run begins."""
    parent = on_first(lambda: directory_of(choices[0]))
    groups: dict[str, list[int]] = {}  # options such as seeds are those of a whole sweep
    for number, choice in enumerate(choices):
        with as_usage_error():
            groups.setdefault(repr(_options(choice, None)), []).append(number)
    sweeps = []
    with as_usage_error():
        for group in groups.values():
            first = choices[group[0]]
            apart = [f"{name}={value}" for name, value in first.varied.items() if _is_option(name)]
            options = _options(first, parent / ",".join(apart) if apart and len(groups) > 1 else parent)
            options = _with_bounds(options, [choices[at] for at in group], algorithms[group[0]])
            parts = parts_of([algorithms[at] for at in group], [choices[at].varied for at in group], options)
            sweeps.append((parts, options))
    status = 0
    for parts, options in sweeps:
        try:
            found = train_parts(parts, options)
        except (OSError, DoesNotFit) as error:
            raise UsageError(" ".join(str(error).split())) from error
        for run in found.runs:
            print(run, flush=True)
        if len(found.runs) > 1:
            print(found)
        status |= any(len(run.diverged) == len(run.population) for run in found.runs)
    return int(status)


def _options(choice: Choice, directory: Path | None) -> Options:
    names = {field.name for field in dataclasses.fields(Options)}
    given = {name: value for name, value in choice.settings.items() if name in names}
    search = build_object(given["search"])
    return Options(**given | {"directory": directory, "search": search})


def _is_option(name: str) -> bool:
    return name.partition(".")[0] not in ("algorithm", "env")


def _with_bounds(options: Options, choices: Sequence[Choice], algorithm: Algorithm[Any]) -> Options:
    """A search keeps the numbers of the algorithm within what the command line tries."""
    inside = "algorithm."
    space = {name.removeprefix(inside): tried for name, tried in choices[0].space.items() if name.startswith(inside)}
    settings = [
        {name.removeprefix(inside): value for name, value in choice.varied.items() if name.startswith(inside)}
        for choice in choices
    ]
    return dataclasses.replace(options, search=with_bounds(options.search, bounds_of(space, settings), algorithm))


def algorithm_of(choice: Choice) -> Algorithm[Any]:
    """Build the environment and the algorithm, which check their own settings."""
    for group in ("algorithm", "env"):
        if not isinstance(choice.settings.get(group), dict):
            raise UsageError(f"{group} must be the name of one, got {choice.settings.get(group)!r}; see jaxrl list.")
    env_settings, settings = dict(choice.settings["env"]), dict(choice.settings["algorithm"])
    with as_usage_error():
        name = env_settings.pop("name")
        values = {key: tuple(value) if isinstance(value, list) else value for key, value in env_settings.items()}
        env = make(name, **values)
        return build(import_class(settings.pop(TARGET)), settings, env=env)


def directory_of(choice: Choice) -> Path:
    """The folder of the run, or of the sweep."""
    given = choice.settings["directory"]
    if given is not None and not isinstance(given, (str, int, float)):
        raise UsageError(f"directory must be the name of a folder, got {given!r}.")
    stamp = time.strftime("%Y%m%d-%H%M%S")
    return Path(str(given)) if given is not None else _unused(Path("runs") / f"{_name(choice)}-{stamp}")


def _name(choice: Choice) -> str:
    return f"{choice.algorithm}-{choice.settings['env']['name'].replace('/', '-')}"


def _unused(path: Path) -> Path:
    """`path`, or the first of path-2, path-3, ... that does not exist: runs may begin within one second."""
    candidates = itertools.chain([path], (path.with_name(f"{path.name}-{number}") for number in itertools.count(2)))
    return next(candidate for candidate in candidates if not candidate.exists())
