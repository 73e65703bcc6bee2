"""How far a ray goes until it meets the ground: b2EdgeShape::RayCast of Box2D 2.3, from either side."""

from typing import Any

import jax
import jax.numpy as jnp

from .contacts import edge_window
from .geometry import cross


def cast_rays(ground: Any, origin: Any, rays: Any, num_edges: int) -> jax.Array:
    """The part of each ray [R, 2] from `origin` [2] that is free, in 0 .. 1: float32 [R].

    `ground` [P, 2] has its points at equal distances in x; the rays go to the right, over at most `num_edges` edges.
    """
    spacing = ground[1, 0] - ground[0, 0]
    first = jnp.floor((origin[0] - ground[0, 0]) / spacing).astype(jnp.int32)
    is_there, edges = edge_window(ground, first + jnp.arange(num_edges))
    start, along = (edges[:, 0] - origin[None])[None], (edges[:, 1] - edges[:, 0])[None]
    rays = rays[:, None]
    determinant = cross(rays, along)
    is_parallel = determinant == 0
    scale = 1 / jnp.where(is_parallel, 1.0, determinant)
    on_ray, on_edge = cross(start, along) * scale, cross(start, rays) * scale
    is_hit = is_there[None] & ~is_parallel & (on_ray >= 0) & (on_ray <= 1) & (on_edge >= 0) & (on_edge <= 1)
    return jnp.where(is_hit, on_ray, 1.0).min(1)
