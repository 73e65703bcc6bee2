"""What a run writes into its folder: settings first, rows of metrics as they come, the results at the end."""

import os
from pathlib import Path
from typing import Any

import jax
import numpy as np

from jaxrl.algorithm import Algorithm
from jaxrl.analysis.plots import save_learning_curve
from jaxrl.engine import run_folder
from jaxrl.engine.record import Run, label_of, name_of
from jaxrl.engine.reporting.report import curve_name
from jaxrl.settings import TARGET, describe, path_of


def open_folder(directory: str | os.PathLike[str], algorithm: Algorithm[Any], options: dict[str, Any]) -> Path:
    """A new folder with the settings of `algorithm` and of the run; raises as `run_folder.create` does."""
    settings = {TARGET: path_of(type(algorithm)), **describe(algorithm)}
    text = run_folder.settings_text({"environment": name_of(algorithm.env), "run": options, "algorithm": settings})
    folder = run_folder.create(directory)
    with run_folder.writing(folder / run_folder.SETTINGS):
        (folder / run_folder.SETTINGS).write_text(text, encoding="utf-8")
    return folder


def write_results(folder: Path, run: Run) -> None:
    """The policies, the evaluation, the learning curve and the summary."""
    # Sampling and greedy policies share their arrays; where one of them has more, it is saved too.
    both = [
        jax.vmap(lambda state, greedy=greedy: run.algorithm.policy(state, greedy))(run.state)
        for greedy in (False, True)
    ]
    run_folder.write_policies(folder, *jax.device_get(both))
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
    converged = [seed for seed in range(run.seeds) if seed not in run.diverged]
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
