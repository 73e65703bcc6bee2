"""Checkpoints: everything that it takes to go on bit for bit, written by Orbax beside the training.

A checkpoint holds the states of all agents (learner, replay, world), the reports so far, and what they were made with.
Of a population that is trained in waves it holds the states of the wave at work, and what those before it came to.
Orbax writes in the background, into a folder that gets its name only when it is complete: a kill at any moment leaves
the checkpoints before it as they were.
"""

import contextlib
import dataclasses
import json
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl.engine.hosts import on_first
from jaxrl.engine.reporting.report import Report
from jaxrl.engine.run_folder import CHECKPOINTS

MOST_OF_TIME = 0.05
"""The share of a run's time that waiting for checkpoints may take: where saving is slow, the next one is put off."""


@dataclasses.dataclass(frozen=True)
class Saved:
    """What a checkpoint gives back."""

    states: list[Any]
    """Of the chunks of the wave that was trained last."""
    reports: list[Report]
    """Of that wave."""
    population: dict[str, Any]
    """What a search has made of the population; empty where nothing searches."""
    finished: list[Any]
    """What the waves before it came to, as `FinishedWave.as_arrays` gave it."""
    seconds_training: float
    seconds_saving: float
    """Of the run until then, both."""
    skipped: list[str]
    """A sentence for each newer checkpoint that could not be read."""


class Checkpoints:
    """The newest `keep` checkpoints of the run in `folder`, each at least `every` seconds after the one before."""

    def __init__(
        self, folder: Path, *, keep: int, every: float, made_with: dict[str, Any], seconds: float = 0.0
    ) -> None:
        self._folder, self._keep, self._every, self._made_with = folder, keep, every, made_with
        self._manager: Any = None  # made by the first save
        self._newest: int | None = None
        self._last = time.perf_counter()
        self._cost = 0.0
        self.seconds = seconds
        """Spent waiting, all saves together; what is written in the background does not count."""

    @property
    def bytes_on_disk(self) -> int:
        """Of everything that is kept."""
        return sum(path.stat().st_size for path in (self._folder / CHECKPOINTS).rglob("*") if path.is_file())

    @property
    def is_due(self) -> bool:
        """Whether it is time to save: neither too soon, nor while the one before is being written."""
        waited = time.perf_counter() - self._last
        is_writing = self._manager is not None and self._manager.is_saving_in_progress()
        return waited >= max(self._every, self._cost / MOST_OF_TIME) and not is_writing

    def save(
        self, number: int, states: list[Any], reports: Sequence[Report], others: dict[str, Any], seconds_training: float
    ) -> None:
        """Save under `number`, `others` by their names; returns once the states may be used up.

        Raises OSError with one sentence where it fails.
        """
        import orbax.checkpoint as ocp

        items = {
            "states": ocp.args.StandardSave(jax.tree.map(_if_any, states)),
            "reports": ocp.args.StandardSave(as_arrays(reports)),
            "about": ocp.args.JsonSave(
                {
                    "made_with": self._made_with,
                    "seconds_training": seconds_training,
                    "seconds_saving": self.seconds,
                }
            ),
        }
        items |= {name: ocp.args.StandardSave(each) for name, each in others.items() if each}
        with self._waiting(number):
            self._manager = self._manager or _manager(self._folder, self._keep)
            if number in self._manager.all_steps():  # a damaged one, which was left out
                self._manager.delete(number)
            self._manager.save(number, args=ocp.args.Composite(**items), force=True)
        self._newest = number

    def close(self) -> None:
        """Wait until everything is written; raises as `save`."""
        if self._manager is None:
            return
        with self._waiting(self._newest):
            self._manager.wait_until_finished()
            self._manager.close()

    @contextlib.contextmanager
    def _waiting(self, number: int | None) -> Iterator[None]:
        began = time.perf_counter()
        try:
            yield
        except Exception as error:  # the storage below Orbax raises more than OSError
            raise OSError(
                f"The checkpoint at iteration {number} in '{self._folder / CHECKPOINTS}' could not be written "
                f"({_reason(error)}); those before it are whole: make room, then go on with jaxrl resume."
            ) from error
        self._last = time.perf_counter()
        self._cost = self._last - began
        self.seconds += self._cost


def has_checkpoint(folder: Path) -> bool:
    """Whether the run in `folder` has one, whole or damaged."""
    return bool(_numbers(folder))


def _numbers(folder: Path) -> list[int]:
    """Of the checkpoints of the run in `folder`, whole or damaged, the newest first."""
    saves = folder / CHECKPOINTS
    names = [path.name for path in saves.iterdir()] if saves.is_dir() else []
    return sorted((int(name) for name in names if name.isdecimal()), reverse=True)


Template = Callable[[int], list[Any]]
"""The form of the states in the checkpoint of that number: leaves `jax.ShapeDtypeStruct`, with a sharding."""


def restore_newest(folder: Path, template: Template) -> Saved:
    """The newest checkpoint of the run in `folder` that can be read; OSError with one sentence where none can be."""
    manager = _manager(folder, keep=None)
    skipped: list[str] = []
    for iteration in on_first(lambda: _numbers(folder)):
        try:
            return _restore(manager, iteration, template(iteration), skipped)
        except Exception as error:  # whatever is wrong with it, the one before may be whole
            if "RESOURCE_EXHAUSTED" in str(error):  # the device's memory, and nothing is wrong with it
                raise
            skipped.append(f"The checkpoint at iteration {iteration} is damaged and was left out ({_reason(error)}).")
    raise OSError(f"No checkpoint in '{folder / CHECKPOINTS}' can be read. {' '.join(skipped[:1])}".rstrip())


def damaged_checkpoints(folder: Path, template: Template) -> list[str]:
    """A sentence for each checkpoint of the run in `folder` that cannot be read; `template` as for `restore_newest`."""
    manager = _manager(folder, keep=None)
    found: list[str] = []
    for iteration in manager.all_steps():
        try:
            _restore(manager, iteration, template(iteration), [])
        except Exception as error:  # whatever is wrong with it
            found.append(f"The checkpoint at iteration {iteration} is damaged ({_reason(error)}).")
    return found


def newest_made_with(folder: Path) -> dict[str, Any] | None:
    """What the newest checkpoint that tells it was made with: settings, versions, device."""
    for iteration in _numbers(folder):
        with contextlib.suppress(OSError, json.JSONDecodeError, KeyError):
            text = (folder / CHECKPOINTS / str(iteration) / "about" / "metadata").read_text(encoding="utf-8")
            found: dict[str, Any] = json.loads(text)["made_with"]
            return found
    return None


def _manager(folder: Path, keep: int | None) -> Any:
    import orbax.checkpoint as ocp  # a second of importing, only for those who save or resume

    options = ocp.CheckpointManagerOptions(max_to_keep=keep, create=True, enable_async_checkpointing=True)
    return ocp.CheckpointManager(
        (folder / CHECKPOINTS).absolute(),
        options=options,
        item_names=("states", "reports", "population", "finished", "about"),
    )


def _restore(manager: Any, number: int, template: list[Any], skipped: list[str]) -> Saved:
    import orbax.checkpoint as ocp

    items = {
        "states": ocp.args.StandardRestore(jax.tree.map(_if_any, template)),
        "reports": ocp.args.StandardRestore(),
        "about": ocp.args.JsonRestore(),
    }
    folder = Path(manager.directory) / str(number)
    items |= {name: ocp.args.StandardRestore() for name in ("population", "finished") if (folder / name).is_dir()}
    found = manager.restore(number, args=ocp.args.Composite(**items))
    leaves = iter(jax.tree.leaves(found.states))
    return Saved(
        jax.tree.map(lambda leaf: next(leaves) if leaf.size else jnp.zeros(leaf.shape, leaf.dtype), template),
        as_reports(found.reports),
        jax.tree.map(np.asarray, found.population) if "population" in items else {},
        jax.tree.map(np.asarray, found.finished) if "finished" in items else [],
        found.about["seconds_training"],
        found.about.get("seconds_saving", 0.0),
        skipped,
    )


def _if_any(leaf: Any) -> Any:
    """`leaf`, or nothing where it has no entries: Orbax does not write such an array."""
    return leaf if leaf.size else None


def as_arrays(reports: Sequence[Report]) -> dict[str, Any]:
    """Reports of the same agents as one mapping of arrays."""
    return {
        "iteration": np.array([report.iteration for report in reports]),
        "steps": np.array([report.steps for report in reports]),
        "diverged_at": np.stack([report.diverged_at for report in reports]),
        "is_active": np.stack([report.is_active for report in reports]),
        "metrics": {name: np.stack([report.metrics[name] for report in reports]) for name in reports[0].metrics},
        "first": np.array(reports[0].first),
        "num_settings": np.array(reports[0].num_settings),
    }


def as_reports(arrays: Any) -> list[Report]:
    """The reverse of `as_arrays`."""
    arrays = jax.tree.map(np.asarray, arrays)
    return [
        Report(
            iteration=int(iteration),
            steps=int(arrays["steps"][row]),
            metrics={name: values[row] for name, values in arrays["metrics"].items()},
            diverged_at=arrays["diverged_at"][row],
            is_active=arrays["is_active"][row],
            first=int(arrays["first"]),
            num_settings=int(arrays["num_settings"]),
        )
        for row, iteration in enumerate(arrays["iteration"])
    ]


def _reason(error: BaseException) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
