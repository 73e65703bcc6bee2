"""Going on with a run from its folder, bit for bit as if it had never stopped."""

import dataclasses
import os
from pathlib import Path
from typing import Any, Literal

from jaxrl.algorithm import Algorithm
from jaxrl.engine import run_folder
from jaxrl.engine.checkpoints import newest_made_with
from jaxrl.engine.load import load_algorithm
from jaxrl.engine.options import Options, check_resumed
from jaxrl.engine.record import Run
from jaxrl.engine.run import carry_out
from jaxrl.engine.saving import check_same, made_with


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
    folder = Path(directory)
    settings = run_folder.read_settings(folder)
    if (folder / run_folder.SUMMARY).exists():
        raise ValueError(f"The run in '{folder}' came to its end; there is nothing to go on with.")
    chosen = load_algorithm(folder) if algorithm is None else algorithm
    options = dataclasses.replace(read_options(folder, settings), directory=str(folder), progress=progress)
    if devices != "same":
        options = dataclasses.replace(options, devices=devices)
    check_resumed(chosen, options)
    check_same(options, newest_made_with(folder), made_with(chosen, options), exact=exact)
    return carry_out(chosen, options, is_resumed=True)


def read_options(folder: Path, settings: dict[str, Any]) -> Options:
    """The options that the run began with; ValueError with one sentence where the settings are not those of a run."""
    found = settings.get("run")
    names = {field.name for field in dataclasses.fields(Options)}
    if not isinstance(found, dict) or set(found) != names:
        raise ValueError(
            f"'{folder / run_folder.SETTINGS}' does not hold the options of a run of this version, so it cannot go on."
        )
    return Options(**{**found, "log": tuple(found["log"])})
