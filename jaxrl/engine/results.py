"""What a run writes into its folder: settings first, rows of metrics as they come, the results at the end."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from jaxrl.algorithm import Algorithm
from jaxrl.analysis.plots import save_learning_curve
from jaxrl.engine import run_folder
from jaxrl.engine.host_loop import Chunk
from jaxrl.engine.hosts import on_first
from jaxrl.engine.parallel import fetch
from jaxrl.engine.population import described
from jaxrl.engine.record import Run, label_of, name_of
from jaxrl.engine.reporting.report import curve_name


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
        rows = (
            (*index, *(part[index] for part in episodes))
            for index in np.ndindex(episodes[0].shape)
            if index[0] not in run.diverged
        )
        header = ("seed", "episode", "return", "length", "completed")
        (folder / run_folder.EVALUATION).unlink(missing_ok=True)  # of an end that was broken off
        run_folder.append_rows(folder / run_folder.EVALUATION, header, rows)
    name = curve_name(run.metrics)
    converged = [seed for seed in range(len(run.population)) if seed not in run.diverged]
    with run_folder.writing(folder / run_folder.LEARNING_CURVE):
        save_learning_curve(
            folder / run_folder.LEARNING_CURVE,
            run.steps,
            run.metrics[name][converged],
            title=label_of(run.algorithm),
            ylabel=name.replace("_", " "),
        )
    with run_folder.writing(folder / run_folder.SUMMARY):
        (folder / run_folder.SUMMARY).write_text(f"{run}\n", encoding="utf-8")


def _policies(run: Run) -> list[Any]:
    """The sampling and the greedy policies, leaves [M, ...]; they share their arrays, but one of them may have more."""

    def of_chunk(chunk: Chunk) -> list[Any]:
        policies = [
            jax.vmap(lambda agent, state, greedy=greedy: agent.policy(state, greedy), (run.population.axes, 0))(
                chunk.agents, chunk.states
            )
            for greedy in (False, True)
        ]
        return chunk.cut(fetch(policies))

    found: list[Any] = jax.tree.map(lambda *parts: np.concatenate(parts), *map(of_chunk, run.chunks))
    return found
