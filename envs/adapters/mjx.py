"""Gymnasium's MuJoCo robots in JAX: `jaxrl.make("mjx/Ant-v5")`, on the model files that Gymnasium brings, by MJX.

Observations, rewards, ends and first states are those of Gymnasium's `..._v5.py`, whose arguments are the settings.
The solver is Newton's, also where a file asks for the projected Gauss-Seidel method, which MJX does not have
(Humanoid); both look for the same forces.
"""

import dataclasses
import functools
import importlib.resources
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl.envs.environment import TimeStep
from jaxrl.envs.spaces import Box
from jaxrl.envs.wrappers.time_limit import TimeLimit
from jaxrl.pytree import Scalar, dataclass, hyperparameter, static, unknown_name

from .mjx_robots import ROBOTS, Range
from .suite import package, theirs, timestep


@dataclass
class RobotState:
    """What the next step starts from."""

    qpos: jax.Array
    """float32 [nq]: the positions of the joints."""
    qvel: jax.Array
    """float32 [nv]: their velocities."""
    qacc: jax.Array
    """float32 [nv]: the accelerations last found, where the solver begins."""
    place: jax.Array
    """float32 [2]: the x and y whose change is the speed; of the bodies as they stood before the last sub-step."""


@dataclass
class Robot:
    """One of `ROBOTS`, with the fields of Gymnasium's constructor; what a robot does not have is at its neutral value.

    The physics are in float32 where MuJoCo's are in float64, so that a trajectory leaves Gymnasium's as it would after
    a change of the first state by 1e-7 (`tests/envs/test_mjx_adapter.py`). One thing differs beyond that: where a
    capsule stands on the floor within 30 degrees of the vertical, MJX lays the axes of friction along the world's and
    MuJoCo along the capsule, which turns the pyramid of friction at the ankles of the Ant.
    """

    name: str = static()
    frame_skip: int = static(default=5, minimum=1)
    """Physics steps per action."""
    solver_iterations: int | None = static(default=None, minimum=1)
    """The most of Newton's method, for the forces of contacts and joint limits; None is the model's own, 50 or 100.

    It ends where it no longer gets better. With 4 (and 8 in the line search) a step of an Ant or a Humanoid takes half
    the time or less, and its trajectory leaves Gymnasium's sooner.
    """
    line_search_iterations: int | None = static(default=None, minimum=1)
    """The most in each of them; None is the model's own, 50."""
    terminate_when_unhealthy: bool = static(default=True)
    healthy_state_range: Range = static(default=(-np.inf, np.inf))
    """Of every position and velocity but the first two."""
    healthy_z_range: Range = static(default=(-np.inf, np.inf))
    healthy_angle_range: Range = static(default=(-np.inf, np.inf))
    contact_force_range: Range = static(default=(-np.inf, np.inf))
    contact_cost_range: Range = static(default=(-np.inf, np.inf))
    exclude_current_positions_from_observation: bool = static(default=True)
    include_cinert_in_observation: bool = static(default=False)
    include_cvel_in_observation: bool = static(default=False)
    include_qfrc_actuator_in_observation: bool = static(default=False)
    include_cfrc_ext_in_observation: bool = static(default=False)
    forward_reward_weight: Scalar = hyperparameter(default=1.0)
    ctrl_cost_weight: Scalar = hyperparameter(default=0.0)
    contact_cost_weight: Scalar = hyperparameter(default=0.0)
    healthy_reward: Scalar = hyperparameter(default=0.0)
    reset_noise_scale: Scalar = hyperparameter(default=0.0, minimum=0.0)

    @property
    def observation_space(self) -> Box:
        return Box(-np.inf, np.inf, jax.eval_shape(self._observed, self._physics[2]).shape)

    @property
    def action_space(self) -> Box:
        low, high = np.asarray(self._physics[0].actuator_ctrlrange, np.float32).T
        return Box(low, high)

    def check(self) -> None:
        for name in RANGES:
            limits = getattr(self, name)
            if len(limits) != 2 or not all(isinstance(limit, (int, float)) for limit in limits):
                raise ValueError(f"{self.name}'s setting {name} must be two numbers (low, high), got {limits!r}.")

    def reset(self, key: jax.Array) -> tuple[RobotState, jax.Array]:
        model, _, _ = self._physics
        position_key, velocity_key = jax.random.split(key)
        qpos = self.reset_noise_scale * jax.random.uniform(position_key, (model.nq,), minval=-1.0, maxval=1.0)
        if ROBOTS[self.name].starts_with == "normal":
            noise = jax.random.normal(velocity_key, (model.nv,))
        else:
            noise = jax.random.uniform(velocity_key, (model.nv,), minval=-1.0, maxval=1.0)
        return self.begin(jnp.asarray(model.qpos0, jnp.float32) + qpos, self.reset_noise_scale * noise)

    def begin(self, qpos: jax.Array, qvel: jax.Array) -> tuple[RobotState, jax.Array]:
        """`reset`, given the positions [nq] and the velocities [nv]."""
        return theirs(self._begun, qpos, qvel)

    def step(self, key: jax.Array, state: RobotState, action: jax.Array) -> tuple[RobotState, TimeStep]:
        data = theirs(self._played, state, action)
        place = self._place(data)
        seconds = self._physics[0].opt.timestep * self.frame_skip
        is_healthy = self._is_healthy(data)
        reward = self.forward_reward_weight * (place - state.place)[0] / seconds + self.healthy_reward * is_healthy
        costs = self.ctrl_cost_weight * jnp.sum(action**2) + self._contact_cost(data)
        terminated = ~is_healthy if self.terminate_when_unhealthy else False
        state = RobotState(data.qpos, data.qvel, data.qacc_warmstart, place)
        return state, timestep(self._observed(data), reward - costs, terminated, False)

    @property
    def _physics(self) -> tuple[Any, Any, Any]:
        return _physics(self.name, self.solver_iterations, self.line_search_iterations)

    def _begun(self, qpos: jax.Array, qvel: jax.Array) -> tuple[RobotState, jax.Array]:
        mjx = package("mjx", "mujoco.mjx")
        _, model, data = self._physics
        data = mjx.kinematics(model, data.replace(qpos=qpos, qvel=qvel))
        data = mjx.com_vel(model, mjx.com_pos(model, data))
        data = data.replace(qpos=qpos)  # MJX has scaled a quaternion to length 1, and MuJoCo shows the one it is given
        return RobotState(qpos, qvel, jnp.zeros_like(qvel), self._place(data)), self._observed(data)

    def _played(self, state: RobotState, action: jax.Array) -> Any:
        """The physics [] after an action. What hangs on the positions is as it was before the last sub-step."""
        mjx = package("mjx", "mujoco.mjx")
        _, model, data = self._physics
        data = data.replace(qpos=state.qpos, qvel=state.qvel, qacc_warmstart=state.qacc, ctrl=action)
        data = jax.lax.fori_loop(0, self.frame_skip, lambda _, data: mjx.step(model, data), data)
        feels_contacts = "contact_cost_weight" in ROBOTS[self.name].settings
        return mjx.rne_postconstraint(model, data) if feels_contacts else data

    def _place(self, data: Any) -> jax.Array:
        """The x and y that count, [2]."""
        moves = ROBOTS[self.name].moves
        if moves == "mass":
            mass = self._physics[0].body_mass
            return jnp.asarray(mass / mass.sum(), jnp.float32) @ data.xipos[:, :2]
        return data.xpos[1, :2] if moves == "torso" else data.qpos[:2]

    def _is_healthy(self, data: Any) -> jax.Array:
        height = ROBOTS[self.name].height
        states = jnp.concatenate([data.qpos, data.qvel])[2:]
        return (
            _within(states, self.healthy_state_range).all()
            & _within(data.qpos[height], self.healthy_z_range)
            & _within(data.qpos[height + 1], self.healthy_angle_range)
        )

    def _contact_cost(self, data: Any) -> jax.Array:
        forces = jnp.clip(data._impl.cfrc_ext, *self.contact_force_range)
        return jnp.clip(self.contact_cost_weight * jnp.sum(forces**2), *self.contact_cost_range)

    def _observed(self, data: Any) -> jax.Array:
        kind = ROBOTS[self.name]
        parts = [
            data.qpos[kind.num_hidden if self.exclude_current_positions_from_observation else 0 :],
            jnp.clip(data.qvel, -kind.highest_velocity, kind.highest_velocity),
        ]
        if self.include_cinert_in_observation:
            parts.append(data._impl.cinert[1:])
        if self.include_cvel_in_observation:
            parts.append(data.cvel[1:])
        if self.include_qfrc_actuator_in_observation:
            parts.append(data.qfrc_actuator[6:])
        if self.include_cfrc_ext_in_observation:
            parts.append(jnp.clip(data._impl.cfrc_ext[1:], *self.contact_force_range))
        return jnp.concatenate([part.ravel() for part in parts])


RANGES = tuple(field.name for field in dataclasses.fields(Robot) if field.name.endswith("_range"))
SOLVER = ("solver_iterations", "line_search_iterations")


def from_name(name: str, *, max_steps: int | None = 1_000, **settings: Any) -> Any:
    """The robot `name` of `ROBOTS`; `settings` are the arguments of Gymnasium's constructor that are numbers.

    Raises ImportError, ValueError or TypeError with one sentence.
    """
    if name not in ROBOTS:
        raise ValueError(unknown_name("There is no robot", name, tuple(ROBOTS)))
    defaults = ROBOTS[name].settings
    for setting in settings:
        if setting not in (*defaults, *SOLVER):
            raise TypeError(unknown_name(f"mjx/{name} has no setting", setting, (*defaults, *SOLVER)))
    env = Robot(name=name, **{**defaults, **settings})
    env._physics  # noqa: B018  # where the package is missing, this is the place to say so
    return env if max_steps is None else TimeLimit(env, max_steps)


@functools.cache
def _physics(name: str, iterations: int | None, line_search_iterations: int | None) -> tuple[Any, Any, Any]:
    """MuJoCo's model, MJX's, and the data that a step begins with."""
    mujoco, mjx = package("mjx", "mujoco"), package("mjx", "mujoco.mjx")
    assets = importlib.resources.files("gymnasium") / "envs" / "mujoco" / "assets"
    model = mujoco.MjModel.from_xml_path(str(assets / ROBOTS[name].xml))
    model.opt.solver = mujoco.mjtSolver.mjSOL_NEWTON
    model.opt.iterations = iterations or model.opt.iterations
    model.opt.ls_iterations = line_search_iterations or model.opt.ls_iterations
    with jax.ensure_compile_time_eval():  # the first to ask may be a program that is being traced
        return model, theirs(mjx.put_model, model, None, "jax"), mjx.make_data(model, impl="jax")


def _within(value: Any, limits: Range) -> Any:
    return (limits[0] < value) & (value < limits[1])
