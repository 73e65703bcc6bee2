"""Where gymnax 1.0 says one thing and does another, and what the adapter makes of it."""

from typing import Any

import numpy as np
from gymnax.environments.bsuite.memory_chain import MemoryChain
from gymnax.environments.classic_control.cartpole import CartPole
from gymnax.environments.misc.gaussian_bandit import GaussianBandit
from gymnax.environments.misc.meta_maze import MetaMaze

DERIVED_PARAMS = {"total_mass": "masscart and masspole", "polemass_length": "masspole and length"}
"""CartPole's params that follow from others but can disagree with them."""

_BOUNDS: dict[type, dict[Any, tuple[float | None, float | None]]] = {
    MemoryChain: {...: (-1.0, None)},  # the context is shown as -1 or 1
    GaussianBandit: {0: (-np.inf, np.inf), -1: (-1.0, None)},  # the last reward; time, normalised to [-1, 1]
    MetaMaze: {-2: (-np.inf, np.inf), -1: (-1.0, None)},  # the same
}
"""Entries of an observation that leave the declared space: index -> (low, high), None where the bound is right."""


def derived_params(env: Any) -> tuple[str, ...]:
    """The names of params of `env` that are computed from others."""
    return tuple(DERIVED_PARAMS) if isinstance(env, CartPole) else ()


def consistent_params(env: Any, params: Any) -> Any:
    """`params` with what follows from others computed anew."""
    if not isinstance(env, CartPole):
        return params
    total_mass, polemass_length = params.masscart + params.masspole, params.masspole * params.length
    return params.replace(total_mass=total_mass, polemass_length=polemass_length)


def true_bounds(env: Any, low: Any, high: Any) -> tuple[Any, Any]:
    """The declared bounds of an observation, widened to what is really shown."""
    low, high = np.array(low), np.array(high)
    for index, (least, most) in _BOUNDS.get(type(env), {}).items():
        low[index] = low[index] if least is None else least
        high[index] = high[index] if most is None else most
    return low, high
