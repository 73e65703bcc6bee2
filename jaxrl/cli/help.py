"""What `jaxrl train --help` prints: the settings as they would be used, with what they mean."""

import ast
import dataclasses
import inspect
import itertools
import textwrap
from collections.abc import Iterator
from typing import Any

from jaxrl.cli.composition import Choice
from jaxrl.settings import TARGET, import_class

EXAMPLES = """\
jaxrl train [name=value ...]

  jaxrl train
  jaxrl train env=Acrobot-v1 seeds=4 env.max_steps=200
  jaxrl train algorithm=a2c algorithm.learning_rate=1e-3 algorithm.hidden_sizes=[128,128]
  jaxrl train algorithm.total_steps=1e6 directory=runs/long
  jaxrl train algorithm.learning_rate=1e-4,3e-4,1e-3 seeds=64           a sweep: one program, a ranked table
  jaxrl train algorithm.learning_rate='tag(log,interval(1e-5,1e-2))' num_samples=256
  jaxrl train algorithm.learning_rate='tag(log,interval(1e-6,1e-3))' num_samples=32 search=pbt
  jaxrl train algorithm=ppo,a2c env=CartPole-v1,Acrobot-v1               four programs, one after another

Comma-separated values are tried each with each. Those that differ in numbers alone train as one program.

  --settings       print the settings that a run would have, and stop
  -h, --help       this page; with algorithm=... and env=... for those

distributed=true makes one run over the devices of several processes, each started with the same words. JAX finds them
under SLURM, Open MPI and GKE and on TPU pods; elsewhere each needs JAX_COORDINATOR_ADDRESS=HOST:PORT, JAX_NUM_PROCESSES
and JAX_PROCESS_ID. With -m, hydra/launcher=joblib (or another one of Hydra's that is installed) makes a job of each
combination.

`jaxrl list` names the algorithms and environments. Settings tuned for an algorithm and an environment together are
used where there are some; what stands on the command line wins.
"""

RUN_SETTINGS = {
    "algorithm": "see jaxrl list",
    "env": "see jaxrl list; its own settings as env.NAME=value",
    "seeds": "agents, trained side by side",
    "num_samples": "how often settings that are given as interval(low,high) are drawn",
    "seed": "what all randomness comes from",
    "prng": "threefry2x32, rbg or unsafe_rbg; null: JAX's default, the first",
    "deterministic": "the same bits in every run on a GPU too, more slowly",
    "devices": "how many devices to use; null: all, as far as there are seeds for them",
    "devices_per_agent": "how many share the environments of one agent; null: one, for one seed all of devices",
    "max_memory": "GiB of each device to use; null: nine tenths of what is free",
    "directory": "a new folder; null: runs/<algorithm>-<env>-<time>",
    "num_reports": "rows of each metric",
    "eval_episodes": "greedy episodes per agent at the end",
    "eval_every": "play them also after every so many reports; null: at the end alone",
    "target_return": "a seed that reaches it trains no further; null: no target",
    "progress": "show how far the run is",
    "log": "besides metrics.csv: some of [jsonl,tensorboard,wandb]",
    "log_seeds": "a stream of tensorboard or wandb for each seed",
    "profile": "trace a stretch of training into profile/",
    "checkpoint_every": "seconds between two checkpoints at the least; null: none",
    "keep_checkpoints": "how many of the newest are kept",
    "search": "change the settings of a sweep while it trains: pbt or halving",
    "checkpoint_replay": "false: small checkpoints without replays, from which a run goes on approximately",
}


def train_help(choice: Choice) -> str:
    """The page for the algorithm and the environment of `choice`."""
    settings = dict(choice.settings)
    algorithm, env, search = settings.pop("algorithm"), dict(settings.pop("env")), settings["search"]
    values = {"algorithm": choice.algorithm, "env": env.pop("name"), **settings}
    values |= {f"env.{name}": value for name, value in env.items()}
    lines = [EXAMPLES, "A run:"]
    if search is not None:
        values["search"] = import_class(search[TARGET]).__name__
    lines += _rows(values, RUN_SETTINGS)
    if search is not None:
        lines += ["", f"{values['search']}:", *_fields("search", search)]
    lines += ["", f"{import_class(algorithm[TARGET]).__name__} on {values['env']}:", *_fields("algorithm", algorithm)]
    return "\n".join(lines) + "\n"


def _fields(name: str, settings: dict[str, Any]) -> Iterator[str]:
    """The lines of what has a class of its own."""
    cls = import_class(settings[TARGET])
    fields = [field for field in dataclasses.fields(cls) if field.init and field.name not in ("env", "axis", "bounds")]
    values = {field.name: field.default for field in fields if field.default is not dataclasses.MISSING} | settings
    meanings = _meanings(cls)
    own = [field for field in values if field != TARGET]
    return _rows(
        {f"{name}.{field}": values[field] for field in own},
        {f"{name}.{field}": meanings.get(field, "") for field in own},
    )


def _rows(values: dict[str, Any], meanings: dict[str, str]) -> Iterator[str]:
    for name, value in values.items():
        shown = "null" if value is None else str(value).lower() if isinstance(value, bool) else f"{value}"
        shown = shown.replace("(", "[").replace(")", "]").replace(" ", "").replace(",]", "]")
        yield f"  {f'{name}={shown}':<46} {meanings.get(name, '')}".rstrip()


def _meanings(cls: type[Any]) -> dict[str, str]:
    """The first line of the text below each field, in the source of the class or of the one that declares it."""
    meanings: dict[str, str] = {}
    for declaring in reversed(cls.__mro__[:-1]):
        body = ast.parse(textwrap.dedent(inspect.getsource(declaring))).body[0]
        assert isinstance(body, ast.ClassDef)
        for statement, after in itertools.pairwise(body.body):
            if not (isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name)):
                continue
            if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant):
                meanings[statement.target.id] = str(after.value.value).strip().splitlines()[0]
    return meanings
