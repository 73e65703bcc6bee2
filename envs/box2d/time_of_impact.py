"""When a moving polygon meets an edge within a step: b2TimeOfImpact of Box2D 2.3."""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from .geometry import LINEAR_SLOP, SKIN, Polygon, Pose, dot, moved, rotated

TARGET = max(LINEAR_SLOP, 2 * SKIN - 3 * LINEAR_SLOP)
"""The distance, of the shapes without their skins, at which they meet."""
TOLERANCE = 0.25 * LINEAR_SLOP
_MAX_ADVANCES, _MAX_PUSHES, _MAX_ROOT_STEPS = 20, 8, 50


class Sweep(NamedTuple):
    """A motion from one pose to another, straight and at one pace."""

    start: Pose
    end: Pose

    def at(self, time: Any) -> Pose:
        """The pose at `time` in 0 .. 1."""
        return jax.tree.map(lambda a, b: (1.0 - time) * a + time * b, self.start, self.end)


class _Axis(NamedTuple):
    direction: Any
    """[2]: from the edge to the polygon."""
    turns: Any
    """[]: 1.0 where it turns with the polygon, else 0.0."""
    angle: Any
    """Of the polygon, where the axis was found."""


class _Search(NamedTuple):
    time: Any
    is_hit: Any
    is_done: Any
    num: Any


class _Push(NamedTuple):
    time: Any
    is_hit: Any
    is_clear: Any
    """There is no impact."""
    is_over: Any
    num: Any


class _Root(NamedTuple):
    low: Any
    low_value: Any
    high: Any
    high_value: Any
    time: Any
    is_done: Any
    num: Any


def time_of_impact(polygon: Polygon, sweep: Sweep, edge: Any) -> jax.Array:
    """The time in 0 .. 1 at which `polygon` comes within TARGET of `edge` [2, 2]; 1 where it does not.

    Conservative advancement: an axis through the closest features separates the shapes until the polygon, moving,
    reaches the target along it; there the closest features are found anew. Shapes that overlap do not meet.
    """

    def advance(search: _Search) -> _Search:
        pose = sweep.at(search.time)
        gap, turns, is_apart = _gap(polygon, pose, edge)
        distance = jnp.sqrt(dot(gap, gap))
        is_hit = is_apart & (distance < TARGET + TOLERANCE)
        axis = _Axis(gap / jnp.where(distance > 0, distance, 1.0), turns, pose.angle)
        is_done = is_hit | ~is_apart
        found = _advance_along(functools.partial(_separations, polygon, sweep, edge, axis), search.time, is_done)
        return _Search(
            time=jnp.where(is_done, search.time, found.time),
            is_hit=is_hit | found.is_hit,
            is_done=is_done | found.is_hit | found.is_clear,
            num=search.num + 1,
        )

    start = _Search(jnp.float32(0.0), jnp.bool_(False), jnp.bool_(False), 0)
    found = jax.lax.while_loop(lambda search: ~search.is_done & (search.num < _MAX_ADVANCES), advance, start)
    return jnp.where(found.is_hit, found.time, 1.0)


def is_met(polygon: Polygon, pose: Pose, edge: Any) -> Any:
    """bool []: whether `polygon` at this pose is as near to `edge` [2, 2] as shapes are when they meet, or nearer."""
    gap, _, is_apart = _gap(polygon, pose, edge)
    return ~is_apart | (dot(gap, gap) < (TARGET + TOLERANCE) ** 2)


def _advance_along(separations: Any, start: Any, is_over: Any) -> _Push:
    """From the time `start` to that at which the shapes reach the target along one axis; back from the end, as long
    as another pair of corners than the one that was followed is deeper there. Nothing to do where `is_over`."""

    def push_back(push: _Push) -> _Push:
        every = separations(push.time)
        pair, deepest = every.argmin(), every.min()
        at_start = separations(start)[pair]
        is_clear, is_reached = deepest > TARGET + TOLERANCE, deepest > TARGET - TOLERANCE
        has_begun = ~is_reached & (at_start <= TARGET + TOLERANCE)
        is_hit = has_begun & (at_start >= TARGET - TOLERANCE)
        is_over = is_reached | has_begun
        root = _Root(start, at_start, push.time, deepest, push.time, is_over, 0)
        time = jnp.where(has_begun, start, _root(lambda time: separations(time)[pair], root))
        num = push.num + 1
        return _Push(time, is_hit, is_clear | (has_begun & ~is_hit), is_over | (num == _MAX_PUSHES), num)

    none = jnp.bool_(False)
    push = _Push(jnp.float32(1.0), none, none, is_over, 0)
    return jax.lax.while_loop(lambda push: ~push.is_over, push_back, push)


def _root(function: Any, root: _Root) -> Any:
    """The time at which `function` is TARGET, by bisection and the secant rule in turn; `root.time` where
    `root.is_done`."""

    def narrow(root: _Root) -> _Root:
        slope = jnp.where(root.high_value == root.low_value, 1.0, root.high_value - root.low_value)
        secant = root.low + (TARGET - root.low_value) * (root.high - root.low) / slope
        time = jnp.where(root.num % 2 == 1, secant, 0.5 * (root.low + root.high))
        value = function(time)
        is_above = value > TARGET
        return _Root(
            low=jnp.where(is_above, time, root.low),
            low_value=jnp.where(is_above, value, root.low_value),
            high=jnp.where(is_above, root.high, time),
            high_value=jnp.where(is_above, root.high_value, value),
            time=time,
            is_done=jnp.abs(value - TARGET) < TOLERANCE,
            num=root.num + 1,
        )

    return jax.lax.while_loop(lambda root: ~root.is_done & (root.num < _MAX_ROOT_STEPS), narrow, root).time


def _gap(polygon: Polygon, pose: Pose, edge: Any) -> tuple[Any, Any, Any]:
    """The shortest vector [2] from the edge to the polygon, whether it stands on a side of the polygon (1.0) and so
    turns with it, and whether the shapes are apart."""
    vertices, normals = moved(polygon.vertices, *pose), rotated(polygon.normals, pose.angle)
    along, sides = edge[1] - edge[0], rotated(polygon.ends - polygon.vertices, pose.angle)
    part = jnp.clip(dot(vertices - edge[:1], along) / dot(along, along), 0.0, 1.0)
    from_vertices = vertices - edge[:1] - part[:, None] * along[None]
    to_ends = edge[:, None] - vertices[None]  # [2, V, 2]
    part = jnp.clip(dot(to_ends, sides[None]) / dot(sides, sides)[None], 0.0, 1.0)
    from_ends = part[..., None] * sides[None] - to_ends
    gaps = jnp.concatenate([from_vertices, from_ends.reshape(-1, 2)])
    on_side = jnp.concatenate([jnp.zeros(len(vertices), bool), ((part > 0) & (part < 1)).reshape(-1)])
    least = dot(gaps, gaps).argmin()

    right = jnp.stack([along[1], -along[0]])
    heights = dot(right, vertices - edge[:1])
    is_apart = (dot(normals[None], to_ends).min(0) > 0).any() | (heights.min() > 0) | (heights.max() < 0)
    return gaps[least], jnp.float32(on_side[least]), is_apart


def _separations(polygon: Polygon, sweep: Sweep, edge: Any, axis: _Axis, time: Any) -> Any:
    """How far every corner of the polygon is from every end of the edge along the axis at `time`: [2 V]."""
    pose = sweep.at(time)
    direction = rotated(axis.direction, axis.turns * (pose.angle - axis.angle))
    corners, ends = dot(direction, moved(polygon.vertices, *pose)), dot(direction, edge)
    return (corners[:, None] - ends[None]).reshape(-1)
