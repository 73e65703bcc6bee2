"""A greedy policy as a Python file that needs numpy alone, and the arrays that it reads."""

import re
from typing import Any

import jax
import numpy as np

from jaxrl.export.greedy import Greedy
from jaxrl.export.numpy_lines import Lines
from jaxrl.export.numpy_primitives import dtype_of

SOURCE, WEIGHTS = "policy.py", "policy.npz"

_FILE = '''\
"""{title}, in numpy alone. The weights lie beside this file, in {weights}.

    import policy
{usage}

{inputs}
"""

from pathlib import Path

import numpy as np

with np.load(Path(__file__).with_name("{weights}")) as _file:
    weights = dict(_file)


{functions}


def _batch(name, value, dtype, shape):
    value = np.asarray(value, dtype)
    if value.ndim != 1 + len(shape) or value.shape[1:] != shape:
        wanted = ", ".join(["batch", *map(str, shape)])
        given = list(value.shape)
        raise ValueError(f"{{name}} must have the shape [{{wanted}}], got {{given}}; one alone is {{name}}[None].")
    return value
'''
_USAGE = """\
    actions = policy.act(obs)  # one for each observation of a batch
    action = policy.act(obs[None])[0]  # a single one"""
_USAGE_WITH_MEMORY = """\
    memory = policy.initial_memory(batch)  # where an episode starts
    actions, memory = policy.act(obs, memory)  # one for each observation of a batch"""


def source_and_weights(policy: Greedy, title: str) -> tuple[str, dict[str, np.ndarray[Any, Any]]]:
    """The text of the file, which begins with `title`, and its arrays by name.

    Raises ValueError where the policy is made of an operation that is not translated.
    """
    names = _names(policy.policy)
    parameters = [f'weights["{name}"]' for name in names]
    checked = {path: _batch_of(path, leaf) for path, leaf in _leaves(policy.inputs)}
    lines = Lines(constants={})
    operands = [*parameters, *(variable for variable, _ in checked.values())]
    outputs, shapes = lines.write(policy.act, (policy.policy, *policy.inputs.values()), operands)
    body = [line for _, line in checked.values()]
    if any(re.search(r"\bbatch\b", line) for line in lines.lines):
        body.append(f"batch = len({next(iter(checked.values()))[0]})")
    functions = [_function(f"act({', '.join(policy.inputs)})", [*body, *lines.lines, f"return {_source(outputs)}"])]
    if policy.memory is not None:
        functions.append(_initial_memory(policy, parameters, lines.constants))
    results = {"action": shapes} if policy.memory is None else {"action": shapes[0]}
    text = _FILE.format(
        title=title,
        weights=WEIGHTS,
        usage=_USAGE if policy.memory is None else _USAGE_WITH_MEMORY,
        inputs="\n".join(_described(path, leaf) for path, leaf in _leaves(policy.inputs | results)),
        functions="\n\n\n".join(functions),
    )
    arrays = zip(names, parameters, map(np.asarray, jax.tree.leaves(policy.policy)), strict=True)
    return text, {name: array for name, source, array in arrays if source in text} | lines.constants


def _names(policy: Any) -> list[str]:
    paths = [path for path, _ in jax.tree_util.tree_leaves_with_path(policy)]
    return [jax.tree_util.keystr(path, simple=True, separator="/") for path in paths]


def _leaves(trees: dict[str, Any]) -> list[tuple[str, Any]]:
    """(`obs` or `obs["position"]` or `memory[0]`, the leaf) of trees by name."""
    found = []
    for name, tree in trees.items():
        for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
            found.append((name + jax.tree_util.keystr(path).replace("'", '"'), leaf))
    return found


def _batch_of(path: str, leaf: Any) -> tuple[str, str]:
    """The variable that holds an input, and the line that checks it."""
    variable = re.sub(r"\W+", "_", path).strip("_")
    return variable, f"{variable} = _batch({path!r}, {path}, {dtype_of(leaf.dtype)}, {leaf.shape[1:]})"


def _initial_memory(policy: Greedy, parameters: list[str], constants: dict[str, np.ndarray[Any, Any]]) -> str:
    lines = Lines(constants)
    memory, _ = lines.write(lambda inner: inner.initial_memory((policy.batch,)), (policy.policy,), parameters)
    return _function("initial_memory(batch)", [*lines.lines, f"return {_source(memory)}"])


def _function(signature: str, lines: list[str]) -> str:
    return "\n    ".join([f"def {signature}:", *lines])


def _described(path: str, leaf: Any) -> str:
    return f"{path}: {leaf.dtype} [{', '.join(map(str, leaf.shape))}]"


def _source(tree: Any) -> str:
    """A tree of sources as the source of a tree."""
    if isinstance(tree, dict):
        return "{" + ", ".join(f"{name!r}: {_source(part)}" for name, part in tree.items()) + "}"
    if isinstance(tree, tuple | list):
        parts = ", ".join(map(_source, tree)) + ("," if len(tree) == 1 else "")
        return f"({parts})" if isinstance(tree, tuple) else f"[{parts}]"
    return str(tree)
