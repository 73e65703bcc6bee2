"""Optimizers over one flat vector: one average over devices, one clip and one update per step, whatever the network.

Carry the `opt_state` and build the optimizer anew wherever it is used: its learning rate may be a tracer.
"""

import optax

from jaxrl.components.axis import mean_over
from jaxrl.pytree import Scalar


def adam(
    learning_rate: Scalar,
    *,
    beta1: Scalar = 0.9,
    epsilon: Scalar = 1e-5,
    max_grad_norm: Scalar | None = None,
    axis: str | None = None,
) -> optax.GradientTransformation:
    """Adam (Kingma & Ba 2015), after averaging over the devices of `axis` and clipping by the global norm.

    `learning_rate` and `max_grad_norm` may be traced. The updates already carry the minus sign: add them.
    """
    return _flat(optax.scale_by_adam(b1=beta1, eps=epsilon), learning_rate, max_grad_norm, axis)


def radam(
    learning_rate: Scalar,
    *,
    epsilon: Scalar = 1e-8,
    max_grad_norm: Scalar | None = None,
    axis: str | None = None,
) -> optax.GradientTransformation:
    """Rectified Adam (Liu et al. 2020, https://arxiv.org/abs/1908.03265); otherwise as `adam`.

    While the mean square is that of too few gradients, it moves by their mean alone; then its step grows to Adam's.
    """
    return _flat(optax.scale_by_radam(eps=epsilon), learning_rate, max_grad_norm, axis)


def rmsprop(
    learning_rate: Scalar,
    *,
    decay: Scalar = 0.99,
    epsilon: Scalar = 1e-5,
    max_grad_norm: Scalar | None = None,
    axis: str | None = None,
) -> optax.GradientTransformation:
    """RMSprop as in A2C implementations: divide by sqrt(mean square) + epsilon, no momentum; otherwise as `adam`."""
    return _flat(optax.scale_by_rms(decay, epsilon, eps_in_sqrt=False), learning_rate, max_grad_norm, axis)


def _flat(
    rule: optax.GradientTransformation, learning_rate: Scalar, max_grad_norm: Scalar | None, axis: str | None
) -> optax.GradientTransformation:
    # Neither the axis nor the limit changes the state's structure, so that a state fits any number of devices.
    clip = optax.identity() if max_grad_norm is None else optax.clip_by_global_norm(max_grad_norm)
    return optax.flatten(optax.chain(_average_over(axis), clip, rule, optax.scale(-learning_rate)))


def _average_over(axis: str | None) -> optax.GradientTransformation:
    return optax.stateless(lambda updates, params: mean_over(axis, updates))
