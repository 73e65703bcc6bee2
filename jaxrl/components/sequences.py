"""Replay of sequences, for agents with a memory: what was lived through in order, and the memory it began with.

Each iteration writes one chunk: T rows of N environments, and the memory [N, ...] that their first row was met with. A
sequence begins where a chunk does, goes on for `length` rows, and may span several chunks; it can be drawn as long as
the ring holds all of them. Rows lie as in `replay.py`, [rows, N, ...], at a place computed from the iteration.

Agents without a memory need no place to begin: theirs are stretches, `length` rows of a plain `Replay` from anywhere.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxrl.components.prioritized import Priorities, clear, insert, no_priorities
from jaxrl.components.replay import Ring, Step, replay_bytes, ring_of, uniform_below
from jaxrl.memory import require_memory, tree_bytes
from jaxrl.pytree import Scalar, dataclass


@dataclass
class SequenceReplay:
    """The rows, the memories, and how often each sequence is to be drawn."""

    rows: Step
    """[rows, N, ...]."""
    memory: Any
    """[chunks, N, ...]: before the first row of each chunk, already reset if an episode starts there."""
    priorities: Priorities | None
    """Of item chunk * N + lane, the sequence that begins there; None where all are drawn alike."""


@dataclass
class SequenceBatch:
    """Sequences to learn from; leaves [length, B, ...] unless they say otherwise."""

    obs: Any
    action: Any
    reward: jax.Array
    terminated: jax.Array
    truncated: jax.Array
    next_obs: Any
    """The true successor, also where an episode ended."""
    first: jax.Array
    """bool: the memory is to be reset before `obs`; never in the first row, whose memory is given."""
    memory: Any
    """[B, ...]: before the first row."""
    weight: jax.Array
    """[B]: of each sequence's loss: 1, or the correction for a prioritized draw."""


class SequenceRing(NamedTuple):
    """Which sequences there are, and where they lie."""

    ring: Ring
    """Of the rows; one write is a chunk."""
    length: int
    """Rows of a sequence."""

    @property
    def num_chunks(self) -> int:
        """How many chunks are held when it is full."""
        return self.ring.num_rows // self.ring.rows_per_write

    @property
    def span(self) -> int:
        """How many chunks a sequence needs."""
        return -(-self.length // self.ring.rows_per_write)

    def place(self, iteration: jax.Array) -> jax.Array:
        """int32 []: where the chunk of this iteration lies among the chunks."""
        return iteration % self.num_chunks

    def num_complete(self, iteration: jax.Array) -> jax.Array:
        """int32 []: how many sequences can be drawn once this iteration has written; 0 before the first `span`."""
        num_held = jnp.minimum(iteration + 1, self.num_chunks)
        return jnp.maximum(num_held - self.span + 1, 0) * self.ring.num_envs


def sequence_ring_of(capacity: int, num_envs: int, rows_per_write: int, length: int) -> SequenceRing:
    """The ring of at most `capacity` transitions; raises ValueError where not one sequence fits."""
    span = -(-length // rows_per_write)
    if length < 1 or capacity < span * num_envs * rows_per_write:
        raise ValueError(
            f"replay_capacity must hold at least one sequence of each environment, {span} rollouts of "
            f"num_envs * num_steps = {num_envs} * {rows_per_write} transitions for its {length} rows, got {capacity}."
        )
    return SequenceRing(ring_of(capacity, num_envs, rows_per_write), length)


def sequence_replay_bytes(sequences: SequenceRing, step: Step, memory: Any) -> int:
    """Bytes for steps like `step` and memories like `memory`, arrays or shapes [N, ...]; nothing is allocated."""
    return replay_bytes(sequences.ring, step) + sequences.num_chunks * tree_bytes(memory)


def empty_sequence_replay(sequences: SequenceRing, step: Step, memory: Any, *, prioritized: bool) -> SequenceReplay:
    """A replay for steps and memories like these (arrays or shapes [N, ...]), in the dtypes they have.

    Raises ValueError where it cannot fit into the device's memory.
    """
    require_memory(sequences.ring.num_items, sequence_replay_bytes(sequences, step, memory))
    rows = jax.tree.map(lambda leaf: jnp.zeros((sequences.ring.num_rows, *leaf.shape), leaf.dtype), step)
    memories = jax.tree.map(lambda leaf: jnp.zeros((sequences.num_chunks, *leaf.shape), leaf.dtype), memory)
    num_items = sequences.num_chunks * sequences.ring.num_envs
    return SequenceReplay(rows, memories, no_priorities(num_items) if prioritized else None)


def write_chunk(
    replay: SequenceReplay, sequences: SequenceRing, rollout: Step, memory: Any, iteration: jax.Array
) -> SequenceReplay:
    """Put a rollout [T, N, ...] that began with `memory` [N, ...] in the place of the oldest one.

    The sequences that lost their first row can be drawn no longer; those that it completes get the highest priority.
    """
    place, num_envs = sequences.place(iteration), sequences.ring.num_envs

    def put(leaf: jax.Array, new: jax.Array, start: jax.Array) -> jax.Array:
        return jax.lax.dynamic_update_slice_in_dim(leaf, new.astype(leaf.dtype), start, axis=0)

    first_row = sequences.ring.write_position(iteration)
    rows = jax.tree.map(lambda leaf, new: put(leaf, new, first_row), replay.rows, rollout)
    memories = jax.tree.map(lambda leaf, new: put(leaf, new[None], place), replay.memory, memory)
    priorities = replay.priorities
    if priorities is not None:
        priorities = clear(priorities, place * num_envs, num_envs)
        completed = iteration - sequences.span + 1
        start = sequences.place(completed) * num_envs
        priorities = insert(priorities, start, num_envs, present=completed >= 0)
    return SequenceReplay(rows, memories, priorities)


def uniform_sequences(
    key: jax.Array, sequences: SequenceRing, iteration: jax.Array, shape: tuple[int, ...]
) -> jax.Array:
    """int32 `shape`: items drawn with replacement, of which there must be some; the cost is that of what is drawn."""
    num_envs = sequences.ring.num_envs
    drawn = uniform_below(key, sequences.num_complete(iteration), shape)
    oldest = jnp.maximum(iteration + 1 - sequences.num_chunks, 0)
    return sequences.place(oldest + drawn // num_envs) * num_envs + drawn % num_envs


def sequences_at(replay: SequenceReplay, sequences: SequenceRing, items: jax.Array) -> SequenceBatch:
    """The sequences `items` [B]; weights are 1."""
    num_envs = sequences.ring.num_envs
    first_rows = items // num_envs * sequences.ring.rows_per_write
    steps = stretches_at(replay.rows, sequences, first_rows * num_envs + items % num_envs)
    ended = steps.terminated | steps.truncated
    return SequenceBatch(
        obs=steps.obs,
        action=steps.action,
        reward=steps.reward,
        terminated=steps.terminated,
        truncated=steps.truncated,
        next_obs=steps.next_obs,
        first=jnp.concatenate([jnp.zeros_like(ended[:1]), ended[:-1]]),
        memory=jax.tree.map(lambda leaf: _gathered(leaf, items), replay.memory),
        weight=jnp.ones(items.shape, jnp.float32),
    )


def uniform_stretches(
    key: jax.Array, sequences: SequenceRing, iteration: jax.Array, shape: tuple[int, ...]
) -> jax.Array:
    """int32 `shape`: items slot * N + lane, drawn with replacement, from which on `length` rows are held.

    The last of them begin at the newest row but `length` - 1. There must be some: not before the `span`-th write.
    """
    ring = sequences.ring
    num_filled = ring.num_filled(iteration)
    drawn = uniform_below(key, (num_filled - sequences.length + 1) * ring.num_envs, shape)
    oldest = ring.newest(iteration) + 1 - num_filled
    return (oldest + drawn // ring.num_envs) % ring.num_rows * ring.num_envs + drawn % ring.num_envs


def stretches_at(rows: Step, sequences: SequenceRing, items: jax.Array) -> Step:
    """`length` rows, one after another, from each of the `items` [B] = slot * N + lane on; leaves [length, B, ...]."""
    ring = sequences.ring
    offsets = jnp.arange(sequences.length, dtype=jnp.int32)[:, None]
    slots = (items[None] // ring.num_envs + offsets) % ring.num_rows
    where = slots * ring.num_envs + items[None] % ring.num_envs
    steps: Step = jax.tree.map(lambda leaf: _gathered(leaf, where), rows)
    return steps


def sequence_error(errors: jax.Array, mix: Scalar) -> jax.Array:
    """[B]: eta max_t |delta_t| + (1 - eta) mean_t |delta_t|, of TD errors [L, B] (Kapturowski et al. 2019)."""
    sizes = jnp.abs(errors)
    return mix * sizes.max(axis=0) + (1.0 - mix) * sizes.mean(axis=0)


def _gathered(leaf: jax.Array, index: jax.Array) -> jax.Array:
    """The entries `index` of a leaf [rows, N, ...] whose first two axes are counted as one."""
    return leaf.reshape(-1, *leaf.shape[2:]).at[index].get(mode="promise_in_bounds")
