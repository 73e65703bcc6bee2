"""Target networks: a slower copy of the parameters, moved every so many gradient steps."""

from typing import TypeVar

import jax

from jaxrl.pytree import Scalar

P = TypeVar("P")


def moved_target(params: P, target_params: P, count: jax.Array, period: int, rate: Scalar) -> P:
    """target + rate (params - target) after every `period`-th gradient step, numbered `count` from 0, else the target.

    A rate of 1 and a long period is the periodic copy of Mnih et al. 2015, a small rate and a period of 1 the Polyak
    average of Lillicrap et al. 2016. `count` must be the same for all vmapped agents, so that this stays a branch.
    """

    def move() -> P:
        return jax.tree.map(lambda new, old: old + rate * (new - old), params, target_params)

    if period == 1:
        return move()
    return jax.lax.cond((count + 1) % period == 0, move, lambda: target_params)
