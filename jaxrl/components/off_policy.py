"""Learning from a replay: the settings that all such algorithms have, and the learning between two rollouts."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple, TypeVar

import jax
import jax.numpy as jnp

from jaxrl.algorithm import num_iterations
from jaxrl.components import prioritized
from jaxrl.components.axis import share
from jaxrl.components.replay import Replay, Ring, ring_of, uniform_items, windows
from jaxrl.components.schedules import fraction_done, linear
from jaxrl.envs.registry import as_environment
from jaxrl.metrics import Metrics
from jaxrl.pytree import Scalar, converted, dataclass, hyperparameter, static

L = TypeVar("L")

Update = Callable[[jax.Array, L, Any, jax.Array], tuple[L, jax.Array, Metrics]]
"""`update(key, learner, batch, count) -> (learner, errors [B], metrics)`; `count` [] numbers the gradient steps of a
run from 0, and the absolute errors decide how often a prioritized replay draws these transitions again."""


@dataclass
class OffPolicySettings:
    """Fields alone, declared once for the algorithms that learn from a replay; each adds its own.

    One iteration takes `num_steps` steps in each environment, then `num_updates` gradient steps.
    """

    env: Any = converted(as_environment)
    num_envs: int = static(10, minimum=1)
    """N, over all devices."""
    num_steps: int = static(1, minimum=1)
    """T, between two phases of learning."""
    num_updates: int = static(3, minimum=1)
    """Gradient steps in each phase of learning."""
    total_steps: int = static(100_000, minimum=1)
    batch_size: int = static(128, minimum=1)
    """B, over all devices."""
    replay_capacity: int = static(50_000, minimum=1)
    """Transitions kept, over all devices; held to whole rollouts."""
    learning_starts: int = static(1_000, minimum=0)
    """Environment steps before the first gradient step."""
    n_step: int = static(1, minimum=1)
    """Rewards in a target before it bootstraps."""
    prioritized: bool = static(False)
    """Draw transitions by their last error (Schaul et al. 2016), instead of uniformly."""
    normalize_observations: bool = static(False)
    axis: str | None = static(None)
    """The mapped axis over whose devices the environments and the replay are spread."""

    discount: Scalar = hyperparameter(0.99, minimum=0, maximum=1)  # gamma
    priority_exponent: Scalar = hyperparameter(0.6, minimum=0)  # alpha
    importance_exponent: Scalar = hyperparameter(0.4, minimum=0, maximum=1)
    """beta at the beginning; it rises to 1 at the end of the run."""


def ring_for(agent: OffPolicySettings) -> Ring:
    """This device's part of the replay."""
    capacity = share(agent.replay_capacity, agent.axis, "replay_capacity")
    return ring_of(capacity, share(agent.num_envs, agent.axis, "num_envs"), agent.num_steps)


class Source(NamedTuple):
    """What a phase of learning draws from."""

    draw: Callable[[jax.Array, tuple[int, ...]], jax.Array]
    """`draw(key, shape)`: items drawn uniformly, int32."""
    batch: Callable[[jax.Array], Any]
    """`batch(items [B])`: what is learned from; where items are drawn by priority, with a field `weight` [B]."""
    num_items: jax.Array
    """int32 []: how many items can be drawn."""
    iterations_before: int
    """Iterations before the first that learns."""


def learn_from_replay(
    agent: Any, key: jax.Array, learner: L, replay: Replay, iteration: jax.Array, update: Update[L]
) -> tuple[L, Replay, Metrics]:
    """`num_updates` gradient steps on n-step windows; nothing before `learning_starts`."""
    ring = ring_for(agent)
    source = Source(
        draw=lambda key, shape: uniform_items(key, ring, iteration, shape),
        batch=lambda items: windows(replay.rows, ring, items, iteration, agent.discount, agent.n_step),
        num_items=ring.num_filled(iteration) * ring.num_envs,
        iterations_before=iterations_before(agent),
    )
    learner, priorities, metrics = learn_from(agent, key, (learner, replay.priorities), source, iteration, update)
    return learner, Replay(replay.rows, priorities), metrics


def iterations_before(agent: Any) -> int:
    """The first iteration that learns is the one that ends `learning_starts` environment steps."""
    return max(0, -(-agent.learning_starts // agent.steps_per_iteration) - 1)


def learn_from(
    agent: Any, key: jax.Array, learns: tuple[L, Any], source: Source, iteration: jax.Array, update: Update[L]
) -> tuple[L, Any, Metrics]:
    """`num_updates` gradient steps on batches from `source`; `learns` are the learner and the priorities, or None.

    The branch depends on the iteration alone, so that under `vmap` it stays a branch, and it returns the learner and
    the priorities but not the rows, which it only reads. Metrics weigh nothing while there was no learning.
    """
    draw_key, update_key = jax.random.split(key)
    batch_size = share(agent.batch_size, agent.axis, "batch_size")
    steps = jnp.arange(agent.num_updates, dtype=jnp.int32)
    count = (iteration - source.iterations_before) * agent.num_updates + steps

    def learn(learner: L, priorities: Any) -> tuple[L, Any, Metrics]:
        shape = (agent.num_updates, batch_size)
        draws = source.draw(draw_key, shape) if priorities is None else jax.random.uniform(draw_key, shape)

        def one_update(carry: tuple[L, Any], inputs: Any) -> tuple[tuple[L, Any], Metrics]:
            learner, priorities = carry
            update_key, draws, count = inputs
            items, weight = _drawn(agent, source, priorities, draws, iteration)
            batch = source.batch(items)
            if weight is not None:
                batch = replace(batch, weight=weight)
            learner, errors, metrics = update(update_key, learner, batch, count)
            if priorities is not None:
                new = prioritized.priority(errors, agent.priority_exponent)
                priorities = prioritized.update(priorities, items, new)
            return (learner, priorities), metrics

        inputs = (jax.random.split(update_key, agent.num_updates), draws, count)
        (learner, priorities), metrics = jax.lax.scan(one_update, (learner, priorities), inputs)
        return learner, priorities, jax.tree.map(lambda leaf: leaf.sum(axis=0), metrics)

    no_metrics = jax.eval_shape(learn, *learns)[2]

    def wait(learner: L, priorities: Any) -> tuple[L, Any, Metrics]:
        return learner, priorities, jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), no_metrics)

    return jax.lax.cond(iteration >= source.iterations_before, learn, wait, *learns)


def _drawn(
    agent: Any, source: Source, priorities: Any, draws: jax.Array, iteration: jax.Array
) -> tuple[jax.Array, jax.Array | None]:
    """The items of a batch [B], and their importance weights where they were not drawn alike."""
    if priorities is None:
        return draws, None
    items, probabilities = prioritized.sample(priorities, draws)
    exponent = linear(agent.importance_exponent, 1.0, fraction_done(iteration, num_iterations(agent)))
    return items, prioritized.importance_weights(probabilities, source.num_items, exponent, agent.axis)
