"""Gymnasium's hand-written controllers, with which it demonstrates its tasks."""

from typing import Any, NamedTuple

import jax.numpy as jnp


def lunar_lander(obs: Any, continuous: bool = False) -> Any:
    """An action for the observation [8] of LunarLander; lands about nine times in ten."""
    x, y, x_speed, y_speed, angle, spin, leg_0, leg_1 = obs
    wanted_angle = jnp.clip(0.5 * x + x_speed, -0.4, 0.4)
    has_contact = (leg_0 > 0) | (leg_1 > 0)
    turn = jnp.where(has_contact, 0.0, (wanted_angle - angle) * 0.5 - spin)
    lift = jnp.where(has_contact, -0.5 * y_speed, (0.55 * jnp.abs(x) - y) * 0.5 - 0.5 * y_speed)
    if continuous:
        return jnp.clip(jnp.stack([20 * lift - 1, -20 * turn]), -1.0, 1.0)
    side = jnp.where(turn < -0.05, 3, jnp.where(turn > 0.05, 1, 0))
    return jnp.where((lift > jnp.abs(turn)) & (lift > 0.05), 2, side)


class WalkerPlan(NamedTuple):
    """What the walker's controller carries from step to step."""

    phase: Any
    """int32 []: STAY_ON_ONE_LEG, PUT_OTHER_DOWN or PUSH_OFF."""
    moving_leg: Any
    """int32 []: 0 or 1."""
    supporting_knee: Any
    """float32 []: the angle wanted of the knee on which it stands."""


STAY_ON_ONE_LEG, PUT_OTHER_DOWN, PUSH_OFF = 1, 2, 3
_SUPPORT_KNEE, _SPEED = 0.1, 0.29


def walker_plan() -> WalkerPlan:
    """At the beginning of an episode."""
    return WalkerPlan(jnp.int32(STAY_ON_ONE_LEG), jnp.int32(0), jnp.float32(_SUPPORT_KNEE))


def bipedal_walker(plan: WalkerPlan, obs: Any) -> tuple[WalkerPlan, Any]:
    """The plan, and an action [4], for the observation [24] of BipedalWalker; most walks end in a fall on the way."""
    legs, moving = obs[4:14].reshape(2, 5), plan.moving_leg
    moves, supports = legs[moving], legs[1 - moving]
    phase, knee = plan.phase, plan.supporting_knee
    stays = phase == STAY_ON_ONE_LEG
    faster = jnp.where(obs[2] > _SPEED, 0.06, 0.03)
    knee = jnp.where(stays, jnp.minimum(knee + faster, _SUPPORT_KNEE), knee)
    puts = (phase == PUT_OTHER_DOWN) | (stays & (supports[0] < 0.10))
    hip_target = jnp.where(puts, 0.1, 1.1)
    moving_knee, supporting_knee = jnp.where(puts, _SUPPORT_KNEE, -0.6), knee
    pushes = (phase == PUSH_OFF) | (puts & (moves[4] > 0))
    knee = jnp.where(puts & pushes, jnp.minimum(moves[2], _SUPPORT_KNEE), knee)
    moving_knee, supporting_knee = jnp.where(pushes, knee, moving_knee), jnp.where(pushes, 1.0, supporting_knee)
    is_over = pushes & ((supports[2] > 0.88) | (obs[2] > 1.2 * _SPEED))

    has_hip_target = stays | puts
    is_moving = jnp.arange(2) == moving
    hips = jnp.where(is_moving & has_hip_target, 0.9 * (hip_target - legs[:, 0]) - 0.25 * legs[:, 1], 0.0)
    knees = 4.0 * (jnp.where(is_moving, moving_knee, supporting_knee) - legs[:, 2]) - 0.25 * legs[:, 3]
    hips = hips + 0.9 * obs[0] + 1.5 * obs[1]
    knees = knees - 15.0 * obs[3]
    action = jnp.clip(0.5 * jnp.stack([hips, knees], 1).reshape(4), -1.0, 1.0)
    next_phase = jnp.where(pushes, PUSH_OFF, jnp.where(puts, PUT_OTHER_DOWN, STAY_ON_ONE_LEG))
    next_phase = jnp.where(is_over, STAY_ON_ONE_LEG, next_phase).astype(jnp.int32)
    return WalkerPlan(next_phase, jnp.where(is_over, 1 - moving, moving), knee), action
