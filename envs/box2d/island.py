"""Bodies held together by joints, some of them on the ground: b2Island::Solve of Box2D 2.3.

The loops go over single numbers (one array per quantity under `vmap`), and bodies, joints and slots are unrolled.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from .contact_solver import ContactRows, Velocity, correct_contacts, solve_contact, warm_start
from .geometry import LINEAR_SLOP, Polygon, Pose, stacked
from .manifold import Manifold
from .revolute_joint import JointImpulses, JointRows, Place, RevoluteJoint, apply_joint, correct_joint, solve_joint

_BAUMGARTE = 0.2


class Joint(NamedTuple):
    """A joint within this step."""

    joint: RevoluteJoint
    rows: JointRows
    state: Any
    """FREE, AT_LOWER or AT_UPPER."""


class Touch(NamedTuple):
    """The contacts within this step of the colliders C, in S slots."""

    colliders: tuple[int, ...]
    rows: ContactRows
    """Of [C, S]."""


class Solution(NamedTuple):
    """Velocities of the bodies, impulses of the joints, Impulses of the contacts [C, S] where there are any."""

    velocities: tuple[Velocity, ...]
    joints: tuple[JointImpulses, ...]
    contacts: Any


def solve_velocities(joints: tuple[Joint, ...], touch: Touch | None, start: Solution, iterations: int) -> Solution:
    """Warm-started sequential impulses: in every iteration first the joints, then the contacts, in their order.

    The contacts of different bodies have nothing to do with each other, so that those in one slot are solved at once.
    """
    slots = [] if touch is None else _slots(touch.rows)

    def iterate(_: Any, carry: Any) -> Any:
        velocities, joint_impulses, contact_impulses = (list(part) for part in carry)
        for index, (joint, rows, _state) in enumerate(joints):
            a, b = joint.body_a, joint.body_b
            velocities[a], velocities[b], joint_impulses[index] = solve_joint(
                rows, velocities[a], velocities[b], joint_impulses[index]
            )
        if touch is not None:
            together = _stacked([velocities[body] for body in touch.colliders])
            for index, rows in enumerate(slots):
                together, contact_impulses[index] = solve_contact(rows, together, contact_impulses[index])
            velocities = _put_back(velocities, touch.colliders, together)
        return velocities, joint_impulses, contact_impulses

    carry = (_warm_started(joints, touch, start), list(start.joints), _slots(start.contacts) if slots else [])
    velocities, joint_impulses, impulses = jax.lax.fori_loop(0, iterations, iterate, carry)
    contacts = jax.tree.map(lambda *leaves: jnp.stack(leaves, 1), *impulses) if slots else None
    return Solution(tuple(velocities), tuple(joint_impulses), contacts)


def _warm_started(joints: tuple[Joint, ...], touch: Touch | None, start: Solution) -> list[Velocity]:
    velocities = list(start.velocities)
    if touch is not None:
        together = _stacked([velocities[body] for body in touch.colliders])
        for rows, impulses in zip(_slots(touch.rows), _slots(start.contacts), strict=True):
            together = warm_start(rows, together, impulses)
        velocities = _put_back(velocities, touch.colliders, together)
    for (joint, rows, _), pushes in zip(joints, start.joints, strict=True):
        a, b = joint.body_a, joint.body_b
        velocities[a], velocities[b] = apply_joint(rows, velocities[a], velocities[b], pushes)
    return velocities


def _slots(tree: Any) -> list[Any]:
    """A tree of [C, S] slot by slot, each [C]."""
    (num_slots,) = {leaf.shape[1] for leaf in jax.tree.leaves(tree)}
    return [jax.tree.map(lambda leaf, slot=slot: leaf[:, slot], tree) for slot in range(num_slots)]


def _stacked(trees: list[Any]) -> Any:
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *trees)


def _put_back(whole: list[Any], bodies: tuple[int, ...], together: Any) -> list[Any]:
    """`whole` [B] with the part of `bodies` replaced by `together` [C]."""
    parts = {body: jax.tree.map(lambda leaf, at=at: leaf[at], together) for at, body in enumerate(bodies)}
    return [parts.get(body, old) for body, old in enumerate(whole)]


def correct_positions(
    polygons: tuple[Polygon, ...],
    joints: tuple[Joint, ...],
    touching: tuple[tuple[int, ...], Manifold] | None,
    poses: Pose,
    iterations: int,
) -> tuple[Pose, Any]:
    """The poses [B] after at most so many iterations, fewer where all is right, and whether all was: bool [].

    `touching` are the colliders C and their manifolds [C, S].
    """

    def correct(carry: Any) -> Any:
        places, _, num = carry
        places, is_right = list(places), jnp.bool_(True)
        if touching is not None:
            places, is_right = _pushed_out(polygons, *touching, places)
        for joint, _, state in joints:
            a, b = joint.body_a, joint.body_b
            (places[a], places[b]), is_held = correct_joint(
                joint, (polygons[a], polygons[b]), state, (places[a], places[b])
            )
            is_right = is_right & is_held
        return places, is_right, num + 1

    (x, y), angle = poses.position.T, poses.angle
    places = [Place(x[body], y[body], angle[body]) for body in range(len(polygons))]
    places, is_right, _ = jax.lax.while_loop(
        lambda carry: ~carry[1] & (carry[2] < iterations), correct, (places, jnp.bool_(False), 0)
    )
    return _pose(places), is_right


def _pose(places: list[Place]) -> Pose:
    """Poses of so many bodies."""
    x, y, angle = _stacked(places)
    return Pose(jnp.stack([x, y], -1), angle)


def _pushed_out(
    polygons: tuple[Polygon, ...], colliders: tuple[int, ...], manifolds: Manifold, places: list[Place]
) -> tuple[list[Place], Any]:
    """The contacts' share of an iteration; those of different bodies have nothing to do with each other."""

    def push_out(polygon: Polygon, manifold: Manifold, pose: Pose) -> tuple[Pose, Any]:
        return correct_contacts(polygon, manifold, pose, _BAUMGARTE)

    poses = _pose([places[body] for body in colliders])
    moved, least = jax.vmap(push_out)(stacked([polygons[body] for body in colliders]), manifolds, poses)
    together = Place(moved.position[:, 0], moved.position[:, 1], moved.angle)
    return _put_back(places, colliders, together), (least >= -3.0 * LINEAR_SLOP).all()
