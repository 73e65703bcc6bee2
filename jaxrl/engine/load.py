"""A finished run as it comes back from its folder."""

import dataclasses
import os
from pathlib import Path
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from jaxrl.algorithm import Algorithm, Policy
from jaxrl.engine import run_folder
from jaxrl.engine.compilation import disk_cache
from jaxrl.engine.evaluate import Episodes, evaluate
from jaxrl.engine.parallel import over_agents
from jaxrl.engine.population import Population, with_values
from jaxrl.settings import build_object, is_complete


def load_policy(
    directory: str | os.PathLike[str],
    seed: int | Literal["best"] = 0,
    *,
    setting: int | None = None,
    greedy: bool = True,
    algorithm: Algorithm[Any] | None = None,
) -> Policy:
    """The trained policy of one seed of the run in `directory`, with its normaliser; "best" is the best evaluated one.

    Of a sweep, `setting` is the number of one of its settings; without it "best" is the best of them all.

    The algorithm is built again from the saved settings. Where it holds something that no file can name (an
    environment or a network defined in a script), pass the `algorithm` that was trained.
    Raises FileNotFoundError, ValueError, IndexError or TypeError with one sentence each.
    """
    folder = Path(directory)
    policies = load_policies(folder, greedy=greedy, algorithm=algorithm)
    agent = agent_of(folder, seed, setting)
    num_agents = len(jax.tree.leaves(policies)[0])
    if not 0 <= agent < num_agents:
        num_seeds = num_agents // run_folder.num_settings(folder)
        raise IndexError(f"The run in '{folder}' has the seeds 0 to {num_seeds - 1}, got seed {seed}.")
    return jax.tree.map(lambda leaf: jnp.asarray(leaf[agent]), policies)


def load_finite_policy(
    directory: str | os.PathLike[str],
    seed: int,
    *,
    setting: int | None = None,
    algorithm: Algorithm[Any] | None = None,
) -> Policy:
    """The greedy policy as `load_policy` gives it; ValueError where it holds NaN or infinity."""
    policy = load_policy(directory, seed, setting=setting, algorithm=algorithm)
    if not is_finite(jax.tree.map(lambda leaf: leaf[None], policy)).all():
        raise ValueError(
            f"Seed {seed} of the run in '{directory}' diverged: its policy holds NaN or infinity; name another."
        )
    return policy


def agent_of(directory: str | os.PathLike[str], seed: int | Literal["best"], setting: int | None) -> int:
    """The number of an agent among all of the run; "best" by the final evaluation, of `setting` or of all."""
    count = run_folder.num_settings(Path(directory))
    if setting is not None and not 0 <= setting < count:
        raise IndexError(f"The run in '{directory}' has the settings 0 to {count - 1}, got setting {setting}.")
    if seed == "best":
        return best_seed(directory, setting)
    if isinstance(seed, bool) or not isinstance(seed, int):
        raise TypeError(f"seed must be a number or 'best', got {seed!r}.")
    if setting is None and count > 1:
        raise ValueError(f"The run in '{directory}' is a sweep of {count} settings; name the setting of seed {seed}.")
    return seed * count + (setting or 0)


def best_seed(directory: str | os.PathLike[str], setting: int | None = None) -> int:
    """The agent whose final evaluation has the highest mean return, of `setting` or of all.

    Raises ValueError or FileNotFoundError where there is none.
    """
    returns, count = run_folder.read_returns(Path(directory)), run_folder.num_settings(Path(directory))
    returns = {agent: mean for agent, mean in returns.items() if setting is None or agent % count == setting}
    if not returns:
        raise ValueError(
            f"The run in '{directory}' has no evaluated seed that did not diverge; name a seed by its number."
        )
    return max(returns, key=lambda seed: np.nan_to_num(returns[seed], nan=-np.inf))


def load_policies(
    directory: str | os.PathLike[str], *, greedy: bool = True, algorithm: Algorithm[Any] | None = None
) -> Any:
    """The policies of all seeds as one pytree, numpy leaves [S, ...]; see `load_policy`."""
    folder = Path(directory)
    chosen = load_algorithm(folder) if algorithm is None else algorithm
    template = jax.eval_shape(lambda key: chosen.policy(chosen.init(key), greedy), jax.random.key(0))
    return run_folder.read_policies(folder, template)


def load_algorithm(directory: str | os.PathLike[str]) -> Algorithm[Any]:
    """The algorithm of the run in `directory`, with its environment, built again from the saved settings."""
    folder = Path(directory)
    settings = run_folder.read_settings(folder)["algorithm"]
    where = folder / run_folder.SETTINGS
    if not is_complete(settings):
        raise TypeError(
            f"'{where}' could not record everything about the algorithm, because its environment or its network is "
            "defined where no other program can import it; pass algorithm=, the one that was trained."
        )
    try:
        return build_object(settings)
    except (TypeError, ValueError) as error:
        raise type(error)(f"'{where}' does not describe an algorithm of this version: {error}") from None


def load_settings(
    directory: str | os.PathLike[str], algorithm: Algorithm[Any] | None = None
) -> tuple[Algorithm[Any], ...]:
    """The settings of the run in `directory`: one algorithm, or in a sweep one for each of its settings.

    `algorithm` is the first of them, where the folder could not record it whole.
    """
    algorithm = load_algorithm(directory) if algorithm is None else algorithm
    values = run_folder.read_settings(Path(directory)).get("settings") or [{}]
    return tuple(with_values(algorithm, build_object(each)) for each in values)


def evaluate_saved(
    directory: str | os.PathLike[str],
    *,
    num_episodes: int = 128,
    seed: int = 0,
    algorithm: Algorithm[Any] | None = None,
) -> Episodes:
    """Play greedy episodes with every saved policy; numpy leaves [S, num_episodes]. `seed` is the evaluation's own.

    The returns of a policy that holds NaN or infinity, because its training diverged, are NaN.
    """
    settings = load_settings(directory, algorithm)
    policies = load_policies(directory, algorithm=settings[0])
    members = np.arange(len(jax.tree.leaves(policies)[0]))
    keys = jax.random.split(jax.random.key(seed), len(members))
    population = Population(settings, keys)

    def play(agent: Algorithm[Any], key: jax.Array, policy: Policy) -> Episodes:
        return evaluate(policy, agent.env, key, num_episodes=num_episodes)

    with disk_cache():
        together = jax.jit(over_agents(play, (population.axes, 0, 0), None, (), ()))
        episodes = jax.device_get(together(population.agents(members), keys, policies))
    return dataclasses.replace(episodes, returns=np.where(is_finite(policies)[:, None], episodes.returns, np.nan))


def is_finite(policies: Any) -> NDArray[np.bool_]:
    """[S]: whether every number of a policy is, for policies with leaves [S, ...]."""
    numbers = [leaf for leaf in jax.tree.leaves(policies) if jnp.issubdtype(leaf.dtype, jnp.inexact)]
    return np.array([all(np.isfinite(leaf[seed]).all() for leaf in numbers) for seed in range(len(numbers[0]))])
