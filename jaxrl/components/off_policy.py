"""Learning from a replay: the settings that all such algorithms have, and the learning between two rollouts."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar

import jax
import jax.numpy as jnp

from jaxrl.algorithm import num_iterations
from jaxrl.components import prioritized
from jaxrl.components.axis import share
from jaxrl.components.replay import Batch, Replay, Ring, ring_of, uniform_items, windows
from jaxrl.components.schedules import fraction_done, linear
from jaxrl.envs.registry import as_environment
from jaxrl.metrics import Metrics
from jaxrl.pytree import Scalar, converted, dataclass, hyperparameter, static

L = TypeVar("L")

Update = Callable[[jax.Array, L, Batch, jax.Array], tuple[L, jax.Array, Metrics]]
"""`update(key, learner, batch, count) -> (learner, errors [B], metrics)`; `count` [] numbers the gradient steps of a
run from 0, and the absolute errors decide how often a prioritized replay draws these transitions again."""


@dataclass
class OffPolicySettings:
    """Fields alone, declared once for the algorithms that learn from a replay; each adds its own.

    One iteration takes `num_steps` steps in each environment, then `num_updates` gradient steps.
    """

    env: Any = converted(as_environment)
    num_envs: int = static(8, minimum=1)
    """N, over all devices."""
    num_steps: int = static(4, minimum=1)
    """T, between two phases of learning."""
    num_updates: int = static(8, minimum=1)
    """Gradient steps in each phase of learning."""
    total_steps: int = static(100_000, minimum=1)
    batch_size: int = static(64, minimum=1)
    """B, over all devices."""
    replay_capacity: int = static(10_000, minimum=1)
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


def learn_from_replay(  # what a phase of learning is made of
    agent: Any, key: jax.Array, learner: L, replay: Replay, iteration: jax.Array, update: Update[L]
) -> tuple[L, Replay, Metrics]:
    """`num_updates` gradient steps on draws from the replay; nothing before `learning_starts`.

    The branch depends on the iteration alone, so that under `vmap` it stays a branch, and it returns the learner and
    the priorities but not the rows, which it only reads. Metrics weigh nothing while there was no learning.
    """
    ring, iterations_before = ring_for(agent), max(0, -(-agent.learning_starts // agent.steps_per_iteration) - 1)
    draw_key, update_key = jax.random.split(key)
    batch_size = share(agent.batch_size, agent.axis, "batch_size")
    count = (iteration - iterations_before) * agent.num_updates + jnp.arange(agent.num_updates, dtype=jnp.int32)

    def learn(learner: L, priorities: Any) -> tuple[L, Any, Metrics]:
        shape = (agent.num_updates, batch_size)
        if agent.prioritized:
            draws = jax.random.uniform(draw_key, shape)
        else:
            draws = uniform_items(draw_key, ring, iteration, shape)

        def one_update(carry: tuple[L, Any], inputs: Any) -> tuple[tuple[L, Any], Metrics]:
            learner, priorities = carry
            update_key, draws, count = inputs
            items, weight = _drawn(agent, ring, priorities, draws, iteration)
            batch = windows(replay.rows, ring, items, iteration, agent.discount, agent.n_step)
            if weight is not None:
                batch = replace(batch, weight=weight)
            learner, errors, metrics = update(update_key, learner, batch, count)
            if agent.prioritized:
                new = prioritized.priority(errors, agent.priority_exponent)
                priorities = prioritized.update(priorities, items, new)
            return (learner, priorities), metrics

        inputs = (jax.random.split(update_key, agent.num_updates), draws, count)
        (learner, priorities), metrics = jax.lax.scan(one_update, (learner, priorities), inputs)
        return learner, priorities, jax.tree.map(lambda leaf: leaf.sum(axis=0), metrics)

    no_metrics = jax.eval_shape(learn, learner, replay.priorities)[2]

    def wait(learner: L, priorities: Any) -> tuple[L, Any, Metrics]:
        return learner, priorities, jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), no_metrics)

    learner, priorities, metrics = jax.lax.cond(iteration >= iterations_before, learn, wait, learner, replay.priorities)
    return learner, Replay(replay.rows, priorities), metrics


def _drawn(
    agent: Any, ring: Ring, priorities: Any, draws: jax.Array, iteration: jax.Array
) -> tuple[jax.Array, jax.Array | None]:
    """The items of a batch [B], and their importance weights where they were not drawn alike."""
    if not agent.prioritized:
        return draws, None
    items, probabilities = prioritized.sample(priorities, draws)
    exponent = linear(agent.importance_exponent, 1.0, fraction_done(iteration, num_iterations(agent)))
    num_items = ring.num_filled(iteration) * ring.num_envs
    return items, prioritized.importance_weights(probabilities, num_items, exponent, agent.axis)
