"""What a run writes into its folder: settings first, rows of metrics as they come, the results at the end."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from numpy.typing import NDArray

from jaxrl.algorithm import Algorithm
from jaxrl.analysis.plots import save_learning_curve, save_learning_curves
from jaxrl.engine import run_folder
from jaxrl.engine.host_loop import Chunk, in_order
from jaxrl.engine.hosts import on_first
from jaxrl.engine.parallel import fetch
from jaxrl.engine.population import described, differences
from jaxrl.engine.ranking import write_ranking
from jaxrl.engine.record import Run, label_of, name_of
from jaxrl.engine.reporting.report import curve_name

MOST_CURVES = 6
"""Of a sweep's settings, those in its picture."""


def open_folder(directory: str | os.PathLike[str], settings: Sequence[Algorithm[Any]], options: dict[str, Any]) -> Path:
    """A new folder with the settings of the agents and of the run; raises as `run_folder.create` does."""
    environment = name_of(settings[0].env)
    text = run_folder.settings_text({"environment": environment, "run": options, **described(settings)})
    folder = run_folder.create(directory)
    with run_folder.writing(folder / run_folder.SETTINGS):
        (folder / run_folder.SETTINGS).write_text(text, encoding="utf-8")
    return folder


def write_results(folder: Path, run: Run) -> None:
    """The policies, the evaluation, the learning curve and the summary."""
    policies = _policies(run)  # all hosts have a part of them
    on_first(lambda: _write(folder, run, policies))


def _write(folder: Path, run: Run, policies: list[Any]) -> None:
    run_folder.write_policies(folder, *policies)
    if run.evaluation is not None:
        episodes = (run.evaluation.returns, run.evaluation.lengths, run.evaluation.completed)
        num_settings = len(run.population.settings)
        rows = (
            (*_index(agent, num_settings), episode, *(part[agent, episode] for part in episodes))
            for agent, episode in np.ndindex(episodes[0].shape)
            if agent not in run.diverged
        )
        header = ("setting", "seed", "episode", "return", "length", "completed")[num_settings == 1 :]
        (folder / run_folder.EVALUATION).unlink(missing_ok=True)  # of an end that was broken off
        run_folder.append_rows(folder / run_folder.EVALUATION, header, rows)
    if len(run.population.settings) > 1:
        write_ranking(folder, run.ranking)
    with run_folder.writing(folder / run_folder.LEARNING_CURVE):
        _save_curve(folder / run_folder.LEARNING_CURVE, run)
    with run_folder.writing(folder / run_folder.SUMMARY):
        (folder / run_folder.SUMMARY).write_text(f"{run}\n", encoding="utf-8")


def _save_curve(path: Path, run: Run) -> None:
    """The mean and its band over seeds; of a sweep, those of its best settings."""
    name, settings = curve_name(run.metrics), differences(run.population.settings)
    ylabel = name.replace("_", " ")

    def converged(setting: int) -> NDArray[np.float32]:
        agents = range(setting, len(run.population), len(settings))
        return run.metrics[name][[agent for agent in agents if agent not in run.diverged]]

    if len(settings) == 1:
        save_learning_curve(path, run.steps, converged(0), title=label_of(run.algorithm), ylabel=ylabel)
        return
    best = [row.setting for row in run.ranking if row.diverged < run.seeds][:MOST_CURVES] or [0]
    curves = {
        ", ".join(f"{key}={value:g}" for key, value in settings[setting].items()): (run.steps, converged(setting))
        for setting in best
    }
    save_learning_curves(path, {label_of(run.algorithm): curves}, ylabel=ylabel)


def _index(agent: int, num_settings: int) -> tuple[int, ...]:
    seed, setting = divmod(agent, num_settings)
    return (seed,) if num_settings == 1 else (setting, seed)


def _policies(run: Run) -> list[Any]:
    """The sampling and the greedy policies, leaves [M, ...]; they share their arrays, but one of them may have more."""

    def of_chunk(chunk: Chunk) -> Any:
        policies = [
            jax.vmap(lambda agent, state, greedy=greedy: agent.policy(state, greedy), (run.population.axes, 0))(
                chunk.agents, chunk.states
            )
            for greedy in (False, True)
        ]
        return fetch(policies)

    found: list[Any] = in_order(run.chunks, [of_chunk(chunk) for chunk in run.chunks])
    return found
