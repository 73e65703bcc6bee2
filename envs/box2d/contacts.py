"""Which edges of the ground a body can touch, and what a contact keeps from step to step."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp

from jaxrl.pytree import dataclass

from .contact_solver import Impulses
from .manifold import Manifold

_SLOTS = ("edge", "num_points", "ids", "normal_impulse", "tangent_impulse")


@dataclass
class Contacts:
    """The contacts of one body with the edges near it, from the right to the left, which is how Box2D solves them as
    long as the body moves to the right: the newest first."""

    edge: jax.Array
    """int32 [S]: the edge in each slot; -1 where there is none."""
    num_points: jax.Array
    """int32 [S]: points that touch."""
    ids: jax.Array
    """int32 [S, 2]."""
    normal_impulse: jax.Array
    """float32 [S, 2]: those of the step before, from which the next starts."""
    tangent_impulse: jax.Array
    """float32 [S, 2]."""
    is_grounded: jax.Array
    """bool []: set when a contact begins, cleared when one ends (also where another goes on), as Gymnasium's
    listeners do."""
    has_touched: jax.Array
    """bool []: a contact has begun at some time."""


def no_contacts(num_slots: int) -> Contacts:
    """A body in the air."""
    return Contacts(
        edge=jnp.full(num_slots, -1, jnp.int32),
        num_points=jnp.zeros(num_slots, jnp.int32),
        ids=jnp.zeros((num_slots, 2), jnp.int32),
        normal_impulse=jnp.zeros((num_slots, 2)),
        tangent_impulse=jnp.zeros((num_slots, 2)),
        is_grounded=jnp.bool_(False),
        has_touched=jnp.bool_(False),
    )


def nearby_edges(ground: Any, x: Any, num_slots: int) -> tuple[Any, Any]:
    """The `num_slots` edges about `x` from the right to the left: their numbers int32 [S], -1 beyond the ends of the
    ground, and their ends [S, 2, 2].

    `ground` [P, 2] has its points at equal distances in x; edge e lies between points e and e + 1.
    """
    spacing = ground[1, 0] - ground[0, 0]
    first = jnp.floor((x - ground[0, 0]) / spacing - 0.5 * (num_slots - 1)).astype(jnp.int32)
    edge = first + jnp.arange(num_slots)[::-1]
    is_there, edges = edge_window(ground, edge)
    return jnp.where(is_there, edge, -1), edges


def edge_window(ground: Any, edge: Any) -> tuple[Any, Any]:
    """Which of the edges `edge` [S] there are, and their ends [S, 2, 2]; beyond the ends of the ground, the last."""
    start = jnp.clip(edge, 0, len(ground) - 2)
    return start == edge, jnp.stack([ground[start], ground[start + 1]], 1)


def shifted(contacts: Contacts, edge: Any) -> Contacts:
    """The contacts in the slots of the edges `edge` [S]; one that touches and is none of them ends."""
    matches = (edge[:, None] == contacts.edge[None]) & (edge >= 0)[:, None]
    is_kept, source = matches.any(1), matches.argmax(1)
    is_lost = ((contacts.num_points > 0) & ~matches.any(0)).any()
    slots = {name: getattr(contacts, name)[source] for name in _SLOTS}
    slots |= {"edge": edge, "num_points": jnp.where(is_kept, slots["num_points"], 0)}
    return dataclasses.replace(contacts, **slots, is_grounded=contacts.is_grounded & ~is_lost)


def updated(contacts: Contacts, manifold: Manifold, which: Any) -> Contacts:
    """b2Contact::Update for the slots `which` [S]: points that keep their id keep their impulses.

    `manifold` has leading axes [S].
    """
    count = jnp.where(contacts.edge >= 0, manifold.num_points, 0)
    points = jnp.arange(2)[None]
    matches = manifold.ids[:, :, None] == contacts.ids[:, None, :]  # [S, new, old]
    matches &= (points < contacts.num_points[:, None])[:, None, :] & (points < count[:, None])[:, :, None]

    def kept(impulse: Any) -> Any:
        return jnp.where(matches[..., 0], impulse[:, :1], jnp.where(matches[..., 1], impulse[:, 1:], 0.0))

    was, touches = contacts.num_points > 0, count > 0
    begins, ends = (which & touches & ~was).any(), (which & was & ~touches).any()
    new = Contacts(
        edge=contacts.edge,
        num_points=count,
        ids=manifold.ids,
        normal_impulse=kept(contacts.normal_impulse),
        tangent_impulse=kept(contacts.tangent_impulse),
        is_grounded=(contacts.is_grounded | begins) & ~ends,
        has_touched=contacts.has_touched | begins,
    )
    slots = {name: _where(which, getattr(new, name), getattr(contacts, name)) for name in _SLOTS}
    return dataclasses.replace(new, **slots)


def stored(contacts: Contacts, impulses: Impulses) -> Contacts:
    """The contacts with the impulses [S] of this step, for the next to start from."""
    return dataclasses.replace(
        contacts,
        normal_impulse=jnp.stack([impulses.normal_1, impulses.normal_2], -1),
        tangent_impulse=jnp.stack([impulses.tangent_1, impulses.tangent_2], -1),
    )


def _where(which: Any, a: Any, b: Any) -> Any:
    return jnp.where(which.reshape(which.shape + (1,) * (a.ndim - 1)), a, b)
