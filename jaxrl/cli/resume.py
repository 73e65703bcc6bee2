"""`jaxrl resume RUN`: go on with a run that was stopped."""

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from jaxrl.cli.errors import UsageError, as_usage_error
from jaxrl.engine import run_folder
from jaxrl.engine.cores import use_all_cores
from jaxrl.engine.hosts import on_first
from jaxrl.engine.plan import DoesNotFit
from jaxrl.engine.ranking import table_lines
from jaxrl.engine.resume import sweep_to_resume, to_resume
from jaxrl.engine.run import carry_out
from jaxrl.engine.sweep_folder import one_of_many, rank
from jaxrl.pytree import unknown_name

HELP = """\
jaxrl resume RUN [devices=NUMBER] [exact=true] [distributed=true]

Goes on with the run folder RUN from its newest whole checkpoint, bit for bit as if it had never stopped; with the
folder of a sweep of several programs, goes on with each that has not come to its end.

  devices=2         spread the seeds over another number of devices from here on; results then agree up to rounding
  exact=false       go on with other versions, or on another kind of device, too
  progress=false    show nothing on the way
  distributed=true  over the devices of several processes, started as for jaxrl train

  jaxrl resume runs/ppo-CartPole-v1-20250101-120000
"""


def resume(arguments: Sequence[str]) -> int:
    """Go on with the run that `arguments` name."""
    if {"-h", "--help"} & set(arguments):
        print(HELP, end="")
        return 0
    if not arguments or arguments[0].startswith("-"):
        raise UsageError("jaxrl resume needs a run folder, as in jaxrl resume runs/NAME.")
    with as_usage_error():
        use_all_cores()
    folder, *words = arguments
    settings: dict[str, Any] = {}
    for word in words:
        name, _, value = word.partition("=")
        if name not in ("devices", "exact", "progress"):
            raise UsageError(unknown_name("There is no setting", name, ["devices", "exact", "progress"]))
        try:
            settings[name] = yaml.safe_load(value)
        except yaml.YAMLError:
            raise UsageError(f"{name} must be a number, true or false, got '{value}'.") from None
    if not isinstance(settings.get("exact", True), bool):
        raise UsageError(f"exact must be true or false, got '{settings['exact']}'.")
    is_sweep = on_first((Path(folder) / run_folder.PROGRAMS).exists)
    with as_usage_error():
        left = sweep_to_resume(Path(folder), **settings) if is_sweep else [to_resume(folder, **settings)]
    status = 0
    try:
        with one_of_many(Path(folder)) if is_sweep else contextlib.nullcontext():
            for settings_of_run, options in left:
                run = carry_out(settings_of_run, options, is_resumed=True)
                print(run, flush=True)
                status |= len(run.diverged) == len(run.population)
        if is_sweep:
            print("\n".join(table_lines(on_first(lambda: rank(Path(folder))))))
    except (OSError, DoesNotFit) as error:
        raise UsageError(" ".join(str(error).split())) from error
    return int(status)
