"""What decides the bits of a run, as its checkpoints tell it and as a resumed run is held to it."""

from collections.abc import Sequence
from typing import Any

import jax

from jaxrl.algorithm import Algorithm
from jaxrl.engine import run_folder
from jaxrl.engine.options import Options
from jaxrl.engine.population import described


def made_with(settings: Sequence[Algorithm[Any]], options: Options) -> dict[str, Any]:
    """What decides the bits of a run, as plain data."""
    names = ["seeds", "seed", "prng", "deterministic", "num_reports"]
    names += ["eval_episodes", "eval_every", "target_return", "search", "checkpoint_replay"]
    run = {name: value for name, value in options.as_settings().items() if name in names}
    return {
        **described(settings),
        "run": run,
        "versions": run_folder.versions(),
        "device": jax.devices()[0].device_kind,
    }


def check_same(options: Options, before: dict[str, Any], now: dict[str, Any], *, exact: bool) -> None:
    """Refuse other settings than those of the run so far, and where it is to be exact other surroundings."""
    folder = options.folder
    if before.get("settings") != now.get("settings"):
        raise ValueError(f"The run in '{folder}' was made with other settings of its agents; begin a new run.")
    for group in ("algorithm", "run"):
        for name, value in now[group].items():
            if before[group].get(name) != value:
                raise ValueError(
                    f"The run in '{folder}' was made with {name}={before[group].get(name)!r}, and now it is {value!r}: "
                    "a run goes on with its own settings; change it back, or begin a new run."
                )
    if not exact:
        return
    then = {**before["versions"], "device": before["device"]}
    for name, value in {**now["versions"], "device": now["device"]}.items():
        if then.get(name) != value:
            raise ValueError(
                f"The run in '{folder}' was made with {name} {then.get(name)}, and this is {name} {value}, so it would "
                "not go on to the same bits; go back to that one, or say exact=false to go on all the same."
            )
