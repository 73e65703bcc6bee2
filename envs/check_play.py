"""The second half of `check_env`: random play in many lanes, and what it shows."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl.pytree import dataclass

from .spaces import Box, Dict, Discrete, MultiDiscrete, Space, Tuple

_NUM_STARTS = 64


@dataclass
class Tally:
    """What is counted while playing, over all lanes and steps."""

    low: Any
    """The least value seen of every entry of the observation, a tree as the observation's."""
    high: Any
    ends: Any
    """How many steps ended an episode, and how many of those had each of the signs of a hidden reset."""
    inner: Any
    """The same for the steps that did not."""
    terminated: jax.Array
    truncated: jax.Array
    not_finite: jax.Array
    """Steps with a reward that was not finite."""


def play_problems(env: Any, key: jax.Array, num_envs: int, num_steps: int) -> tuple[list[str], list[str]]:
    """Problems and notes from `num_steps` steps of random play in each of `num_envs` lanes."""
    start_key, play_key = jax.random.split(key)
    start_keys = jax.random.split(start_key, _NUM_STARTS)
    play = jax.jit(_player(env, num_envs, num_steps))
    try:
        starts = jax.jit(jax.vmap(env.reset))(start_keys)
        tally = jax.device_get(play(play_key, starts))
    except Exception as error:
        text = str(error).strip().splitlines()[0][:200] if str(error).strip() else ""
        found = f"{type(error).__name__}: {text}"
        return [f"reset and step must work under jit, vmap and scan, found {found}; keep to what JAX can batch."], []
    problems = [*_value_problems(env.observation_space, tally), *_end_problems(tally, num_envs, num_steps)]
    is_same = all(
        np.ptp(np.asarray(leaf, np.float32), axis=0).max(initial=0) == 0 for leaf in jax.tree.leaves(starts[1])
    )
    notes = ["Every episode starts with the same observation, whatever the key."] if is_same else []
    return problems, notes


def _player(env: Any, num_envs: int, num_steps: int) -> Any:
    """The function (key, starts) -> Tally, where `starts` are first (states, observations) [64, ...]."""

    def play(key: jax.Array, starts: Any) -> Tally:
        fixed_values = jax.tree.map(lambda leaf: leaf[:1], starts)
        fixed = jax.tree.map(lambda leaf, value: (leaf == value).all(0, keepdims=True), starts, fixed_values)

        def step(carry: Any, key: jax.Array) -> Any:
            (state, obs, first), tally = carry
            act_keys, step_keys, other_keys, reset_keys = jax.random.split(key, (4, num_envs))
            action = jax.vmap(lambda key, obs: _random_action(env.action_space, key, obs))(act_keys, obs)
            next_state, timestep = jax.vmap(env.step)(step_keys, state, action)
            _, other = jax.vmap(env.step)(other_keys, state, action)
            signs = {
                "key": ~_equal(timestep.obs, other.obs),
                "first": _equal((next_state, timestep.obs), first),
                "fixed": _equal((next_state, timestep.obs), fixed_values, fixed),
            }
            tally = _count(tally, timestep, signs)
            done = _done(timestep)
            new_state, new_obs = jax.vmap(env.reset)(reset_keys)
            start = (new_state, new_obs, (new_state, new_obs))
            return (_where(done, start, (next_state, timestep.obs, first)), tally), None

        reset_key, scan_key = jax.random.split(key)
        state, obs = jax.vmap(env.reset)(jax.random.split(reset_key, num_envs))
        carry = ((state, obs, (state, obs)), _empty(obs))
        (_, tally), _ = jax.lax.scan(step, carry, jax.random.split(scan_key, num_steps))
        return tally

    return play


def _done(timestep: Any) -> jax.Array:
    return timestep.terminated.astype(bool) | timestep.truncated.astype(bool)  # whatever dtype the flags have


def _random_action(space: Space, key: jax.Array, obs: Any) -> Any:
    if isinstance(space, Discrete) and isinstance(obs, dict) and "action_mask" in obs:
        return jax.random.categorical(key, jnp.where(obs["action_mask"], 0.0, -jnp.inf)).astype(jnp.int32)
    return space.sample(key)


def _empty(obs: Any) -> Tally:
    low = jax.tree.map(lambda leaf: leaf.astype(jnp.float32).min(0), obs)
    high = jax.tree.map(lambda leaf: leaf.astype(jnp.float32).max(0), obs)
    zero = jnp.int32(0)
    counts = dict.fromkeys(("all", "key", "first", "fixed"), zero)
    return Tally(low=low, high=high, ends=counts, inner=dict(counts), terminated=zero, truncated=zero, not_finite=zero)


def _count(tally: Tally, timestep: Any, signs: dict[str, jax.Array]) -> Tally:
    done = _done(timestep)
    signs = {"all": jnp.ones_like(done), **signs}
    obs = jax.tree.map(lambda leaf: leaf.astype(jnp.float32), timestep.obs)
    return Tally(
        low=jax.tree.map(lambda low, leaf: jnp.minimum(low, leaf.min(0)), tally.low, obs),
        high=jax.tree.map(lambda high, leaf: jnp.maximum(high, leaf.max(0)), tally.high, obs),
        ends={name: tally.ends[name] + (sign & done).sum(dtype=jnp.int32) for name, sign in signs.items()},
        inner={name: tally.inner[name] + (sign & ~done).sum(dtype=jnp.int32) for name, sign in signs.items()},
        terminated=tally.terminated + timestep.terminated.astype(bool).sum(dtype=jnp.int32),
        truncated=tally.truncated + timestep.truncated.astype(bool).sum(dtype=jnp.int32),
        not_finite=tally.not_finite + (~jnp.isfinite(timestep.reward)).sum(dtype=jnp.int32),
    )


def _equal(tree: Any, other: Any, where: Any = None) -> jax.Array:
    """bool [N]: whether every entry (of those marked in `where`) is the same in lane n of both trees."""
    where = jax.tree.map(lambda leaf: jnp.ones(leaf.shape, bool), tree) if where is None else where

    def lanes_equal(a: jax.Array, b: jax.Array, marked: jax.Array) -> jax.Array:
        return ((a == b) | ~marked).reshape(a.shape[0], -1).all(1)

    return jnp.stack(jax.tree.leaves(jax.tree.map(lanes_equal, tree, other, where))).all(0)


def _where(done: jax.Array, at_end: Any, otherwise: Any) -> Any:
    def select(a: jax.Array, b: jax.Array) -> jax.Array:
        return jnp.where(done.reshape(done.shape + (1,) * (b.ndim - done.ndim)), a, b)

    return jax.tree.map(select, at_end, otherwise)


def _value_problems(space: Space, tally: Tally) -> list[str]:
    problems = []
    if tally.not_finite:
        problems.append(
            f"Every reward must be finite, found {tally.not_finite} that were not; look for x / 0 or log(0)."
        )
    lows, highs = jax.tree.leaves(tally.low), jax.tree.leaves(tally.high)
    for (label, low, high), least, most in zip(_bounds(space), lows, highs, strict=True):
        slack = 1e-5 * np.maximum(1.0, np.where(np.isfinite(low), np.abs(low), 0), dtype=np.float32)
        outside = ~((least >= low - slack) & (most <= high + slack))
        if outside.any():
            index = tuple(int(i) for i in np.argwhere(outside)[0])
            problems.append(
                f"Observations must lie in observation_space, but entry {list(index)} of obs{label} went from "
                f"{least[index]:g} to {most[index]:g} where the space says {low[index]:g} to {high[index]:g}; "
                "widen the space or clip."
            )
    return problems


def _bounds(space: Space) -> list[tuple[str, Any, Any]]:
    """(name, low, high) of every leaf of an observation, in the order of its tree."""
    if isinstance(space, Discrete):
        return [("", np.zeros(()), np.full((), space.n - 1.0))]
    if isinstance(space, MultiDiscrete):
        return [("", np.zeros(space.shape), np.asarray(space.nvec) - 1.0)]
    if isinstance(space, Box):
        return [("", np.asarray(space.low, np.float32), np.asarray(space.high, np.float32))]
    named: Any = space.entries if isinstance(space, Dict) else enumerate(space.spaces)
    assert isinstance(space, (Dict, Tuple))
    return [(f"[{name!r}]{label}", low, high) for name, part in named for label, low, high in _bounds(part)]


def _end_problems(tally: Tally, num_envs: int, num_steps: int) -> list[str]:
    if not tally.terminated and not tally.truncated:
        return [
            f"Episodes must end, but neither terminated nor truncated was set in {num_steps} steps of random play in "
            f"{num_envs} lanes; set one, or give a time limit (make(..., max_steps=))."
        ]
    ends, inner = tally.ends, tally.inner
    if ends["all"] < 4 or inner["all"] == 0:
        return []
    # An environment that restarts itself shows, at every end and otherwise seldom or never, an observation that
    # changes with the key alone; or the state and observation that its own episode began with; or those entries of
    # them that all first ones share (a clock at zero, say).
    drawn = ends["key"] == ends["all"] and inner["key"] == 0
    returned = any(ends[sign] == ends["all"] and inner[sign] < 0.5 * inner["all"] for sign in ("first", "fixed"))
    if drawn or returned:
        return [
            "At an episode's end obs must be the true successor, found the first observation of a next episode; "
            "return what the action led to and do not reset inside step, since the training loop does that."
        ]
    return []
