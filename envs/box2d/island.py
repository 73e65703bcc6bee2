"""Bodies held together by joints, some of them on the ground: b2Island::Solve of Box2D 2.3.

The loops go over single numbers (one array per quantity under `vmap`), and bodies, joints and contacts are unrolled.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from .contact_solver import ContactRows, Impulses, Velocity, correct_contact, solve_contact, warm_start
from .geometry import LINEAR_SLOP, Polygon
from .manifold import Manifold
from .revolute_joint import JointImpulses, JointRows, RevoluteJoint, apply_joint, correct_joint, solve_joint
from .time_of_impact import Pose

_BAUMGARTE = 0.2


class Joint(NamedTuple):
    """A joint within this step."""

    joint: RevoluteJoint
    rows: JointRows
    state: Any
    """FREE, AT_LOWER or AT_UPPER."""


class Contact(NamedTuple):
    """A contact within this step."""

    body: int
    rows: ContactRows
    manifold: Manifold


class Solution(NamedTuple):
    """Velocities of the bodies, impulses of the joints, impulses of the contacts."""

    velocities: tuple[Velocity, ...]
    joints: tuple[JointImpulses, ...]
    contacts: tuple[Impulses, ...]


def solve_velocities(
    joints: tuple[Joint, ...], contacts: tuple[Contact, ...], start: Solution, iterations: int
) -> Solution:
    """Warm-started sequential impulses: in every iteration first the joints, then the contacts, in their order."""

    def iterate(_: Any, solution: Solution) -> Solution:
        velocities = list(solution.velocities)
        joint_impulses, contact_impulses = list(solution.joints), list(solution.contacts)
        for index, (joint, rows, _state) in enumerate(joints):
            a, b = joint.body_a, joint.body_b
            velocities[a], velocities[b], joint_impulses[index] = solve_joint(
                rows, velocities[a], velocities[b], joint_impulses[index]
            )
        for index, (body, rows, _manifold) in enumerate(contacts):
            velocities[body], contact_impulses[index] = solve_contact(rows, velocities[body], contact_impulses[index])
        return Solution(tuple(velocities), tuple(joint_impulses), tuple(contact_impulses))

    return jax.lax.fori_loop(0, iterations, iterate, _warm_started(joints, contacts, start))


def _warm_started(joints: tuple[Joint, ...], contacts: tuple[Contact, ...], start: Solution) -> Solution:
    velocities = list(start.velocities)
    for (body, rows, _), impulses in zip(contacts, start.contacts, strict=True):
        velocities[body] = warm_start(rows, velocities[body], impulses)
    for (joint, rows, _), impulses in zip(joints, start.joints, strict=True):
        a, b = joint.body_a, joint.body_b
        velocities[a], velocities[b] = apply_joint(rows, velocities[a], velocities[b], impulses)
    return start._replace(velocities=tuple(velocities))


def correct_positions(
    polygons: tuple[Polygon, ...],
    joints: tuple[Joint, ...],
    contacts: tuple[Contact, ...],
    poses: tuple[Pose, ...],
    iterations: int,
) -> tuple[tuple[Pose, ...], Any]:
    """The poses after at most so many iterations, fewer where all is right, and whether all was: bool []."""

    def correct(carry: Any) -> Any:
        poses, _, num = carry
        poses, is_right = list(poses), jnp.bool_(True)
        for body, _, manifold in contacts:
            position, angle, least = correct_contact(polygons[body], manifold, *poses[body], _BAUMGARTE)
            poses[body], is_right = Pose(position, angle), is_right & (least >= -3.0 * LINEAR_SLOP)
        for joint, _, state in joints:
            a, b = joint.body_a, joint.body_b
            moved, is_held = correct_joint(joint, (polygons[a], polygons[b]), state, (*poses[a], *poses[b]))
            poses[a], poses[b], is_right = Pose(*moved[:2]), Pose(*moved[2:]), is_right & is_held
        return tuple(poses), is_right, num + 1

    poses, is_right, _ = jax.lax.while_loop(
        lambda carry: ~carry[1] & (carry[2] < iterations), correct, (poses, jnp.bool_(False), 0)
    )
    return poses, is_right
