"""Proportional prioritisation (Schaul et al. 2016, https://arxiv.org/abs/1511.05952): a sum tree and its formulas.

    P(i) = p_i^alpha / sum_k p_k^alpha,    w_i = (N P(i))^-beta / max_j w_j

The tree holds p^alpha. Each level is an array of nodes with eight entries each, and an entry is the sum of the node
below it: one step down or up moves one short row, and no operation ever touches, or copies, a whole level. Entries are
recomputed from the nodes below and never adjusted by a difference, so that nothing drifts.

The place of an insertion is computed from the iteration, which is the same for all seeds; under `vmap` it then stays
a slice written in place, where a place per seed would become a scatter.
"""

import jax
import jax.numpy as jnp

from jaxrl.pytree import Scalar, dataclass

WIDTH = 8
"""Entries of a node. Of 2, 4, 8, 16 and 64 the best measured on a CPU for 131,072 items, with 4."""

SMALLEST = 1e-6
"""What is added to |TD error|, so that no item is forgotten."""


@dataclass
class Priorities:
    """p^alpha of every item, as a sum tree."""

    levels: tuple[jax.Array, ...]
    """float32 [nodes, 8], the root's one node first, the items (padded with zeros) last."""
    maximum: jax.Array
    """float32 []: the highest value that an item was ever given, 1 before any was."""


def no_priorities(num_items: int) -> Priorities:
    """A tree for `num_items` items of priority 0, 4.6 bytes each; raises ValueError without items."""
    if num_items < 1:
        raise ValueError(f"Priorities need at least 1 item, got {num_items}.")
    sizes = [-(-num_items // WIDTH)]
    while sizes[0] > 1:
        sizes.insert(0, -(-sizes[0] // WIDTH))
    return Priorities(tuple(jnp.zeros((size, WIDTH), jnp.float32) for size in sizes), jnp.float32(1.0))


def insert(priorities: Priorities, start: jax.Array, count: int, *, present: jax.Array | bool = True) -> Priorities:
    """Give the items `start` .. `start + count - 1`, which must exist, the highest priority so far.

    Where `present` [] is false they get 0 instead, as if they were cleared.
    """
    return _filled(priorities, start, count, jnp.where(present, priorities.maximum, 0.0))


def clear(priorities: Priorities, start: jax.Array, count: int) -> Priorities:
    """Give the items `start` .. `start + count - 1`, which must exist, the priority 0: they are not sampled."""
    return _filled(priorities, start, count, jnp.float32(0.0))


def _filled(priorities: Priorities, start: jax.Array, count: int, value: jax.Array) -> Priorities:
    """Read the few nodes touched on each level, which are neighbours, change them, and write them back as one slice.

    What goes up are the sums of the changed nodes at hand: reading them back after the write would cost a copy of the
    level. `num_nodes` is as many as `count` entries can touch, whatever `start` is.
    """
    if count > priorities.levels[-1].size:
        raise ValueError(f"This tree holds at most {priorities.levels[-1].size} items, got {count} to write at once.")
    # A sum is not negative, so this is `value`; but now the writes wait for all that the last `update` reads, which
    # ends at the root. Without an order between the two, the compiler would keep a copy of every level for the reads.
    value = jnp.maximum(value, -priorities.levels[0].sum())
    values = jnp.broadcast_to(value, (count,))
    levels: list[jax.Array] = []
    for level in reversed(priorities.levels):
        num_nodes = min((len(values) + WIDTH - 2) // WIDTH + 1, len(level))
        first = jnp.minimum(start // WIDTH, len(level) - num_nodes)
        nodes = jax.lax.dynamic_slice_in_dim(level, first, num_nodes).ravel()
        nodes = jax.lax.dynamic_update_slice_in_dim(nodes, values, start - first * WIDTH, axis=0).reshape(-1, WIDTH)
        levels.insert(0, jax.lax.dynamic_update_slice_in_dim(level, nodes, first, axis=0))
        start, values = first, nodes.sum(axis=-1)
    return Priorities(tuple(levels), priorities.maximum)


def sample(priorities: Priorities, uniforms: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Draw items in proportion to their values: (indices int32 [B], their probabilities P float32 [B]).

    Stratified as in the paper: with `uniforms` in [0, 1), [B], the i-th draw falls into the i-th B-th of the total.
    An item of value 0 is never drawn, whatever the rounding. The total must not be 0.
    """
    total = priorities.levels[0].sum()
    batch_size = len(uniforms)
    rest = (jnp.arange(batch_size, dtype=jnp.float32) + uniforms) * (total / batch_size)
    index = jnp.zeros(batch_size, jnp.int32)
    value = jnp.broadcast_to(total, (batch_size,))
    entries = jnp.arange(WIDTH, dtype=jnp.int32)[None]
    earlier = jnp.triu(jnp.ones((WIDTH, WIDTH), jnp.float32), 1)
    for level in priorities.levels:
        node = level.at[index].get(mode="promise_in_bounds")
        before = jnp.dot(node, earlier, precision="highest")  # the sums of the entries before each; quicker than cumsum
        # The last entry that begins at `rest` or before, of those that are not 0; so also if rounding has left `rest`
        # at the node's sum or above.
        entry = jnp.where((node > 0) & (before <= rest[:, None]), entries, 0).max(axis=-1)
        chosen = entries == entry[:, None]
        rest = rest - jnp.where(chosen, before, 0.0).sum(axis=-1)
        value = jnp.where(chosen, node, 0.0).sum(axis=-1)
        index = index * WIDTH + entry
    # Not 0 either if it underflows, for an importance weight divides by it.
    return index, jnp.maximum(value / total, jnp.finfo(jnp.float32).tiny)


def update(priorities: Priorities, indices: jax.Array, values: jax.Array) -> Priorities:
    """Set the items `indices` [B] to `values` [B] (of `priority`); an item that occurs twice gets the larger one."""
    node, entry = indices // WIDTH, indices % WIDTH
    leaves = priorities.levels[-1].at[node, entry].set(0.0, mode="promise_in_bounds")
    level = leaves.at[node, entry].max(values, mode="promise_in_bounds")
    levels = [level]
    for parents in reversed(priorities.levels[:-1]):
        sums = level.at[node].get(mode="promise_in_bounds").sum(axis=-1)
        node, entry = node // WIDTH, node % WIDTH
        level = parents.at[node, entry].set(sums, mode="promise_in_bounds")  # duplicates write equal sums
        levels.insert(0, level)
    return Priorities(tuple(levels), jnp.maximum(priorities.maximum, values.max()))


def priority(td_errors: jax.Array, exponent: Scalar) -> jax.Array:
    """(|delta| + 1e-6)^alpha, alpha in [0, 1]; what `update` stores, so that alpha is applied once."""
    return (jnp.abs(td_errors) + SMALLEST) ** exponent


def importance_weights(
    probabilities: jax.Array, num_items: jax.Array | int, exponent: Scalar, axis: str | None = None
) -> jax.Array:
    """(N P(i))^-beta, divided by the largest of the batch: float32 [B] in (0, 1], for `probabilities` [B].

    N = `num_items` is how many items can be drawn. The paper divides by max_j w_j so that weights only ever scale an
    update downwards; like most code we take the maximum over the sampled batch, which needs no second tree. With
    `axis`, each device draws from a tree of its own, all with N items, and the maximum is taken over their batches.
    """
    weights = (num_items * probabilities) ** -exponent
    largest = weights.max()
    return weights / (largest if axis is None else jax.lax.pmax(largest, axis))
