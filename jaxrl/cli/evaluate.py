"""`jaxrl evaluate RUN`: play with every saved policy of a run folder."""

from collections.abc import Sequence

import numpy as np

from jaxrl.analysis.statistics import bootstrap_interval
from jaxrl.cli.errors import UsageError, as_usage_error
from jaxrl.engine.load import evaluate_saved
from jaxrl.engine.play import play_saved
from jaxrl.engine.record import incomplete, return_with_interval
from jaxrl.pytree import unknown_name

HELP = """\
jaxrl evaluate RUN [episodes=128] [seed=0] [gymnasium=true]

Plays greedy episodes with the saved policy of every seed of the run folder RUN, and prints the mean return over seeds
with its 95 % bootstrap interval. Nothing in the folder changes. `seed` is that of the evaluation.

  gymnasium=true   play in the Gymnasium environment of the same name, with Gymnasium's own rules and settings
  gymnasium=NAME   play in that one; package:NAME imports the package first, for it to register the name

  jaxrl evaluate runs/ppo-CartPole-v1-20250101-120000 episodes=1000
  jaxrl evaluate runs/ppo-CartPole-v1-20250101-120000 gymnasium=true
"""


def evaluate(arguments: Sequence[str]) -> int:
    """Evaluate the run that `arguments` name."""
    if {"-h", "--help"} & set(arguments):
        print(HELP, end="")
        return 0
    if not arguments:
        raise UsageError("jaxrl evaluate needs a run folder, as in jaxrl evaluate runs/NAME.")
    for word in arguments:
        if word.startswith("-"):
            raise UsageError(f"There is no option '{word}'; see jaxrl evaluate --help.")
    folder, *words = arguments
    numbers, gymnasium = {"episodes": 128, "seed": 0}, "false"
    for word in words:
        name, _, value = word.partition("=")
        if name == "gymnasium":
            gymnasium = value
            continue
        if name not in numbers:
            raise UsageError(unknown_name("There is no setting", name, [*numbers, "gymnasium"]))
        if not value.isdecimal() or (name == "episodes" and int(value) == 0):
            raise UsageError(
                f"{name} must be a whole number of at least {1 if name == 'episodes' else 0}, got '{value}'."
            )
        numbers[name] = int(value)
    with as_usage_error():
        if gymnasium == "false":
            episodes = evaluate_saved(folder, num_episodes=numbers["episodes"], seed=numbers["seed"])
        else:
            env = None if gymnasium == "true" else gymnasium
            episodes = play_saved(folder, env, num_episodes=numbers["episodes"], seed=numbers["seed"])
    returns = np.asarray(episodes.returns, np.float64).mean(axis=1)
    finite = returns[np.isfinite(returns)]
    if finite.size:
        print(f"  return     {return_with_interval(bootstrap_interval(finite), len(finite), numbers['episodes'])}")
    if finite.size < returns.size:
        seeds = ", ".join(f"seed {seed}" for seed in np.flatnonzero(~np.isfinite(returns)))
        print(f"  diverged   NaN or infinity in the policy of {seeds}; left out of the return")
    for line in incomplete(np.asarray(episodes.completed)):
        print(line)
    return 0
