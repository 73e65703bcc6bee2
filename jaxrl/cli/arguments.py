"""The words of the commands that read run folders: RUN [RUN ...] [name=value ...]."""

from collections.abc import Sequence
from pathlib import Path

from jaxrl.cli.errors import UsageError, as_usage_error
from jaxrl.engine.saved_run import SavedRun, load_runs
from jaxrl.pytree import unknown_name


def runs_and_settings(
    command: str, arguments: Sequence[str], known: Sequence[str]
) -> tuple[list[SavedRun], dict[str, str]]:
    """The runs that `arguments` name, and their settings, each one of `known`; UsageError where they do not fit.

    A folder may have an equals sign in its name: `jaxrl train -m` names folders after settings.
    """
    folders: list[str] = []
    settings: dict[str, str] = {}
    for word in arguments:
        name, is_setting, value = word.partition("=")
        if word.startswith("-"):
            raise UsageError(f"There is no option '{word}'; see jaxrl {command} --help.")
        if not is_setting or (name not in known and (Path(word).exists() or "/" in name)):
            folders.append(word)
        elif name not in known:
            raise UsageError(unknown_name("There is no setting", name, known))
        else:
            settings[name] = value
    if not folders:
        raise UsageError(f"jaxrl {command} needs run folders, as in jaxrl {command} runs/NAME runs/OTHER.")
    twice = [folder for number, folder in enumerate(folders) if Path(folder) in map(Path, folders[:number])]
    if twice:
        raise UsageError(f"'{twice[0]}' is named twice; name each run once.")
    with as_usage_error():
        return [run for folder in folders for run in load_runs(folder)], settings


def one_of(settings: dict[str, str], name: str, choices: Sequence[str]) -> str:
    """The setting `name`, by default the first of `choices`; UsageError where it is none of them."""
    value = settings.get(name, choices[0])
    if value not in choices:
        raise UsageError(f"{name} must be one of {', '.join(choices)}, got '{value}'.")
    return value


def output_path(settings: dict[str, str], name: str, default: str, suffixes: Sequence[str]) -> Path:
    """The file that the setting `name` asks for, in a folder that exists; UsageError where its kind is not known."""
    path = Path(settings.get(name, default))
    if path.suffix not in suffixes:
        raise UsageError(f"{name} must be a file name that ends with {' or '.join(suffixes)}, got '{path}'.")
    if not path.parent.is_dir():
        raise UsageError(f"The directory '{path.parent}' of {name}={path} does not exist.")
    return path


def diverged_lines(runs: Sequence[SavedRun]) -> list[str]:
    """A line for each run with seeds that diverged."""
    return [
        f"  diverged   {', '.join(f'seed {seed}' for seed in run.diverged)} of {run.folder}; left out"
        for run in runs
        if run.diverged
    ]
