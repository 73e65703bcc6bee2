"""Our environments for libraries that speak gymnax: `to_gymnax(env)`."""

from typing import Any


def to_gymnax(env: Any) -> Any:
    """`env` as a gymnax 1.x environment object.

    Its params are `env` itself, so that the physics stay leaves there too; its states carry the gymnax field `time`.
    `step` gives (obs, state, reward, terminated, truncated, info) and resets by itself, with the true successor in
    `info["final_observation"]`; `reset`, `step_env`, `reset_env`, the spaces and `default_params` are as gymnax says.
    """
    from .gymnax_export import GymnaxExport  # imports gymnax

    return GymnaxExport(env)
