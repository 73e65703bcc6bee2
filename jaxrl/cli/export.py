"""`jaxrl export RUN`: the policy of a run folder for use without jaxrl."""

from collections.abc import Sequence
from typing import Any

from jaxrl.cli.errors import UsageError, as_usage_error
from jaxrl.export.policy import export_policy
from jaxrl.pytree import unknown_name

HELP = """\
jaxrl export RUN [seed=best] [output=RUN/policy] [form=all] [batch=NUMBER]

Writes the greedy policy of one seed of the run folder RUN, with its normaliser, in forms that need no jaxrl. Each takes
a batch of observations and gives the actions as the environment takes them.

  form=stablehlo   policy.stablehlo, one file for jax alone, on CPU, CUDA and TPU
  form=numpy       policy.py and policy.npz, for numpy alone; policy.py says how to use it
  form=onnx        policy.onnx, for onnxruntime and others; needs pip install 'jaxrl[onnx]'
  form=all         all of them; onnx only where its converter is installed
  seed=3           that seed, and not the one with the highest return
  batch=1          for a network of your own that asks for the size of its batch

  jaxrl export runs/ppo-CartPole-v1-20250101-120000 form=numpy output=robot
"""
SETTINGS = ("seed", "setting", "output", "form", "batch")


def export(arguments: Sequence[str]) -> int:
    """Write the policy that `arguments` name."""
    if {"-h", "--help"} & set(arguments):
        print(HELP, end="")
        return 0
    if not arguments or arguments[0].startswith("-"):
        raise UsageError("jaxrl export needs a run folder, as in jaxrl export runs/NAME.")
    folder, *words = arguments
    settings: dict[str, Any] = {}
    for word in words:
        name, _, value = word.partition("=")
        if name not in SETTINGS:
            raise UsageError(unknown_name("There is no setting", name, SETTINGS))
        settings[name] = (
            _number(name, value) if name in ("batch", "setting") or (name == "seed" and value != "best") else value
        )
    with as_usage_error():
        paths = export_policy(folder, settings.pop("output", None), settings.pop("seed", "best"), **settings)
    for path in paths:
        print(f"  {path}  {path.stat().st_size:,} bytes")
    return 0


def _number(name: str, value: str) -> int:
    least = 1 if name == "batch" else 0
    if not value.isdecimal() or int(value) < least:
        other = " or best" if name == "seed" else ""
        raise UsageError(f"{name} must be a whole number of at least {least}{other}, got '{value}'.")
    return int(value)
