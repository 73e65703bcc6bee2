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
from jaxrl.engine.population import with_values
from jaxrl.settings import build_object, is_complete


def load_policy(
    directory: str | os.PathLike[str],
    seed: int | Literal["best"] = 0,
    *,
    greedy: bool = True,
    algorithm: Algorithm[Any] | None = None,
) -> Policy:
    """The trained policy of one seed of the run in `directory`, with its normaliser; "best" is the best evaluated one.

    The algorithm is built again from the saved settings. Where it holds something that no file can name (an
    environment or a network defined in a script), pass the `algorithm` that was trained.
    Raises FileNotFoundError, ValueError, IndexError or TypeError with one sentence each.
    """
    folder = Path(directory)
    policies = load_policies(folder, greedy=greedy, algorithm=algorithm)
    if seed == "best":
        seed = best_seed(folder)
    if isinstance(seed, bool) or not isinstance(seed, int):
        raise TypeError(f"seed must be a number or 'best', got {seed!r}.")
    num_seeds = len(jax.tree.leaves(policies)[0])
    if not 0 <= seed < num_seeds:
        raise IndexError(f"The run in '{folder}' has the seeds 0 to {num_seeds - 1}, got seed {seed}.")
    return jax.tree.map(lambda leaf: jnp.asarray(leaf[seed]), policies)


def load_finite_policy(
    directory: str | os.PathLike[str], seed: int | Literal["best"], *, algorithm: Algorithm[Any] | None = None
) -> Policy:
    """The greedy policy as `load_policy` gives it; ValueError where it holds NaN or infinity."""
    policy = load_policy(directory, seed, algorithm=algorithm)
    if not is_finite(jax.tree.map(lambda leaf: leaf[None], policy)).all():
        raise ValueError(
            f"Seed {seed} of the run in '{directory}' diverged: its policy holds NaN or infinity; name another."
        )
    return policy


def best_seed(directory: str | os.PathLike[str]) -> int:
    """The seed whose final evaluation has the highest mean return; ValueError or FileNotFoundError without one."""
    returns = run_folder.read_returns(Path(directory))
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
    chosen = load_algorithm(directory) if algorithm is None else algorithm
    policies = load_policies(directory, algorithm=chosen)
    keys = jax.random.split(jax.random.key(seed), len(jax.tree.leaves(policies)[0]))

    def play(key: jax.Array, policy: Policy) -> Episodes:
        return evaluate(policy, chosen.env, key, num_episodes=num_episodes)

    with disk_cache():
        episodes = jax.device_get(jax.jit(jax.vmap(play))(keys, policies))
    return dataclasses.replace(episodes, returns=np.where(is_finite(policies)[:, None], episodes.returns, np.nan))


def is_finite(policies: Any) -> NDArray[np.bool_]:
    """[S]: whether every number of a policy is, for policies with leaves [S, ...]."""
    numbers = [leaf for leaf in jax.tree.leaves(policies) if jnp.issubdtype(leaf.dtype, jnp.inexact)]
    return np.array([all(np.isfinite(leaf[seed]).all() for leaf in numbers) for seed in range(len(numbers[0]))])
