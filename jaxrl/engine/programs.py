"""The compiled programs of a run: begin, go on for a stretch of iterations, evaluate; each for a chunk of agents.

`population` says which settings differ between agents, `mesh` where the agents lie (None: on the default device).
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from jaxrl.algorithm import Algorithm
from jaxrl.engine.compilation import Program, compile_ahead, compile_together
from jaxrl.engine.evaluate import Episodes, evaluate
from jaxrl.engine.parallel import (
    AGENTS,
    DATA,
    num_columns,
    num_rows,
    over_agents,
    own_part,
    state_specs,
    with_device_axis,
)
from jaxrl.engine.population import Population
from jaxrl.engine.train import advance_in_parts, all_finite, bounds_of_parts, initial_state
from jaxrl.memory import program_bytes, tree_bytes
from jaxrl.metrics import over_parts, values

MEMBERS = P(AGENTS)

NUM_PARTS = 16
"""Into how many parts a stretch is cut, for XLA's scheduling on a CPU: ARCHITECTURE.md, "Runs"."""

SMALL = 2**16
"""Up to so many numbers of a leaf are copied to be looked at beside those of others."""


@dataclasses.dataclass(frozen=True)
class Programs:
    """What trains a chunk of m agents."""

    begin: Any
    """begin(agents, keys [m]) -> (states, run keys), leaves [m, ...]."""
    advance: Any
    """advance(agents, run_keys, states, is_active, start, stop) -> (states, measured).

    `is_active` is bool [m]: the other agents stay as they are. `measured` is (metrics, diverged): name -> [m], and
    int32 [m], the iteration by which the learner held NaN or infinity, or -1. The states given are used up. `start` and
    `stop` are int32 scalars, so that one program serves every stretch of iterations.
    """
    states: Any
    """The shapes of a chunk's states, and where they lie."""
    working_bytes: int
    """What `advance` takes on a device besides the states."""
    seconds: float
    """Spent compiling."""


def compile_training(population: Population, mesh: Mesh | None, chunk: int) -> Programs:
    """Compile for chunks of `chunk` agents, whatever their number; nothing is allocated."""
    agents = population.agents(np.zeros(chunk, np.int64))
    keys = _shapes(jax.eval_shape(lambda: population.keys[jnp.zeros(chunk, int)]), mesh, MEMBERS)
    specs = state_specs(state_shape(population.algorithm, population.keys[0], num_columns(mesh)), mesh)

    def begin(algorithm: Algorithm[Any], key: jax.Array) -> tuple[Any, jax.Array]:
        state, run_key = initial_state(algorithm, key)
        return with_device_axis(state, mesh), run_key

    def stretch(
        algorithm: Algorithm[Any],
        run_key: jax.Array,
        state: Any,
        is_active: jax.Array,
        start: jax.Array,
        stop: jax.Array,
    ) -> tuple[Any, tuple[dict[str, jax.Array], jax.Array]]:
        before = own_part(state, mesh)
        bounds = bounds_of_parts(start, stop - start, NUM_PARTS)
        after, metrics, suspects = advance_in_parts(algorithm, run_key, before, bounds)
        is_finite = all_finite(_numbers(getattr(after, "learner", after)))
        diverged_at = jnp.where(is_finite, -1, jnp.minimum(suspects.min(), stop))
        return with_device_axis(_where(is_active, after, before), mesh), (values(over_parts(metrics)), diverged_at)

    beginning = over_agents(begin, (population.axes, 0), mesh, (population.specs, MEMBERS), (specs, MEMBERS))
    states, run_keys = jax.eval_shape(beginning, agents, keys)
    going_on = over_agents(
        stretch,
        (population.axes, 0, 0, 0, None, None),
        mesh,
        (population.specs, MEMBERS, specs, MEMBERS, P(), P()),
        (specs, MEMBERS),
    )
    states, run_keys = _shapes(states, mesh, specs), _shapes(run_keys, mesh, MEMBERS)
    is_active = _shapes(jax.ShapeDtypeStruct((chunk,), bool), mesh, MEMBERS)
    (first, further), seconds = compile_together(
        Program(beginning, (agents, keys)),
        Program(going_on, (agents, run_keys, states, is_active, jnp.int32(0), jnp.int32(1)), donate=(2,)),
    )
    state_bytes = (
        tree_bytes(state_shape(population.algorithm, population.keys[0], num_columns(mesh))) * chunk // num_rows(mesh)
    )
    return Programs(first, further, states, program_bytes(further) - state_bytes, seconds)


def compile_refill(population: Population, mesh: Mesh | None, agents: Any, run_keys: jax.Array, states: Any) -> Any:
    """program(agents, run_keys, states, start, stop) -> states: what was played, played again by today's learner.

    It fills a replay that was not saved with what the learner, which stays as it is, would have put there.
    """

    def again(algorithm: Any, run_key: jax.Array, state: Any, start: jax.Array, stop: jax.Array) -> Any:
        before = own_part(state, mesh)

        def body(iteration: jax.Array, latest: Any) -> Any:
            played, _ = algorithm.step(jax.random.fold_in(run_key, iteration), latest, iteration)
            return dataclasses.replace(played, learner=before.learner)

        return with_device_axis(jax.lax.fori_loop(start, stop, body, before), mesh)

    specs = state_specs(states, mesh)
    program = over_agents(
        again, (population.axes, 0, 0, None, None), mesh, (population.specs, MEMBERS, specs, P(), P()), specs
    )
    return compile_ahead(program, agents, run_keys, states, jnp.int32(0), jnp.int32(1), donate=(2,))[0]


def compile_evaluate(
    population: Population, mesh: Mesh | None, agents: Any, keys: jax.Array, states: Any, num_episodes: int
) -> tuple[Any, float]:
    """`(program, seconds)`; program(agents, keys, states) -> Episodes, leaves [m, num_episodes]."""

    def play(algorithm: Algorithm[Any], key: jax.Array, state: Any) -> Episodes:
        # The third child: `initial_state` uses the first two, and a child does not depend on how many were split off.
        eval_key = jax.random.split(key, 3)[2]
        policy = algorithm.policy(own_part(state, mesh))
        return evaluate(policy, algorithm.env, eval_key, num_episodes=num_episodes)

    specs = (population.specs, MEMBERS, state_specs(states, mesh))
    program = over_agents(play, (population.axes, 0, 0), mesh, specs, MEMBERS)
    return compile_ahead(program, agents, keys, states)


def state_shape(algorithm: Algorithm[Any], key: jax.Array, devices_per_agent: int) -> Any:
    """The shapes of one agent's state on one device, which may hold keys of the same kind as `key`."""
    if devices_per_agent == 1:
        return jax.eval_shape(algorithm.init, key)
    on_each = jax.vmap(lambda key, _: algorithm.init(key), (None, 0), axis_name=DATA)
    states = jax.eval_shape(on_each, key, jax.ShapeDtypeStruct((devices_per_agent,), bool))
    return jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape[1:], leaf.dtype), states)


def _shapes(tree: Any, mesh: Mesh | None, specs: Any) -> Any:
    """The shapes of `tree`, and where they lie."""
    if mesh is None:
        here = jax.sharding.SingleDeviceSharding(jax.devices()[0])
        shardings = jax.tree.map(lambda _: here, tree)
    else:
        shardings = jax.tree.broadcast(jax.tree.map(lambda spec: NamedSharding(mesh, spec), specs), tree)
    return jax.tree.map(_lying, tree, shardings)


def _lying(leaf: Any, sharding: Any) -> jax.ShapeDtypeStruct:
    if leaf.size == 0 and isinstance(sharding, NamedSharding):  # on all devices, whatever the specification
        sharding = NamedSharding(sharding.mesh, P())
    return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding)


def _numbers(tree: Any) -> list[jax.Array]:
    """All floating-point numbers of `tree`, those of its small leaves in one array.

    To look at that compiles one kernel, not two for every leaf; a copy of the large ones would take their memory again.
    """
    leaves = [leaf.ravel() for leaf in jax.tree.leaves(tree) if jnp.issubdtype(leaf.dtype, jnp.inexact)]
    small = [leaf for leaf in leaves if leaf.size <= SMALL]
    return [jnp.concatenate([jnp.zeros(0), *small]), *(leaf for leaf in leaves if leaf.size > SMALL)]


def _where(condition: jax.Array, one: Any, other: Any) -> Any:
    """`one` or `other`; their replay is that of `one` in any case, since choosing would copy it."""
    replay = getattr(one, "replay", None)
    if replay is not None:
        one, other = (dataclasses.replace(each, replay=None) for each in (one, other))
    chosen = jax.lax.cond(condition, lambda: one, lambda: other)  # for one agent: no kernel to compile for every leaf
    return chosen if replay is None else dataclasses.replace(chosen, replay=replay)
