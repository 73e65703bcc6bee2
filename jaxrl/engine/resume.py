"""Going on with a run from its folder, bit for bit as if it had never stopped."""

import dataclasses
import os
from pathlib import Path
from typing import Any, Literal

from jaxrl.algorithm import Algorithm
from jaxrl.engine import run_folder
from jaxrl.engine.checkpoints import newest_made_with
from jaxrl.engine.hosts import on_first
from jaxrl.engine.load import load_settings
from jaxrl.engine.made_with import check_same, made_with
from jaxrl.engine.options import Options, check_resumed
from jaxrl.engine.ranking import Ranked
from jaxrl.engine.record import Run
from jaxrl.engine.run import carry_out
from jaxrl.engine.sweep_folder import one_of_many, rank, unfinished
from jaxrl.settings import build_object


def resume(
    directory: str | os.PathLike[str],
    *,
    algorithm: Algorithm[Any] | None = None,
    devices: int | Literal["same"] | None = "same",
    exact: bool = True,
    progress: bool = True,
) -> Run:
    """Go on with the run in `directory` from its newest whole checkpoint, to the same bits as if it had never stopped.

    Args:
        directory: the folder of a run that did not come to its end.
        algorithm: the one that was trained, where the folder could not record it whole.
        devices: over how many devices the seeds are spread from here on; with another number than before, what
            follows agrees up to rounding.
        exact: refuse to go on with other versions or another kind of device, which would not give the same bits.
        progress: show on stderr how far the run is.

    Raises:
        FileNotFoundError, ValueError, TypeError, OSError: one sentence each.
        Interrupted: as `run`.
    """
    settings, options = to_resume(directory, algorithm, devices=devices, exact=exact, progress=progress)
    return carry_out(settings, options, is_resumed=True)


def resume_sweep(
    directory: str | os.PathLike[str],
    *,
    devices: int | Literal["same"] | None = "same",
    exact: bool = True,
    progress: bool = True,
) -> list[Ranked]:
    """Go on with all programs of the sweep in `directory` that have not come to their end, each as `resume` does.

    Gives the settings of the whole sweep, best mean return first, and writes them to sweep.csv; raises as `resume`.
    """
    folder = Path(directory)
    left = sweep_to_resume(folder, devices=devices, exact=exact, progress=progress)
    with one_of_many(folder):
        for settings, options in left:
            carry_out(settings, options, is_resumed=True)
    return on_first(lambda: rank(folder))


def sweep_to_resume(folder: Path, **chosen: Any) -> list[tuple[tuple[Algorithm[Any], ...], Options]]:
    """What `resume_sweep` goes on with; raises what it raises before it begins."""
    left = [to_resume(path, **chosen) for path in on_first(lambda: unfinished(folder))]
    if not left and on_first((folder / run_folder.SWEEP).exists):
        raise ValueError(f"The sweep in '{folder}' came to its end; there is nothing to go on with.")
    return left


def to_resume(
    directory: str | os.PathLike[str],
    algorithm: Algorithm[Any] | None = None,
    *,
    devices: int | Literal["same"] | None = "same",
    exact: bool = True,
    progress: bool = True,
) -> tuple[tuple[Algorithm[Any], ...], Options]:
    """What `resume` goes on with; raises what it raises before it begins."""
    folder = Path(directory)
    if on_first((folder / run_folder.PROGRAMS).exists):
        raise ValueError(f"'{folder}' holds a sweep of several programs; use resume_sweep, or name one of its folders.")
    settings = run_folder.read_settings(folder)
    if on_first((folder / run_folder.SUMMARY).exists):
        raise ValueError(f"The run in '{folder}' came to its end; there is nothing to go on with.")
    chosen = load_settings(folder, algorithm)
    options = dataclasses.replace(read_options(folder, settings), directory=str(folder), progress=progress)
    if devices != "same":
        options = dataclasses.replace(options, devices=devices)
    check_resumed(chosen[0], options)
    before = on_first(lambda: newest_made_with(folder))
    if before is None:  # it begins anew, and so may have other surroundings
        before, exact = {name: settings[name] for name in ("algorithm", "settings", "run") if name in settings}, False
    check_same(options, before, made_with(chosen, options), exact=exact)
    return chosen, options


def read_options(folder: Path, settings: dict[str, Any]) -> Options:
    """The options that the run began with; ValueError with one sentence where the settings are not those of a run."""
    found = settings.get("run")
    names = {field.name for field in dataclasses.fields(Options)}
    if not isinstance(found, dict) or set(found) != names:
        raise ValueError(
            f"'{folder / run_folder.SETTINGS}' does not hold the options of a run of this version, so it cannot go on."
        )
    return Options(**found | {"search": build_object(found["search"])})
