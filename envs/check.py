"""`check_env(env)`: what is wrong with an environment, in plain sentences.

First the environment is read without running it (its identity, its spaces, the shapes and dtypes that `reset` and
`step` give), then it is played with random actions under `jit`, `scan` and `vmap`.
"""

import copy
import functools
from typing import Any

import jax
import numpy as np

from .check_play import play_problems
from .check_signature import same_tree, signature_problems
from .registry import as_environment
from .spaces import Box, Dict, Discrete, MultiDiscrete, Tuple


class Report(list[str]):
    """The problems found, one sentence each; empty, and so false, when there are none. `notes` are no problems."""

    def __init__(self, problems: list[str], notes: list[str]) -> None:
        super().__init__(problems)
        self.notes = notes

    def __str__(self) -> str:
        head = "No problems found." if not self else f"{len(self)} problem{'s' if len(self) > 1 else ''} found:"
        return "\n".join([head, *(f"- {text}" for text in self), *(f"- (note) {text}" for text in self.notes)])

    __repr__ = __str__


def check_env(env: Any, key: jax.Array | None = None, *, num_envs: int = 16, num_steps: int = 2600) -> Report:
    """Examine `env` (ours, a name, or a gymnax instance) and report every problem; an empty report is a pass.

    It is played in `num_envs` lanes for `num_steps` steps each; an end rarer than that is reported as missing.
    Raises TypeError where `env` is no environment at all, as `make` does.
    """
    env = as_environment(env)
    key = jax.random.key(0) if key is None else key
    problems = [*_identity_problems(env), *_space_problems(env)]
    if problems:
        return Report(problems, [])
    problems, shapes = signature_problems(env, key)
    if shapes is None:
        return Report(problems, [])
    problems += _purity_problems(env, key, shapes)
    if any("cannot be played" in problem for problem in problems):
        return Report(problems, [])
    played, notes = play_problems(env, key, num_envs, num_steps)
    return Report(problems + played, notes)


def _identity_problems(env: Any) -> list[str]:
    problems = []
    for leaf in jax.tree.leaves(env):
        if not isinstance(leaf, (jax.Array, np.ndarray, np.generic, float, int, bool)):
            problems.append(
                f"An environment must be a pytree of numbers, found {type(leaf).__name__} among its leaves; decorate "
                "its class with jaxrl.pytree.dataclass and mark with static() what is no number."
            )
            return problems
    try:
        if hash(env) == hash(copy.deepcopy(env)) and env == copy.deepcopy(env):
            return []
        found = "a copy is unequal or has another hash"
    except TypeError as error:
        found = f"it cannot be hashed ({error})"
    return [
        "An environment made again with the same settings must be equal with an equal hash, or every one compiles "
        f"anew, but {found}; decorate its class with jaxrl.pytree.dataclass and keep only values in static fields."
    ]


def _space_problems(env: Any) -> list[str]:
    problems = []
    for name in ("observation_space", "action_space"):
        space = getattr(env, name)
        if not isinstance(space, (Discrete, MultiDiscrete, Box, Dict, Tuple)):
            problems.append(
                f"{name} must be one of jaxrl.envs.spaces (Discrete, MultiDiscrete, Box, Dict, Tuple), "
                f"found {type(space).__name__}; make it a field or a property that gives one."
            )
        elif space != getattr(env, name):
            problems.append(f"{name} must be the same at every look, found two unequal ones; build it from the fields.")
    return problems


def _purity_problems(env: Any, key: jax.Array, shapes: Any) -> list[str]:
    """Randomness that does not come from the key, state hidden in Python, and calls back to Python."""
    state, action = shapes
    problems = []
    for name, function, arguments in (("reset", env.reset, (key,)), ("step", env.step, (key, state, action))):
        # A new function each time: JAX remembers the trace of one that it has seen.
        traces = [jax.make_jaxpr(functools.partial(function), return_shape=True)(*arguments) for _ in range(2)]
        (first, first_shape), (second, second_shape) = traces
        if "callback" in str(first):
            problems.append(
                f"{name} must be pure JAX, found a call back to Python, which under vmap shares one object between all "
                "lanes, so it cannot be played; write it in jax.numpy, or give a batch of its own."
            )
        same = str(first) == str(second) and len(first.consts) == len(second.consts)
        same = same and same_tree(first_shape, second_shape)
        if not same or not all(np.array_equal(a, b) for a, b in zip(first.consts, second.consts, strict=True)):
            problems.append(
                f"{name} must depend on its arguments alone, found two different programs when it was traced twice; "
                "draw from the key (not numpy or random), keep no counter in Python, and give info the same keys."
            )
    return problems
