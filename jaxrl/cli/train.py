"""`jaxrl train`: one run, or several with comma-separated values."""

import itertools
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from jaxrl.algorithm import Algorithm
from jaxrl.cli.composition import Choice, compose_runs
from jaxrl.cli.distributed import is_for_hydra
from jaxrl.cli.errors import UsageError, as_usage_error
from jaxrl.cli.help import train_help
from jaxrl.engine.hosts import on_first
from jaxrl.engine.options import Options, check_options
from jaxrl.engine.record import Run
from jaxrl.engine.run import run
from jaxrl.envs.registry import make
from jaxrl.settings import TARGET, build, import_class


def train(arguments: Sequence[str]) -> int:
    """Train what `arguments` ask for; the status is 1 where every seed of a run diverged."""
    words = [word for word in arguments if not word.startswith("-")]
    flags = {word for word in arguments if word.startswith("-")}
    unknown = flags - {"-m", "--multirun", "-h", "--help", "--settings"}
    if unknown:
        raise UsageError(f"There is no option '{min(unknown)}'; see jaxrl train --help.")
    if any(map(is_for_hydra, words)):
        from jaxrl.cli.launch import launch

        return launch(words)
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
    directories = on_first(lambda: _directories(choices))
    options = [
        {name: value for name, value in choice.settings.items() if name not in ("algorithm", "env")}
        | {"directory": directory}
        for choice, directory in zip(choices, directories, strict=True)
    ]
    with as_usage_error():
        for algorithm, chosen in zip(algorithms, options, strict=True):
            check_options(algorithm, Options(**chosen))
    runs: list[Run] = []
    for choice, algorithm, chosen in zip(choices, algorithms, options, strict=True):
        if choice.label:
            print(f"[{len(runs) + 1}/{len(choices)}] {choice.label}", file=sys.stderr)
        try:
            runs.append(run(algorithm, **chosen))
        except OSError as error:
            raise UsageError(" ".join(str(error).split())) from error
        print(runs[-1], flush=True)
    if len(runs) > 1:
        print(_table(choices, runs))
    return int(any(len(each.diverged) == each.seeds for each in runs))


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


def _directories(choices: Sequence[Choice]) -> list[Path]:
    """A folder of its own for each run; several runs of one command share a parent."""
    stamp = time.strftime("%Y%m%d-%H%M%S")
    first = choices[0]
    given = first.settings["directory"]
    if given is not None and not isinstance(given, (str, int, float)):
        raise UsageError(f"directory must be the name of a folder, got {given!r}.")
    parent = Path(str(given)) if given is not None else _unused(Path("runs") / f"{_name(first)}-{stamp}")
    if len(choices) == 1:
        return [parent]
    return [parent / choice.label.replace("/", "-").replace(" ", ",") for choice in choices]


def _name(choice: Choice) -> str:
    return f"{choice.algorithm}-{choice.settings['env']['name'].replace('/', '-')}"


def _unused(path: Path) -> Path:
    """`path`, or the first of path-2, path-3, ... that does not exist: runs may begin within one second."""
    candidates = itertools.chain([path], (path.with_name(f"{path.name}-{number}") for number in itertools.count(2)))
    return next(candidate for candidate in candidates if not candidate.exists())


def _table(choices: Sequence[Choice], runs: Sequence[Run]) -> str:
    width = max(len(choice.label) for choice in choices)
    rows = [
        f"{choice.label:<{width}}  {each.result.estimate:10.2f} [{each.result.low:.2f}, {each.result.high:.2f}]"
        for choice, each in zip(choices, runs, strict=True)
    ]
    return "\n".join([f"{'run':<{width}}      return [95 % interval over seeds]", *rows])
