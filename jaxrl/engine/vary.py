"""Many hyperparameter values at once: one leaf of an algorithm gets a new axis, the rest is shared."""

from typing import Any, TypeVar

import jax
import jax.numpy as jnp

from jaxrl.engine.population import leaf_names
from jaxrl.pytree import unknown_name

A = TypeVar("A")


def vary(algorithm: A, /, **values: Any) -> tuple[A, A]:
    """`(agents, axes)`: `algorithm` with `values` in place of the named leaves, and the `in_axes` for `jax.vmap`.

    Each value has a leading axis of one common length [P]. A double underscore reaches inside: `env__params__gravity`.
    Raises where a name is no leaf (a static field shapes the program and cannot vary within it), or lengths differ.
    """
    leaves, structure = jax.tree.flatten(algorithm)
    names = leaf_names(algorithm)
    lengths = {name: jnp.shape(value)[:1] for name, value in values.items()}
    for name, length in lengths.items():
        if name not in names:
            what = f"{type(algorithm).__name__} has no numeric leaf (a static setting cannot vary inside one program)"
            raise TypeError(unknown_name(what, name, names))
        if length == ():
            raise ValueError(
                f"{name} must be an array of values with a leading axis, got the single value {values[name]}."
            )
    if len(set(lengths.values())) > 1:
        sizes = {name: length[0] for name, length in lengths.items()}
        raise ValueError(f"the varied leaves must have the same length, got {sizes}; nest two vmaps for a grid.")
    varied = [
        jnp.asarray(values[name], jnp.result_type(leaf)) if name in values else leaf
        for name, leaf in zip(names, leaves, strict=True)
    ]
    axes = [0 if name in values else None for name in names]
    return jax.tree.unflatten(structure, varied), jax.tree.unflatten(structure, axes)
