"""`check_env(env)`: what is wrong with an environment, in plain sentences.

First the environment is read without running it (its identity, its spaces, the shapes and dtypes that `reset` and
`step` give), then it is played with random actions under `jit`, `scan` and `vmap`.
"""

import copy
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .check_play import play_problems
from .registry import as_environment
from .spaces import Box, Dict, Discrete, MultiDiscrete, Space, Tuple


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
    problems, shapes = _signature_problems(env, key)
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


def _signature_problems(env: Any, key: jax.Array) -> tuple[list[str], Any]:
    """What `reset` and `step` give, without running them; shapes None where it makes no sense to go on."""
    try:
        answer = jax.eval_shape(env.reset, key)
    except Exception as error:
        return [
            f"reset(key) must be traceable by JAX, found {_short(error)}; use jax.numpy and no Python branches."
        ], None
    if not isinstance(answer, tuple) or len(answer) != 2:
        return [f"reset(key) must return the pair (state, obs), found {_kind(answer)}; return both."], None
    state, obs = answer
    problems = [*_obs_problems(env.observation_space, obs, "reset"), *_weak_problems(state, "the state of reset")]
    action = jax.eval_shape(env.action_space.sample, key)
    try:
        answer = jax.eval_shape(env.step, key, state, action)
    except Exception as error:
        text = f"step(key, state, action) must be traceable with a sample of action_space, found {_short(error)}"
        return [*problems, f"{text}; use jax.numpy, no Python branches, and the declared action_space."], None
    wanted = ("obs", "reward", "terminated", "truncated", "info")
    is_pair = isinstance(answer, tuple) and len(answer) == 2
    if not is_pair or not all(hasattr(answer[1], name) for name in wanted):
        found = _kind(answer) if not is_pair else f"(state, {type(answer[1]).__name__})"
        return [
            *problems,
            f"step must return the pair (state, TimeStep), found {found}; build a jaxrl.envs.TimeStep.",
        ], None
    next_state, timestep = answer
    problems += _obs_problems(env.observation_space, timestep.obs, "step")
    problems += _drift_problems(state, next_state)
    problems += _timestep_problems(timestep)
    flags_fit = timestep.terminated.shape == timestep.truncated.shape == ()
    can_scan = flags_fit and _shapes((state, obs)) == _shapes((next_state, timestep.obs))
    return problems, (state, action) if can_scan else None


def _timestep_problems(timestep: Any) -> list[str]:
    problems = []
    for name in ("terminated", "truncated"):
        flag = getattr(timestep, name)
        if flag.dtype != jnp.bool_ or flag.shape != ():
            problems.append(
                f"{name} must be one bool, found {_describe(flag)}; give a comparison, or jnp.asarray(x, bool)."
            )
    reward = timestep.reward
    if reward.dtype != jnp.float32 or reward.ndim > 1 or reward.weak_type or 1 in reward.shape:
        problems.append(
            f"reward must be a strong float32 scalar (or one per agent), found {_describe(reward)}; "
            "write jnp.asarray(reward, jnp.float32), and reshape(()) where it has an axis."
        )
    if not isinstance(timestep.info, Mapping):
        problems.append(f"info must be a dict, found {type(timestep.info).__name__}; use {{}} where there is nothing.")
    return problems


def _obs_problems(space: Space, obs: Any, where: str) -> list[str]:
    example = jax.eval_shape(space.sample, jax.random.key(0))
    if not _same_tree(obs, example):
        return [f"The obs of {where} must have the tree of observation_space {space}, found {_kind(obs)}; change one."]
    problems = []
    for (path, wanted), found in zip(jax.tree.leaves_with_path(example), jax.tree.leaves(obs), strict=True):
        label = f"The obs{jax.tree_util.keystr(path)} of {where}"
        if wanted.shape != found.shape or wanted.dtype != found.dtype:
            problems.append(
                f"{label} must be {_describe(wanted)} as observation_space says, found {_describe(found)}; "
                "change the space or the observation."
            )
        elif found.weak_type:
            problems.append(
                f"{label} must have a strong dtype, found {_describe(found)}; pass the dtype to jnp.asarray."
            )
    return problems


def _weak_problems(tree: Any, label: str) -> list[str]:
    return [
        f"Every leaf of {label} must have a strong dtype, found {_describe(leaf)} at '{_name(path)}'; "
        f"write jnp.asarray(x, jnp.{leaf.dtype}) or jnp.{leaf.dtype}(x)."
        for path, leaf in jax.tree.leaves_with_path(tree)
        if leaf.weak_type
    ]


def _drift_problems(state: Any, next_state: Any) -> list[str]:
    if not _same_tree(state, next_state):
        return [
            f"step must return a state of the same tree as reset's, {jax.tree.structure(state)}, found "
            f"{jax.tree.structure(next_state)}; give the same fields, or a scan over steps fails."
        ]
    pairs = zip(jax.tree.leaves_with_path(state), jax.tree.leaves(next_state), strict=True)
    return [
        f"step must keep the state's shapes and dtypes, but '{_name(path)}' is {_describe(before)} from reset and "
        f"{_describe(after)} from step; cast it, or a scan over steps fails."
        for (path, before), after in pairs
        if (before.shape, before.dtype) != (after.shape, after.dtype)
    ] + _weak_problems(next_state, "the state of step")


def _purity_problems(env: Any, key: jax.Array, shapes: Any) -> list[str]:
    """Randomness that does not come from the key, state hidden in Python, and calls back to Python."""
    state, action = shapes
    traces = [(jax.make_jaxpr(env.reset)(key), jax.make_jaxpr(env.step)(key, state, action)) for _ in range(2)]
    problems = []
    for name, first, second in zip(("reset", "step"), *traces, strict=True):
        if "callback" in str(first):
            problems.append(
                f"{name} must be pure JAX, found a call back to Python, which under vmap shares one object between all "
                "lanes, so it cannot be played; write it in jax.numpy, or give a batch of its own."
            )
        same = str(first) == str(second) and len(first.consts) == len(second.consts)
        if not same or not all(np.array_equal(a, b) for a, b in zip(first.consts, second.consts, strict=True)):
            problems.append(
                f"{name} must depend on its arguments alone, found two different programs when it was traced twice; "
                "draw from the key (not numpy or random), keep no counter in Python, and give info the same keys."
            )
    return problems


def _shapes(tree: Any) -> list[tuple[Any, ...]]:
    return [(path, leaf.shape, leaf.dtype) for path, leaf in jax.tree.leaves_with_path(tree)]


def _same_tree(a: Any, b: Any) -> bool:
    structures: list[Any] = [jax.tree.structure(a), jax.tree.structure(b)]
    return bool(structures[0] == structures[1])


def _describe(leaf: Any) -> str:
    return f"{'weak ' if getattr(leaf, 'weak_type', False) else ''}{leaf.dtype} {list(leaf.shape)}"


def _kind(value: Any) -> str:
    return f"a tuple of {len(value)}" if isinstance(value, tuple) else f"{jax.tree.structure(value)}"


def _name(path: Any) -> str:
    return jax.tree_util.keystr(path).lstrip(".") or "the state itself"


def _short(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).strip().splitlines()[0][:160] if str(error).strip() else ''}"
