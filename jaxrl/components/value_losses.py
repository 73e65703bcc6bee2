"""What the losses of value-based methods are made of. Leading axes are the caller's; A actions stand last.

Targets are constants: nothing here stops gradients, so the caller computes them outside of what it differentiates, or
stops them once. `terminated` never appears: it is in the discount, which is 0 after a termination.
"""

import chex
import jax
import jax.numpy as jnp

from jaxrl.components.categorical import masked
from jaxrl.pytree import Scalar

RESCALING_EPSILON = 1e-3
"""The linear part of `signed_sqrt`, which keeps its inverse Lipschitz."""


def pick(outputs: jax.Array, action: jax.Array) -> jax.Array:
    """The entries of the actions: outputs [..., A] -> [...], or [..., A, K] -> [..., K]; action int [...]."""
    extra = outputs.ndim - action.ndim - 1
    chex.assert_shape(action, outputs.shape[: action.ndim])
    if extra not in (0, 1):
        raise ValueError(
            f"pick needs outputs with one or two axes more than the actions, got {outputs.shape} and {action.shape}."
        )
    # A comparison instead of a gather: it fuses, and its gradient is no scatter.
    chosen = jax.nn.one_hot(action, outputs.shape[action.ndim], dtype=bool)
    return jnp.where(chosen[..., None] if extra else chosen, outputs, 0.0).sum(axis=action.ndim)


def td_target(reward: jax.Array, discount: jax.Array, next_values: jax.Array) -> jax.Array:
    """r + discount * V(s'), all of one shape [...]; an n-step target where they are those of a window of n steps.

    With Q'(s', argmax_a Q'(s', a)) as the value this is Q-learning; with the argmax over the online network's values
    it is double Q-learning (van Hasselt et al. 2016, https://arxiv.org/abs/1509.06461).
    """
    chex.assert_equal_shape([reward, discount, next_values])
    return reward + discount * next_values


def huber(error: jax.Array, delta: Scalar | None = 1.0) -> jax.Array:
    """0.5 e^2 where |e| <= delta, else delta (|e| - 0.5 delta) (Huber 1964): a slope that never exceeds delta.

    For None 0.5 e^2 everywhere, whose slope is the error.
    """
    if delta is None:
        return 0.5 * jnp.square(error)
    size = jnp.abs(error)
    near = jnp.minimum(size, delta)
    return near * (size - 0.5 * near)


def soft_log_policy(values: jax.Array, temperature: Scalar, mask: jax.Array | None = None) -> jax.Array:
    """tau log pi [..., A] for pi = softmax(q / tau), from q - max q so that it is exact for large q and small tau."""
    advantage = _below_best(values, mask)
    return advantage - temperature * jax.nn.logsumexp(advantage / temperature, axis=-1, keepdims=True)


def soft_value(values: jax.Array, temperature: Scalar, mask: jax.Array | None = None) -> jax.Array:
    """tau log sum_a exp(q_a / tau) = sum_a pi_a (q_a - tau log pi_a), [..., A] -> [...]; max q for tau -> 0."""
    best = masked(values, mask).max(axis=-1)
    return best + temperature * jax.nn.logsumexp(_below_best(values, mask) / temperature, axis=-1)


def munchausen_bonus(
    target_values: jax.Array, action: jax.Array, temperature: Scalar, lower: Scalar, mask: jax.Array | None = None
) -> jax.Array:
    """[tau log pi(a|s)] clipped to [lower, 0] (Vieillard et al. 2020, https://arxiv.org/abs/2007.14430, eq. 1).

    pi is the policy of the target network's values [..., A] at s, where the action [...] was taken.
    """
    return jnp.clip(pick(soft_log_policy(target_values, temperature, mask), action), lower, 0.0)


def signed_sqrt(x: jax.Array) -> jax.Array:
    """h(x) = sgn(x) (sqrt(|x| + 1) - 1) + epsilon x (Pohlen et al. 2018, https://arxiv.org/abs/1805.11593).

    Written without the difference of two near numbers, which would lose the digits of a small x.
    """
    return x / (jnp.sqrt(jnp.abs(x) + 1.0) + 1.0) + RESCALING_EPSILON * x


def inverse_signed_sqrt(x: jax.Array) -> jax.Array:
    """h^-1(x), the positive root v of epsilon v^2 + (1 + 2 epsilon) v = |x| with |h^-1(x)| = v (v + 2)."""
    linear = 1.0 + 2.0 * RESCALING_EPSILON
    root = 2.0 * x / (linear + jnp.sqrt(linear**2 + 4.0 * RESCALING_EPSILON * jnp.abs(x)))
    return root * (jnp.abs(root) + 2.0)


def _below_best(values: jax.Array, mask: jax.Array | None) -> jax.Array:
    """[..., A]: q - max q, far below 0 where an action is forbidden."""
    allowed = masked(values, mask)
    return allowed - allowed.max(axis=-1, keepdims=True)
