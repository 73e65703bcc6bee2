"""`jaxrl train -m hydra/launcher=NAME ...`: a job for each combination of values, run by a launcher of Hydra."""

import subprocess
import sys
from collections.abc import Sequence
from typing import Any

import hydra
import jax
from hydra.core.config_store import ConfigStore

from jaxrl.cli.composition import compose_runs
from jaxrl.cli.distributed import WORD, is_for_hydra
from jaxrl.cli.train import algorithm_of, directory_of
from jaxrl.engine.run_folder import SUMMARY
from jaxrl.engine.sweep import folder_name

JOBS = "jaxrl_jobs"


def launch(words: Sequence[str]) -> int:
    """Give each combination of values in `words` to the launcher that they name; every job is a `jaxrl train`.

    Algorithms and environments are checked before the first begins. Hydra's own files go into jobs/ beside the folders
    of the runs. The status is 1 where a run did not come to an end.
    """
    for_hydra = [word for word in words if is_for_hydra(word)]
    own = [word for word in words if not is_for_hydra(word)]
    trained = [word for word in own if not word.startswith((WORD, "directory="))]
    directory = [word for word in own if word.startswith("directory=")]
    choices = compose_runs(trained + directory)
    jax.config.update("jax_platforms", "cpu")  # the devices are for the jobs
    for choice in choices:
        algorithm_of(choice)
    parent = directory_of(choices[0])
    folders = [parent / folder_name(choice.varied) if choice.varied else parent for choice in choices]
    shared = [word for word in own if word.partition("=")[0] not in {*choices[0].varied, "directory", "num_samples"}]
    jobs = [
        [*shared, *(f"{name}={value}" for name, value in choice.varied.items()), f"directory='{folder}'"]
        for choice, folder in zip(choices, folders, strict=True)
    ]
    ConfigStore.instance().store(JOBS, {"job": 0, "words": jobs})
    place = parent / "jobs" if len(folders) > 1 else parent.with_name(f"{parent.name}-jobs")
    ours = [f"hydra.sweep.dir='{place}'", "hydra.output_subdir=null", "hydra.job.name=jaxrl"]
    numbers = ",".join(map(str, range(len(jobs))))
    before, sys.argv = sys.argv, ["jaxrl", "--multirun", *ours, *for_hydra, f"job={numbers}"]
    try:
        hydra.main(version_base="1.3", config_path=None, config_name=JOBS)(job)()
    finally:
        sys.argv = before
    unfinished = [str(folder) for folder in folders if not (folder / SUMMARY).exists()]
    if unfinished:
        names = ", ".join(unfinished)
        print(f"jaxrl: {len(unfinished)} of {len(jobs)} runs did not come to an end: {names}", file=sys.stderr)
    return int(bool(unfinished))


def job(config: Any) -> None:
    """Train what the job's words say, in a process of its own, which says itself what goes wrong."""
    subprocess.run([sys.executable, "-m", "jaxrl", "train", *config.words[config.job]], check=False)
