"""Replay on the device: the last transitions of N environments, and n-step windows drawn from them.

Rows lie in a ring, [rows, N, ...]: one row is one step of all environments. Where the next rows go is computed from the
iteration, which all seeds of a vmapped run share: a write then stays an in-place slice update, where a position kept in
each seed's state would make it a scatter, and a decision to learn a select that runs both sides.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxrl.components.prioritized import Priorities, insert, no_priorities
from jaxrl.components.returns import discounts
from jaxrl.components.rollouts import Transition
from jaxrl.envs.spaces import Space
from jaxrl.memory import require_memory, tree_bytes
from jaxrl.pytree import Scalar, dataclass


@dataclass
class Step:
    """What is kept of a transition, with leading axes [T, N] of a rollout or [rows, N] of a replay."""

    obs: Any
    action: Any
    reward: jax.Array
    terminated: jax.Array
    truncated: jax.Array
    next_obs: Any
    """The true successor, also where the episode ended: nothing derives it from the next row."""


@dataclass
class Batch:
    """Windows of up to n steps, ready to learn from; leaves [B, ...]."""

    obs: Any
    action: Any
    reward: jax.Array
    """r_0 + gamma r_1 + ... + gamma^(m-1) r_(m-1)."""
    discount: jax.Array
    """What the value of `next_obs` is worth: gamma^m, or 0 after a termination."""
    next_obs: Any
    """The true successor of the window's last step."""
    weight: jax.Array
    """Of each window's loss: 1, or the correction for a prioritized draw."""


@dataclass
class Replay:
    """The rows, and how often each transition is to be drawn."""

    rows: Step
    """[rows, N, ...]."""
    priorities: Priorities | None
    """Of item slot * N + lane; None where all are drawn alike."""


class Ring(NamedTuple):
    """How many rows there are, and how they are written."""

    num_rows: int
    num_envs: int
    rows_per_write: int
    """Divides `num_rows`, so that no write goes around the end."""

    @property
    def num_items(self) -> int:
        """How many transitions it holds when full."""
        return self.num_rows * self.num_envs

    def write_position(self, iteration: jax.Array) -> jax.Array:
        """int32 []: the slot of the first row that this iteration writes."""
        return (iteration % (self.num_rows // self.rows_per_write)) * self.rows_per_write

    def newest(self, iteration: jax.Array) -> jax.Array:
        """int32 []: the slot of the last row that this iteration wrote."""
        return self.write_position(iteration) + self.rows_per_write - 1

    def num_filled(self, iteration: jax.Array) -> jax.Array:
        """int32 []: how many rows hold something once this iteration has written."""
        return jnp.minimum(iteration + 1, self.num_rows // self.rows_per_write) * self.rows_per_write


def ring_of(capacity: int, num_envs: int, rows_per_write: int) -> Ring:
    """The ring of at most `capacity` transitions, in whole writes; raises ValueError where not one of them fits."""
    num_writes = capacity // (num_envs * rows_per_write)
    if num_writes < 1:
        raise ValueError(
            f"replay_capacity must hold at least one rollout, num_envs * num_steps = {num_envs} * {rows_per_write} "
            f"transitions, got {capacity}."
        )
    return Ring(num_writes * rows_per_write, num_envs, rows_per_write)


def kept(transition: Transition) -> Step:
    """What a replay keeps of a transition; for `unroll`."""
    return Step(
        obs=transition.obs,
        action=transition.action,
        reward=transition.reward,
        terminated=transition.terminated,
        truncated=transition.truncated,
        next_obs=transition.next_obs,
    )


def replay_bytes(ring: Ring, step: Step) -> int:
    """Bytes that `ring` takes for steps like `step`, arrays or shapes [N, ...]; nothing is allocated."""
    return ring.num_rows * tree_bytes(step)


def empty_replay(ring: Ring, step: Step, *, prioritized: bool) -> Replay:
    """A replay for steps like `step` (arrays or shapes [N, ...]), in the dtypes they have.

    Raises ValueError where it cannot fit into the device's memory.
    """
    require_memory(ring.num_items, replay_bytes(ring, step))
    rows = jax.tree.map(lambda leaf: jnp.zeros((ring.num_rows, *leaf.shape), leaf.dtype), step)
    return Replay(rows, no_priorities(ring.num_items) if prioritized else None)


def write(replay: Replay, ring: Ring, rollout: Step, iteration: jax.Array) -> Replay:
    """Put a rollout [T, N, ...] in the place of the oldest one; new transitions get the highest priority so far."""
    slot = ring.write_position(iteration)

    def put(rows: jax.Array, new: jax.Array) -> jax.Array:
        return jax.lax.dynamic_update_slice_in_dim(rows, new.astype(rows.dtype), slot, axis=0)

    priorities = replay.priorities
    if priorities is not None:
        priorities = insert(priorities, slot * ring.num_envs, ring.rows_per_write * ring.num_envs)
    return Replay(jax.tree.map(put, replay.rows, rollout), priorities)


def uniform_items(key: jax.Array, ring: Ring, iteration: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    """int32 `shape`: items drawn with replacement. It costs what is drawn, whatever the capacity."""
    return uniform_below(key, ring.num_filled(iteration) * ring.num_envs, shape)


def uniform_below(key: jax.Array, limit: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    """int32 `shape` in 0 .. limit - 1, a remainder of 32 random bits.

    No number is likelier than another by more than limit / 2^32, 0.02 % for a million; `jax.random.randint` draws and
    divides twice to come closer, which takes as long as gathering what is drawn.
    """
    return (jax.random.bits(key, shape, jnp.uint32) % limit.astype(jnp.uint32)).astype(jnp.int32)


def windows(rows: Step, ring: Ring, items: jax.Array, iteration: jax.Array, discount: Scalar, n: int) -> Batch:
    """The n-step windows that begin at `items` [B], as of the end of this iteration's write; weights are 1.

    A window ends before n steps with its episode, or at the newest row. After a truncation the true successor is
    bootstrapped from, after a termination nothing is. The discount is gamma to the number of steps taken.
    """
    slot, lane = items // ring.num_envs, items % ring.num_envs
    flat = jax.tree.map(lambda leaf: leaf.reshape(ring.num_items, *leaf.shape[2:]), rows)
    gammas = discounts(_at(flat.terminated, items), discount)
    reward, last = _at(flat.reward, items), items
    if n > 1:
        offsets = jnp.arange(n, dtype=jnp.int32)[:, None]
        steps = (slot[None] + offsets) % ring.num_rows * ring.num_envs + lane[None]  # [n, B]
        ended = _at(flat.terminated, steps) | _at(flat.truncated, steps)
        until_newest = (ring.newest(iteration) - slot[None]) % ring.num_rows
        goes_on = jnp.cumprod(~ended, axis=0)[:-1] * (offsets[1:] <= until_newest)
        taken = jnp.concatenate([jnp.ones_like(goes_on[:1]), goes_on])  # [n, B]: the first m are 1
        powers = discount ** offsets.astype(jnp.float32)
        reward = (_at(flat.reward, steps) * taken * powers).sum(axis=0)
        length = taken.sum(axis=0)
        last = (slot + length - 1) % ring.num_rows * ring.num_envs + lane
        gammas = discounts(_at(flat.terminated, last), discount) * discount ** (length - 1).astype(jnp.float32)
    obs, action = jax.tree.map(lambda leaf: _at(leaf, items), (flat.obs, flat.action))
    next_obs = jax.tree.map(lambda leaf: _at(leaf, last), flat.next_obs)
    return Batch(obs, action, reward, gammas, next_obs, weight=jnp.ones_like(reward))


def step_shapes(obs: Any, action_space: Space) -> Step:
    """The shapes and dtypes of one `Step` of the environments that show `obs` [N, ...]; nothing is run."""
    num_envs = jax.tree.leaves(obs)[0].shape[0]
    keys = jax.eval_shape(lambda: jax.random.split(jax.random.key(0), num_envs))
    shapes = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype), obs)
    reward: Any = jax.ShapeDtypeStruct((num_envs,), jnp.float32)
    flag: Any = jax.ShapeDtypeStruct((num_envs,), jnp.bool_)
    return Step(
        obs=shapes,
        action=jax.eval_shape(jax.vmap(action_space.sample), keys),
        reward=reward,
        terminated=flag,
        truncated=flag,
        next_obs=shapes,
    )


def _at(leaf: jax.Array, items: jax.Array) -> jax.Array:
    return leaf.at[items].get(mode="promise_in_bounds")
