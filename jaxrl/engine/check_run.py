"""Whether everything in a run folder can be read."""

import dataclasses
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax

from jaxrl.engine import run_folder
from jaxrl.engine.checkpoints import damaged_checkpoints
from jaxrl.engine.load import load_policies, load_settings
from jaxrl.engine.population import Population
from jaxrl.engine.resume import read_options
from jaxrl.engine.saved_run import load_runs
from jaxrl.engine.saving import saved_form, saved_layout


def check_run(directory: str | os.PathLike[str]) -> tuple[list[str], list[str]]:
    """`(problems, notes)` of the run in `directory`, a sentence each; FileNotFoundError where there is none."""
    folder = Path(directory)
    settings = run_folder.read_settings(folder)
    problems: list[str] = []
    is_over = (folder / run_folder.SUMMARY).exists()
    measured = _read(lambda: load_runs(folder), problems)
    notes = [f"{'finished' if is_over else 'not finished: go on with jaxrl resume'}, in '{folder}'"]
    if measured is not None:
        first = measured[0]
        notes.append(f"{first.algorithm} on {first.environment}: {len(first.steps)} reports of each seed")
        notes += [f"seed {seed} {each.setting}".rstrip() + " diverged" for each in measured for seed in each.diverged]
    if is_over:
        _read(lambda: load_policies(folder), problems)
    if (folder / run_folder.CHECKPOINTS).is_dir():
        damaged = _read(lambda: _damaged(folder, settings), problems)
        problems += damaged or []
    return problems, notes


def _damaged(folder: Path, settings: dict[str, Any]) -> list[str]:
    options = read_options(folder, settings)
    population = Population(load_settings(folder), jax.random.split(options.key, options.seeds))
    layout = saved_layout(dataclasses.replace(options, directory=str(folder)))
    assert layout is not None  # there is a checkpoint
    return damaged_checkpoints(folder, saved_form(population, options, layout))


def _read(read: Callable[[], Any], problems: list[str]) -> Any:
    try:
        return read()
    except (OSError, ValueError, TypeError, LookupError) as error:
        problems.append(" ".join(str(error).split()))
        return None
