"""Where a polygon touches an edge: b2CollideEdgeAndPolygon of Box2D 2.3, for an edge without neighbours."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from .geometry import SKIN, Polygon, dot, moved, rotated


class Manifold(NamedTuple):
    """Up to two points of contact, and the reference face from which their depth is measured."""

    on_edge: jax.Array
    """bool []: the reference face is the edge (e_faceA), else a side of the polygon (e_faceB)."""
    normal: jax.Array
    """[2]: of the reference face, in the frame of its owner (the world's, or the polygon's)."""
    plane: jax.Array
    """[2]: a point of the reference face, in the same frame."""
    points: jax.Array
    """[2, 2]: the points of the other shape, in that shape's frame."""
    ids: jax.Array
    """int32 [2]: which features of the shapes made the point; a point that keeps its id keeps its impulse."""
    num_points: jax.Array
    """int32 []: how many of the points are there, from the first."""


class _Clipped(NamedTuple):
    points: jax.Array
    ids: jax.Array
    is_there: jax.Array


def collide(polygon: Polygon, position: Any, angle: Any, edge: Any) -> Manifold:
    """The manifold of `polygon`, its centre of mass at `position` [2] and turned by `angle`, and `edge` [2, 2]."""
    vertices, normals = moved(polygon.vertices, position, angle), rotated(polygon.normals, angle)
    start, end = edge[0], edge[1]
    along = (end - start) / jnp.sqrt(dot(end - start, end - start))
    right = jnp.stack([along[1], -along[0]])
    is_front = dot(right, position - start) >= 0
    normal = jnp.where(is_front, right, -right)

    edge_separation = dot(normal, vertices - start[None]).min()
    side_separations = jnp.minimum(dot(-normals, vertices - start[None]), dot(-normals, vertices - end[None]))
    side = side_separations.argmax()
    side_separation = side_separations[side]
    is_near = (edge_separation <= 2 * SKIN) & (side_separation <= 2 * SKIN)
    on_edge = side_separation <= 0.98 * edge_separation + 0.001  # prefers the edge, against jitter

    facing = dot(normal, normals).argmin()
    first = jnp.where(on_edge, facing, side)
    ends = moved(polygon.ends, position, angle)
    polygon_side, edge_side = jnp.stack([vertices[first], ends[first]]), jnp.where(is_front, edge, edge[::-1])
    reference = jnp.where(on_edge, edge_side, polygon_side)
    incident = jnp.where(on_edge, polygon_side, edge)
    reference_normal = jnp.where(on_edge, normal, normals[side])
    edge_indices = jnp.where(is_front, jnp.array([0, 1]), jnp.array([1, 0]))
    corners = jnp.stack([first, jnp.asarray(polygon.following)[first]])
    indices = jnp.where(on_edge, edge_indices, corners)
    ids = jnp.where(on_edge, _id(0, corners, 1, 0), _id(0, jnp.stack([side, side]), 0, 1))

    across = jnp.stack([reference_normal[1], -reference_normal[0]])
    clipped = _clip(incident, ids, across, dot(across, reference[0]), indices[0])
    clipped_twice = _clip(clipped.points, clipped.ids, -across, dot(-across, reference[1]), indices[1])
    is_there = is_near & clipped.is_there & clipped_twice.is_there
    is_point = is_there & (dot(reference_normal, clipped_twice.points - reference[:1]) <= 2 * SKIN)

    points, ids = clipped_twice.points, clipped_twice.ids
    points = jnp.where(on_edge, rotated(points - position[None], -angle), points)
    ids = jnp.where(on_edge, ids, _swapped(ids))
    return Manifold(
        on_edge=on_edge,
        normal=jnp.where(on_edge, normal, jnp.asarray(polygon.normals)[side]),
        plane=jnp.where(on_edge, reference[0], jnp.asarray(polygon.vertices)[side]),
        points=jnp.where(is_point[0], points, points[::-1]),
        ids=jnp.where(is_point[0], ids, ids[::-1]),
        num_points=is_point.sum(dtype=jnp.int32),
    )


def _clip(points: Any, ids: Any, normal: Any, offset: Any, index: Any) -> _Clipped:
    """The part of the segment `points` [2, 2] below the line (b2ClipSegmentToLine); `index` names what cut it."""
    first, second = dot(normal, points[0]) - offset, dot(normal, points[1]) - offset
    is_inside, is_cut = (first <= 0) & (second <= 0), first * second < 0
    part = first / jnp.where(is_cut, first - second, 1.0)
    cut = points[0] + part * (points[1] - points[0])
    kept = jnp.where(first <= 0, points[0], points[1])
    kept_id = jnp.where(first <= 0, ids[0], ids[1])
    cut_id = _id(index, ids[0] // 256 % 256, 0, 1)
    return _Clipped(
        points=jnp.where(is_inside, points, jnp.stack([kept, cut])),
        ids=jnp.where(is_inside, ids, jnp.stack([kept_id, cut_id])),
        is_there=is_inside | is_cut,
    )


def _id(index_a: Any, index_b: Any, type_a: Any, type_b: Any) -> Any:
    """b2ContactFeature as one number; of the types 0 is a vertex and 1 a face."""
    return index_a + 256 * index_b + 65536 * type_a + 131072 * type_b


def _swapped(ids: Any) -> Any:
    return _id(ids // 256 % 256, ids % 256, ids // 131072, ids // 65536 % 2)


class Placed(NamedTuple):
    """A manifold in the world."""

    normal: jax.Array
    """[2]: from the edge to the polygon."""
    clip_points: jax.Array
    """[2, 2]: the points themselves, by which positions are corrected."""
    points: jax.Array
    """[2, 2]: halfway between both shapes, where impulses act."""
    separations: jax.Array
    """[2]: between the skins."""


def placed(manifold: Manifold, position: Any, angle: Any) -> Placed:
    """b2WorldManifold and b2PositionSolverManifold for the polygon at this pose."""
    reference = jnp.where(manifold.on_edge, manifold.normal, rotated(manifold.normal, angle))
    plane = jnp.where(manifold.on_edge, manifold.plane, moved(manifold.plane, position, angle))
    points = jnp.where(manifold.on_edge, moved(manifold.points, position, angle), manifold.points)
    depths = dot(reference, points - plane[None])
    return Placed(
        normal=jnp.where(manifold.on_edge, reference, -reference),
        clip_points=points,
        points=points - 0.5 * depths[:, None] * reference[None],
        separations=depths - 2 * SKIN,
    )
