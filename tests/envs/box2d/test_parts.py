"""The parts of the solver that have an oracle of their own."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrl.envs.box2d.geometry import Pose, box, polygon, stacked
from jaxrl.envs.box2d.lanes import only_where
from jaxrl.envs.box2d.manifold import collide, placed
from jaxrl.envs.box2d.time_of_impact import TARGET, TOLERANCE, Sweep, time_of_impact

FLOOR = jnp.array([[0.0, 0.0], [10.0, 0.0]])


def test_a_polygon_has_the_mass_and_inertia_of_its_triangles():
    corners = np.array([(3.0, 0.0), (3.0, 2.0), (1.0, 4.0), (0.0, 1.0)])
    random = np.random.default_rng(0)
    points = random.uniform([0.0, 0.0], [3.0, 4.0], (400_000, 2))  # Monte Carlo
    sides = np.roll(corners, -1, 0) - corners
    inside = np.all(
        [
            side[0] * (points - c)[:, 1] - side[1] * (points - c)[:, 0] >= 0
            for c, side in zip(corners, sides, strict=True)
        ],
        0,
    )
    area, center = 12 * inside.mean(), points[inside].mean(0)
    inertia = 2.5 * area * ((points[inside] - center) ** 2).sum(1).mean()
    found = polygon([tuple(corner) for corner in corners], density=2.5)
    np.testing.assert_allclose(1 / found.inverse_mass, 2.5 * area, rtol=0.01)
    np.testing.assert_allclose(found.center, center, atol=0.01)
    np.testing.assert_allclose(1 / found.inverse_inertia, inertia, rtol=0.01)
    np.testing.assert_allclose(found.vertices + found.center, corners, atol=1e-6)
    assert ((found.ends - found.vertices) * found.normals).sum(1) == pytest.approx(0.0, abs=1e-6)
    assert ((found.vertices * found.normals).sum(1) > 0).all()  # outwards


@pytest.mark.parametrize(
    "shape",
    [
        box(0.5, 1.0, 1.0),
        jax.tree.map(
            lambda leaf: leaf[0], stacked([box(0.5, 1.0, 1.0), polygon([(0, 0), (2, 0), (2, 1), (1, 2), (0, 1)], 1.0)])
        ),
    ],
)
def test_a_box_on_the_floor_touches_it_at_its_two_lower_corners(shape):
    pose = Pose(jnp.array([4.0, 1.005]), jnp.float32(0.0))
    manifold = collide(shape, *pose, FLOOR)
    world = placed(manifold, *pose)
    assert manifold.num_points == 2
    np.testing.assert_allclose(world.normal, [0.0, 1.0], atol=1e-6)
    np.testing.assert_allclose(np.sort(world.clip_points[:, 0]), [3.5, 4.5], atol=1e-5)
    np.testing.assert_allclose(world.separations, 0.005 - 0.02, atol=1e-5)
    assert collide(shape, jnp.array([4.0, 1.03]), 0.0, FLOOR).num_points == 0
    turned = collide(shape, jnp.array([4.0, 1.05]), 0.1, FLOOR)
    assert turned.num_points == 1
    over_the_end = collide(shape, jnp.array([9.9, 1.005]), 0.0, FLOOR)
    found = placed(over_the_end, jnp.array([9.9, 1.005]), 0.0).clip_points[:, 0]
    np.testing.assert_allclose(np.sort(found), [9.4, 10.0], atol=1e-5)


def test_a_falling_box_meets_the_floor_when_its_lowest_corner_does():
    shape = box(0.5, 1.0, 1.0)
    falling = Sweep(Pose(jnp.array([4.0, 3.0]), jnp.float32(0.3)), Pose(jnp.array([4.5, 0.5]), jnp.float32(0.9)))
    time = jax.jit(time_of_impact)(shape, falling, FLOOR)
    heights = []
    for part in np.linspace(0.0, 1.0, 20_001):
        angle, y = 0.3 + 0.6 * part, 3.0 - 2.5 * part
        heights.append(min(y + np.sin(angle) * x + np.cos(angle) * z for x, z in shape.vertices))
    first = np.linspace(0.0, 1.0, 20_001)[np.argmax(np.asarray(heights) < TARGET)]
    assert abs(float(time) - first) < 2 * TOLERANCE
    beside = jnp.array([[20.0, 0.0], [30.0, 0.0]])
    assert time_of_impact(shape, falling, beside) == 1.0


def test_only_where_gives_every_lane_its_own_answer_under_vmaps_of_any_depth():
    def lane(needed, x, y):
        return only_where(needed, lambda argument: {"sum": argument[0].sum() + argument[1]}, (x, y), {"sum": y})

    random = np.random.default_rng(0)
    needed = random.random((3, 200)) < 0.7
    x, y = random.random((3, 200, 4)).astype(np.float32), random.random(200).astype(np.float32)
    found = jax.jit(jax.vmap(jax.vmap(lane), (0, 0, None)))(needed, x, y)
    np.testing.assert_allclose(found["sum"], np.where(needed, x.sum(-1) + y, y), rtol=1e-5)
    assert lane(jnp.bool_(True), x[0, 0], y[0])["sum"] == pytest.approx(x[0, 0].sum() + y[0])
