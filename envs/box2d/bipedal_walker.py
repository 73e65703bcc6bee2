"""Gymnasium's BipedalWalker-v3 in JAX, on hills (not the hardcore course)."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl.envs.environment import TimeStep
from jaxrl.envs.spaces import Box
from jaxrl.pytree import Scalar, dataclass, hyperparameter, static

from . import terrain
from .contacts import nearby_edges
from .geometry import Pose, box, polygon, rotated
from .impacts import is_touched
from .ray_casts import cast_rays
from .revolute_joint import RevoluteJoint
from .world import Drive, Iterations, World, WorldState, at_rest, drop, step_on_ground

FPS = 50
SCALE = 30.0
"""Pixels per m: the sizes below are Gymnasium's, in pixels."""
WIDTH, HEIGHT = 600 / SCALE, 400 / SCALE
LEG_UP, LEG_WIDTH, LEG_LENGTH = 8 / SCALE, 8 / SCALE, 34 / SCALE
START_X, START_Y = terrain.SPACING * terrain.START_PAD / 2, terrain.LEVEL + 2 * LEG_LENGTH
GOAL_X = (terrain.NUM_POINTS - 10) * terrain.SPACING
NUM_RAYS, RAY_LENGTH = 10, 160 / SCALE
_ANGLES = 1.5 * np.arange(NUM_RAYS) / NUM_RAYS
RAYS = (RAY_LENGTH * np.stack([np.sin(_ANGLES), -np.cos(_ANGLES)], -1)).astype(np.float32)
RAY_EDGES = int(RAYS[:, 0].max() / terrain.SPACING) + 2

HULL, UPPER_0, LOWER_0, UPPER_1, LOWER_1 = range(5)
_HULL = polygon([(x / SCALE, y / SCALE) for x, y in [(34, -8), (34, 1), (6, 9), (-30, 9), (-30, -8)]], density=5.0)
_UPPER, _LOWER = (box(part * LEG_WIDTH / 2, LEG_LENGTH / 2, density=1.0) for part in (1.0, 0.8))
_HULL_EDGES = 7  # it reaches 1.2 m to each side, at any angle
_LEG_FRICTION = 0.2


def _hip(upper: int, lean: float) -> RevoluteJoint:
    anchor = (-float(_HULL.center[0]), -LEG_UP - float(_HULL.center[1]))
    return RevoluteJoint(HULL, upper, anchor, (0.0, LEG_LENGTH / 2), -0.8, 1.1, lean)


def _knee(upper: int, lower: int) -> RevoluteJoint:
    return RevoluteJoint(upper, lower, (0.0, -LEG_LENGTH / 2), (0.0, LEG_LENGTH / 2), -1.6, -0.1, 0.0)


_LEAN = {UPPER_0: -0.05, LOWER_0: -0.05, UPPER_1: 0.05, LOWER_1: 0.05}
WORLD = World(
    polygons=(_HULL, _UPPER, _LOWER, _UPPER, _LOWER),
    # Box2D begins with the body that was made last, and visits its neighbours first.
    joints=(_knee(UPPER_1, LOWER_1), _hip(UPPER_1, 0.05), _hip(UPPER_0, -0.05), _knee(UPPER_0, LOWER_0)),
    colliders=(LOWER_1, UPPER_1, UPPER_0, LOWER_0),
    num_edges=4,
)
_MOTORS = (3, 2, 0, 1)
"""The action's entry of each joint: hip 0, knee 0, hip 1, knee 1."""
_JOINTS = tuple(np.argsort(_MOTORS).tolist())


@dataclass
class BipedalWalkerState:
    """The state of an episode."""

    world: WorldState
    ground: jax.Array
    """float32 [200, 2]: the terrain's points, from left to right."""
    rays: jax.Array
    """float32 [10]: the part of each ray of the lidar that is free."""
    shaping: jax.Array
    """float32 []: the potential whose change is the reward."""
    time: jax.Array
    """int32 []: steps taken in this episode."""


@dataclass
class BipedalWalker:
    """Walk over hills on two legs, with a motor in each hip and knee, to the right.

    An episode ends where the hull touches the ground or goes back beyond the beginning (-100), or at the far end; it
    is cut after `max_steps`. The physics are those of Box2D 2.3, from which Gymnasium's environment is built;
    `tests/envs/box2d/` shows how near they are. The ground does not hold the hull, whose touch ends the episode.
    """

    max_steps: int = static(default=1600, minimum=1)
    velocity_iterations: int = static(default=180, minimum=1)
    position_iterations: int = static(default=60, minimum=1)
    gravity: Scalar = hyperparameter(default=-10.0, minimum=-12.0, maximum=0.0)
    motor_torque: Scalar = hyperparameter(default=80.0, minimum=0.0)
    """The most that each motor has, N m."""
    hip_speed: Scalar = hyperparameter(default=4.0, minimum=0.0)
    """The speed to which its motor drives a hip, rad/s."""
    knee_speed: Scalar = hyperparameter(default=6.0, minimum=0.0)
    initial_force: Scalar = hyperparameter(default=5.0, minimum=0.0)
    """The push to the side at the start, N, lies between this and its negative."""
    friction: Scalar = hyperparameter(default=2.5, minimum=0.0)
    """Of the ground. That of the legs is 0.2; in a contact the geometric mean of both counts."""
    roughness: Scalar = hyperparameter(default=1 / SCALE, minimum=0.0)
    """The random part of a change of the ground's slope from point to point, m, lies between this and its negative."""
    energy_cost: Scalar = hyperparameter(default=0.00035, minimum=0.0)
    """Taken from the reward for each N m of torque at each step."""

    # Gymnasium says pi for the first, the hull's angle, which a hull that rolls over passes.
    observation_space = Box(
        low=[-2 * np.pi, -5.0, -5.0, -5.0, *[-np.pi, -5.0, -np.pi, -5.0, 0.0] * 2, *[-1.0] * NUM_RAYS],
        high=[2 * np.pi, 5.0, 5.0, 5.0, *[np.pi, 5.0, np.pi, 5.0, 5.0] * 2, *[1.0] * NUM_RAYS],
    )
    action_space = Box(-1.0, 1.0, (4,))
    """Each motor's torque: hip and knee of the one leg, hip and knee of the other; the sign is the direction."""
    frame_rate = FPS
    name = "BipedalWalker-v3"

    def reset(self, key: jax.Array) -> tuple[BipedalWalkerState, jax.Array]:
        terrain_key, force_key = jax.random.split(key)
        force = self.initial_force * jax.random.uniform(force_key, minval=-1.0, maxval=1.0)
        return self.begin(terrain.draw_heights(terrain_key, self.roughness), force)

    def begin(self, heights: Any, force: Any) -> tuple[BipedalWalkerState, jax.Array]:
        """`reset`, given what it draws: heights of the ground [200] and the first push (N)."""
        ground = jnp.stack([terrain.SPACING * jnp.arange(terrain.NUM_POINTS), heights], -1)
        hull, upper = np.array([START_X, START_Y]), np.array([START_X, START_Y + LEG_UP - LEG_LENGTH / 2])
        lower = upper - [0.0, LEG_LENGTH]
        world = at_rest(
            WORLD,
            np.stack([hull + _HULL.center, upper, lower, upper, lower]),
            [0.0, *(_LEAN[body] for body in range(1, 5))],
        )
        speed = _HULL.inverse_mass * force / FPS
        world = dataclasses.replace(world, velocity=world.velocity.at[HULL, 0].add(speed))
        world = drop(WORLD, world, ground, *self._settings(jnp.zeros(4)))  # Gymnasium's reset has a step without torque
        rays = _lidar(world, ground)
        obs = observation(world, rays, (self.hip_speed, self.knee_speed))
        state = BipedalWalkerState(world, ground, rays, shaping=_potential(world), time=jnp.int32(0))
        return state, obs

    def step(self, key: jax.Array, state: BipedalWalkerState, action: Any) -> tuple[BipedalWalkerState, TimeStep]:
        """One step; nothing is left to chance."""
        start = Pose(state.world.position[HULL], state.world.angle[HULL])
        world = step_on_ground(WORLD, state.world, state.ground, *self._settings(action))
        end = Pose(world.position[HULL], world.angle[HULL])
        edge, edges = nearby_edges(state.ground, start.position[0], _HULL_EDGES)
        has_fallen = is_touched(_HULL, (start, end), edge, edges)
        rays = _lidar(world, state.ground)
        shaping = _potential(world)
        torque = self.motor_torque * jnp.clip(jnp.abs(action), 0.0, 1.0).sum()
        x = _origin(world)[0]
        is_lost, time = has_fallen | (x < 0.0), state.time + 1
        timestep = TimeStep(
            obs=observation(world, rays, (self.hip_speed, self.knee_speed)),
            reward=jnp.where(is_lost, -100.0, shaping - state.shaping - self.energy_cost * torque),
            terminated=is_lost | (x > GOAL_X),
            truncated=time >= self.max_steps,
            info={},
        )
        return BipedalWalkerState(world, state.ground, rays, shaping, time), timestep

    def draw(self, state: BipedalWalkerState) -> Any:
        """The walker, the hills about it and the lidar, uint8 [400, 600, 3]."""
        from .bipedal_walker_drawing import draw

        return draw(state)

    def _settings(self, action: Any) -> tuple[Drive, Iterations]:
        speeds = [self.hip_speed, self.knee_speed] * 2
        drive = Drive(
            seconds=1 / FPS,
            gravity=self.gravity,
            friction=[jnp.sqrt(self.friction * _LEG_FRICTION)] * len(WORLD.colliders),
            motor_speed=[speeds[motor] * jnp.sign(action[motor]) for motor in _MOTORS],
            motor_torque=[self.motor_torque * jnp.clip(jnp.abs(action[motor]), 0.0, 1.0) for motor in _MOTORS],
        )
        return drive, Iterations(self.velocity_iterations, self.position_iterations)


def observation(world: WorldState, rays: Any, motor_speeds: tuple[Any, Any]) -> jax.Array:
    """The hull's angle and its velocity, its speed in x and y; of each leg the angle and velocity of hip and knee, and
    whether it touches the ground; the lidar: [24]. `motor_speeds` are those of hip and knee."""
    entries = [
        world.angle[HULL],
        2.0 * world.spin[HULL] / FPS,
        0.3 * world.velocity[HULL, 0] * WIDTH / FPS,
        0.3 * world.velocity[HULL, 1] * HEIGHT / FPS,
    ]
    for leg, lower in enumerate((LOWER_0, LOWER_1)):
        for part, offset in enumerate((0.0, 1.0)):
            joint = WORLD.joints[_JOINTS[2 * leg + part]]
            a, b = joint.body_a, joint.body_b
            entries += [
                world.angle[b] - world.angle[a] - joint.reference + offset,
                (world.spin[b] - world.spin[a]) / motor_speeds[part],
            ]
        entries.append(jnp.float32(world.contacts.is_grounded[WORLD.colliders.index(lower)]))
    return jnp.concatenate([jnp.stack(entries), rays])


def _lidar(world: WorldState, ground: Any) -> jax.Array:
    return cast_rays(ground, _origin(world), RAYS, RAY_EDGES)


def _origin(world: WorldState) -> Any:
    """Of the hull's frame, [2]."""
    return world.position[HULL] - rotated(_HULL.center, world.angle[HULL])


def _potential(world: WorldState) -> Any:
    """How good a place is, []: far to the right, upright. The whole way is worth 130 / 30 * 84 m."""
    return 130 / SCALE * _origin(world)[0] - 5.0 * jnp.abs(world.angle[HULL])
