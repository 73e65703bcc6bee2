"""`jaxrl list`: what there is to train, and to train on."""

import sys
from collections.abc import Sequence

import yaml

from jaxrl.cli.composition import CONFIGS, algorithm_names, tuned_environments
from jaxrl.cli.errors import UsageError
from jaxrl.envs.registry import SUITES, is_installed, names
from jaxrl.settings import TARGET, import_class

HELP = """\
jaxrl list

Prints the algorithms, each with what it is, and the environments, each with the algorithms that are tuned for it. Both
are names for jaxrl train:

  jaxrl train algorithm=dqn env=Catch-bsuite
"""


def show_list(arguments: Sequence[str]) -> int:
    """Print the algorithms, each with its purpose, and the environments, each with the algorithms tuned for it."""
    from importlib import resources

    if {"-h", "--help"} & set(arguments):
        print(HELP, end="")
        return 0
    if arguments:
        raise UsageError(f"jaxrl list takes no settings, got '{arguments[0]}'.")
    algorithms = algorithm_names()
    width = max(map(len, [*algorithms, *names()]))
    print("Algorithms (algorithm=...)")
    for name in algorithms:
        text = (resources.files(CONFIGS) / "algorithm" / f"{name}.yaml").read_text(encoding="utf-8")
        cls = import_class(yaml.safe_load(text)[TARGET])
        title = (sys.modules[cls.__module__].__doc__ or "").strip().splitlines()[0]
        purpose = title.partition(" (")[0].rstrip(".")  # what follows is the citation
        print(f"  {name:<{width}}  {purpose}")
    tuned = {name: tuned_environments(name) for name in algorithms}
    print("\nEnvironments (env=...), and the algorithms with settings tuned for them")

    def show(env: str) -> None:
        print(f"  {env:<{width}}  {', '.join(name for name in algorithms if env in tuned[name])}".rstrip())

    for env in names():
        show(env)
    print("\nEnvironments of other packages")
    for suite, meaning in SUITES.items():
        missing = "" if is_installed(suite) else f'; pip install "jaxrl[{suite}]"'
        print(f"  {f'{suite}/NAME':<{width}}  {meaning}{missing}")
        for env in sorted({env for found in tuned.values() for env in found if env.startswith(f"{suite}/")}):
            show(env)
    return 0
