"""Who trains together: settings of one algorithm, crossed with seeds."""

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import PartitionSpec as P
from numpy.typing import NDArray

from jaxrl.algorithm import Algorithm
from jaxrl.engine.evolution import PBT, Search
from jaxrl.engine.parallel import AGENTS
from jaxrl.pytree import unknown_name
from jaxrl.settings import TARGET, describe, path_of, plain


def leaf_names(algorithm: Any) -> list[str]:
    """The names of its numbers: `learning_rate`, `env__params__gravity`."""
    paths = [path for path, _ in jax.tree_util.tree_flatten_with_path(algorithm)[0]]
    return ["__".join(str(getattr(entry, "name", getattr(entry, "key", entry))) for entry in path) for path in paths]


def with_values(thing: Any, values: Mapping[str, Any]) -> Any:
    """`thing` with `values` in place of the named fields; a double underscore reaches inside.

    Its constructor checks them. Raises TypeError or ValueError with one sentence.
    """
    inner: dict[str, dict[str, Any]] = {}
    given: dict[str, Any] = {}
    for name, value in values.items():
        head, _, rest = name.partition("__")
        known = [field.name for field in dataclasses.fields(thing)] if dataclasses.is_dataclass(thing) else []
        if head not in known:
            raise TypeError(unknown_name(f"{type(thing).__name__} has no setting", head, known))
        if rest:
            inner.setdefault(head, {})[rest] = value
        else:
            given[head] = value
    given |= {head: with_values(getattr(thing, head), below) for head, below in inner.items()}
    return dataclasses.replace(thing, **given)


@dataclasses.dataclass(frozen=True)
class Population:
    """M agents that one program can train: K settings with S seeds each, M = S * K.

    Agent `seed * K + setting` has that seed and that setting, so that devices get a share of every setting.
    """

    settings: tuple[Algorithm[Any], ...]
    """K algorithms that differ in numbers alone."""
    keys: jax.Array
    """[S]: the same for every setting, so that settings are compared on the same luck."""
    search: Search | None = None
    """How it changes while it trains. Under PBT every agent has a key of its own, and what is searched is varied."""

    def __len__(self) -> int:
        """M."""
        return len(self.keys) * len(self.settings)

    @property
    def algorithm(self) -> Algorithm[Any]:
        """The first of the settings: what shapes the program is the same in all."""
        return self.settings[0]

    @property
    def axes(self) -> Algorithm[Any]:
        """The `in_axes` of the agents for `jax.vmap`: 0 where they differ."""
        return self._where(0, None)

    @property
    def specs(self) -> Algorithm[Any]:
        """How the leaves of the agents lie on a mesh."""
        return self._where(P(AGENTS), P())

    def agents(self, members: NDArray[np.int64]) -> Algorithm[Any]:
        """The algorithm of these members [m]: leaves [m, ...] where settings differ, else what all of them have."""
        chosen = members % len(self.settings)
        leaves = [
            jnp.stack([self._leaves[setting][place] for setting in chosen]) if differs else leaf
            for place, (leaf, differs) in enumerate(zip(self._leaves[0], self._differs, strict=True))
        ]
        return jax.tree.unflatten(jax.tree.structure(self.algorithm), leaves)

    def keys_of(self, members: NDArray[np.int64]) -> jax.Array:
        """The keys of these members [m]."""
        keys = self.keys[members // len(self.settings)]
        if not isinstance(self.search, PBT):
            return keys
        return jax.vmap(jax.random.fold_in)(keys, jnp.asarray(members % len(self.settings)))

    @functools.cached_property
    def _leaves(self) -> list[list[Any]]:
        return [jax.tree.leaves(setting) for setting in self.settings]

    @functools.cached_property
    def _differs(self) -> list[bool]:
        searched = dict(self.search.bounds) if isinstance(self.search, PBT) else ()
        names = leaf_names(self.algorithm)
        return [name in searched or differs for name, differs in zip(names, _differing(self.settings), strict=True)]

    def _where(self, differs: Any, same: Any) -> Algorithm[Any]:
        marks = [differs if each else same for each in self._differs]
        return jax.tree.unflatten(jax.tree.structure(self.algorithm), marks)


def differences(settings: Sequence[Algorithm[Any]]) -> list[dict[str, Any]]:
    """Of each setting, the numbers in which they differ: name -> value."""
    marked = [
        (place, name)
        for place, (name, differs) in enumerate(zip(leaf_names(settings[0]), _differing(settings), strict=True))
        if differs
    ]
    return [{name: plain(leaves[place]) for place, name in marked} for leaves in map(jax.tree.leaves, settings)]


def described(settings: Sequence[Algorithm[Any]]) -> dict[str, Any]:
    """Plain data from which `load_settings` makes them again: the first whole, and of several what differs."""
    first = settings[0]
    found: dict[str, Any] = {"algorithm": {TARGET: path_of(type(first)), **describe(first)}}
    if len(settings) > 1:
        found["settings"] = [{name: plain(value) for name, value in values.items()} for values in differences(settings)]
    return found


def _differing(settings: Sequence[Algorithm[Any]]) -> list[bool]:
    """For each number of the algorithm, whether the settings differ in it."""
    columns = zip(*map(jax.tree.leaves, settings), strict=True)
    return [any(not np.array_equal(first, other) for other in others) for first, *others in columns]
