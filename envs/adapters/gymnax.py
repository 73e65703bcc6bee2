"""Gymnax environments (1.x) as ours: `Gymnax(env, params)` for any instance, `from_name` for the registered ones.

The adapter calls `reset_env`, `step_env` and `is_truncated`, never `step`, which would reset every lane at every step
and hide the true successor.
"""

import dataclasses
import inspect
from typing import Any

import gymnax
import jax
import jax.numpy as jnp
import numpy as np
from gymnax.environments import environment as gymnax_environment
from gymnax.environments import spaces as gymnax_spaces

from jaxrl.envs.environment import TimeStep
from jaxrl.envs.spaces import Box, Dict, Discrete, Space, Tuple
from jaxrl.envs.wrappers.wrap import COMMON_SETTINGS
from jaxrl.pytree import dataclass, static, unknown_name

from .gymnax_corrected import CORRECTED
from .gymnax_corrections import DERIVED_PARAMS, consistent_params, derived_params, true_bounds
from .suite import strong

_UNBOUNDED = float(np.finfo(np.float32).max)


class Rules:
    """A gymnax environment object that is equal, with an equal hash, to another that was built alike.

    Alike means the same class and the same attributes. An attribute that cannot be compared by value makes the object
    equal to itself alone.
    """

    def __init__(self, env: Any) -> None:
        self.env = env
        self._identity = (type(env), *((name, _fingerprint(value)) for name, value in sorted(vars(env).items())))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Rules) and self._identity == other._identity

    def __hash__(self) -> int:
        return hash(self._identity)

    def __repr__(self) -> str:
        return f"{type(self.env).__name__}()"


@dataclass
class Gymnax:
    """A gymnax environment and its params, whose numbers are leaves: they can be vmapped and changed freely.

    `rules` is given as the gymnax object. The spaces follow from it and from the params given at construction.
    CartPole's `total_mass` and `polemass_length` follow from its masses and length at every step, so that a changed
    `masspole` or `length` is felt everywhere (in gymnax they are params of their own that can disagree).
    """

    rules: Any = static()
    params: Any = None
    observation_space: Space = static(default=None)
    action_space: Space = static(default=None)

    def check(self) -> None:
        rules = self.rules if isinstance(self.rules, Rules) else _accepted(self.rules)
        defaults = rules.env.default_params
        params = _strong_params(defaults if self.params is None else self.params, defaults)
        values = {"rules": rules, "params": params}
        if self.observation_space is None or _is_concrete(params, defaults):
            values["params"] = params = consistent_params(rules.env, params)
            values["observation_space"] = _observation_space(rules.env, params)
            values["action_space"] = _space(rules.env.action_space(params))
        for name, value in values.items():
            object.__setattr__(self, name, value)

    def __repr__(self) -> str:
        params, defaults = self.params, self.rules.env.default_params
        values = {field.name: getattr(params, field.name) for field in dataclasses.fields(defaults)}
        changed = [
            f"{name}={value:g}" if isinstance(value, np.floating) else f"{name}={value}"
            for name, value in values.items()
            if not (isinstance(value, np.generic) and value == type(value)(getattr(defaults, name)))
        ]
        return f"Gymnax({', '.join([repr(self.rules), *changed])})"

    def reset(self, key: jax.Array) -> tuple[Any, Any]:
        with _gymnaxs_broadcasting():
            obs, state = self.rules.env.reset_env(key, consistent_params(self.rules.env, self.params))
        return strong(state), strong(obs)

    def step(self, key: jax.Array, state: Any, action: Any) -> tuple[Any, TimeStep]:
        env, params = self.rules.env, consistent_params(self.rules.env, self.params)
        if isinstance(self.action_space, (Discrete, Box)):
            action = jnp.asarray(action, self.action_space.dtype)
        with _gymnaxs_broadcasting():
            obs, state, reward, terminated, info = env.step_env(key, state, action, params)
            truncated = env.is_truncated(state, params)
        return strong(state), TimeStep(
            obs=strong(obs),
            reward=jnp.asarray(reward, jnp.float32),
            terminated=jnp.asarray(terminated, bool),
            truncated=jnp.asarray(truncated, bool),
            info=strong(dict(info)),
        )


def from_name(name: str, *, max_steps: int | None = None, **settings: Any) -> Gymnax:
    """The registered gymnax environment `name`; each setting is one of its params or of its constructor's arguments.

    `max_steps` is its time limit. Raises TypeError for a setting that it does not have, RuntimeError where it needs
    data that cannot be had.
    """
    with jax.ensure_compile_time_eval():  # so that `make` also works inside a jitted function
        env = _build(name, {})
        arguments = [argument for argument in inspect.signature(type(env).__init__).parameters if argument != "self"]
        arguments = [argument for argument in arguments if argument not in ("args", "kwargs")]
        fields = [
            field.name for field in dataclasses.fields(env.default_params) if field.name not in derived_params(env)
        ]
        for setting in settings:
            if setting in derived_params(env):
                raise TypeError(f"{name} computes '{setting}' from {DERIVED_PARAMS[setting]}; set those instead.")
            if setting not in (*arguments, *fields):
                known = [*arguments, *fields, *COMMON_SETTINGS]
                raise TypeError(unknown_name(f"{name} has no setting", setting, known))
        chosen = {setting: value for setting, value in settings.items() if setting in arguments}
        if chosen:
            env = _build(name, chosen)
        changes = {setting: value for setting, value in settings.items() if setting not in arguments}
        for setting, value in changes.items():
            changes[setting] = _like(getattr(env.default_params, setting), value, f"{name}: {setting}")
        return Gymnax(env, with_limit(env, dataclasses.replace(env.default_params, **changes), max_steps))


def with_limit(env: Any, params: Any, max_steps: int | None) -> Any:
    """`params`, or those of `env` where None, with `max_steps` as the time limit if it is given."""
    params = env.default_params if params is None else params
    if max_steps is None:
        return params
    limit = _like(0, max_steps, "max_steps")
    if not isinstance(limit, jax.core.Tracer) and np.min(limit) < 1:
        raise ValueError(f"max_steps must be at least 1, got {max_steps}.")
    return dataclasses.replace(params, max_steps_in_episode=limit)


def _build(name: str, arguments: dict[str, Any]) -> Any:
    try:
        return CORRECTED[name](**arguments) if name in CORRECTED else gymnax.make(name, **arguments)[0]
    except OSError as error:
        raise RuntimeError(
            f"{name} needs the four MNIST files (train and t10k, images and labels, *-ubyte.gz), which gymnax "
            f"downloads to /tmp/mnist when it is first made, and they could not be had ({error}); "
            "connect to the network or put the files there."
        ) from error


def _accepted(env: Any) -> Rules:
    if not isinstance(env, gymnax_environment.Environment):
        raise TypeError(
            f"Gymnax needs an instance of gymnax.environments.environment.Environment, got {type(env).__name__}; "
            "for a gymnax wrapper pass the environment inside it and use the settings of jaxrl.make."
        )
    return Rules(env)


def _fingerprint(value: Any) -> Any:
    if isinstance(value, jax.Array) and jnp.issubdtype(value.dtype, jax.dtypes.prng_key):
        value = jax.random.key_data(value)
    if isinstance(value, (np.ndarray, jax.Array)):
        return (value.shape, str(value.dtype), np.asarray(value).tobytes())
    if isinstance(value, (list, tuple)):
        return (type(value), *map(_fingerprint, value))
    if isinstance(value, dict):
        return (dict, *((key, _fingerprint(entry)) for key, entry in value.items()))
    try:
        hash(value)
    except TypeError:
        return ("identity", id(value))
    return (type(value), value)


def _strong_params(params: Any, defaults: Any) -> Any:
    if type(params) is not type(defaults):
        return strong(params)
    return jax.tree.map(lambda default, value: _like(default, value, "A gymnax param"), defaults, params)


def _like(default: Any, value: Any, label: str) -> Any:
    """`value` as a strong array of the kind of `default` (bool, int32 or float32); scalars stay numpy's."""
    wanted = jnp.result_type(default)
    if isinstance(value, jax.core.Tracer) or jnp.issubdtype(wanted, jax.dtypes.prng_key):
        return jnp.asarray(value, wanted)
    array = np.asarray(value)
    kind = {"b": "True or False", "i": "a whole number", "f": "a number"}.get(wanted.kind, str(wanted))
    if array.dtype.kind not in "biuf" or (array.dtype.kind == "b") != (wanted.kind == "b"):
        raise TypeError(f"{label} must be {kind}, got {value!r}.")
    if wanted.kind in "iu" and np.any(array != np.round(array)):
        raise TypeError(f"{label} must be {kind}, got {value!r}.")
    return wanted.type(array) if array.ndim == 0 else jnp.asarray(array, wanted)


def _is_concrete(params: Any, defaults: Any) -> bool:
    """Whether spaces can be computed from `params`: no tracers, and no axis of a sweep on a leaf."""
    leaves = jax.tree.leaves(params)
    return not any(isinstance(leaf, jax.core.Tracer) for leaf in leaves) and (
        [np.shape(leaf) for leaf in leaves] == [np.shape(leaf) for leaf in jax.tree.leaves(defaults)]
    )


def _gymnaxs_broadcasting() -> Any:
    """Some of gymnax broadcasts over a missing axis, which a person may have told JAX to refuse."""
    return jax.numpy_rank_promotion("allow")


def _observation_space(env: Any, params: Any) -> Space:
    with _gymnaxs_broadcasting():
        obs, _ = jax.eval_shape(env.reset_env, jax.random.key(0), params)
    space = _space(env.observation_space(params), obs)
    if isinstance(space, Box):
        return Box(*true_bounds(env, space.low, space.high), space.shape, space.dtype)
    return space


def _space(space: Any, example: Any = None) -> Space:
    """A gymnax space as ours, with the shape and dtype of `example`, which the declared ones sometimes miss."""
    if isinstance(space, gymnax_spaces.Discrete):
        return Discrete(int(space.n))
    if isinstance(space, gymnax_spaces.Dict):
        return Dict({name: _space(entry, example and example[name]) for name, entry in space.spaces.items()})
    if isinstance(space, gymnax_spaces.Tuple):
        parts = example or [None] * len(space.spaces)
        return Tuple(tuple(_space(entry, part) for entry, part in zip(space.spaces, parts, strict=True)))
    low, high = (np.asarray(bound, np.float64) for bound in (space.low, space.high))
    low, high = np.where(low <= -_UNBOUNDED, -np.inf, low), np.where(high >= _UNBOUNDED, np.inf, high)
    shape, dtype = (space.shape, space.dtype) if example is None else (example.shape, example.dtype)
    return Box(low, high, tuple(shape), dtype)
