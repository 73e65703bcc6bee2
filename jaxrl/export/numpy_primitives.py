"""Operations of JAX as expressions of numpy: what a greedy policy is made of, and no more."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

Expression = Callable[..., str]
"""`(equation, *operands) -> source`, where every operand is the source of a value."""


def shape_of(shape: Sequence[Any]) -> str:
    """A tuple of sizes, which may hold the symbol `batch`."""
    return f"({', '.join(map(str, shape))}{',' if len(shape) == 1 else ''})"


def dtype_of(dtype: Any) -> str:
    """`np.float32`, `bool`; raises ValueError for a type that numpy does not have."""
    name = np.dtype(dtype).name
    if name != "bool" and not hasattr(np, name):
        raise ValueError(f"numpy has no numbers of type {name}; export the policy with form=stablehlo.")
    return name if name == "bool" else f"np.{name}"


def _calls(function: str) -> Expression:
    return lambda equation, *operands: f"{function}({', '.join(operands)})"


def _between(operator: str) -> Expression:
    return lambda equation, left, right: f"{left} {operator} {right}"


def _reduction(function: str) -> Expression:
    def source(equation: Any, operand: str) -> str:
        axes, kind = equation.params["axes"], equation.outvars[0].aval.dtype
        is_widened = function in ("sum", "prod") and np.issubdtype(
            kind, np.integer
        )  # by numpy, unless it is told not to
        dtype = f", dtype={dtype_of(kind)}" if is_widened else ""
        return f"{operand}.{function}(axis={axes[0] if len(axes) == 1 else axes}{dtype})"

    return source


def _index(function: str) -> Expression:
    def source(equation: Any, operand: str) -> str:
        dtype = dtype_of(equation.params["index_dtype"])
        return f"{operand}.{function}(axis={equation.params['axes'][0]}).astype({dtype})"

    return source


def _astype(equation: Any, operand: str) -> str:
    dtype = dtype_of(equation.params["new_dtype"])
    return f"{operand}.astype({dtype})" if equation.invars[0].aval.ndim else f"{dtype}({operand})"


def _divide(equation: Any, left: str, right: str) -> str:
    if not np.issubdtype(equation.outvars[0].aval.dtype, np.floating):
        raise NotImplementedError  # JAX rounds to zero, and numpy down
    return f"{left} / {right}"


def _reshape(equation: Any, operand: str) -> str:
    shape, aval = equation.outvars[0].aval.shape, equation.invars[0].aval
    return f"{operand}.reshape{shape_of(shape)}" if aval.ndim else _filled(shape, operand, aval)


def _broadcast(equation: Any, operand: str) -> str:
    shape, axes = equation.params["shape"], equation.params["broadcast_dimensions"]
    operand_aval = equation.invars[0].aval
    if not operand_aval.shape:
        return _filled(shape, operand, operand_aval)
    one_by_one: list[Any] = [1] * len(shape)
    for axis, size in zip(axes, operand_aval.shape, strict=True):
        one_by_one[axis] = size
    if tuple(one_by_one) != operand_aval.shape:
        operand = f"{operand}.reshape{shape_of(one_by_one)}"
    return operand if tuple(one_by_one) == tuple(shape) else f"np.broadcast_to({operand}, {shape_of(shape)})"


def _filled(shape: Sequence[Any], operand: str, aval: Any) -> str:
    return f"np.full({shape_of(shape)}, {operand}, {dtype_of(aval.dtype)})"


def _iota(equation: Any) -> str:
    shape, axis = equation.params["shape"], equation.params["dimension"]
    values = f"np.arange({shape[axis]}, dtype={dtype_of(equation.params['dtype'])})"
    if len(shape) == 1:
        return values
    one_by_one = [size if index == axis else 1 for index, size in enumerate(shape)]
    return f"np.broadcast_to({values}.reshape{shape_of(one_by_one)}, {shape_of(shape)})"


def _slice(equation: Any, operand: str) -> str:
    parameters, shape = equation.params, equation.invars[0].aval.shape
    steps = parameters["strides"] or (1,) * len(shape)
    ranges = [
        ":" if (start, stop, step) == (0, size, 1) else f"{start}:{stop}" + (f":{step}" if step != 1 else "")
        for start, stop, step, size in zip(
            parameters["start_indices"], parameters["limit_indices"], steps, shape, strict=True
        )
    ]
    return f"{operand}[{', '.join(ranges)}]"


def _concatenate(equation: Any, *operands: str) -> str:
    return f"np.concatenate([{', '.join(operands)}], axis={equation.params['dimension']})"


def _stack(equation: Any, *operands: str) -> str:
    return f"np.stack([{', '.join(operands)}], axis={equation.params['axis']})"


def _split(equation: Any, operand: str) -> str:
    ends = [int(end) for end in np.cumsum(equation.params["sizes"])[:-1]]
    return f"np.split({operand}, {ends}, axis={equation.params['axis']})"


def _dot(equation: Any, left: str, right: str) -> str:
    (left_axes, right_axes), (left_batch, right_batch) = equation.params["dimension_numbers"]
    left_ndim, right_ndim = (invar.aval.ndim for invar in equation.invars)
    if tuple(left_axes) == (left_ndim - 1,) and tuple(right_axes) == (0,) and right_ndim <= 2 and not left_batch:
        return f"{left} @ {right}"
    letters = iter("abcdefghijklmnopqrstuvwxyz")
    lefts = [next(letters) for _ in range(left_ndim)]
    shared = dict(zip((*right_axes, *right_batch), (lefts[axis] for axis in (*left_axes, *left_batch)), strict=True))
    rights = [shared.get(axis) or next(letters) for axis in range(right_ndim)]
    batch = [lefts[axis] for axis in left_batch]
    free = [letter for letter in lefts if letter not in shared.values()]
    free += [letter for axis, letter in enumerate(rights) if axis not in shared]
    return f'np.einsum("{"".join(lefts)},{"".join(rights)}->{"".join(batch + free)}", {left}, {right})'


def _pad(equation: Any, operand: str, value: str) -> str:
    sides = [
        (low, high) for low, high, interior in equation.params["padding_config"] if not interior and min(low, high) >= 0
    ]
    if len(sides) != equation.invars[0].aval.ndim:
        raise NotImplementedError
    return f"np.pad({operand}, {sides}, constant_values={value})"


def _select(equation: Any, which: str, *cases: str) -> str:
    if len(cases) != 2 or equation.invars[0].aval.dtype != np.bool_:
        raise NotImplementedError
    return f"np.where({which}, {cases[1]}, {cases[0]})"


def _gather(equation: Any, operand: str, indices: str) -> str:
    """A window that starts at `indices`, as of `x[..., 0]`, or entries of one axis, as of an embedding."""
    dimensions, sizes = equation.params["dimension_numbers"], tuple(equation.params["slice_sizes"])
    shape, num_index_axes = equation.invars[0].aval.shape, equation.invars[1].aval.ndim - 1
    starts = {axis: f"{indices}[{position}]" for position, axis in enumerate(dimensions.start_index_map)}
    collapsed = dimensions.collapsed_slice_dims
    if num_index_axes == 0 and set(collapsed) <= set(starts):
        ranges = [
            ":"
            if axis not in starts
            else starts[axis]
            if axis in collapsed
            else f"{starts[axis]}:{starts[axis]} + {size}"
            for axis, size in enumerate(sizes)
        ]
        return f"{operand}[{', '.join(ranges)}]"
    (axis, *others) = dimensions.start_index_map
    kept = (*range(axis), *range(axis + num_index_axes, len(shape) - 1 + num_index_axes))
    takes_whole = collapsed == (axis,) and sizes == (*shape[:axis], 1, *shape[axis + 1 :])
    if others or not takes_whole or tuple(dimensions.offset_dims) != kept:
        raise NotImplementedError
    return f"{operand}.take({indices}[..., 0], axis={axis})"


def _transpose(equation: Any, operand: str) -> str:
    return f"{operand}.transpose{shape_of(equation.params['permutation'])}"


EXPRESSIONS: dict[str, Expression] = {
    **{name: _between(operator) for name, operator in {"add": "+", "sub": "-", "mul": "*"}.items()},
    **{name: _between(operator) for name, operator in {"and": "&", "or": "|", "xor": "^"}.items()},
    **{name: _between(operator) for name, operator in {"eq": "==", "ne": "!="}.items()},
    **{name: _between(operator) for name, operator in {"lt": "<", "le": "<=", "gt": ">", "ge": ">="}.items()},
    **{name: _calls(f"np.{name}") for name in ("abs", "sign", "floor", "ceil", "sqrt", "square", "exp", "exp2", "log")},
    **{name: _calls(f"np.{name}") for name in ("expm1", "log1p", "sin", "cos", "tan", "sinh", "cosh", "tanh")},
    "max": _calls("np.maximum"),
    "min": _calls("np.minimum"),
    "neg": _calls("np.negative"),
    "not": _calls("np.invert"),
    "pow": _calls("np.power"),
    "rem": _calls("np.fmod"),
    "is_finite": _calls("np.isfinite"),
    "integer_pow": lambda equation, operand: f"{operand} ** {equation.params['y']}",
    "rsqrt": lambda equation, operand: f"1 / np.sqrt({operand})",
    "logistic": lambda equation, operand: f"0.5 + 0.5 * np.tanh(0.5 * {operand})",  # overflows nowhere
    "clamp": lambda equation, low, operand, high: f"np.minimum(np.maximum({operand}, {low}), {high})",
    "div": _divide,
    "select_n": _select,
    "convert_element_type": _astype,
    "reshape": _reshape,
    "squeeze": _reshape,
    "broadcast_in_dim": _broadcast,
    "transpose": _transpose,
    "iota": _iota,
    "slice": _slice,
    "concatenate": _concatenate,
    "split": _split,
    "stack": _stack,
    "gather": _gather,
    "pad": _pad,
    "dot_general": _dot,
    "reduce_sum": _reduction("sum"),
    "reduce_prod": _reduction("prod"),
    "reduce_max": _reduction("max"),
    "reduce_min": _reduction("min"),
    "reduce_and": _reduction("all"),
    "reduce_or": _reduction("any"),
    "argmax": _index("argmax"),
    "argmin": _index("argmin"),
}
"""By the name of the primitive."""

SAME = frozenset({"stop_gradient", "copy", "copy_p", "optimization_barrier"})
"""Primitives that give back what they get."""

INLINED = {
    "jit": "jaxpr",
    "closed_call": "call_jaxpr",
    "custom_jvp_call": "call_jaxpr",
    "custom_vjp_call": "call_jaxpr",
    "custom_vmap_call": "call",
    "checkpoint": "jaxpr",
}
"""Primitives that call others, and the parameter that holds them."""
