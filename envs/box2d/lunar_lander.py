"""Gymnasium's LunarLander-v3 in JAX, with discrete or continuous engines, and with wind."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl.envs.environment import TimeStep
from jaxrl.envs.spaces import Box, Discrete, Space
from jaxrl.pytree import Scalar, dataclass, hyperparameter, static

from .geometry import box, cross, polygon, rotated
from .revolute_joint import RevoluteJoint
from .world import Drive, Iterations, World, WorldState, at_rest, fly, step

FPS = 50
SCALE = 30.0
"""Pixels per m: the sizes below are Gymnasium's, in pixels."""
WIDTH, HEIGHT = 600 / SCALE, 400 / SCALE
PAD_Y = HEIGHT / 4
NUM_POINTS = 11
LEG_AWAY, LEG_DOWN, LEG_WIDTH, LEG_HEIGHT = 20 / SCALE, 18 / SCALE, 2 / SCALE, 8 / SCALE
MAIN_ENGINE_Y, SIDE_ENGINE_AWAY, SIDE_ENGINE_HEIGHT = 4 / SCALE, 12 / SCALE, 14 / SCALE
SIDE_ENGINE_LOWER = 17 / SCALE
"""Gymnasium's 17 beside SIDE_ENGINE_HEIGHT: the torque of a side engine depends on the angle of the lander."""

_CORNERS = [(17, -10), (17, 0), (14, 17), (-14, 17), (-17, 0), (-17, -10)]
_HULL = polygon([(x / SCALE, y / SCALE) for x, y in _CORNERS], density=5.0)
_LEG = box(LEG_WIDTH, LEG_HEIGHT, density=1.0)
HULL, LEG_0, LEG_1 = 0, 1, 2
_FRICTION = {HULL: 0.1, LEG_0: 0.2, LEG_1: 0.2}
_SIDE = {LEG_0: -1, LEG_1: 1}


def _joint(leg: int) -> RevoluteJoint:
    side = _SIDE[leg]
    lower, upper = (0.9 - 0.5, 0.9) if side == -1 else (-0.9, -0.9 + 0.5)
    anchor = (-float(_HULL.center[0]), -float(_HULL.center[1]))
    return RevoluteJoint(HULL, leg, anchor, (side * LEG_AWAY, LEG_DOWN), lower, upper, side * 0.05)


WORLD = World(
    polygons=(_HULL, _LEG, _LEG),
    joints=(_joint(LEG_1), _joint(LEG_0)),  # Box2D visits last what was made first
    colliders=(LEG_1, HULL, LEG_0),
    num_edges=2,  # they are 2 m wide, and every body less, at any angle
)


@dataclass
class LunarLanderState:
    """The state of an episode."""

    world: WorldState
    ground: jax.Array
    """float32 [11, 2]: the terrain's points, from left to right."""
    shaping: jax.Array
    """float32 []: the potential whose change is the reward."""
    wind: jax.Array
    """float32 [2]: how far the wind's and the turbulence's patterns have run."""
    time: jax.Array
    """int32 []: steps taken in this episode."""


@dataclass
class LunarLander:
    """Land on the pad with a main engine and two side engines.

    An episode ends where the hull touches the ground or leaves the picture (-100), or where all has come to rest
    (+100); it is cut after `max_steps`. The physics are those of Box2D 2.3, from which Gymnasium's environment is
    built; `tests/envs/box2d/` shows how near they are.
    """

    continuous: bool = static(default=False)
    enable_wind: bool = static(default=False)
    max_steps: int = static(default=1000, minimum=1)
    velocity_iterations: int = static(default=180, minimum=1)
    position_iterations: int = static(default=60, minimum=1)
    gravity: Scalar = hyperparameter(default=-10.0, minimum=-12.0, maximum=0.0)
    wind_power: Scalar = hyperparameter(default=15.0, minimum=0.0)
    turbulence_power: Scalar = hyperparameter(default=1.5, minimum=0.0)
    main_engine_power: Scalar = hyperparameter(default=13.0, minimum=0.0)
    side_engine_power: Scalar = hyperparameter(default=0.6, minimum=0.0)
    initial_force: Scalar = hyperparameter(default=1000.0, minimum=0.0)
    """The push at the start, N, lies between this and its negative in each direction."""
    leg_torque: Scalar = hyperparameter(default=40.0, minimum=0.0)
    """The most that the springs of the legs have, N m."""
    friction: Scalar = hyperparameter(default=0.1, minimum=0.0)
    """Of the ground. That of the legs is 0.2, of the hull 0.1; in a contact the geometric mean of both counts."""

    observation_space = Box(
        low=[-2.5, -2.5, -10.0, -10.0, -2 * np.pi, -10.0, 0.0, 0.0],
        high=[2.5, 2.5, 10.0, 10.0, 2 * np.pi, 10.0, 1.0, 1.0],
    )
    frame_rate = FPS

    @property
    def name(self) -> str:
        """Gymnasium's."""
        return "LunarLanderContinuous-v3" if self.continuous else "LunarLander-v3"

    @property
    def action_space(self) -> Space:
        """Discrete: nothing, left engine, main engine, right engine. Continuous: the main and the side throttle."""
        return Box(-1.0, 1.0, (2,)) if self.continuous else Discrete(4)

    def reset(self, key: jax.Array) -> tuple[LunarLanderState, jax.Array]:
        height_key, force_key, wind_key = jax.random.split(key, 3)
        heights = jax.random.uniform(height_key, (NUM_POINTS + 1,), maxval=HEIGHT / 2)
        force = self.initial_force * jax.random.uniform(force_key, (2,), minval=-1.0, maxval=1.0)
        return self.begin(heights, force, jax.random.randint(wind_key, (2,), -9999, 9999))

    def step(self, key: jax.Array, state: LunarLanderState, action: Any) -> tuple[LunarLanderState, TimeStep]:
        dispersion = jax.random.uniform(key, (2,), minval=-1.0, maxval=1.0)
        return self.play(state, action, dispersion)

    def begin(self, heights: Any, force: Any, wind: Any) -> tuple[LunarLanderState, jax.Array]:
        """`reset`, given what it draws: heights of the ground [12], the first push [2] (N) and the wind's phase [2]."""
        heights = heights.at[NUM_POINTS // 2 - 2 : NUM_POINTS // 2 + 3].set(PAD_Y)
        smooth = 0.33 * (jnp.roll(heights, 1) + heights + jnp.roll(heights, -1))[:NUM_POINTS]
        ground = jnp.stack([jnp.linspace(0.0, WIDTH, NUM_POINTS), smooth], -1)
        middle = np.array([WIDTH / 2, HEIGHT])
        legs = [middle - [_SIDE[leg] * LEG_AWAY, 0.0] for leg in (LEG_0, LEG_1)]
        world = at_rest(WORLD, np.stack([middle + _HULL.center, *legs]), [0.0, -0.05, 0.05])
        state = LunarLanderState(
            world=_pushed(world, force / FPS, 0.0),
            ground=ground,
            shaping=jnp.float32(0.0),
            wind=jnp.asarray(wind, jnp.float32),
            time=jnp.int32(0),
        )
        world, wind = self._blown(state)
        world = fly(WORLD, world, *self._settings())  # Gymnasium's reset has a step without engines
        obs = observation(world)
        return dataclasses.replace(state, world=world, wind=wind, shaping=potential(obs)), obs

    def play(self, state: LunarLanderState, action: Any, dispersion: Any) -> tuple[LunarLanderState, TimeStep]:
        """`step`, given the noise of the engines: two numbers in [-1, 1]."""
        world, wind = self._blown(state)
        main, side, direction = self._throttles(action)
        world = self._fired(world, main, side * direction, dispersion)
        world = step(WORLD, world, state.ground, *self._settings())

        obs = observation(world)
        has_crashed, has_landed = world.contacts.has_touched[WORLD.colliders.index(HULL)], world.is_asleep
        is_lost = has_crashed | (jnp.abs(obs[0]) >= 1.0)
        shaping = potential(obs)
        reward = shaping - state.shaping - 0.30 * main - 0.03 * side
        reward = jnp.where(has_landed, 100.0, jnp.where(is_lost, -100.0, reward))
        time = state.time + 1
        state = dataclasses.replace(state, world=world, shaping=shaping, wind=wind, time=time)
        is_over, is_cut = is_lost | has_landed, time >= self.max_steps
        return state, TimeStep(obs=obs, reward=reward, terminated=is_over, truncated=is_cut, info={})

    def draw(self, state: LunarLanderState) -> Any:
        """The lander, its pad between the flags, and the ground, uint8 [400, 600, 3]."""
        from .lunar_lander_drawing import draw

        return draw(state)

    def _settings(self) -> tuple[Drive, Iterations]:
        drive = Drive(
            seconds=1 / FPS,
            gravity=self.gravity,
            friction=[jnp.sqrt(self.friction * _FRICTION[body]) for body in WORLD.colliders],
            motor_speed=[0.3 * _SIDE[joint.body_b] for joint in WORLD.joints],
            motor_torque=[self.leg_torque for _ in WORLD.joints],
        )
        return drive, Iterations(self.velocity_iterations, self.position_iterations)

    def _throttles(self, action: Any) -> tuple[Any, Any, Any]:
        """The power of the main engine and of a side engine in 0 .. 1, and which: -1 the left one, 1 the right one."""
        if not self.continuous:
            return jnp.float32(action == 2), jnp.float32((action == 1) | (action == 3)), jnp.float32(action - 2)
        main, side = jnp.clip(action, -1.0, 1.0)
        main_power = jnp.where(main > 0.0, 0.5 + 0.5 * main, 0.0)
        return main_power, jnp.where(jnp.abs(side) > 0.5, jnp.abs(side), 0.0), jnp.sign(side)

    def _fired(self, world: WorldState, main: Any, side: Any, dispersion: Any) -> WorldState:
        """After the impulses of the engines, `side` being the power of the right one or minus that of the left one."""
        angle = world.angle[HULL]
        sin, cos = jnp.sin(angle), jnp.cos(angle)
        origin = -rotated(_HULL.center, angle)  # of the hull's frame, from its centre of mass
        along, across = dispersion / SCALE
        x = sin * (MAIN_ENGINE_Y + 2 * along) - cos * across
        y = -cos * (MAIN_ENGINE_Y + 2 * along) - sin * across
        impulse = -self.main_engine_power * main * jnp.stack([x, y])
        world = _pushed(world, impulse, cross(origin + jnp.stack([x, y]), impulse))
        away = 3 * across + jnp.sign(side) * SIDE_ENGINE_AWAY
        x, y = sin * along - cos * away, -cos * along - sin * away
        impulse = -self.side_engine_power * jnp.abs(side) * jnp.stack([x, y])
        arm = origin + jnp.stack([x - sin * SIDE_ENGINE_LOWER, y + cos * SIDE_ENGINE_HEIGHT])
        return _pushed(world, impulse, cross(arm, impulse))

    def _blown(self, state: LunarLanderState) -> tuple[WorldState, Any]:
        """After a step's wind, which ceases while a leg touches the ground, and the wind's new phase."""
        if not self.enable_wind:
            return state.world, state.wind
        in_air = ~state.world.contacts.is_grounded.any()
        strength = _gusts(state.wind)
        strength = jnp.where(in_air, strength, 0.0) / FPS
        force, torque = self.wind_power * strength[0], self.turbulence_power * strength[1]
        world = _pushed(state.world, jnp.stack([force, jnp.zeros(())]), torque)
        return world, state.wind + jnp.float32(in_air)


def observation(world: WorldState) -> jax.Array:
    """x, y, their velocities, the angle and its velocity, and whether each leg touches the ground: [8]."""
    angle = world.angle[HULL]
    x, y = world.position[HULL] - rotated(_HULL.center, angle)
    legs = [world.contacts.is_grounded[WORLD.colliders.index(leg)] for leg in (LEG_0, LEG_1)]
    entries = [
        (x - WIDTH / 2) / (WIDTH / 2),
        (y - (PAD_Y + LEG_DOWN)) / (HEIGHT / 2),
        world.velocity[HULL, 0] * (WIDTH / 2) / FPS,
        world.velocity[HULL, 1] * (HEIGHT / 2) / FPS,
        angle,
        20.0 * world.spin[HULL] / FPS,
        *map(jnp.float32, legs),
    ]
    return jnp.stack(entries)


def potential(obs: Any) -> Any:
    """How good a place is, []: near the pad, slow, upright, on its legs."""
    distance, speed = jnp.sqrt(obs[0] ** 2 + obs[1] ** 2), jnp.sqrt(obs[2] ** 2 + obs[3] ** 2)
    return -100 * distance - 100 * speed - 100 * jnp.abs(obs[4]) + 10 * obs[6] + 10 * obs[7]


def _gusts(steps: Any) -> Any:
    """Gymnasium's wind after so many `steps`, in -1 .. 1: tanh(sin(2 k t) + sin(pi k t)) with k = 0.01.

    t is large; each sine is taken of what is left over whole periods (100 pi and 200), for float32's sake.
    """
    periods = jnp.round(steps / (100 * np.pi))
    left = (steps - 314 * periods) - (100 * np.pi - 314) * periods
    return jnp.tanh(jnp.sin(0.02 * left) + jnp.sin(jnp.pi * 0.01 * (steps % 200)))


def _pushed(world: WorldState, impulse: Any, turn: Any) -> WorldState:
    """After an impulse [2] on the hull's centre of mass and one that turns it."""
    return dataclasses.replace(
        world,
        velocity=world.velocity.at[HULL].add(_HULL.inverse_mass * impulse),
        spin=world.spin.at[HULL].add(_HULL.inverse_inertia * turn),
    )
