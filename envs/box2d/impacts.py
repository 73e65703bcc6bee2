"""Sub-steps at the impacts of a fast body: b2World::SolveTOI and b2Island::SolveTOI of Box2D 2.3.

A body that would end a step inside an edge is taken back to where it met it, and goes on from there with what the
contact leaves of its velocity. Its joints have no part in this; they act again in the next step.
"""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from .contact_solver import ContactRows, Impulses, Velocity, contact_rows, correct_contacts, solve_contact
from .contacts import Contacts, updated
from .geometry import LINEAR_SLOP, Polygon, Pose, cross, dot, moved
from .manifold import Manifold, collide
from .time_of_impact import TARGET, TOLERANCE, Sweep, is_met, time_of_impact

_BAUMGARTE, _POSITION_ITERATIONS, _MAX_SUB_STEPS = 0.75, 20, 8
_LAST = 1.0 - 10 * 1.1920929e-07
_AT_REST = 1e-6
"""m/s: iterations that change a velocity by less than this change nothing."""


class Body(NamedTuple):
    """A body in the middle of a step."""

    sweep: Sweep
    """What is left of its motion."""
    velocity: Velocity
    contacts: Contacts


class _Impacts(NamedTuple):
    body: Body
    time: Any
    """[]: how much of the step is over."""
    num: Any
    """int32 [S]: impacts on each edge; after too many, or one that proved to be none, it is left out."""
    is_over: Any


def solve_impacts(polygon: Polygon, body: Body, edges: Any, friction: Any, step: tuple[float, int]) -> Body:
    """The body at the end of the step, after its impacts on `edges` [S, 2, 2]. `step`: its seconds, and velocity
    iterations."""
    is_edge = body.contacts.edge >= 0

    def impact(impacts: _Impacts) -> _Impacts:
        body, num = impacts.body, impacts.num
        times = jax.vmap(lambda edge: time_of_impact(polygon, body.sweep, edge))(edges)
        times = jnp.where(is_edge & (num <= _MAX_SUB_STEPS), times, 1.0)
        part, slot = times.min(), times.argmin()
        time = impacts.time + (1.0 - impacts.time) * part
        is_over = time >= _LAST
        pose = body.sweep.at(part)
        manifold = jax.vmap(lambda edge: collide(polygon, pose.position, pose.angle, edge))(edges)
        manifold = manifold._replace(num_points=jnp.where(is_edge, manifold.num_points, 0))
        is_slot, is_touching = jnp.arange(len(edges)) == slot, (manifold.num_points > 0)[slot] & ~is_over
        contacts = updated(body.contacts, manifold, (is_slot | is_touching) & ~is_over)
        first = jnp.argsort(~is_slot)  # the contact that was met is solved first
        touch = (jax.tree.map(lambda leaf: leaf[first], manifold), friction)
        after = _sub_step(polygon, pose, body.velocity, touch, ((1.0 - time) * step[0], step[1]))
        old = (body.sweep, body.velocity)
        sweep, velocity = jax.tree.map(lambda new, old: jnp.where(is_touching, new, old), after, old)
        num = num + jnp.where(is_slot, jnp.where(is_touching, 1, _MAX_SUB_STEPS + 1), 0)
        return _Impacts(Body(sweep, velocity, contacts), jnp.where(is_touching, time, impacts.time), num, is_over)

    start = _Impacts(body, jnp.float32(0.0), jnp.zeros(len(edges), jnp.int32), jnp.bool_(False))
    return jax.lax.while_loop(lambda impacts: ~impacts.is_over, impact, start).body


def can_meet(polygon: Polygon, body: Body, edges: Any) -> Any:
    """bool []: whether an impact is possible: at the start or the end of its way the body is close to an edge."""

    reach = TARGET + TOLERANCE

    def is_close(pose: Pose, edge: Any) -> Any:
        heights, spread = _along(polygon, pose, edge)
        return (heights.min() < reach) & (heights.max() > -reach) & (spread > -reach)

    is_edge = body.contacts.edge >= 0
    close = [jax.vmap(functools.partial(is_close, pose))(edges) for pose in (body.sweep.start, body.sweep.end)]
    return ((close[0] | close[1]) & is_edge).any()


def is_touched(polygon: Polygon, poses: tuple[Pose, Pose], edge: Any, edges: Any) -> Any:
    """bool []: whether a contact with one of `edges` [S, 2, 2] begins at the first pose, or by an impact on the way to
    the second. Edges whose number `edge` [S] is negative do not count."""
    start, end = poses
    touches = jax.vmap(lambda each: collide(polygon, *start, each).num_points > 0)(edges)
    return ((edge >= 0) & (touches | jax.vmap(lambda each: is_met(polygon, end, each))(edges))).any()


def _along(polygon: Polygon, pose: Pose, edge: Any) -> tuple[Any, Any]:
    """How far the corners are above the edge's line [V], and how far the body reaches into the edge's length."""
    along = edge[1] - edge[0]
    length = jnp.sqrt(dot(along, along))
    offset = moved(polygon.vertices, *pose) - edge[:1]
    parts = dot(offset, along) / length
    return cross(along, offset) / length, jnp.minimum(parts.max(), length - parts.min())


def _sub_step(
    polygon: Polygon, pose: Pose, velocity: Velocity, touch: tuple[Manifold, Any], step: tuple[Any, int]
) -> tuple[Sweep, Velocity]:
    """From `pose`: correct the position, solve the velocity without a warm start, move for `step[0]` seconds."""
    manifold, friction = touch

    def correct(carry: Any) -> Any:
        pose, least = correct_contacts(polygon, manifold, carry[0], _BAUMGARTE)
        return pose, least >= -1.5 * LINEAR_SLOP, carry[2] + 1

    pose, _, _ = jax.lax.while_loop(
        lambda carry: ~carry[1] & (carry[2] < _POSITION_ITERATIONS), correct, (pose, jnp.bool_(False), 0)
    )
    rows = jax.vmap(contact_rows, (None, 0, None, None, None))(polygon, manifold, *pose, friction)
    velocity = _solve(rows, velocity, step[1])
    end = Pose(pose.position + step[0] * jnp.stack([velocity.x, velocity.y]), pose.angle + step[0] * velocity.spin)
    return Sweep(pose, end), velocity


def _solve(rows: ContactRows, velocity: Velocity, iterations: int) -> Velocity:
    """The velocity after the iterations over the contacts [S]; they are alike once one of them changes nothing."""

    def solve(velocity: Velocity, contact: Any) -> tuple[Velocity, Impulses]:
        row, impulses = contact
        return solve_contact(row, velocity, impulses)

    def iterate(carry: Any) -> Any:
        old, impulses, _, num = carry
        velocity, impulses = jax.lax.scan(solve, old, (rows, impulses))
        change = jnp.abs(jnp.stack(velocity) - jnp.stack(old)).max()
        return velocity, impulses, change < _AT_REST, num + 1

    zero = Impulses(*(jnp.zeros_like(rows.normal_x) for _ in range(4)))
    carry = (velocity, zero, jnp.bool_(False), 0)
    return jax.lax.while_loop(lambda carry: ~carry[2] & (carry[3] < iterations), iterate, carry)[0]
