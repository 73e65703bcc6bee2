"""What a run measured, as it comes back from the tables of its folder."""

import dataclasses
import os
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jaxrl.engine import run_folder
from jaxrl.engine.reporting.report import curve_name
from jaxrl.pytree import unknown_name

INDEX = ("seed", "iteration", "steps")


@dataclasses.dataclass(frozen=True)
class SavedRun:
    """The metrics and the final evaluation of a run (S seeds, R reports), also of one that is not over.

    Of a sweep it is those of one setting.
    """

    folder: Path
    setting: str
    """What sets it apart from the others of its sweep, such as `learning_rate=0.001`; empty where there is no sweep."""
    algorithm: str
    environment: str
    steps: NDArray[np.int64]
    """[R]: environment steps per seed at each report."""
    metrics: dict[str, NDArray[np.float64]]
    """Name -> [S, R]; NaN where nothing was measured."""
    episodes: dict[int, list[float]] | None
    """Seed -> the returns of its final episodes; None where the run was not evaluated."""
    diverged: list[int]
    """The seeds whose learner held NaN or infinity, as far as the folder tells: it does at the end of a run."""

    @property
    def kept(self) -> list[int]:
        """The seeds that did not diverge."""
        num_seeds = len(next(iter(self.metrics.values())))
        return [seed for seed in range(num_seeds) if seed not in self.diverged]

    def curve(self, metric: str | None = None) -> NDArray[np.float64]:
        """`metric` (default: the episodes' return) of the seeds that did not diverge, [len(kept), R]."""
        name = curve_name(self.metrics) if metric is None else metric
        if name not in self.metrics:
            raise ValueError(unknown_name(f"The run in '{self.folder}' has no metric", name, list(self.metrics)))
        return self.metrics[name][self.kept]

    def scores(self, metric: str | None = None) -> NDArray[np.float64]:
        """One number for each seed of `kept`: the mean return of its final episodes, or its last value of `metric`."""
        if metric is None:
            if self.episodes is None:
                raise ValueError(
                    f"The run in '{self.folder}' was not evaluated; compare runs by what they measured in training, "
                    f"as in metric={curve_name(self.metrics)}."
                )
            return np.array([np.mean(self.episodes[seed]) for seed in self.kept], np.float64)
        return np.array([self._last(seed, values) for seed, values in zip(self.kept, self.curve(metric), strict=True)])

    def _last(self, seed: int, values: NDArray[np.float64]) -> float:
        measured = values[np.isfinite(values)]
        if not measured.size:
            raise ValueError(f"Seed {seed} of the run in '{self.folder}' has no value of that metric yet.")
        return float(measured[-1])


def load_run(directory: str | os.PathLike[str]) -> SavedRun:
    """Read the run in `directory`; FileNotFoundError or ValueError, one sentence, where it holds none or a sweep."""
    runs = load_runs(directory)
    if len(runs) > 1:
        raise ValueError(f"'{directory}' holds a sweep of {len(runs)} settings, and one run is asked for.")
    return runs[0]


def load_runs(directory: str | os.PathLike[str]) -> list[SavedRun]:
    """Read the run in `directory`, or the settings of a sweep as a run each; raises as `load_run`."""
    folder = Path(directory)
    if (folder / run_folder.SWEEP).exists() and not (folder / run_folder.SETTINGS).exists():
        programs = sorted(path.parent for path in folder.glob(f"*/{run_folder.SETTINGS}"))
        return [run for program in programs for run in load_runs(program)]
    settings = run_folder.read_settings(folder)
    table = _read_table(folder / run_folder.METRICS)
    episodes = _read_table(folder / run_folder.EVALUATION) if (folder / run_folder.EVALUATION).exists() else None
    if "setting" not in table:
        return [_load(folder, settings, "", table, episodes)]
    names = [",".join(f"{name}={value}" for name, value in each.items()) for each in settings.get("settings") or []]
    return [
        _load(folder, settings, name, _only(table, number), _only(episodes, number) if episodes else None)
        for number, name in enumerate(names)
    ]


def _only(table: dict[str, NDArray[np.float64]], setting: int) -> dict[str, NDArray[np.float64]]:
    """The rows of one setting, without the column that names it."""
    if "setting" not in table:
        raise ValueError("The evaluation of the sweep is damaged: it does not name the settings.")
    rows = table["setting"] == setting
    return {name: column[rows] for name, column in table.items() if name != "setting"}


def _load(
    folder: Path,
    settings: dict[str, Any],
    setting: str,
    table: dict[str, NDArray[np.float64]],
    evaluated: dict[str, NDArray[np.float64]] | None,
) -> SavedRun:
    if not all(name in table and table[name].size for name in INDEX):
        raise ValueError(f"'{folder / run_folder.METRICS}' is damaged: it has no rows, or not the columns of a run.")
    seeds, rows = np.unique(table["seed"], return_inverse=True)
    steps, columns = np.unique(table["steps"], return_inverse=True)
    metrics = {}
    for name in (name for name in table if name not in INDEX):
        metrics[name] = np.full((len(seeds), len(steps)), np.nan)
        metrics[name][rows, columns] = table[name]
    episodes = _episodes(folder, evaluated)
    return SavedRun(
        folder=folder,
        setting=setting,
        algorithm=str(settings["algorithm"].get("_target_", "unknown")).rpartition(".")[2],
        environment=str(settings.get("environment", "unknown")),
        steps=steps.astype(np.int64),
        metrics=metrics,
        episodes=episodes,
        diverged=_diverged(folder, len(seeds), episodes),
    )


def _read_table(path: Path) -> dict[str, NDArray[np.float64]]:
    """Column -> its numbers."""
    try:
        header, *lines = path.read_text(encoding="utf-8").splitlines()
        names = header.split(",")
        numbers = np.loadtxt(lines, delimiter=",", ndmin=2, converters=_number) if lines else np.empty((0, len(names)))
        return dict(zip(names, numbers.T, strict=True))
    except FileNotFoundError:
        raise FileNotFoundError(f"'{path}' is missing: the run has not reported anything.") from None
    except ValueError as error:
        raise ValueError(f"'{path}' is damaged and cannot be read ({' '.join(str(error).split())}).") from None


def _number(text: str) -> float:
    return float({"True": "1", "False": "0"}.get(text, text))


def _episodes(folder: Path, table: dict[str, NDArray[np.float64]] | None) -> dict[int, list[float]] | None:
    if table is None:
        return None
    if "seed" not in table or "return" not in table:
        raise ValueError(f"'{folder / run_folder.EVALUATION}' is damaged: it has not the columns of an evaluation.")
    return {int(seed): table["return"][table["seed"] == seed].tolist() for seed in np.unique(table["seed"])}


def _diverged(folder: Path, num_seeds: int, episodes: dict[int, list[float]] | None) -> list[int]:
    """The seeds that the evaluation leaves out; of a run without one, those that the summary names."""
    if episodes is not None:
        return [seed for seed in range(num_seeds) if not np.isfinite(episodes.get(seed, [np.nan])).all()]
    summary = folder / run_folder.SUMMARY
    text = summary.read_text(encoding="utf-8") if summary.exists() else ""
    return [int(seed) for seed in re.findall(r"seed (\d+) \(by iteration", text)]


def labels(runs: Sequence[SavedRun]) -> list[str]:
    """What tells `runs` apart: the algorithm, or the folder where an environment has several runs of one algorithm.

    Settings of a sweep go by what sets them apart, after the folder where there are several.
    """
    folders = {run.folder: run for run in runs}
    algorithms = Counter((run.environment, run.algorithm) for run in folders.values())
    names = Counter(folder.resolve().name for folder in folders)

    def label(run: SavedRun) -> str:
        name = run.folder.resolve().name
        whole = name if names[name] == 1 else str(run.folder)
        if algorithms[run.environment, run.algorithm] == 1:
            return run.setting or run.algorithm
        return f"{whole} {run.setting}".rstrip()

    return [label(run) for run in runs]


def marl_eval(runs: Sequence[SavedRun]) -> dict[str, Any]:
    """The runs in the JSON form of marl-eval: environment, task, algorithm, run, step (Gorsane et al. 2022).

    {"jaxrl": {"CartPole-v1": {"PPO": {"run_0": {"step_0": {"step_count": ..., "episode_return": [...]}, ...,
    "absolute_metrics": {"episode_return": [...]}}}}}}: all environments are tasks of one, so that they can be
    aggregated. A step holds the mean return since the report before, for the reports that every seed of every run has
    (marl-eval wants the same number from all); the absolute metrics hold the returns of the final evaluation, or where
    there was none the last step's. Seeds that diverged are left out. Raises ValueError where no report is in all runs.
    """
    measured = [run.steps[np.isfinite(run.curve()).all(axis=0)] for run in runs if run.kept]
    common = [int(step) for step in measured[0] if all(step in steps for steps in measured)] if measured else []
    if not common:
        raise ValueError("marl-eval needs reports at the same steps from all runs, and no step is in all of them.")
    tasks: dict[str, Any] = {}
    for label, run in zip(labels(runs), runs, strict=True):
        seeds = {
            f"run_{seed}": _marl_eval_seed(run, seed, values, common)
            for seed, values in zip(run.kept, run.curve(), strict=True)
        }
        tasks.setdefault(run.environment, {})[label] = seeds
    return {"jaxrl": tasks}


def _marl_eval_seed(run: SavedRun, seed: int, values: NDArray[np.float64], common: Sequence[int]) -> dict[str, Any]:
    name = curve_name(run.metrics)
    at_step = dict(zip(run.steps.tolist(), values.tolist(), strict=True))
    reports: dict[str, Any] = {
        f"step_{number}": {"step_count": step, name: [at_step[step]]} for number, step in enumerate(common)
    }
    final = [at_step[common[-1]]] if run.episodes is None else run.episodes[seed]
    return reports | {"absolute_metrics": {name: final}}
