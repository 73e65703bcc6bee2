"""A hinge between two bodies, with a motor and limits: b2RevoluteJoint of Box2D 2.3."""

from typing import Any, NamedTuple

import jax.numpy as jnp

from .contact_solver import Velocity
from .geometry import ANGULAR_SLOP, LINEAR_SLOP, MAX_ANGULAR_CORRECTION, Polygon

FREE, AT_LOWER, AT_UPPER = 0, 1, 2
_ROUNDING = 1e-6
"""An angle is corrected to ANGULAR_SLOP, so that the last bit would decide whether all of the iterations are needed."""


class RevoluteJoint(NamedTuple):
    """What stays the same about a joint; the numbers of a static setting."""

    body_a: int
    body_b: int
    anchor_a: tuple[float, float]
    """From the centre of mass of body a, in its frame."""
    anchor_b: tuple[float, float]
    lower: float
    """The least angle of b against a, less `reference`."""
    upper: float
    reference: float
    """The angle of b against a where the joint was made; pybox2d sets it."""


class JointImpulses(NamedTuple):
    """What a joint has given so far in this step."""

    x: Any
    y: Any
    limit: Any
    motor: Any


class JointRows(NamedTuple):
    """What a joint's iterations need, computed once per step."""

    inverse_mass_a: Any
    inverse_inertia_a: Any
    inverse_mass_b: Any
    inverse_inertia_b: Any
    arm_a_x: Any
    arm_a_y: Any
    arm_b_x: Any
    arm_b_y: Any
    inverse_xx: Any
    inverse_xy: Any
    inverse_yy: Any
    """The inverse of the point's effective mass matrix K (2 x 2)."""
    coupling_x: Any
    coupling_y: Any
    """K^-1 k, where k is the point's velocity from a unit impulse of the limit."""
    limit_mass: Any
    """The limit's effective mass where the point is held (the Schur complement)."""
    limit_low: Any
    limit_high: Any
    """Between what the limit's impulse may be: 0 and infinity, or 0 and 0 between the limits."""
    motor_mass: Any
    motor_speed: Any
    motor_most: Any


def limit_state(joint: RevoluteJoint, angle_a: Any, angle_b: Any) -> Any:
    """int32 []: FREE, AT_LOWER or AT_UPPER."""
    angle = angle_b - angle_a - joint.reference
    state = jnp.where(angle <= joint.lower, AT_LOWER, jnp.where(angle >= joint.upper, AT_UPPER, FREE))
    return state.astype(jnp.int32)


def joint_rows(
    joint: RevoluteJoint, bodies: tuple[Polygon, Polygon], angles: tuple[Any, Any], motor: tuple[Any, Any]
) -> JointRows:
    """b2RevoluteJoint::InitVelocityConstraints; `motor` is its speed and the most impulse that it has in a step."""
    a, b = bodies
    arm_a, arm_b = _arms(joint, *angles)
    mass = a.inverse_mass + b.inverse_mass
    inertia_a, inertia_b = a.inverse_inertia, b.inverse_inertia
    (ax, ay), (bx, by) = arm_a, arm_b
    kxx = mass + ay * ay * inertia_a + by * by * inertia_b
    kxy = -ay * ax * inertia_a - by * bx * inertia_b
    kyy = mass + ax * ax * inertia_a + bx * bx * inertia_b
    kxz, kyz = -ay * inertia_a - by * inertia_b, ax * inertia_a + bx * inertia_b
    kzz = inertia_a + inertia_b
    scale = 1 / (kxx * kyy - kxy * kxy)
    inverse_xx, inverse_xy, inverse_yy = kyy * scale, -kxy * scale, kxx * scale
    coupling_x, coupling_y = inverse_xx * kxz + inverse_xy * kyz, inverse_xy * kxz + inverse_yy * kyz
    state = limit_state(joint, *angles)
    return JointRows(
        inverse_mass_a=a.inverse_mass,
        inverse_inertia_a=inertia_a,
        inverse_mass_b=b.inverse_mass,
        inverse_inertia_b=inertia_b,
        arm_a_x=ax,
        arm_a_y=ay,
        arm_b_x=bx,
        arm_b_y=by,
        inverse_xx=inverse_xx,
        inverse_xy=inverse_xy,
        inverse_yy=inverse_yy,
        coupling_x=coupling_x,
        coupling_y=coupling_y,
        limit_mass=1 / (kzz - kxz * coupling_x - kyz * coupling_y),
        limit_low=jnp.where(state == AT_UPPER, -jnp.inf, 0.0),
        limit_high=jnp.where(state == AT_LOWER, jnp.inf, 0.0),
        motor_mass=1 / kzz,
        motor_speed=motor[0],
        motor_most=motor[1],
    )


def apply_joint(rows: JointRows, a: Velocity, b: Velocity, impulse: JointImpulses) -> tuple[Velocity, Velocity]:
    """The velocities after this impulse: the warm start, and the end of an iteration."""
    x, y, turn = impulse.x, impulse.y, impulse.limit + impulse.motor
    return (
        Velocity(
            a.x - rows.inverse_mass_a * x,
            a.y - rows.inverse_mass_a * y,
            a.spin - rows.inverse_inertia_a * (rows.arm_a_x * y - rows.arm_a_y * x + turn),
        ),
        Velocity(
            b.x + rows.inverse_mass_b * x,
            b.y + rows.inverse_mass_b * y,
            b.spin + rows.inverse_inertia_b * (rows.arm_b_x * y - rows.arm_b_y * x + turn),
        ),
    )


def solve_joint(
    rows: JointRows, a: Velocity, b: Velocity, impulses: JointImpulses
) -> tuple[Velocity, Velocity, JointImpulses]:
    """One iteration: the motor, then the point and the limit together.

    Box2D solves 3 x 3, and 2 x 2 again where the limit would pull. Eliminating the point first gives both at once.
    """
    motor = impulses.motor - rows.motor_mass * (b.spin - a.spin - rows.motor_speed)
    motor = jnp.clip(motor, -rows.motor_most, rows.motor_most)
    turn = motor - impulses.motor
    spin_a, spin_b = a.spin - rows.inverse_inertia_a * turn, b.spin + rows.inverse_inertia_b * turn

    off_x = b.x - spin_b * rows.arm_b_y - a.x + spin_a * rows.arm_a_y
    off_y = b.y + spin_b * rows.arm_b_x - a.y - spin_a * rows.arm_a_x
    off_turn = spin_b - spin_a - rows.coupling_x * off_x - rows.coupling_y * off_y
    limit = jnp.clip(impulses.limit - rows.limit_mass * off_turn, rows.limit_low, rows.limit_high)
    turn = limit - impulses.limit
    x = -(rows.inverse_xx * off_x + rows.inverse_xy * off_y) - rows.coupling_x * turn
    y = -(rows.inverse_xy * off_x + rows.inverse_yy * off_y) - rows.coupling_y * turn

    a, b = a._replace(spin=spin_a), b._replace(spin=spin_b)
    a, b = apply_joint(rows, a, b, JointImpulses(x, y, turn, 0.0))
    return a, b, JointImpulses(impulses.x + x, impulses.y + y, limit, motor)


class Place(NamedTuple):
    """Of a body's centre of mass, and its angle."""

    x: Any
    y: Any
    angle: Any


def correct_joint(
    joint: RevoluteJoint, bodies: tuple[Polygon, Polygon], state: Any, places: tuple[Place, Place]
) -> tuple[tuple[Place, Place], Any]:
    """One iteration of the position solver: the places of both bodies, and whether they were right."""
    a, b = bodies
    (ax, ay, angle_a), (bx, by, angle_b) = places
    angle = angle_b - angle_a - joint.reference
    below, above = angle - joint.lower, angle - joint.upper
    low = jnp.clip(below + ANGULAR_SLOP, -MAX_ANGULAR_CORRECTION, 0.0)
    high = jnp.clip(above - ANGULAR_SLOP, 0.0, MAX_ANGULAR_CORRECTION)
    angular_error = jnp.where(state == AT_LOWER, -below, jnp.where(state == AT_UPPER, above, 0.0))
    correction = jnp.where(state == AT_LOWER, low, jnp.where(state == AT_UPPER, high, 0.0))
    turn = -correction / (a.inverse_inertia + b.inverse_inertia)
    angle_a, angle_b = angle_a - a.inverse_inertia * turn, angle_b + b.inverse_inertia * turn

    (arm_ax, arm_ay), (arm_bx, arm_by) = _arms(joint, angle_a, angle_b)
    off_x, off_y = bx + arm_bx - ax - arm_ax, by + arm_by - ay - arm_ay
    error = jnp.sqrt(off_x * off_x + off_y * off_y)
    mass = a.inverse_mass + b.inverse_mass
    kxx = mass + a.inverse_inertia * arm_ay * arm_ay + b.inverse_inertia * arm_by * arm_by
    kxy = -a.inverse_inertia * arm_ax * arm_ay - b.inverse_inertia * arm_bx * arm_by
    kyy = mass + a.inverse_inertia * arm_ax * arm_ax + b.inverse_inertia * arm_bx * arm_bx
    scale = -1 / (kxx * kyy - kxy * kxy)
    x, y = scale * (kyy * off_x - kxy * off_y), scale * (kxx * off_y - kxy * off_x)
    turn_a, turn_b = arm_ax * y - arm_ay * x, arm_bx * y - arm_by * x
    place_a = Place(ax - a.inverse_mass * x, ay - a.inverse_mass * y, angle_a - a.inverse_inertia * turn_a)
    place_b = Place(bx + b.inverse_mass * x, by + b.inverse_mass * y, angle_b + b.inverse_inertia * turn_b)
    return (place_a, place_b), (error <= LINEAR_SLOP) & (angular_error <= ANGULAR_SLOP + _ROUNDING)


def _arms(joint: RevoluteJoint, angle_a: Any, angle_b: Any) -> tuple[tuple[Any, Any], tuple[Any, Any]]:
    """From both centres of mass to the hinge, in the world."""
    return _turned(joint.anchor_a, angle_a), _turned(joint.anchor_b, angle_b)


def _turned(vector: tuple[float, float], angle: Any) -> tuple[Any, Any]:
    cos, sin = jnp.cos(angle), jnp.sin(angle)
    return cos * vector[0] - sin * vector[1], sin * vector[0] + cos * vector[1]
