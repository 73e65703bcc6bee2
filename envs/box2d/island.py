"""Bodies held together by joints, some of them on the ground: b2Island::Solve of Box2D 2.3.

The loops go over single numbers (one array per quantity under `vmap`), and bodies, joints and contacts are unrolled.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from .contact_solver import ContactRows, Impulses, Velocity, correct_contacts, solve_contact, warm_start
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
    """Velocities of the bodies, impulses of the joints, impulses of the contacts [C, S] where there are any."""

    velocities: tuple[Velocity, ...]
    joints: tuple[JointImpulses, ...]
    contacts: Impulses | None


def solve_velocities(joints: tuple[Joint, ...], touch: Touch | None, start: Solution, iterations: int) -> Solution:
    """Warm-started sequential impulses: in every iteration first the joints, then the contacts, in their order.

    The contacts of different bodies have nothing to do with each other, so that those in one slot are solved at once.
    """
    num_slots = 0 if start.contacts is None else start.contacts.normal_1.shape[1]
    slots = [_slot(touch.rows, number) for number in range(num_slots)] if touch is not None else []

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
            for place, body in enumerate(touch.colliders):
                velocities[body] = jax.tree.map(lambda leaf, place=place: leaf[place], together)
        return velocities, joint_impulses, contact_impulses

    impulses = [_slot(start.contacts, number) for number in range(num_slots)]
    carry = (_warm_started(joints, touch, start), list(start.joints), impulses)
    velocities, joint_impulses, impulses = jax.lax.fori_loop(0, iterations, iterate, carry)
    contacts = jax.tree.map(lambda *leaves: jnp.stack(leaves, 1), *impulses) if impulses else None
    return Solution(tuple(velocities), tuple(joint_impulses), contacts)


def _warm_started(joints: tuple[Joint, ...], touch: Touch | None, start: Solution) -> list[Velocity]:
    velocities = list(start.velocities)
    if touch is not None:
        together = _stacked([velocities[body] for body in touch.colliders])
        for number in range(start.contacts.normal_1.shape[1]):
            together = warm_start(_slot(touch.rows, number), together, _slot(start.contacts, number))
        for place, body in enumerate(touch.colliders):
            velocities[body] = jax.tree.map(lambda leaf, place=place: leaf[place], together)
    for (joint, rows, _), impulses in zip(joints, start.joints, strict=True):
        a, b = joint.body_a, joint.body_b
        velocities[a], velocities[b] = apply_joint(rows, velocities[a], velocities[b], impulses)
    return velocities


def _slot(tree: Any, number: int) -> Any:
    return jax.tree.map(lambda leaf: leaf[:, number], tree)


def _stacked(trees: list[Any]) -> Any:
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *trees)


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
    (position, angle), least = jax.vmap(push_out)(stacked([polygons[body] for body in colliders]), manifolds, poses)
    places = list(places)
    for place, body in enumerate(colliders):
        places[body] = Place(position[place, 0], position[place, 1], angle[place])
    return places, (least >= -3.0 * LINEAR_SLOP).all()
