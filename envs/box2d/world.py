"""One step of bodies, joints and ground: b2World::Step of Box2D 2.3, for what Gymnasium's tasks need of it."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl.pytree import dataclass

from .contact_solver import Impulses, Velocity, contact_rows
from .contacts import Contacts, nearby_edges, no_contacts, stored, updated
from .geometry import Polygon, stacked
from .impacts import Body, solve_impacts
from .island import Contact, Joint, Solution, correct_positions, solve_velocities
from .manifold import Manifold, collide
from .revolute_joint import FREE, JointImpulses, RevoluteJoint, joint_rows, limit_state
from .time_of_impact import Pose, Sweep, time_of_impact

_LINEAR_SLEEP, _ANGULAR_SLEEP, TIME_TO_SLEEP = 0.01, 2.0 / 180.0 * np.pi, 0.5


class World(NamedTuple):
    """What stays the same. Bodies are known by their place in `polygons`."""

    polygons: tuple[Polygon, ...]
    joints: tuple[RevoluteJoint, ...]
    """In the order in which Box2D solves them."""
    feet: tuple[int, ...]
    """The bodies that stand on the ground, with equally many corners, in the order in which Box2D solves them."""
    num_edges: int
    """How many edges a foot may touch at once."""


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
    """[]: of every contact, b2MixFriction of its two shapes."""
    motor_speed: Any
    """[J]: rad/s."""
    motor_torque: Any
    """[J]: the most that each motor has, N m."""


@dataclass
class WorldState:
    """Everything that goes from step to step; bodies [B], joints [J], feet [C]."""

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
    num = len(world.polygons)
    contacts = [no_contacts(world.num_edges) for _ in world.feet]
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


def step(world: World, state: WorldState, ground: Any, drive: Drive, iterations: Iterations) -> WorldState:
    """The state a time step later, on `ground` [P, 2] (points at equal distances in x, joined by edges)."""
    dt = drive.seconds
    feet = np.asarray(world.feet)
    polygons = stacked([world.polygons[body] for body in world.feet])
    edge, edges = jax.vmap(lambda x: nearby_edges(ground, x, world.num_edges))(state.position[feet, 0])
    manifolds = jax.vmap(jax.vmap(collide, (None, None, None, 0)))(
        polygons, state.position[feet], state.angle[feet], edges
    )
    contacts = jax.vmap(updated)(state.contacts, edge, manifolds, jnp.ones(edge.shape, bool))
    manifolds = manifolds._replace(count=contacts.count)

    joints, joint_impulses = _joints(world, state, drive)
    touches = _touches(world, state, polygons, manifolds, drive.friction)
    velocity = state.velocity + dt * jnp.stack([0.0 * drive.gravity, drive.gravity])
    start = Solution(_velocities(velocity, state.spin), joint_impulses, _impulses(contacts))
    solution = solve_velocities(joints, touches, start, iterations.velocity)
    velocity, spin = _stacked_velocities(solution.velocities)

    moved = Pose(state.position + dt * velocity, state.angle + dt * spin)
    poses = tuple(Pose(moved.position[body], moved.angle[body]) for body in range(len(world.polygons)))
    poses, is_right = correct_positions(world.polygons, joints, touches, poses, iterations.position)
    position, angle = jnp.stack([pose.position for pose in poses]), jnp.stack([pose.angle for pose in poses])
    sleep_time, is_asleep = _sleep(state, velocity, spin, dt, is_right)
    velocity, spin = jnp.where(is_asleep, 0.0, velocity), jnp.where(is_asleep, 0.0, spin)

    impulses = jax.tree.map(lambda *leaves: jnp.stack(leaves).reshape(edge.shape), *solution.contacts)
    bodies = Body(
        Sweep(Pose(state.position[feet], state.angle[feet]), Pose(position[feet], angle[feet])),
        Velocity(velocity[feet, 0], velocity[feet, 1], spin[feet]),
        jax.vmap(stored)(contacts, impulses),
    )
    bodies = jax.vmap(
        lambda polygon, body, edges: solve_impacts(polygon, body, edges, drive.friction, (dt, iterations.velocity))
    )(polygons, bodies, edges)
    return WorldState(
        position=position.at[feet].set(bodies.sweep.end.position),
        angle=angle.at[feet].set(bodies.sweep.end.angle),
        velocity=velocity.at[feet].set(jnp.stack([bodies.velocity.x, bodies.velocity.y], -1)),
        spin=spin.at[feet].set(bodies.velocity.spin),
        sleep_time=sleep_time,
        is_asleep=is_asleep,
        joint_impulse=jnp.stack([jnp.stack(each) for each in solution.joints]),
        limit_state=jnp.stack([joint.state for joint in joints]),
        contacts=bodies.contacts,
    )


def touches_ground(polygon: Polygon, sweep: Sweep, ground: Any, num_edges: int) -> Any:
    """bool []: whether a body touches an edge where it is at first, or meets one on its way."""
    _, edges = nearby_edges(ground, sweep.start.position[0], num_edges)

    def is_touched(edge: Any) -> Any:
        return (collide(polygon, *sweep.start, edge).count > 0) | (time_of_impact(polygon, sweep, edge) < 1.0)

    return jax.vmap(is_touched)(edges).any()


def _joints(world: World, state: WorldState, drive: Drive) -> tuple[tuple[Joint, ...], tuple[JointImpulses, ...]]:
    """The joints at the beginning of a step, and the impulses to start from."""
    joints, impulses = [], []
    for index, joint in enumerate(world.joints):
        bodies = world.polygons[joint.body_a], world.polygons[joint.body_b]
        angles = state.angle[joint.body_a], state.angle[joint.body_b]
        motor = drive.motor_speed[index], drive.seconds * drive.motor_torque[index]
        limit = limit_state(joint, *angles)
        joints.append(Joint(joint, joint_rows(joint, bodies, angles, motor), limit))
        x, y, turn, motor_impulse = (state.joint_impulse[index, entry] for entry in range(4))
        is_kept = (limit == state.limit_state[index]) & (limit != FREE)
        impulses.append(JointImpulses(x, y, jnp.where(is_kept, turn, 0.0), motor_impulse))
    return tuple(joints), tuple(impulses)


def _touches(
    world: World, state: WorldState, polygons: Polygon, manifolds: Manifold, friction: Any
) -> tuple[Contact, ...]:
    """The contacts at the beginning of a step, foot by foot."""
    feet = np.asarray(world.feet)
    rows = jax.vmap(jax.vmap(contact_rows, (None, 0, None, None, None)), (0, 0, 0, 0, None))(
        polygons, manifolds, state.position[feet], state.angle[feet], friction
    )
    touches = []
    for foot, body in enumerate(world.feet):
        for slot in range(world.num_edges):
            each = jax.tree.map(lambda leaf, at=(foot, slot): leaf[at], (rows, manifolds))
            touches.append(Contact(body, *each))
    return tuple(touches)


def _velocities(velocity: Any, spin: Any) -> tuple[Velocity, ...]:
    return tuple(Velocity(velocity[body, 0], velocity[body, 1], spin[body]) for body in range(spin.shape[0]))


def _stacked_velocities(velocities: tuple[Velocity, ...]) -> tuple[Any, Any]:
    return jnp.stack([jnp.stack([v.x, v.y]) for v in velocities]), jnp.stack([v.spin for v in velocities])


def _impulses(contacts: Contacts) -> tuple[Impulses, ...]:
    normal, tangent = contacts.normal_impulse, contacts.tangent_impulse
    num_feet, num_slots = contacts.edge.shape
    places = [(foot, slot) for foot in range(num_feet) for slot in range(num_slots)]
    return tuple(Impulses(*(part[at][point] for part in (normal, tangent) for point in range(2))) for at in places)


def _sleep(state: WorldState, velocity: Any, spin: Any, dt: float, is_right: Any) -> tuple[Any, Any]:
    """Bodies that all have been slow for TIME_TO_SLEEP fall asleep, once their positions are right."""
    is_slow = ((velocity**2).sum(-1) <= _LINEAR_SLEEP**2) & (spin**2 <= _ANGULAR_SLEEP**2)
    sleep_time = jnp.where(is_slow, state.sleep_time + dt, 0.0)
    return sleep_time, (sleep_time.min() >= TIME_TO_SLEEP) & is_right
