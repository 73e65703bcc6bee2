"""`jaxrl check [ENV or RUN]`: whether the installation, an environment or a run folder is sound."""

import importlib.util
from collections.abc import Sequence
from pathlib import Path

from jaxrl.cli.errors import UsageError, as_usage_error
from jaxrl.envs.registry import names
from jaxrl.pytree import unknown_name

HELP = """\
jaxrl check [ENV or RUN]

Without an argument: what is installed, which devices JAX has, and whether a short training runs on them.
ENV, a name of jaxrl list: plays the environment at random under jit, scan and vmap, and says what is wrong with it.
RUN, a run folder: reads settings, metrics, policies, evaluation and every checkpoint, and says what is damaged.
The status is 1 where something is wrong.

  jaxrl check
  jaxrl check CartPole-v1
  jaxrl check runs/ppo-CartPole-v1-20250101-120000
"""
EXTRAS = {"onnx": "jax2onnx", "tensorboard": "tensorboardX", "video": "av", "wandb": "wandb"}
"""Extra -> the package that it brings."""


def check(arguments: Sequence[str]) -> int:
    """Check what `arguments` name; the status is 1 where something is wrong."""
    if {"-h", "--help"} & set(arguments):
        print(HELP, end="")
        return 0
    if len(arguments) > 1:
        raise UsageError(f"jaxrl check takes one environment or one run folder, got {' '.join(arguments)}.")
    if not arguments:
        return _check_installation()
    (what,) = arguments
    if what in names():
        return _check_environment(what)
    if not Path(what).is_dir():
        raise UsageError(unknown_name("There is no run folder and no environment", what, names()))
    return _check_run(Path(what))


def _check_installation() -> int:
    import jax

    from jaxrl.engine.compilation import cache_directory
    from jaxrl.engine.run_folder import versions
    from jaxrl.memory import device_bytes, size

    found = versions()
    missing = [extra for extra, package in EXTRAS.items() if importlib.util.find_spec(package) is None]
    cache = cache_directory()
    device = jax.devices()[0]
    print(f"  versions   {', '.join(f'{name} {version}' for name, version in found.items())}")
    print(f"  devices    {jax.device_count()} x {device.device_kind}, {size(device_bytes())} of memory")
    print(f"  programs   {f'kept in {cache}' if cache else 'not kept: no folder can be written; set JAXRL_CACHE'}")
    print(f"  extras     {', '.join(extra for extra in EXTRAS if extra not in missing) or 'none'}")
    for extra in missing:
        print(f"             not installed: {extra} (pip install 'jaxrl[{extra}]')")
    return _report(_training_problems())


def _training_problems() -> list[str]:
    """Train PPO for two iterations on the default device."""
    import jaxrl

    ppo = jaxrl.PPO("CartPole-v1", num_envs=8, num_steps=16, total_steps=256)
    run = jaxrl.run(ppo, seeds=2, eval_episodes=4, progress=False)
    print(f"  training   {run.iteration} iterations of PPO on CartPole-v1, {run.timing.compiling:.1f} s of compiling")
    return [f"Seed {seed} of a short training holds NaN or infinity." for seed in run.diverged]


def _check_environment(name: str) -> int:
    from jaxrl.envs.check import check_env

    with as_usage_error():
        report = check_env(name)
    print(report)
    return int(bool(report))


def _check_run(folder: Path) -> int:
    from jaxrl.engine.check_run import check_run

    with as_usage_error():
        problems, notes = check_run(folder)
    for note in notes:
        print(f"  {note}")
    return _report(problems)


def _report(problems: Sequence[str]) -> int:
    print("\n".join(f"- {problem}" for problem in problems) if problems else "No problems found.")
    return int(bool(problems))
