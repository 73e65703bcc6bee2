"""Settings as plain data, and back: what a YAML file says of an algorithm, an environment or a network.

An object becomes a mapping of its constructor's arguments, with its class under `_target_` where it stands inside
another one; an array the mapping of its numbers, `_array_`, and its dtype. What cannot be written down so that it can
be built again stands under `_repr_`, for people to read.
"""

import dataclasses
import importlib
import inspect
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import jax
import numpy as np

from jaxrl.pytree import unknown_name

T = TypeVar("T")

TARGET = "_target_"
REPR = "_repr_"
ARRAY = "_array_"


def describe(thing: Any) -> dict[str, Any]:
    """Every setting of a dataclass as plain data: None, bool, int, float, str, lists and mappings, all written out."""
    return {name: plain(getattr(thing, name)) for name in _arguments(type(thing))}


def describe_object(thing: Any) -> dict[str, Any]:
    """`thing` as a mapping from which `build_object` makes its equal, arguments at their defaults left out."""
    cls = type(thing)
    if not _is_importable(cls):
        return {REPR: repr(thing)}
    arguments = _arguments(cls)
    given = {name: getattr(thing, name) for name in arguments if hasattr(thing, name)}
    for name, default in arguments.items():
        if name in given and default is not inspect.Parameter.empty:
            others = {other: value for other, value in given.items() if other != name}
            if given[name] is default or _is_rebuilt(cls, others, thing):
                given = others
    settings = {TARGET: path_of(cls), **{name: plain(value) for name, value in given.items()}}
    return settings if _is_rebuilt(build_object, {"settings": settings}, thing) else {REPR: repr(thing)}


def build(cls: type[T], settings: Mapping[str, Any], **fixed: Any) -> T:
    """`cls(**settings, **fixed)`, with names and types checked against its annotations.

    Lists become tuples, and a mapping with `_target_` the object that it describes. Raises TypeError or ValueError
    with one sentence for what is misspelt, missing, of the wrong type or out of bounds.
    """
    arguments = _arguments(cls)
    for name in settings:
        if name not in arguments or name in fixed:
            known = [known for known in arguments if known not in fixed]
            raise TypeError(unknown_name(f"{cls.__name__} has no setting", str(name), known))
    missing = [
        name
        for name, default in arguments.items()
        if default is inspect.Parameter.empty and name not in settings and name not in fixed
    ]
    if missing:
        raise TypeError(f"{cls.__name__} needs a value for {' and '.join(missing)}.")
    hints = _hints(cls)
    values = {
        name: _converted(f"{cls.__name__}.{name}", hints.get(name, Any), value) for name, value in settings.items()
    }
    return cls(**values, **fixed)


def build_object(settings: Any) -> Any:
    """The object that `describe_object` described; plain values as they are, lists as tuples."""
    return _converted("a setting", Any, settings)


def path_of(cls: type[Any]) -> str:
    """Where `cls` can be imported from: `package.module.Class`."""
    return f"{cls.__module__}.{cls.__qualname__}"


def import_class(path: str) -> type[Any]:
    """The class at the dotted `path`.

    Refuses (TypeError) what is no class of settings, so that a settings file can name no function of the system's.
    """
    module_name, _, name = path.rpartition(".")
    try:
        found = getattr(importlib.import_module(module_name), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise TypeError(f"The class '{path}' cannot be imported ({error}).") from error
    is_trusted = isinstance(found, type) and (
        dataclasses.is_dataclass(found) or found.__module__.split(".")[0] in ("jaxrl", "gymnax")
    )
    if not is_trusted:
        raise TypeError(f"'{path}' is no dataclass, and only dataclasses can be built from settings.")
    return found


def is_complete(settings: Any) -> bool:
    """Whether everything in `settings` can be built again."""
    if isinstance(settings, Mapping):
        return REPR not in settings and all(map(is_complete, settings.values()))
    return not isinstance(settings, list) or all(map(is_complete, settings))


def _is_importable(cls: type[Any]) -> bool:
    """False for what is defined in a script or inside a function: no other process could import it."""
    return cls.__module__ != "__main__" and "<" not in cls.__qualname__


def _arguments(cls: type[Any]) -> dict[str, Any]:
    """The constructor's arguments by name, with their defaults."""
    if dataclasses.is_dataclass(cls):
        is_linen = any(field.name == "parent" for field in dataclasses.fields(cls))
        return {
            field.name: inspect.Parameter.empty
            if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
            else field.default
            for field in dataclasses.fields(cls)
            if field.init and not (is_linen and field.name in ("parent", "name"))  # those two are linen's own
        }
    try:
        parameters = inspect.signature(cls).parameters.values()
    except (TypeError, ValueError):
        return {}
    kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return {parameter.name: parameter.default for parameter in parameters if parameter.kind in kinds}


def plain(value: Any) -> Any:
    """`value` as plain data; an object as the mapping that `describe_object` gives."""
    if isinstance(value, Mapping):
        return {str(name): plain(entry) for name, entry in value.items()}
    if isinstance(value, (list, tuple)) and not hasattr(value, "_fields"):
        return [plain(entry) for entry in value]
    if isinstance(value, np.dtype) or (isinstance(value, type) and issubclass(value, np.generic)):
        return np.dtype(value).name
    if isinstance(value, (np.ndarray, np.generic)) or (isinstance(value, jax.Array) and _is_number(value)):
        array = np.asarray(value)
        if array.dtype.kind == "f" and array.dtype.itemsize < 8:
            # 0.00025, not 0.0002500000118743628: the shortest decimals that give the same float32
            decimals = np.array([float(str(number)) for number in array.ravel()], object)
            numbers = decimals.reshape(array.shape).tolist()
        else:
            numbers = array.tolist()
        return {ARRAY: numbers, "dtype": array.dtype.name} if array.ndim else numbers
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    return describe_object(value)


def _is_number(value: jax.Array) -> bool:
    return not jax.dtypes.issubdtype(value.dtype, jax.dtypes.extended)


def _is_rebuilt(make: Callable[..., Any], arguments: dict[str, Any], thing: Any) -> bool:
    try:
        return _is_same(make(**arguments), thing)
    except Exception:  # whatever a stranger's constructor raises, it did not build the thing
        return False


def _is_same(a: Any, b: Any) -> bool:
    if type(a) is not type(b):
        return False
    identity: Any = object.__eq__
    if type(a).__eq__ is not identity:
        return bool(np.all(a == b))
    if not jax.tree_util.all_leaves([a]):
        structure: Any = jax.tree.structure(a)  # Any, because jax's stubs leave the type of a structure open
        return structure == jax.tree.structure(b) and all(map(np.array_equal, jax.tree.leaves(a), jax.tree.leaves(b)))
    return vars(a).keys() == vars(b).keys() and all(map(_is_same, vars(a).values(), vars(b).values()))


def _converted(label: str, hint: Any, value: Any) -> Any:
    if isinstance(value, Mapping):
        if REPR in value:
            raise TypeError(f"{label} was {value[REPR]}, which cannot be built from its settings.")
        if ARRAY in value:
            return jax.numpy.asarray(value[ARRAY], value.get("dtype"))
        if TARGET in value:
            rest = {str(name): entry for name, entry in value.items() if name != TARGET}
            return build(import_class(str(value[TARGET])), rest)
        return {name: _converted(f"{label}.{name}", Any, entry) for name, entry in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        members = [typing.get_args(entry) for entry in _members(hint) if typing.get_origin(entry) is tuple]
        kinds = members[0] if members else (Any, ...)
        kinds = kinds if len(kinds) == len(value) and kinds[-1] is not ... else kinds[:1] * len(value)
        return tuple(_element(label, kind, entry) for kind, entry in zip(kinds, value, strict=True))
    return value


def _element(label: str, wanted: Any, value: Any) -> Any:
    if wanted is int and isinstance(value, float) and value.is_integer():
        return int(value)  # 1e3 is how people write a whole number
    accepted = {int: (int,), float: (float, int), str: (str,), bool: (bool,)}.get(wanted, (object,))
    is_wrong_bool = isinstance(value, bool) and wanted in (int, float)
    if is_wrong_bool or not isinstance(value, accepted):
        raise TypeError(f"{label} must hold values of type {wanted.__name__}, got {value!r} ({type(value).__name__}).")
    return _converted(label, wanted, value)


def _members(hint: Any) -> tuple[Any, ...]:
    is_union = isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union
    return typing.get_args(hint) if is_union else (hint,)


def _hints(cls: type[Any]) -> dict[str, Any]:
    try:
        return typing.get_type_hints(cls)
    except (NameError, TypeError):  # annotations that only a type checker can resolve
        return {}
