"""Losses of maximum a posteriori policy optimisation, with separate bounds for the mean and the std of a Gaussian.

Abdolmaleki et al. 2018a (MPO, https://arxiv.org/abs/1806.06920) and 2018b (https://arxiv.org/abs/1812.02256). Every
temperature and multiplier is positive, and is learned as the `multiplier` of an unbounded number, its dual variable.
M actions are drawn for each of B observations; D is the length of an action.
"""

import jax
import jax.numpy as jnp

from jaxrl.components.gaussian import Gaussian
from jaxrl.pytree import Scalar

MIN_DUAL = -18.0
"""Far below it a multiplier no longer answers to its gradient: keep dual variables above it after each step."""
_MIN_MULTIPLIER = 1e-8


def multiplier(dual: jax.Array) -> jax.Array:
    """log(1 + exp(dual)) + 1e-8, elementwise: positive, and linear where it is large."""
    return jax.nn.softplus(dual) + _MIN_MULTIPLIER


def dual_variable(value: Scalar) -> jax.Array:
    """The dual variable whose `multiplier` is `value` > 0."""
    positive = jnp.maximum(value - _MIN_MULTIPLIER, _MIN_MULTIPLIER)
    return jnp.asarray(positive + jnp.log(-jnp.expm1(-positive)), jnp.float32)


def action_weights(values: jax.Array, temperature: Scalar) -> jax.Array:
    """exp(Q_j / eta) / sum_k exp(Q_k / eta), [M, B]: what the policy is to become at the M actions drawn from it.

    No gradient goes through them.
    """
    return jax.lax.stop_gradient(jax.nn.softmax(values / temperature, axis=0))


def temperature_loss(temperature: jax.Array, values: jax.Array, bound: Scalar) -> jax.Array:
    """eta (epsilon + mean over B of log mean_j exp(Q_j / eta)), for values [M, B].

    It is the convex dual of: raise the expected value, at a mean KL divergence from the policy that the actions were
    drawn from of at most epsilon. It is least where the divergence of `action_weights` from uniform ones is epsilon.
    """
    values = jax.lax.stop_gradient(values)
    best = values.max(axis=0)  # apart, so that the slope is no difference of large numbers where eta is small
    log_mean = jax.nn.logsumexp((values - best[None]) / temperature, axis=0) - jnp.log(float(values.shape[0]))
    return best.mean() + temperature * (bound + log_mean.mean())


def decoupled(policy: Gaussian, target_policy: Gaussian) -> tuple[Gaussian, Gaussian]:
    """(mean of `policy` with the target's std, std of `policy` with the target's mean): each moves on its own."""
    mean, log_std = jax.lax.stop_gradient((target_policy.mean, target_policy.log_std))
    return Gaussian(policy.mean, log_std, policy.shape), Gaussian(mean, policy.log_std, policy.shape)


def likelihood_loss(policy: Gaussian, actions: jax.Array, weights: jax.Array) -> jax.Array:
    """-mean over B of sum_j w_j log pi(a_j), for actions [M, B, D] and weights [M, B]."""
    log_prob = jax.vmap(policy.log_prob)(jax.lax.stop_gradient(actions))
    return -(jax.lax.stop_gradient(weights) * log_prob).sum(axis=0).mean()


def mean_divergence(policy: Gaussian, target_policy: Gaussian) -> jax.Array:
    """KL(target || target with the mean of `policy`), (mean - target mean)^2 / (2 target std^2), of each entry [B, D].

    No gradient goes into the target.
    """
    mean, log_std = jax.lax.stop_gradient((target_policy.mean, target_policy.log_std))
    return 0.5 * jnp.square((policy.mean - mean) * jnp.exp(-log_std))


def std_divergence(policy: Gaussian, target_policy: Gaussian) -> jax.Array:
    """KL(target || target with the std of `policy`), d + (exp(-2 d) - 1) / 2 with d = log(std / target std), [B, D].

    In this form it has its digits near 0 too, where the bounds lie. No gradient goes into the target.
    """
    log_ratio = policy.log_std - jax.lax.stop_gradient(target_policy.log_std)
    return log_ratio + 0.5 * jnp.expm1(-2.0 * log_ratio)


def divergence_loss(multipliers: jax.Array, divergence: jax.Array) -> jax.Array:
    """sum over D of alpha_d mean over B of KL_d, for alpha [D] and KL [B, D]; no gradient goes into alpha."""
    return (jax.lax.stop_gradient(multipliers) * divergence.mean(axis=0)).sum()


def multiplier_loss(multipliers: jax.Array, divergence: jax.Array, bound: Scalar) -> jax.Array:
    """sum over D of alpha_d (epsilon - mean over B of KL_d): alpha [D] grows where KL [B, D] is above its bound.

    No gradient goes into KL.
    """
    return (multipliers * (bound - jax.lax.stop_gradient(divergence).mean(axis=0))).sum()
