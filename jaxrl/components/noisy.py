"""Noisy networks (Fortunato et al. 2018, https://arxiv.org/abs/1706.10295): weights with learned noise explore."""

from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp


class NoisyDense(nn.Module):
    """A linear layer with factorised Gaussian noise on its weights (eq. 10 and 11 there): [..., F] to [..., features].

        y = (mu_w + sigma_w * f(eps_in) f(eps_out)^T)^T x + mu_b + sigma_b * f(eps_out),    f(e) = sign(e) sqrt|e|

    eps_in [F] and eps_out [features] are standard normal, drawn once per application, so that a whole batch sees the
    same weights. They come from the random stream "noise": `apply(params, x, rngs={"noise": key})`. Without it the
    layer is its mean: mu_w^T x + mu_b. Each layer of a network draws its own.

    mu starts uniform within 1 / sqrt(F), all of sigma at `sigma` / sqrt(F).
    """

    features: int
    sigma: float = 0.5

    @nn.compact
    def __call__(self, inputs: jax.Array) -> jax.Array:
        """Outputs with the noise of the stream "noise", or none."""
        fan_in = inputs.shape[-1]
        bound = fan_in**-0.5
        mean, spread = _uniform_within(bound), nn.initializers.constant(self.sigma * bound)
        kernel = self.param("kernel", mean, (fan_in, self.features))
        bias = self.param("bias", mean, (self.features,))
        kernel_sigma = self.param("kernel_sigma", spread, (fan_in, self.features))
        bias_sigma = self.param("bias_sigma", spread, (self.features,))
        outputs = _affine(inputs, kernel, bias)
        if not self.has_rng("noise"):
            return outputs
        in_key, out_key = jax.random.split(self.make_rng("noise"))
        noise_in = _scaled(jax.random.normal(in_key, (fan_in,)))
        noise_out = _scaled(jax.random.normal(out_key, (self.features,)))
        # (sigma_w * f_in f_out^T)^T x = f_out * (sigma_w^T (f_in * x)): the noise matrix is never built.
        noise = _affine(inputs * jnp.broadcast_to(noise_in, inputs.shape), kernel_sigma, bias_sigma)
        return outputs + noise * jnp.broadcast_to(noise_out, noise.shape)


def _affine(inputs: jax.Array, kernel: jax.Array, bias: jax.Array) -> jax.Array:
    outputs = jnp.dot(inputs, kernel)
    return outputs + jnp.broadcast_to(bias, outputs.shape)


def _scaled(noise: jax.Array) -> jax.Array:
    """f(e) = sign(e) sqrt|e|."""
    return jnp.sign(noise) * jnp.sqrt(jnp.abs(noise))


def _uniform_within(bound: float) -> Callable[[jax.Array, tuple[int, ...]], jax.Array]:
    return lambda key, shape: jax.random.uniform(key, shape, jnp.float32, -bound, bound)
