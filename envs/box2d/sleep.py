"""When bodies come to rest: the end of b2Island::Solve of Box2D 2.3."""

from typing import Any

import jax.numpy as jnp
import numpy as np

_LINEAR, _ANGULAR = 0.01, 2.0 / 180.0 * np.pi
TIME_TO_SLEEP = 0.5


def fall_asleep(sleep_time: Any, velocity: Any, spin: Any, dt: float, is_right: Any) -> tuple[Any, Any]:
    """How long each body [B] has been slow, and whether all fall asleep (bool []): where all have been slow for
    TIME_TO_SLEEP and their positions are right. Then the time begins anew."""
    is_slow = ((velocity**2).sum(-1) <= _LINEAR**2) & (spin**2 <= _ANGULAR**2)
    sleep_time = jnp.where(is_slow, sleep_time + dt, 0.0)
    is_asleep = (sleep_time.min() >= TIME_TO_SLEEP) & is_right
    return jnp.where(is_asleep, 0.0, sleep_time), is_asleep
