"""The part of `check_env` that reads what `reset` and `step` give, without running them."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

from .spaces import Space


def signature_problems(env: Any, key: jax.Array) -> tuple[list[str], Any]:
    """Problems with what `reset` and `step` give, and the shapes of (state, action): None where play makes no sense."""
    try:
        answer = jax.eval_shape(env.reset, key)
    except Exception as error:
        return [
            f"reset(key) must be traceable by JAX, found {_short(error)}; use jax.numpy and no Python branches."
        ], None
    if not isinstance(answer, tuple) or len(answer) != 2:
        return [f"reset(key) must return the pair (state, obs), found {_kind(answer)}; return both."], None
    state, obs = answer
    wrong_obs = _obs_problems(env.observation_space, obs, "reset")
    action = jax.eval_shape(env.action_space.sample, key)
    problem, answer = _step_answer(env, key, state, action)
    if problem:
        return [*wrong_obs, problem], None
    next_state, timestep = answer
    wrong_obs = wrong_obs or _obs_problems(env.observation_space, timestep.obs, "step")
    problems = [*wrong_obs, *_drift_problems(state, next_state), *_timestep_problems(timestep)]
    flags_fit = timestep.terminated.shape == timestep.truncated.shape == ()
    can_scan = flags_fit and _shapes((state, obs)) == _shapes((next_state, timestep.obs))
    can_play = can_scan and not any("observation_space" in problem for problem in problems)
    return problems, (state, action) if can_play else None


def _step_answer(env: Any, key: Any, state: Any, action: Any) -> tuple[str, Any]:
    """What is wrong with the answer of `step` as a whole, and the answer."""
    try:
        answer = jax.eval_shape(env.step, key, state, action)
    except Exception as error:
        found = _short(error)
        return (
            f"step(key, state, action) must be traceable with a sample of action_space, found {found}; "
            "use jax.numpy, no Python branches, and the declared action_space."
        ), None
    wanted = ("obs", "reward", "terminated", "truncated", "info")
    is_pair = isinstance(answer, tuple) and len(answer) == 2
    if is_pair and all(hasattr(answer[1], name) for name in wanted):
        return "", answer
    found = f"(state, {type(answer[1]).__name__})" if is_pair else _kind(answer)
    return f"step must return the pair (state, TimeStep), found {found}; build a jaxrl.envs.TimeStep.", None


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
    if not same_tree(obs, example):
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
    if not same_tree(state, next_state):
        return [
            f"step must return a state of the same tree as reset's, {jax.tree.structure(state)}, found "
            f"{jax.tree.structure(next_state)}; give the same fields, or a scan over steps fails."
        ]
    pairs = zip(jax.tree.leaves_with_path(state), jax.tree.leaves(next_state), strict=True)
    weak = _weak_problems(state, "the state of reset") or _weak_problems(next_state, "the state of step")
    return weak + [
        f"step must keep the state's shapes and dtypes, but '{_name(path)}' is {_describe(before)} from reset and "
        f"{_describe(after)} from step; cast it, or a scan over steps fails."
        for (path, before), after in pairs
        if (before.shape, before.dtype) != (after.shape, after.dtype)
    ]


def _shapes(tree: Any) -> list[tuple[Any, ...]]:
    return [(path, leaf.shape, leaf.dtype) for path, leaf in jax.tree.leaves_with_path(tree)]


def same_tree(a: Any, b: Any) -> bool:
    """Whether two pytrees have the same structure."""
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
