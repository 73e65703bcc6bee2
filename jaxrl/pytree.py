"""Frozen dataclasses that are JAX pytrees: the one form of every algorithm, environment, state and policy.

A field is one of three things:

- `hyperparameter(default)`: a number that may vary. It is a leaf, held as a strong float32, so it can be
  vmapped, swept and changed without recompiling.
- `static(default)`: what shapes the program. It is part of the compile key and must be hashable.
- a plain annotation: data (an array, or a nested pytree).

Checks run when a person constructs an object, never when JAX rebuilds one, and they skip tracers and batches.
"""

import dataclasses
import difflib
import functools
import types
import typing
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar, dataclass_transform

import jax
import jax.numpy as jnp
import numpy as np

T = TypeVar("T")

Scalar = float | jax.Array
"""A hyperparameter: a number for a person, a strong float32 scalar once inside, an array when it is vmapped."""


def static(
    default: Any = dataclasses.MISSING,
    *,
    minimum: int | None = None,
    choices: Sequence[Any] | None = None,
) -> Any:
    """A field that shapes the compiled program; hashable, compared by value, never traced."""
    return dataclasses.field(default=default, metadata={"static": True, "minimum": minimum, "choices": choices})


def hyperparameter(
    default: Any = dataclasses.MISSING,
    *,
    minimum: float | None = None,
    maximum: float | None = None,
    above: float | None = None,
) -> Any:
    """A float32 leaf. `minimum` and `maximum` are inclusive bounds, `above` an exclusive lower one; None means off."""
    return dataclasses.field(
        default=default,
        metadata={"hyperparameter": True, "minimum": minimum, "maximum": maximum, "above": above},
    )


def converted(converter: Callable[[Any], Any]) -> Any:
    """A required data field whose value is passed through `converter` at construction."""
    return dataclasses.field(metadata={"converter": converter})


# Type checkers see a specifier's default only by keyword; `static(4)` and `hyperparameter(0.1)`, which are not named
# here, count as plain default values, so that a field that has one need not be given.
@dataclass_transform(frozen_default=True, field_specifiers=(converted, dataclasses.field))
def dataclass(cls: type[T]) -> type[T]:
    """Make `cls` a frozen dataclass and a pytree whose children are its non-static fields.

    Equality and hash go by value (tree structure and leaves), so two objects made alike share compiled programs.
    """
    for name, method in (("__eq__", _equal), ("__hash__", _hash), ("__repr__", _repr)):
        if name not in cls.__dict__:
            setattr(cls, name, method)
    cls = dataclasses.dataclass(frozen=True, eq=False, repr=False)(cls)
    fields = dataclasses.fields(cls)  # type: ignore[arg-type]  # mypy cannot see that the line above made one
    static_names = tuple(field.name for field in fields if field.metadata.get("static"))
    data_names = tuple(field.name for field in fields if not field.metadata.get("static"))

    def flatten(tree: Any) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
        return tuple(getattr(tree, n) for n in data_names), tuple(getattr(tree, n) for n in static_names)

    def flatten_with_keys(tree: Any) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
        children, aux = flatten(tree)
        return tuple(zip(map(jax.tree_util.GetAttrKey, data_names), children, strict=True)), aux

    def unflatten(aux: tuple[Any, ...], children: Iterable[Any]) -> Any:
        tree = object.__new__(cls)  # not __init__: JAX also rebuilds trees of tracers, axes and sentinels
        for name, value in zip(static_names + data_names, tuple(aux) + tuple(children), strict=True):
            object.__setattr__(tree, name, value)
        return tree

    jax.tree_util.register_pytree_with_keys(cls, flatten_with_keys, unflatten, flatten)
    _check_at_construction(cls)
    return cls


def _equal(self: Any, other: object) -> bool:
    if type(self) is not type(other):
        return NotImplemented
    structure: Any  # jax's stubs leave its comparison out
    leaves, structure = jax.tree.flatten(self)
    other_leaves, other_structure = jax.tree.flatten(other)
    return structure == other_structure and all(np.array_equal(a, b) for a, b in zip(leaves, other_leaves, strict=True))


def _hash(self: Any) -> int:
    leaves, structure = jax.tree.flatten(self)
    return hash((structure, tuple(np.asarray(leaf).tobytes() for leaf in leaves)))


def _repr(self: Any) -> str:
    """The fields that are not at their defaults, numbers without their types, large arrays by their shapes."""
    fields = [field for field in dataclasses.fields(self) if not _is_default(field, getattr(self, field.name))]
    return (
        f"{type(self).__name__}({', '.join(f'{field.name}={_shown(getattr(self, field.name))}' for field in fields)})"
    )


def _is_default(field: dataclasses.Field[Any], value: Any) -> bool:
    if isinstance(value, np.floating):
        return isinstance(field.default, (int, float)) and bool(value == np.float32(field.default))
    return isinstance(value, (bool, int, str, tuple, type(None))) and value == field.default


def _shown(value: Any) -> str:
    if isinstance(value, np.generic):
        return f"{value:g}" if isinstance(value, np.floating) else str(value)
    if isinstance(value, (np.ndarray, jax.Array)) and not isinstance(value, jax.core.Tracer) and value.size > 8:
        return f"{value.dtype}{list(value.shape)}"
    return repr(value)


def _check_at_construction(cls: type) -> None:
    """Wrap `__init__`: check every field, make hyperparameters strong float32, then ask the object's own `check`."""
    generated_init = cls.__init__  # type: ignore[misc]  # the class is final by convention
    fields = [field for field in dataclasses.fields(cls) if field.init]
    names = [field.name for field in fields]

    @functools.wraps(generated_init)
    def init(self: Any, *args: Any, **kwargs: Any) -> None:
        for name in kwargs:
            if name not in names:
                raise TypeError(unknown_name(f"{cls.__name__} has no field", name, names))
        generated_init(self, *args, **kwargs)
        for field in fields:
            if "hyperparameter" in field.metadata:
                object.__setattr__(self, field.name, _as_float32(cls, field, getattr(self, field.name)))
            elif "converter" in field.metadata:
                object.__setattr__(self, field.name, field.metadata["converter"](getattr(self, field.name)))
            elif field.metadata.get("static"):
                object.__setattr__(self, field.name, _checked_static(cls, field, getattr(self, field.name)))
        check: Callable[[], None] | None = getattr(self, "check", None)
        if check is not None:
            check()

    cls.__init__ = init  # type: ignore[misc]  # the same


def unknown_name(what: str, name: str, known: Sequence[str]) -> str:
    """One sentence for a misspelt name: what it was, and the nearest right one."""
    nearest = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    hint = f"did you mean '{nearest[0]}'?" if nearest else f"choose one of: {', '.join(sorted(known))}."
    return f"{what} '{name}'; {hint}"


def _as_float32(cls: type, field: dataclasses.Field[Any], value: Any) -> Any:
    label = f"{cls.__name__}.{field.name}"
    if value is None:
        if field.default is not None and type(None) not in _allowed_types(cls, field):
            raise TypeError(f"{label} must be a number, got None.")
        return None
    if isinstance(value, jax.core.Tracer):
        return jnp.asarray(value, jnp.float32)
    if isinstance(value, (bool, str)) or not np.issubdtype(np.asarray(value).dtype, np.number):
        raise TypeError(f"{label} must be a number, got {value!r} ({type(value).__name__}).")
    if np.ndim(value) > 0:
        return jnp.asarray(value, jnp.float32)
    number = float(value)
    limits = field.metadata
    wanted = None
    if not np.isfinite(number):
        wanted = "finite"
    elif limits["minimum"] is not None and number < limits["minimum"]:
        wanted = f"at least {limits['minimum']}"
    elif limits["above"] is not None and number <= limits["above"]:
        wanted = f"above {limits['above']}"
    elif limits["maximum"] is not None and number > limits["maximum"]:
        wanted = f"at most {limits['maximum']}"
    if wanted:
        raise ValueError(f"{label} must be {wanted}, got {number:g}.")
    return np.float32(number)


def _checked_static(cls: type, field: dataclasses.Field[Any], value: Any) -> Any:
    label = f"{cls.__name__}.{field.name}"
    allowed = _allowed_types(cls, field)
    if isinstance(value, list):
        value = tuple(value)
    if isinstance(value, np.integer):
        value = int(value)
    if isinstance(value, float) and int in allowed and float not in allowed and value.is_integer():
        value = int(value)  # 5e5 is how people write a number of steps
    checkable = [kind for kind in allowed if kind in (int, bool, str, tuple, type(None), float)]
    if allowed and len(checkable) == len(allowed):
        is_wrong_bool = isinstance(value, bool) and bool not in allowed
        if is_wrong_bool or not isinstance(value, tuple(allowed)):
            wanted = " or ".join("None" if kind is type(None) else kind.__name__ for kind in allowed)
            raise TypeError(f"{label} must be of type {wanted}, got {value!r} ({type(value).__name__}).")
    minimum, choices = field.metadata["minimum"], field.metadata["choices"]
    if minimum is not None and value is not None and np.min(value, initial=minimum) < minimum:
        raise ValueError(f"{label} must be at least {minimum}, got {value}.")
    if choices is not None and value not in choices:
        options = ", ".join(map(repr, choices))
        raise ValueError(f"{label} must be one of {options}, got {value!r}.")
    try:
        hash(value)
    except TypeError:
        raise TypeError(
            f"{label} must be hashable, because it is part of the compiled program's identity, got {value!r}."
        ) from None
    return value


def _allowed_types(cls: type, field: dataclasses.Field[Any]) -> list[type]:
    hint = _type_hints(cls).get(field.name)
    members = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    return [typing.get_origin(member) or member for member in members]


@functools.cache
def _type_hints(cls: type) -> dict[str, Any]:
    return typing.get_type_hints(cls)
