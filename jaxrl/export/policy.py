"""The policy that a run leaves behind, in forms that need no jaxrl."""

import os
from pathlib import Path
from typing import Any, Literal

import numpy as np

from jaxrl.algorithm import Algorithm
from jaxrl.engine.load import agent_of, load_algorithm, load_finite_policy
from jaxrl.engine.record import label_of
from jaxrl.engine.run_folder import num_settings
from jaxrl.export import numpy_file, onnx, stablehlo
from jaxrl.export.greedy import Greedy, greedy

FILES = {"stablehlo": ("policy.stablehlo",), "numpy": (numpy_file.SOURCE, numpy_file.WEIGHTS), "onnx": ("policy.onnx",)}
"""Form -> the files it consists of."""
FORMS = ("all", *FILES)


def export_policy(  # noqa: PLR0913  # options, each by name
    run: str | os.PathLike[str],
    directory: str | os.PathLike[str] | None = None,
    seed: int | Literal["best"] = "best",
    *,
    setting: int | None = None,
    form: str = "all",
    batch: int | None = None,
    algorithm: Algorithm[Any] | None = None,
) -> list[Path]:
    """Write the greedy policy of one seed of the run folder `run` in forms that need no jaxrl; returns the files.

    They go to `directory`, by default the folder `policy` of the run. All take and give batches, hold the weights and
    the normaliser, and give the actions as the environment takes them.

    - stablehlo: `policy.stablehlo`, for jax alone, on CPU, CUDA and TPU.
    - numpy: `policy.py` and `policy.npz`, for numpy alone.
    - onnx: `policy.onnx`, made by jax2onnx; form "all" leaves it out where that is not installed.

    A batch may have any size; a network of your own that asks for its size needs it as `batch`. `setting` and
    `algorithm` as in `jaxrl.load_policy`. Raises FileExistsError where a file is already there, and ValueError,
    TypeError, IndexError, ImportError or another OSError; one sentence each.
    """
    if form not in FORMS:
        raise ValueError(f"form must be one of {', '.join(FORMS)}, got {form!r}.")
    forms = [each for each in FILES if form == each or (form == "all" and (each != "onnx" or onnx.is_installed()))]
    folder = Path(run) / "policy" if directory is None else Path(directory)
    chosen = load_algorithm(run) if algorithm is None else algorithm
    count = num_settings(Path(run))
    number, place = divmod(agent_of(run, seed, setting), count)
    found = load_finite_policy(run, number, setting=place, algorithm=chosen)
    policy = greedy(found, chosen.env.observation_space, batch)
    if folder.exists() and not folder.is_dir():
        raise NotADirectoryError(f"'{folder}' is a file, not a folder; choose another folder.")
    held = [name for each in forms for name in FILES[each] if (folder / name).exists()]
    if held:
        raise FileExistsError(
            f"'{folder / held[0]}' is already there, and nothing is overwritten; choose another folder."
        )
    title = f"The greedy policy of {label_of(chosen)}, seed {number}" + (f" of setting {place}" if count > 1 else "")
    contents = [content for each in forms for content in _contents(each, policy, title)]
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / name for each in forms for name in FILES[each]]
    for path, content in zip(paths, contents, strict=True):
        _write(path, content)
    return paths


def _contents(form: str, policy: Greedy, title: str) -> tuple[Any, ...]:
    """What goes into the files of a form."""
    if form == "stablehlo":
        return (stablehlo.serialized(policy),)
    if form == "onnx":
        return (onnx.serialized(policy),)
    return numpy_file.source_and_weights(policy, title)


def _write(path: Path, content: Any) -> None:
    if isinstance(content, dict):
        with path.open("wb") as file:
            np.savez(file, **content)
    elif isinstance(content, str):
        path.write_text(content, encoding="utf-8")
    else:
        path.write_bytes(content)
