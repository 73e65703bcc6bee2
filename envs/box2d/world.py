"""One step of bodies, joints and ground: b2World::Step of Box2D 2.3, for what Gymnasium's tasks need of it."""

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl.pytree import dataclass

from .contact_solver import Impulses, Velocity, contact_rows
from .contacts import Contacts, nearby_edges, no_contacts, shifted, stored, updated
from .geometry import SKIN, Polygon, Pose, dot, stacked
from .impacts import Body, can_meet, solve_impacts
from .island import Joint, Solution, Touch, correct_positions, solve_velocities
from .lanes import only_where
from .manifold import Manifold, collide
from .revolute_joint import FREE, JointImpulses, RevoluteJoint, joint_rows, limit_state
from .sleep import fall_asleep
from .time_of_impact import Sweep


class World(NamedTuple):
    """What stays the same. Bodies are known by their place in `polygons`."""

    polygons: tuple[Polygon, ...]
    joints: tuple[RevoluteJoint, ...]
    """In the order in which Box2D solves them."""
    colliders: tuple[int, ...]
    """The bodies that the ground holds up, in the order in which Box2D solves them."""
    num_edges: int
    """How many edges a body may touch at once."""


class Iterations(NamedTuple):
    """Of the velocity solver, and at most of the position solver."""

    velocity: int
    position: int


class Drive(NamedTuple):
    """What acts on the bodies during a step."""

    seconds: float
    gravity: Any
    """[]: m/s^2, upwards."""
    friction: Any
    """[C]: of each collider's contacts, b2MixFriction of the two shapes."""
    motor_speed: Any
    """[J]: rad/s."""
    motor_torque: Any
    """[J]: the most that each motor has, N m."""


@dataclass
class WorldState:
    """Everything that goes from step to step; bodies [B], joints [J], colliders [C]."""

    position: jax.Array
    """float32 [B, 2]: of the centres of mass."""
    angle: jax.Array
    """float32 [B]."""
    velocity: jax.Array
    """float32 [B, 2]."""
    spin: jax.Array
    """float32 [B]: rad/s."""
    sleep_time: jax.Array
    """float32 [B]: seconds since the body last moved noticeably."""
    is_asleep: jax.Array
    """bool []: all bodies have come to rest."""
    joint_impulse: jax.Array
    """float32 [J, 4]: x, y, limit, motor."""
    limit_state: jax.Array
    """int32 [J]: FREE, AT_LOWER or AT_UPPER."""
    contacts: Contacts
    """[C]."""


def at_rest(world: World, position: Any, angle: Any) -> WorldState:
    """Bodies at `position` [B, 2] and `angle` [B] that do not move or touch anything."""
    num, contacts = len(world.polygons), [no_contacts(world.num_edges) for _ in world.colliders]
    return WorldState(
        position=jnp.asarray(position, jnp.float32),
        angle=jnp.asarray(angle, jnp.float32),
        velocity=jnp.zeros((num, 2)),
        spin=jnp.zeros(num),
        sleep_time=jnp.zeros(num),
        is_asleep=jnp.bool_(False),
        joint_impulse=jnp.zeros((len(world.joints), 4)),
        limit_state=jnp.full(len(world.joints), FREE, jnp.int32),
        contacts=jax.tree.map(lambda *leaves: jnp.stack(leaves), *contacts),
    )


def fly(world: World, state: WorldState, drive: Drive, iterations: Iterations) -> WorldState:
    """The state a time step later, far from the ground."""
    joints, impulses = _joints(world, state, drive)
    start = Solution(_velocities(state, drive), impulses, None)
    solution = solve_velocities(joints, None, start, iterations.velocity)
    return _moved(world, state, drive, (joints, None, solution), iterations)


def drop(world: World, state: WorldState, ground: Any, drive: Drive, iterations: Iterations) -> WorldState:
    """The state a time step later of bodies that begin it in the air; on their way they may meet the ground."""
    flown = fly(world, state, drive, iterations)
    bodies = np.asarray(world.colliders)
    start = Pose(state.position[bodies], state.angle[bodies])
    edge, edges = _near_edges(world, start, ground)
    contacts = dataclasses.replace(flown.contacts, edge=edge)
    return _after_impacts(world, dataclasses.replace(flown, contacts=contacts), start, edges, (drive, iterations))


def _near_edges(world: World, poses: Pose, ground: Any) -> Any:
    """Numbers [C, S] and ends [C, S, 2, 2] of the edges about each collider."""
    return jax.vmap(lambda x: nearby_edges(ground, x, world.num_edges))(poses.position[:, 0])


def step(world: World, state: WorldState, ground: Any, drive: Drive, iterations: Iterations) -> WorldState:
    """The state a time step later, on `ground` [P, 2] (points at equal distances in x, joined by edges)."""
    flown = fly(world, state, drive, iterations)

    def on_ground(argument: Any) -> WorldState:
        state, ground, drive = argument
        return step_on_ground(world, state, ground, drive, iterations)

    return only_where(_is_near(world, state, flown, ground), on_ground, (state, ground, drive), flown)


def _is_near(world: World, state: WorldState, flown: WorldState, ground: Any) -> Any:
    """bool []: whether a body touches the ground, or could in this step. Circles about the bodies are looked at."""
    bodies = np.asarray(world.colliders)
    radii = np.asarray([np.sqrt((world.polygons[body].vertices ** 2).sum(1).max()) for body in bodies])
    centers = state.position[bodies]
    path = flown.position[bodies] - centers
    reach = radii + jnp.sqrt(dot(path, path)) + 2 * SKIN
    _, edges = _near_edges(world, Pose(centers, state.angle[bodies]), ground)
    start, along = edges[:, :, 0], edges[:, :, 1] - edges[:, :, 0]
    offset = centers[:, None] - start
    part = jnp.clip(dot(offset, along) / dot(along, along), 0.0, 1.0)
    gap = offset - part[..., None] * along
    return (dot(gap, gap) <= reach[:, None] ** 2).any() | (state.contacts.num_points > 0).any()


def step_on_ground(world: World, state: WorldState, ground: Any, drive: Drive, iterations: Iterations) -> WorldState:
    """b2World::Step: find the contacts, solve velocities and positions, then the impacts on the way."""
    bodies = np.asarray(world.colliders)
    polygons = stacked([world.polygons[body] for body in world.colliders])
    start = Pose(state.position[bodies], state.angle[bodies])
    edge, edges = _near_edges(world, start, ground)
    manifolds = jax.vmap(jax.vmap(collide, (None, None, None, 0)))(polygons, *start, edges)
    contacts = jax.vmap(shifted)(state.contacts, edge)
    contacts = jax.vmap(updated)(contacts, manifolds, jnp.ones(edge.shape, bool))
    manifolds = manifolds._replace(num_points=contacts.num_points)

    joints, joint_impulses = _joints(world, state, drive)
    of_body = jax.vmap(contact_rows, (None, 0, None, None, None))
    rows = jax.vmap(of_body)(polygons, manifolds, *start, jnp.stack(drive.friction))
    touch = Touch(world.colliders, rows)
    before = Solution(_velocities(state, drive), joint_impulses, _impulses(contacts))
    solution = solve_velocities(joints, touch, before, iterations.velocity)
    moved = _moved(world, state, drive, (joints, manifolds, solution), iterations)
    contacts = jax.vmap(stored)(contacts, solution.contacts)
    return _after_impacts(world, dataclasses.replace(moved, contacts=contacts), start, edges, (drive, iterations))


def _after_impacts(
    world: World, state: WorldState, start: Pose, edges: Any, settings: tuple[Drive, Iterations]
) -> WorldState:
    """The end of a step in which the colliders came from `start` [C], stopped on the way by `edges` [C, S, 2, 2]."""
    drive, iterations = settings
    bodies = np.asarray(world.colliders)
    end = Pose(state.position[bodies], state.angle[bodies])
    velocity = Velocity(state.velocity[bodies, 0], state.velocity[bodies, 1], state.spin[bodies])

    def impacts(argument: Any) -> Body:
        polygon, body, edges, friction, seconds = argument
        return solve_impacts(polygon, body, edges, friction, (seconds, iterations.velocity))

    def met(polygon: Polygon, body: Body, edges: Any, friction: Any) -> Body:
        argument = (polygon, body, edges, friction, drive.seconds)
        return only_where(can_meet(polygon, body, edges), impacts, argument, body)

    going = Body(Sweep(start, end), velocity, state.contacts)
    polygons = stacked([world.polygons[body] for body in world.colliders])
    gone = jax.vmap(met)(polygons, going, edges, jnp.stack(drive.friction))
    return dataclasses.replace(
        state,
        position=state.position.at[bodies].set(gone.sweep.end.position),
        angle=state.angle.at[bodies].set(gone.sweep.end.angle),
        velocity=state.velocity.at[bodies].set(jnp.stack([gone.velocity.x, gone.velocity.y], -1)),
        spin=state.spin.at[bodies].set(gone.velocity.spin),
        contacts=gone.contacts,
    )


def _moved(
    world: World,
    state: WorldState,
    drive: Drive,
    solved: tuple[tuple[Joint, ...], Manifold | None, Solution],
    iterations: Iterations,
) -> WorldState:
    """The state after moving with the velocities that were found, positions corrected."""
    joints, manifolds, solution = solved
    velocity = jnp.stack([jnp.stack([each.x, each.y]) for each in solution.velocities])
    spin = jnp.stack([each.spin for each in solution.velocities])
    poses = Pose(state.position + drive.seconds * velocity, state.angle + drive.seconds * spin)
    touching = None if manifolds is None else (world.colliders, manifolds)
    poses, is_right = correct_positions(world.polygons, joints, touching, poses, iterations.position)
    sleep_time, is_asleep = fall_asleep(state.sleep_time, velocity, spin, drive.seconds, is_right)
    return dataclasses.replace(
        state,
        position=poses.position,
        angle=poses.angle,
        velocity=jnp.where(is_asleep, 0.0, velocity),
        spin=jnp.where(is_asleep, 0.0, spin),
        sleep_time=sleep_time,
        is_asleep=is_asleep,
        joint_impulse=jnp.stack([jnp.stack(each) for each in solution.joints]),
        limit_state=jnp.stack([joint.state for joint in joints]),
    )


def _joints(world: World, state: WorldState, drive: Drive) -> tuple[tuple[Joint, ...], tuple[JointImpulses, ...]]:
    """The joints at the beginning of a step, and the impulses to start from."""
    joints, impulses = [], []
    for index, joint in enumerate(world.joints):
        bodies = world.polygons[joint.body_a], world.polygons[joint.body_b]
        angles = state.angle[joint.body_a], state.angle[joint.body_b]
        motor = drive.motor_speed[index], drive.seconds * drive.motor_torque[index]
        limit = limit_state(joint, *angles)
        joints.append(Joint(joint, joint_rows(joint, bodies, angles, motor), limit))
        x, y, turn, motor_impulse = state.joint_impulse[index]
        is_kept = (limit == state.limit_state[index]) & (limit != FREE)
        impulses.append(JointImpulses(x, y, jnp.where(is_kept, turn, 0.0), motor_impulse))
    return tuple(joints), tuple(impulses)


def _velocities(state: WorldState, drive: Drive) -> tuple[Velocity, ...]:
    """The velocities of the bodies after a step's gravity."""
    (x, y), bodies = state.velocity.T, range(len(state.spin))
    return tuple(Velocity(x[body], y[body] + drive.seconds * drive.gravity, state.spin[body]) for body in bodies)


def _impulses(contacts: Contacts) -> Impulses:
    parts = (contacts.normal_impulse, contacts.tangent_impulse)
    return Impulses(*(part[..., point] for part in parts for point in range(2)))
