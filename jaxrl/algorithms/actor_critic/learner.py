"""What learns in an off-policy actor-critic, and how its parts move: by gradients, now and then, and by averaging.

An agent here is any algorithm of the family; its `targets` name the parameters that have slower copies.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import optax

from jaxrl.components.normalization import RunningStats
from jaxrl.components.optimizers import adam
from jaxrl.components.targets import moved_target
from jaxrl.metrics import Metrics
from jaxrl.pytree import dataclass


@dataclass
class Learner:
    """What learns; the same on every device."""

    params: dict[str, Any]
    """One entry for each network (and other parameters): "actor", "critics" and so on."""
    target_params: dict[str, Any]
    """Slower copies of some of them."""
    opt_state: dict[str, optax.OptState]
    observation_stats: RunningStats | None


def new_learner(agent: Any, params: dict[str, Any], stats: RunningStats | None) -> Learner:
    """Nothing learned yet: the targets are copies, the optimizers fresh."""
    return Learner(
        params=params,
        target_params={name: params[name] for name in agent.targets},
        opt_state={name: optimizer(agent, name).init(params[name]) for name in params},
        observation_stats=stats,
    )


def descend(
    agent: Any, learner: Learner, name: str, loss: Callable[[Any], tuple[jax.Array, Any]]
) -> tuple[Learner, Any]:
    """One Adam step of the parameters `name` on `loss(params) -> (loss, auxiliary)`; no others are touched."""
    params, opt_state = learner.params[name], learner.opt_state[name]
    gradient, auxiliary = jax.grad(loss, has_aux=True)(params)
    updates, opt_state = optimizer(agent, name).update(gradient, opt_state, params)
    params = optax.apply_updates(params, updates)
    learner = replace(
        learner,
        params={**learner.params, name: params},
        opt_state={**learner.opt_state, name: opt_state},
    )
    return learner, auxiliary


def every(
    period: int, count: jax.Array, change: Callable[[Learner], tuple[Learner, Metrics]], learner: Learner
) -> tuple[Learner, Metrics]:
    """`change(learner)` at every `period`-th gradient step; else the learner as it is, with metrics of no weight."""
    if period == 1:
        return change(learner)
    no_metrics = jax.eval_shape(change, learner)[1]

    def wait(learner: Learner) -> tuple[Learner, Metrics]:
        return learner, jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), no_metrics)

    return jax.lax.cond((count + 1) % period == 0, change, wait, learner)


def with_moved_targets(agent: Any, learner: Learner, count: jax.Array, period: int = 1) -> Learner:
    """Target networks moved towards the parameters at every `period`-th gradient step."""
    new = {name: learner.params[name] for name in learner.target_params}
    return replace(learner, target_params=moved_target(new, learner.target_params, count, period, agent.target_rate))


def optimizer(agent: Any, name: str) -> optax.GradientTransformation:
    """Adam for the parameters `name`."""
    own_rates = {"critics": "critic_learning_rate", "duals": "dual_learning_rate"}
    rate = getattr(agent, own_rates.get(name, "learning_rate"))
    limits = {"max_grad_norm": agent.max_grad_norm, "axis": agent.axis}
    return adam(rate, beta1=agent.adam_beta1, epsilon=agent.adam_epsilon, **limits)
