"""What a search does with a population between two stretches of its training."""

import dataclasses
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from jaxrl.engine.evolution import PBT, Search, SuccessiveHalving, exploit_and_explore, kept_settings
from jaxrl.engine.host_loop import Chunk, Prepared
from jaxrl.engine.parallel import fetch
from jaxrl.engine.population import leaf_names
from jaxrl.engine.reporting.report import EVALUATION_RETURN, Report

Step = Callable[[Prepared, list[Report]], Report]
"""Changes the population where it is time to, and gives the last report as it is from then on."""


def search_step(search: Search | None, key: jax.Array, num_reports: int) -> Step | None:
    """What is to happen after each of `num_reports` stretches; all that is random comes from `key`."""
    if search is None:
        return None
    if isinstance(search, SuccessiveHalving):
        return partial(_halve, search, num_reports)
    return partial(_select, search, key, num_reports)


def values_of(chunk: Chunk, search: PBT) -> dict[str, jax.Array]:
    """Setting -> [m], the numbers that are searched, of the agents of a chunk."""
    named = dict(zip(leaf_names(chunk.agents), jax.tree.leaves(chunk.agents), strict=True))
    return {name: named[name] for name, _ in search.bounds}


def with_values_of(agents: Any, values: dict[str, Any]) -> Any:
    """`agents` with other numbers, name -> [m]."""
    leaves = [
        jnp.asarray(values[name], leaf.dtype) if name in values else leaf
        for name, leaf in zip(leaf_names(agents), jax.tree.leaves(agents), strict=True)
    ]
    return jax.tree.unflatten(jax.tree.structure(agents), leaves)


def _select(search: PBT, key: jax.Array, num_reports: int, prepared: Prepared, reports: list[Report]) -> Report:
    (chunk,) = prepared.chunks  # `make_plan` puts all in one, since any may go on from any other
    values = jax.device_get(values_of(chunk, search))
    last = reports[-1]
    metrics = last.metrics | {name: np.asarray(each, np.float32) for name, each in values.items()}
    last = dataclasses.replace(last, metrics=dict(sorted(metrics.items())))
    if len(reports) % search.every or len(reports) >= num_reports:
        return last
    settings = len(prepared.population.settings)
    learner, explored, parents = _selection(
        jax.random.fold_in(key, last.iteration), _scores(reports), chunk.states.learner, values, search, settings
    )
    shardings = jax.tree.map(lambda leaf: leaf.sharding, chunk.states.learner)
    chunk.states = dataclasses.replace(chunk.states, learner=jax.tree.map(jax.device_put, learner, shardings))
    chunk.agents = with_values_of(chunk.agents, fetch(explored))
    is_new = np.asarray(parents) != np.arange(len(last.is_active))
    return dataclasses.replace(
        last, is_active=last.is_active | is_new, diverged_at=np.where(is_new, -1, last.diverged_at).astype(np.int32)
    )


@partial(jax.jit, static_argnames=("search", "settings"), donate_argnames="learner")
def _selection(key: jax.Array, scores: Any, learner: Any, values: Any, search: PBT, settings: int) -> Any:
    """`exploit_and_explore` for each seed; leaves [M, ...], `parents` [M] among all agents."""

    def by_seed(tree: Any) -> Any:
        return jax.tree.map(lambda leaf: jnp.reshape(leaf, (-1, settings, *jnp.shape(leaf)[1:])), tree)

    grouped = by_seed((jnp.asarray(scores), learner, values))
    keys = jax.random.split(key, grouped[0].shape[0])
    learner, values, parents = jax.vmap(partial(exploit_and_explore, search=search))(keys, *grouped)
    parents += settings * jnp.arange(len(parents))[:, None]
    return jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), (learner, values, parents))


def _halve(search: SuccessiveHalving, num_reports: int, prepared: Prepared, reports: list[Report]) -> Report:
    last = dataclasses.replace(reports[-1], stopped_as="given up")
    settings = len(prepared.population.settings)
    count = search.survivors(settings, len(reports), num_reports)
    if count is None or count == settings:
        return last
    kept = np.tile(kept_settings(_scores(reports).reshape(-1, settings), count), len(last.is_active) // settings)
    last = dataclasses.replace(last, is_active=last.is_active & kept)
    if len(prepared.chunks) > 1:
        repack(prepared, last.is_active)
    return last


def repack(prepared: Prepared, is_active: NDArray[np.bool_]) -> None:
    """Deal the agents out anew, the active ones first, so that chunks without any need not be computed."""
    members = np.concatenate([chunk.members for chunk in prepared.chunks])
    deal(prepared, np.argsort(~is_active[members - prepared.first], kind="stable"))


def deal(prepared: Prepared, order: NDArray[np.int64]) -> None:
    """Deal the agents out anew, in the order of their places so far."""
    size = len(prepared.chunks[0].keys)
    members = np.concatenate([chunk.members for chunk in prepared.chunks])
    whole = [
        jax.tree.map(lambda *parts: jnp.concatenate(parts), *(chunk.cut(part(chunk)) for chunk in prepared.chunks))
        for part in (lambda chunk: chunk.states, lambda chunk: chunk.run_keys, lambda chunk: chunk.keys)
    ]
    shardings = [
        jax.tree.map(lambda leaf: leaf.sharding, part)
        for part in (prepared.chunks[0].states, prepared.chunks[0].run_keys, prepared.chunks[0].keys)
    ]
    for number, chunk in enumerate(prepared.chunks):
        rows = order[number * size :][:size]
        filled = np.resize(rows, size)
        taken = jax.tree.map(lambda leaf, filled=filled: leaf[filled], whole)
        chunk.states, chunk.run_keys, chunk.keys = jax.tree.map(jax.device_put, taken, shardings)
        chunk.members = members[rows]
        chunk.agents = prepared.population.agents(members[filled])


def population_arrays(chunks: list[Chunk], search: Search | None) -> dict[str, Any]:
    """What a checkpoint holds of the changes that a search has made."""
    if isinstance(search, PBT):
        return jax.device_get(values_of(chunks[0], search))
    return {} if search is None else {"members": np.concatenate([chunk.members for chunk in chunks]).astype(np.int32)}


def put_population_back(prepared: Prepared, arrays: dict[str, Any]) -> None:
    """The reverse of `population_arrays`, for agents that were just prepared."""
    if "members" not in arrays:
        prepared.chunks[0].agents = with_values_of(prepared.chunks[0].agents, arrays)
        return
    places = np.argsort(np.concatenate([chunk.members for chunk in prepared.chunks]))
    rank = np.empty(len(places), np.int64)
    rank[arrays["members"] - prepared.first] = np.arange(len(places))
    deal(prepared, np.argsort(rank))


def _scores(reports: list[Report]) -> NDArray[np.float64]:
    """[M]: the latest evaluation, or the latest episodes of the training; NaN where an agent has neither."""
    name = EVALUATION_RETURN if EVALUATION_RETURN in reports[-1].metrics else "episode_return"
    if name not in reports[-1].metrics:
        raise ValueError(
            "a search goes by the metric episode_return, which this algorithm does not have; set eval_every, so that "
            "it goes by evaluations."
        )
    found = np.full(len(reports[-1].is_active), np.nan)
    for report in reports:
        found = np.where(np.isfinite(report.metrics[name]), report.metrics[name], found)
    return np.where(reports[-1].is_finite, found, np.nan)
