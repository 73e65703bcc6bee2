"""The contact of a moving body with the fixed ground: b2ContactSolver of Box2D 2.3, without restitution.

A contact has two points; one that is not there has no mass, so that its impulse stays 0. The functions that iterate
take and give single numbers, which under `vmap` are one array per quantity.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from .geometry import LINEAR_SLOP, MAX_LINEAR_CORRECTION, SKIN, Polygon, Pose, cross, dot, rotated
from .manifold import Manifold, placed


class Velocity(NamedTuple):
    """Of a body's centre of mass, and around it."""

    x: Any
    y: Any
    spin: Any


class Impulses(NamedTuple):
    """What the ground has given so far in this step at the two points, along the normal and across."""

    normal_1: Any
    normal_2: Any
    tangent_1: Any
    tangent_2: Any


class ContactRows(NamedTuple):
    """What a contact's iterations need, computed once per step. The tangent is (normal_y, -normal_x)."""

    inverse_mass: Any
    inverse_inertia: Any
    friction: Any
    normal_x: Any
    normal_y: Any
    normal_lever_1: Any
    normal_lever_2: Any
    tangent_lever_1: Any
    tangent_lever_2: Any
    tangent_mass_1: Any
    tangent_mass_2: Any
    k11: Any
    k12: Any
    k22: Any
    """The matrix K from the two normal impulses to the two normal velocities, and its inverse."""
    inverse_11: Any
    inverse_12: Any
    inverse_22: Any
    normal_mass_1: Any
    normal_mass_2: Any
    """1 / k11 and 1 / k22."""


def contact_rows(polygon: Polygon, manifold: Manifold, position: Any, angle: Any, friction: Any) -> ContactRows:
    """b2ContactSolver::InitializeVelocityConstraints for the polygon at this pose."""
    world = placed(manifold, position, angle)
    mass, inertia = polygon.inverse_mass, polygon.inverse_inertia
    tangent = jnp.stack([world.normal[1], -world.normal[0]])
    arms = world.points - position[None]
    normal_levers, tangent_levers = cross(arms, world.normal), cross(arms, tangent)
    k11, k22 = mass + inertia * normal_levers[0] ** 2, mass + inertia * normal_levers[1] ** 2
    k12 = mass + inertia * normal_levers[0] * normal_levers[1]
    determinant = k11 * k22 - k12 * k12
    # Where the points are nearly one, or only one is there, the second is left out.
    is_first, is_second = manifold.num_points >= 1, (manifold.num_points == 2) & (k11 * k11 < 1000 * determinant)
    scale = jnp.where(is_second, 1 / jnp.where(is_second, determinant, 1.0), 0.0)
    single = jnp.where(is_first, 1 / k11, 0.0)
    tangent_masses = 1 / (mass + inertia * tangent_levers**2)
    return ContactRows(
        inverse_mass=mass,
        inverse_inertia=inertia,
        friction=friction,
        normal_x=world.normal[0],
        normal_y=world.normal[1],
        normal_lever_1=normal_levers[0],
        normal_lever_2=normal_levers[1],
        tangent_lever_1=tangent_levers[0],
        tangent_lever_2=tangent_levers[1],
        tangent_mass_1=jnp.where(is_first, tangent_masses[0], 0.0),
        tangent_mass_2=jnp.where(is_second, tangent_masses[1], 0.0),
        k11=k11,
        k12=jnp.where(is_second, k12, 0.0),
        k22=jnp.where(is_second, k22, 0.0),
        inverse_11=jnp.where(is_second, k22 * scale, single),
        inverse_12=-k12 * scale,
        inverse_22=k11 * scale,
        normal_mass_1=single,
        normal_mass_2=jnp.where(is_second, 1 / k22, 0.0),
    )


def warm_start(rows: ContactRows, velocity: Velocity, impulses: Impulses) -> Velocity:
    """Apply the impulses of the step before."""
    n1, n2, t1, t2 = impulses
    spin = rows.normal_lever_1 * n1 + rows.normal_lever_2 * n2 + rows.tangent_lever_1 * t1 + rows.tangent_lever_2 * t2
    return _pushed(rows, velocity, n1 + n2, t1 + t2, velocity.spin + rows.inverse_inertia * spin)


def solve_contact(rows: ContactRows, velocity: Velocity, impulses: Impulses) -> tuple[Velocity, Impulses]:
    """One iteration: friction at both points in turn, then both normal impulses together (the block solver)."""
    n1, n2, t1, t2 = impulses
    along = velocity.x * rows.normal_x + velocity.y * rows.normal_y
    across = velocity.x * rows.normal_y - velocity.y * rows.normal_x
    spin = velocity.spin

    most = rows.friction * n1
    new_t1 = jnp.clip(t1 - rows.tangent_mass_1 * (across + spin * rows.tangent_lever_1), -most, most)
    across = across + rows.inverse_mass * (new_t1 - t1)
    spin = spin + rows.inverse_inertia * rows.tangent_lever_1 * (new_t1 - t1)
    most = rows.friction * n2
    new_t2 = jnp.clip(t2 - rows.tangent_mass_2 * (across + spin * rows.tangent_lever_2), -most, most)
    spin = spin + rows.inverse_inertia * rows.tangent_lever_2 * (new_t2 - t2)

    b1 = along + spin * rows.normal_lever_1 - rows.k11 * n1 - rows.k12 * n2
    b2 = along + spin * rows.normal_lever_2 - rows.k12 * n1 - rows.k22 * n2
    new_n1, new_n2 = _block(rows, b1, b2, n1, n2)
    turn = rows.normal_lever_1 * (new_n1 - n1) + rows.normal_lever_2 * (new_n2 - n2)
    spin = spin + rows.inverse_inertia * turn
    pushed = _pushed(rows, velocity, new_n1 - n1 + new_n2 - n2, new_t1 - t1 + new_t2 - t2, spin)
    return pushed, Impulses(new_n1, new_n2, new_t1, new_t2)


def _block(rows: ContactRows, b1: Any, b2: Any, n1: Any, n2: Any) -> tuple[Any, Any]:
    """The first of four solutions of 0 <= x, 0 <= K x + b, x (K x + b) = 0 that holds; where none does, no change."""
    both_1 = -(rows.inverse_11 * b1 + rows.inverse_12 * b2)
    both_2 = -(rows.inverse_12 * b1 + rows.inverse_22 * b2)
    only_1, only_2 = -rows.normal_mass_1 * b1, -rows.normal_mass_2 * b2
    is_both = (both_1 >= 0) & (both_2 >= 0)
    is_1 = (only_1 >= 0) & (rows.k12 * only_1 + b2 >= 0)
    is_2 = (only_2 >= 0) & (rows.k12 * only_2 + b1 >= 0)
    is_none = (b1 >= 0) & (b2 >= 0)
    otherwise_1, otherwise_2 = jnp.where(is_none, 0.0, n1), jnp.where(is_none, 0.0, n2)
    x1 = jnp.where(is_both, both_1, jnp.where(is_1, only_1, jnp.where(is_2, 0.0, otherwise_1)))
    x2 = jnp.where(is_both, both_2, jnp.where(is_1, 0.0, jnp.where(is_2, only_2, otherwise_2)))
    return x1, x2


def _pushed(rows: ContactRows, velocity: Velocity, normal: Any, tangent: Any, spin: Any) -> Velocity:
    mass = rows.inverse_mass
    return Velocity(
        velocity.x + mass * (rows.normal_x * normal + rows.normal_y * tangent),
        velocity.y + mass * (rows.normal_y * normal - rows.normal_x * tangent),
        spin,
    )


def correct_contacts(polygon: Polygon, manifold: Manifold, pose: Pose, rate: float) -> tuple[Pose, jax.Array]:
    """One iteration of the position solver over the contacts [S] of a body, point by point: its pose, and the least
    separation [] that there was."""
    num_slots = len(manifold.num_points)
    is_there = jnp.arange(2)[None] < manifold.num_points[:, None]

    def correct(carry: Any, point: Any) -> tuple[Any, None]:
        (position, angle), least = carry
        on_edge, normal, plane, local, is_there = point
        turned = rotated(jnp.stack([normal, plane, local]), angle)
        normal = jnp.where(on_edge, normal, -turned[0])  # from the edge to the polygon
        arm = jnp.where(on_edge, turned[2], local - position)
        against = jnp.where(on_edge, plane - position, turned[1])
        separation = dot(normal, arm - against) * jnp.where(on_edge, 1.0, -1.0) - 2 * SKIN
        error = jnp.clip(rate * (separation + LINEAR_SLOP), -MAX_LINEAR_CORRECTION, 0.0)
        lever = cross(arm, normal)
        impulse = -error / (polygon.inverse_mass + polygon.inverse_inertia * lever**2)
        impulse = jnp.where(is_there, impulse, 0.0)
        position = position + polygon.inverse_mass * impulse * normal
        angle = angle + polygon.inverse_inertia * lever * impulse
        return (Pose(position, angle), jnp.minimum(least, jnp.where(is_there, separation, 0.0))), None

    shared = (manifold.on_edge, manifold.normal, manifold.plane)
    points = jax.tree.map(lambda leaf: jnp.repeat(leaf, 2, 0), shared)
    points = (*points, manifold.points.reshape(2 * num_slots, 2), is_there.reshape(2 * num_slots))
    return jax.lax.scan(correct, (pose, jnp.float32(0.0)), points)[0]
