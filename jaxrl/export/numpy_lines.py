"""A jaxpr as lines of numpy, one for each equation; what it calls stands among its own lines."""

import itertools
import re
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from jax.extend.core import Literal
from jax.interpreters import partial_eval

from jaxrl.export.numpy_primitives import EXPRESSIONS, INLINED, SAME, dtype_of


class Lines:
    """The lines written so far, and the arrays that they need beside their inputs."""

    def __init__(self, constants: dict[str, np.ndarray[Any, Any]]) -> None:
        """`constants` is where the arrays go."""
        self.lines: list[str] = []
        self.constants = constants
        self._numbers = itertools.count(1)

    def write(self, function: Callable[..., Any], inputs: Sequence[Any], operands: Sequence[str]) -> Any:
        """Write `function` of `inputs` (pytrees), whose leaves have the sources `operands`.

        Returns the sources of its outputs, in their tree, and their shapes. Raises ValueError for an operation that is
        not known.
        """
        closed, shapes = jax.make_jaxpr(function, return_shape=True)(*inputs)
        jaxpr, is_used = partial_eval.dce_jaxpr(closed.jaxpr, [True] * len(closed.jaxpr.outvars))
        needed = [operand for operand, used in zip(operands, is_used, strict=True) if used]
        leaves = zip(self._jaxpr(jaxpr, closed.consts, needed, name=""), jaxpr.outvars, strict=True)
        results = [_typed(result, outvar.aval) for result, outvar in leaves]
        return jax.tree.unflatten(jax.tree.structure(shapes), results), shapes

    def _jaxpr(self, jaxpr: Any, consts: Sequence[Any], operands: Sequence[str], name: str) -> list[str]:
        """`name` is that of the function that the jaxpr came from."""
        sources = dict(zip(jaxpr.invars, operands, strict=True))
        sources |= {var: self._constant(value) for var, value in zip(jaxpr.constvars, consts, strict=True)}

        def source_of(atom: Any) -> str:
            return self._literal(atom) if isinstance(atom, Literal) else sources[atom]

        for equation in jaxpr.eqns:
            results = self._equation(equation, [source_of(invar) for invar in equation.invars], name)
            sources |= dict(zip(equation.outvars, results, strict=True))
        return [source_of(outvar) for outvar in jaxpr.outvars]

    def _equation(self, equation: Any, operands: list[str], name: str) -> list[str]:
        primitive = equation.primitive.name
        if primitive in SAME or _is_cast_for_nothing(equation, operands):
            return operands
        if primitive in INLINED:
            inner = equation.params[INLINED[primitive]]
            called = str(equation.params.get("name", name)).strip("_<>")
            return self._jaxpr(getattr(inner, "jaxpr", inner), getattr(inner, "consts", ()), operands, called)
        if all(map(_is_number, operands)) and equation.outvars[0].aval.ndim == 0:
            operands = [_typed(operand, invar.aval) for operand, invar in zip(operands, equation.invars, strict=True)]
        try:
            expression = EXPRESSIONS[primitive](equation, *operands)
        except (KeyError, NotImplementedError):
            raise ValueError(
                f"form=numpy does not know the operation '{primitive}', of which this policy is made; "
                "use form=stablehlo."
            ) from None
        results = [f"x{next(self._numbers)}" for _ in equation.outvars]
        self.lines.append(f"{', '.join(results)} = {expression}" + (f"  # {name}" if name else ""))
        return results

    def _literal(self, literal: Any) -> str:
        value = np.asarray(literal.val, literal.aval.dtype)
        if value.ndim:
            return self._constant(value)
        if np.issubdtype(value.dtype, np.floating):
            return repr(float(str(value))) if np.isfinite(value) else f"{'-' if value < 0 else ''}np.{abs(value)}"
        return str(value)

    def _constant(self, value: Any) -> str:
        name = f"constant_{len(self.constants) + 1}"
        self.constants[name] = np.asarray(value)
        return f'weights["{name}"]'


def _is_number(source: str) -> bool:
    """Whether it stands in the source, and so takes its type from what it meets."""
    return re.fullmatch(r"-?(\d.*|np\.inf|np\.nan|True|False)", source) is not None


def _typed(source: str, aval: Any) -> str:
    return f"{dtype_of(aval.dtype)}({source})" if _is_number(source) else source


def _is_cast_for_nothing(equation: Any, operands: Sequence[str]) -> bool:
    """To the type that a value has, or from a whole number in the source to the same as a real one."""
    if equation.primitive.name != "convert_element_type":
        return False
    before, after = equation.invars[0].aval.dtype, equation.params["new_dtype"]
    return bool(before == after or (_is_number(operands[0]) and before.kind == "i" and after.kind == "f"))
