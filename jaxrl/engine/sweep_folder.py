"""The folder of a sweep of several programs: a folder for each of them, and the ranking of all."""

import contextlib
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from jaxrl.engine import run_folder
from jaxrl.engine.interrupts import Interrupted
from jaxrl.engine.ranking import Ranked, ranked, write_ranking
from jaxrl.settings import build_object, plain

Programs = Mapping[str, Mapping[int, Mapping[str, Any]]]
"""The folder of each program -> of each of its settings, the number in the whole sweep -> name -> value."""


def write_programs(folder: Path, programs: Programs) -> None:
    """What `resume_sweep` goes by; OSError with one sentence where it cannot be written."""
    path = folder / run_folder.PROGRAMS
    found = {name: {number: plain(values) for number, values in own.items()} for name, own in programs.items()}
    with run_folder.writing(path):
        path.write_text(yaml.safe_dump(found, sort_keys=False, allow_unicode=True), encoding="utf-8")


def read_programs(folder: Path) -> Programs:
    """The reverse of `write_programs`; FileNotFoundError or ValueError with one sentence."""
    path = folder / run_folder.PROGRAMS
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
        return {
            str(name): {int(number): build_object(values) for number, values in own.items()}
            for name, own in found.items()
        }
    except (FileNotFoundError, NotADirectoryError):
        raise FileNotFoundError(f"'{folder}' holds no sweep of several programs: {path.name} is missing.") from None
    except (yaml.YAMLError, UnicodeDecodeError, AttributeError, TypeError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"'{path}' is damaged and cannot be read ({reason}).") from None


def unfinished(folder: Path) -> list[Path]:
    """The folders of the programs that have not come to their end; raises as `read_programs`."""
    programs = [folder / name for name in read_programs(folder)]
    return [path for path in programs if not (path / run_folder.SUMMARY).exists()]


def rank(folder: Path) -> list[Ranked]:
    """Rank the settings of all programs by what their folders hold, and write it down."""
    values: dict[int, Mapping[str, Any]] = {}
    returns: dict[int, list[float]] = {}
    for name, own in read_programs(folder).items():
        seeds = run_folder.read_settings(folder / name)["run"]["seeds"]
        is_evaluated = (folder / name / run_folder.EVALUATION).exists()
        found = run_folder.read_returns(folder / name) if is_evaluated else {}
        for place, (number, settings) in enumerate(own.items()):
            values[number] = settings
            returns[number] = [found.get(seed * len(own) + place, math.nan) for seed in range(seeds)]
    numbers = sorted(values)
    ranking = ranked([values[number] for number in numbers], np.array([returns[number] for number in numbers]))
    write_ranking(folder, ranking)
    return ranking


@contextlib.contextmanager
def one_of_many(folder: Path) -> Iterator[None]:
    """Where the program at work is interrupted, say how to go on with all of the sweep in `folder`."""
    try:
        yield
    except Interrupted as stopped:
        message = f"one program of the sweep has saved where it was; go on with `jaxrl resume {folder}`."
        raise Interrupted(message, stopped.signal_number) from None
