"""`jaxrl resume RUN`: go on with a run that was stopped."""

from collections.abc import Sequence
from typing import Any

import yaml

from jaxrl.cli.errors import UsageError, as_usage_error
from jaxrl.engine.cores import use_all_cores
from jaxrl.engine.plan import DoesNotFit
from jaxrl.engine.resume import to_resume
from jaxrl.engine.run import carry_out
from jaxrl.pytree import unknown_name

HELP = """\
jaxrl resume RUN [devices=NUMBER] [exact=true] [distributed=true]

Goes on with the run folder RUN from its newest whole checkpoint, bit for bit as if it had never stopped.

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
    with as_usage_error():
        settings_of_run, options = to_resume(folder, **settings)
    try:
        run = carry_out(settings_of_run, options, is_resumed=True)
    except (OSError, DoesNotFit) as error:
        raise UsageError(" ".join(str(error).split())) from error
    print(run, flush=True)
    return int(len(run.diverged) == len(run.population))
