"""The folder of a run: what was set, what was measured, and the policies that came of it. Plain formats only."""

import contextlib
import csv
import datetime
import importlib.metadata
import importlib.util
import os
import platform
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
import yaml

SETTINGS, METRICS, EVALUATION = "settings.yaml", "metrics.csv", "evaluation.csv"
POLICIES, LEARNING_CURVE, SUMMARY = "policies.npz", "learning_curve.png", "summary.txt"
JSON_LINES, CHECKPOINTS, PROFILE = "metrics.jsonl", "checkpoints", "profile"
SWEEP, PROGRAMS = "sweep.csv", "programs.yaml"
FILES = (SETTINGS, METRICS, EVALUATION, POLICIES, LEARNING_CURVE, SUMMARY, JSON_LINES, CHECKPOINTS, SWEEP, PROGRAMS)


def check_new(directory: str | os.PathLike[str]) -> Path:
    """The path of a folder that a new run may have.

    Raises FileExistsError where it already holds a run, which is never overwritten, and NotADirectoryError or
    PermissionError where it cannot be made or written; one sentence each.
    """
    if not isinstance(directory, (str, os.PathLike)):
        raise TypeError(f"directory must be a path, got {directory!r}.")
    folder = Path(directory)
    existing = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not existing.is_dir():
        raise NotADirectoryError(f"'{existing}' is a file, not a directory; choose another directory.")
    check_writable(existing)
    held = [name for name in FILES if (folder / name).exists()]
    if held:
        raise FileExistsError(
            f"The directory '{folder}' already holds a run ({held[0]}), and nothing is overwritten; "
            "choose another directory."
        )
    return folder


def check_writable(folder: Path) -> None:
    """Raise PermissionError with one sentence where nothing can be written into `folder`."""
    if not os.access(folder, os.W_OK | os.X_OK):
        raise PermissionError(f"The directory '{folder}' cannot be written; choose another directory.")


@contextlib.contextmanager
def held(folder: Path | None) -> Iterator[None]:
    """Keep other processes from writing the run in `folder`; OSError with one sentence where one does so already.

    The lock is the operating system's, and goes with the process however it ends; Windows has none of the kind.
    """
    if folder is None or importlib.util.find_spec("fcntl") is None:
        yield
        return
    import fcntl

    with (folder / SETTINGS).open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise OSError(f"Another process is at work on the run in '{folder}'; wait for it, or stop it.") from None
        yield


def create(directory: str | os.PathLike[str]) -> Path:
    """Make the folder of a new run, with its parents; raises as `check_new`, or OSError with one sentence."""
    folder = check_new(directory)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / SETTINGS).touch(exist_ok=False)
    except OSError as error:
        reason = error.strerror or str(error)
        raise type(error)(f"The directory '{folder}' cannot be written ({reason}); choose another directory.") from None
    return folder


def settings_text(settings: Mapping[str, Any]) -> str:
    """`settings` in their order, as YAML, with the moment, the versions and the device that they ran with."""
    device = jax.devices()[0]
    surroundings = {
        "began": datetime.datetime.now(datetime.UTC).isoformat(),
        "versions": versions(),
        "device": {"platform": device.platform, "kind": device.device_kind, "count": jax.device_count()},
    }
    return yaml.safe_dump({**settings, **surroundings}, sort_keys=False, allow_unicode=True, width=120)


def versions() -> dict[str, str]:
    """Of Python and of the packages whose numbers can change a result."""
    found = {"python": platform.python_version()}
    for package in ("jaxrl", "jax", "jaxlib", "flax", "optax", "gymnax", "numpy"):
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            found[package] = "not installed"
    return found


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """What goes wrong while `path` is written becomes an OSError with one sentence."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise OSError(
            f"'{path}' could not be written ({reason}); make room, then go on with `jaxrl resume {path.parent}`."
        ) from error


def append_rows(path: Path, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Add `rows` to a CSV file, which gets its `header` first; they are on disk when this returns."""
    is_new = not path.exists()
    with writing(path), path.open("a", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        if is_new:
            writer.writerow(header)
        writer.writerows(rows)


def leaf_names(tree: Any) -> list[str]:
    """Where each leaf of `tree` stands, as `params/params/actor/Dense_0/kernel`."""
    paths = [path for path, _ in jax.tree_util.tree_flatten_with_path(tree)[0]]
    return [jax.tree_util.keystr(path, simple=True, separator="/") for path in paths]


def write_policies(folder: Path, *policies: Any) -> None:
    """Save policies, each a pytree whose leaves have the seeds as their first axis, as plain arrays by their path."""
    arrays: dict[str, Any] = {}
    for policy in policies:
        arrays |= dict(zip(leaf_names(policy), map(np.asarray, jax.tree.leaves(policy)), strict=True))
    with writing(folder / POLICIES), (folder / POLICIES).open("wb") as file:
        np.savez(file, **arrays)


def read_settings(folder: Path) -> dict[str, Any]:
    """The settings of a finished or broken run; one sentence (FileNotFoundError, ValueError) where there are none."""
    try:
        settings = yaml.safe_load((folder / SETTINGS).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise FileNotFoundError(f"'{folder}' holds no run: {SETTINGS} is missing.") from None
    except NotADirectoryError:
        raise FileNotFoundError(f"'{folder}' is a file; name the folder of a run.") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"'{folder / SETTINGS}' is damaged and cannot be read ({reason}).") from None
    if not isinstance(settings, dict) or not isinstance(settings.get("algorithm"), dict):
        raise ValueError(f"'{folder / SETTINGS}' is damaged: it names no algorithm.")
    return settings


def num_settings(folder: Path) -> int:
    """How many settings of the algorithm the run has: 1, or those of a sweep."""
    return len(read_settings(folder).get("settings") or [{}]) if (folder / SETTINGS).exists() else 1


def read_policies(folder: Path, template: Any) -> Any:
    """The policies of all seeds, numpy leaves [S, ...], in the form of `template`, one policy's pytree of shapes.

    Raises FileNotFoundError, or ValueError where the file is damaged or was made by another network.
    """
    path = folder / POLICIES
    leaves, structure = jax.tree.flatten(template)
    names = leaf_names(template)
    arrays = _read_arrays(path, names)
    for name, array, leaf in zip(names, arrays, leaves, strict=True):
        if array.shape[1:] != leaf.shape:
            raise ValueError(
                f"'{path}' does not fit the algorithm: '{name}' has the shape {array.shape[1:]}, and {leaf.shape} is "
                "needed; was the network another one?"
            )
    typed = [
        array.view(leaf.dtype) if array.dtype.kind == "V" else array.astype(leaf.dtype, copy=False)
        for array, leaf in zip(arrays, leaves, strict=True)  # numpy stores bfloat16 as bytes of kind V
    ]
    return jax.tree.unflatten(structure, typed)


def _read_arrays(path: Path, names: Sequence[str]) -> list[Any]:
    try:
        with path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
            missing = [name for name in names if name not in file.files]
            arrays = [] if missing else [file[name] for name in names]
    except FileNotFoundError:
        raise FileNotFoundError(f"'{path}' is missing: the run did not come to its end.") from None
    except (zipfile.BadZipFile, ValueError, OSError, EOFError) as error:
        raise ValueError(f"'{path}' is damaged and cannot be read ({' '.join(str(error).split())}).") from None
    if missing:
        raise ValueError(f"'{path}' does not fit the algorithm: it has no '{missing[0]}'; was the network another one?")
    return arrays


def read_returns(folder: Path) -> dict[int, float]:
    """The mean return of each agent's final evaluation; one sentence (FileNotFoundError, ValueError) where it lacks.

    In a sweep of K settings agent `seed * K + setting` has that seed and that setting.
    """
    path = folder / EVALUATION
    count = num_settings(folder)
    returns: dict[int, list[float]] = {}
    try:
        with path.open(newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                agent = int(row["seed"]) * count + int(row.get("setting", 0))
                returns.setdefault(agent, []).append(float(row["return"]))
    except FileNotFoundError:
        raise FileNotFoundError(f"'{path}' is missing: the run was not evaluated; name a seed by its number.") from None
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"'{path}' is damaged and cannot be read ({error!r}).") from None
    return {seed: float(np.mean(values)) for seed, values in returns.items()}
