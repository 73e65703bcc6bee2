"""What tells Gymnasium's MuJoCo robots apart: their model files, what they show, and what their settings begin at.

From `gymnasium/envs/mujoco/{ant,half_cheetah,hopper,humanoid,walker2d}_v5.py`, whose argument names these are.
"""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any, Literal

Range = tuple[float, float]


@dataclasses.dataclass(frozen=True)
class Kind:
    """One robot."""

    xml: str
    """The model, a file of `gymnasium/envs/mujoco/assets`."""
    settings: Mapping[str, Any]
    """The arguments that Gymnasium's constructor has, at their defaults."""
    moves: Literal["root", "torso", "mass"]
    """Whose x is rewarded: the first joint's, the torso's, or that of the centre of all mass."""
    height: int = 1
    """Which entry of the positions is the height; in the planar robots the next one is the angle."""
    num_hidden: int = 1
    """How many of the first positions are left out of an observation."""
    highest_velocity: float = math.inf
    """That an observation shows."""
    starts_with: Literal["uniform", "normal"] = "uniform"
    """The noise of the first velocities; that of the positions is uniform."""


ROBOTS: dict[str, Kind] = {
    "Ant-v5": Kind(
        xml="ant.xml",
        settings={
            "frame_skip": 5,
            "forward_reward_weight": 1.0,
            "ctrl_cost_weight": 0.5,
            "contact_cost_weight": 5e-4,
            "healthy_reward": 1.0,
            "terminate_when_unhealthy": True,
            "healthy_z_range": (0.2, 1.0),
            "contact_force_range": (-1.0, 1.0),
            "reset_noise_scale": 0.1,
            "exclude_current_positions_from_observation": True,
            "include_cfrc_ext_in_observation": True,
        },
        moves="torso",
        height=2,
        num_hidden=2,
        starts_with="normal",
    ),
    "HalfCheetah-v5": Kind(
        xml="half_cheetah.xml",
        settings={
            "frame_skip": 5,
            "forward_reward_weight": 1.0,
            "ctrl_cost_weight": 0.1,
            "reset_noise_scale": 0.1,
            "exclude_current_positions_from_observation": True,
        },
        moves="root",
        starts_with="normal",
    ),
    "Hopper-v5": Kind(
        xml="hopper.xml",
        settings={
            "frame_skip": 4,
            "forward_reward_weight": 1.0,
            "ctrl_cost_weight": 1e-3,
            "healthy_reward": 1.0,
            "terminate_when_unhealthy": True,
            "healthy_state_range": (-100.0, 100.0),
            "healthy_z_range": (0.7, math.inf),
            "healthy_angle_range": (-0.2, 0.2),
            "reset_noise_scale": 5e-3,
            "exclude_current_positions_from_observation": True,
        },
        moves="root",
        highest_velocity=10.0,
    ),
    "Humanoid-v5": Kind(
        xml="humanoid.xml",
        settings={
            "frame_skip": 5,
            "forward_reward_weight": 1.25,
            "ctrl_cost_weight": 0.1,
            "contact_cost_weight": 5e-7,
            "contact_cost_range": (-math.inf, 10.0),
            "healthy_reward": 5.0,
            "terminate_when_unhealthy": True,
            "healthy_z_range": (1.0, 2.0),
            "reset_noise_scale": 1e-2,
            "exclude_current_positions_from_observation": True,
            "include_cinert_in_observation": True,
            "include_cvel_in_observation": True,
            "include_qfrc_actuator_in_observation": True,
            "include_cfrc_ext_in_observation": True,
        },
        moves="mass",
        height=2,
        num_hidden=2,
    ),
    "Walker2d-v5": Kind(
        xml="walker2d_v5.xml",
        settings={
            "frame_skip": 4,
            "forward_reward_weight": 1.0,
            "ctrl_cost_weight": 1e-3,
            "healthy_reward": 1.0,
            "terminate_when_unhealthy": True,
            "healthy_z_range": (0.8, 2.0),
            "healthy_angle_range": (-1.0, 1.0),
            "reset_noise_scale": 5e-3,
            "exclude_current_positions_from_observation": True,
        },
        moves="root",
        highest_velocity=10.0,
    ),
}
