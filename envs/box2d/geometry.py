"""Vectors, rigid polygons and the constants of Box2D 2.3 (b2Settings.h). Lengths in m, angles in radians."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

LINEAR_SLOP = 0.005
ANGULAR_SLOP = 2.0 / 180.0 * np.pi
SKIN = 0.01
"""The radius of an edge and of a polygon: contact begins this far from each."""
MAX_LINEAR_CORRECTION = 0.2
MAX_ANGULAR_CORRECTION = 8.0 / 180.0 * np.pi


class Polygon(NamedTuple):
    """A rigid convex polygon; vertices and normals are measured from its centre of mass. Numpy, float32."""

    vertices: Any
    """[V, 2], counter-clockwise."""
    normals: Any
    """[V, 2]: of the side from vertex v to the next."""
    ends: Any
    """[V, 2]: the next vertex."""
    following: Any
    """int32 [V]: the number of the next vertex."""
    center: Any
    """[2]: the centre of mass in the coordinates in which the polygon was given."""
    inverse_mass: Any
    inverse_inertia: Any
    """About the centre of mass."""


class Pose(NamedTuple):
    """Where a body is."""

    position: Any
    """[2]: its centre of mass."""
    angle: Any


def polygon(points: Sequence[tuple[float, float]], density: float) -> Polygon:
    """The polygon with these corners [V, 2], counter-clockwise, of uniform density (kg / m^2)."""
    corners = np.asarray(points, np.float64)
    following = np.roll(corners, -1, axis=0)
    doubled = corners[:, 0] * following[:, 1] - corners[:, 1] * following[:, 0]  # areas of the triangles with (0, 0)
    area = doubled.sum() / 2
    center = (doubled[:, None] * (corners + following)).sum(0) / (6 * area)
    vertices = corners - center
    following = np.roll(vertices, -1, axis=0)
    doubled = vertices[:, 0] * following[:, 1] - vertices[:, 1] * following[:, 0]
    squares = (vertices * vertices + vertices * following + following * following).sum(1)
    sides = following - vertices
    normals = np.stack([sides[:, 1], -sides[:, 0]], 1) / np.linalg.norm(sides, axis=1, keepdims=True)
    return Polygon(
        vertices=np.float32(vertices),
        normals=np.float32(normals),
        ends=np.float32(following),
        following=np.roll(np.arange(len(points), dtype=np.int32), -1),
        center=np.float32(center),
        inverse_mass=np.float32(1 / (density * area)),
        inverse_inertia=np.float32(12 / (density * (doubled * squares).sum())),
    )


def box(half_width: float, half_height: float, density: float) -> Polygon:
    """An upright rectangle about the origin."""
    w, h = half_width, half_height
    return polygon([(-w, -h), (w, -h), (w, h), (-w, h)], density)


def stacked(polygons: Sequence[Polygon]) -> Polygon:
    """Polygons side by side, for `vmap`; where some have fewer corners, their last one is repeated."""
    most = max(len(each.vertices) for each in polygons)

    def padded(rows: Any) -> Any:
        return np.concatenate([rows, np.repeat(rows[-1:], most - len(rows), axis=0)])

    names = ("vertices", "normals", "ends", "following")
    alike = [each._replace(**{name: padded(getattr(each, name)) for name in names}) for each in polygons]
    return Polygon(*(np.stack(parts) for parts in zip(*alike, strict=True)))


def rotated(vectors: Any, angle: Any) -> Any:
    """`vectors` [..., 2] turned by `angle` []."""
    cos, sin = jnp.cos(angle), jnp.sin(angle)
    x, y = vectors[..., 0], vectors[..., 1]
    return jnp.stack([cos * x - sin * y, sin * x + cos * y], -1)


def moved(points: Any, position: Any, angle: Any) -> Any:
    """`points` [..., 2] of a body in the world: turned by `angle`, then shifted by `position` [2]."""
    turned = rotated(points, angle)
    return turned + jnp.broadcast_to(position, turned.shape)


def dot(a: Any, b: Any) -> Any:
    """The inner product of [..., 2] and [..., 2]."""
    return a[..., 0] * b[..., 0] + a[..., 1] * b[..., 1]


def cross(a: Any, b: Any) -> Any:
    """The z-component of the outer product of [..., 2] and [..., 2]."""
    return a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]
