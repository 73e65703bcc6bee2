"""Torsos: what turns an observation into features. They are linen modules whose fields are hashable.

A torso of your own is any linen module with `__call__(obs) -> features [..., F]` for observations with any leading
axes; give its fields tuples, not lists, and hand it to an algorithm as `torso=`.
"""

import math
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxrl.components.activations import activation_function
from jaxrl.components.initializers import orthogonal
from jaxrl.components.noisy import NoisyDense
from jaxrl.components.products import dot_general
from jaxrl.envs.spaces import Box, Dict, Discrete, MultiDiscrete, Space, Tuple


def dense(features: int, gain: float) -> nn.Dense:
    """A linear layer with an orthogonal kernel of this gain and biases 0."""
    return nn.Dense(features, kernel_init=orthogonal(gain), dot_general=dot_general)


def linear(features: int, gain: float, noisy_sigma: float | None = None) -> nn.Module:
    """`dense`, or a `NoisyDense` with that sigma, which has its own way to start."""
    return dense(features, gain) if noisy_sigma is None else NoisyDense(features, noisy_sigma)


class MLP(nn.Module):
    """Dense layers, each followed by the activation: [..., F] to [..., hidden_sizes[-1]].

    With `layer_norm` each is normalised before its activation (Ba et al. 2016); with `noisy_sigma` each is a
    `NoisyDense`; with `dropout` that part of each layer's outputs is 0, where there is a random stream "dropout".
    """

    hidden_sizes: tuple[int, ...] = (64, 64)
    activation: str = "tanh"
    layer_norm: bool = False
    noisy_sigma: float | None = None
    dropout: float = 0.0

    @nn.compact
    def __call__(self, obs: jax.Array) -> jax.Array:
        """Features of flat observations."""
        activation = activation_function(self.activation)
        features = obs.astype(jnp.float32)
        for size in self.hidden_sizes:
            features = linear(size, math.sqrt(2.0), self.noisy_sigma)(features)
            if self.dropout:
                features = nn.Dropout(self.dropout, deterministic=not self.has_rng("dropout"))(features)
            features = activation(nn.LayerNorm()(features) if self.layer_norm else features)
        return features


class ResidualMLP(nn.Module):
    """SimBa (Lee et al. 2024, https://arxiv.org/abs/2410.09754): [..., F] to [..., hidden_sizes[-1]].

    A linear layer, then for each size h a block x + W_2 activation(W_1 norm(x)) with 4 h units inside, then a layer
    norm. All sizes must be equal; observations are best normalised (`normalize_observations`).
    """

    hidden_sizes: tuple[int, ...] = (128, 128)
    activation: str = "relu"

    @nn.compact
    def __call__(self, obs: jax.Array) -> jax.Array:
        """Features of flat observations."""
        activation, size = activation_function(self.activation), self.hidden_sizes[0]
        features = dense(size, 1.0)(obs.astype(jnp.float32))
        for _ in self.hidden_sizes:
            inner = activation(dense(4 * size, math.sqrt(2.0))(nn.LayerNorm()(features)))
            features = features + dense(size, 1.0)(inner)
        return nn.LayerNorm()(features)


class CNN(nn.Module):
    """Convolutions without padding, then dense layers, each followed by the activation: [..., H, W, C] to [..., F].

    The defaults are the usual ones for MinAtar (Young & Tian 2019). uint8 images are divided by 255. `layer_norm`
    normalises convolutions over their channels, and the dense layers; `noisy_sigma` concerns the dense layers alone.
    """

    channels: tuple[int, ...] = (16,)
    kernel_sizes: tuple[int, ...] = (3,)
    strides: tuple[int, ...] = (1,)
    hidden_sizes: tuple[int, ...] = (128,)
    activation: str = "relu"
    layer_norm: bool = False
    noisy_sigma: float | None = None

    @nn.compact
    def __call__(self, obs: jax.Array) -> jax.Array:
        """Features of images."""
        activation = activation_function(self.activation)
        scale = 255.0 if obs.dtype == jnp.uint8 else 1.0
        image = obs.astype(jnp.float32) / scale
        for channels, kernel_size, stride in zip(self.channels, self.kernel_sizes, self.strides, strict=True):
            image = dense(channels, math.sqrt(2.0))(patches(image, kernel_size, stride))
            image = activation(nn.LayerNorm()(image) if self.layer_norm else image)
        flat = image.reshape(*image.shape[:-3], -1)
        return MLP(self.hidden_sizes, self.activation, self.layer_norm, self.noisy_sigma)(flat)


class FlatTorso(nn.Module):
    """An MLP over a structured observation, flattened to one vector per observation (see `flattened`)."""

    space: Space
    hidden_sizes: tuple[int, ...] = (64, 64)
    activation: str = "tanh"
    layer_norm: bool = False
    noisy_sigma: float | None = None

    @nn.compact
    def __call__(self, obs: Any) -> jax.Array:
        """Features of observations of `space`."""
        mlp = MLP(self.hidden_sizes, self.activation, self.layer_norm, self.noisy_sigma)
        return mlp(flattened(self.space, obs))


class EntryTorso(nn.Module):
    """A torso that reads one entry of a dict observation."""

    entry: str
    torso: nn.Module

    def __call__(self, obs: dict[str, jax.Array]) -> jax.Array:
        """Features of that entry."""
        return self.torso(obs[self.entry])


def torso_for(
    observation_space: Space,
    hidden_sizes: tuple[int, ...],
    activation: str,
    layer_norm: bool = False,
    noisy_sigma: float | None = None,
) -> nn.Module:
    """The torso that suits an observation space: a CNN for images [H, W, C], an MLP over everything else.

    `hidden_sizes` are the dense layers of either. Dicts and tuples are flattened and joined, without "action_mask".
    """
    activation_function(activation)
    style = hidden_sizes, activation, layer_norm, noisy_sigma
    space = _without_mask(observation_space)
    image = _image_shape(space)
    if image:
        return CNN(*_convolutions_for(image), *style)
    if isinstance(space, Box) and len(space.shape or ()) == 1:
        return MLP(*style)
    if isinstance(space, Dict) and len(space.entries) == 1:
        name, entry = space.entries[0]
        return EntryTorso(name, torso_for(entry, *style))
    if any(_image_shape(part) for part in _parts(space)):
        raise ValueError(
            f"An observation that mixes an image with other entries needs a torso of your own, got {space}; pass a "
            "linen module as torso=."
        )
    return FlatTorso(space, *style)


def flattened(space: Space, obs: Any) -> jax.Array:
    """[..., F] float32 from an observation with any leading axes: boxes raveled, discrete entries one-hot."""
    if isinstance(space, Discrete):
        parts = [jax.nn.one_hot(obs, space.n)]
    elif isinstance(space, MultiDiscrete):
        parts = [jax.nn.one_hot(obs[..., index], n) for index, n in enumerate(space.nvec)]
    elif isinstance(space, Box):
        num_axes = len(space.shape or ())
        parts = [obs.reshape(*obs.shape[: obs.ndim - num_axes], -1).astype(jnp.float32)]
    elif isinstance(space, Dict):
        parts = [flattened(entry, obs[name]) for name, entry in space.entries]
    else:
        parts = [flattened(entry, part) for entry, part in zip(space.spaces, obs, strict=True)]
    return jnp.concatenate(parts, axis=-1)


def patches(image: jax.Array, kernel_size: int, stride: int) -> jax.Array:
    """[..., H, W, C] to [..., H', W', kernel_size^2 C]: what each kernel sees, so that a convolution is a product.

    Inside a scan, where all updates happen, XLA's CPU backend takes 4 (MinAtar) to 14 (Atari) times as long for the
    gradient of a convolution, and 8 times under a vmap over agents, where it becomes a grouped one.
    """
    height = (image.shape[-3] - kernel_size) // stride + 1
    width = (image.shape[-2] - kernel_size) // stride + 1
    leading = image.shape[:-3]
    strides = (1,) * len(leading) + (stride, stride, 1)

    def shifted(row: int, column: int) -> jax.Array:
        ends = (*leading, row + stride * (height - 1) + 1, column + stride * (width - 1) + 1, image.shape[-1])
        # Not image[...], which is a gather where the size of the batch is not known.
        return jax.lax.slice(image, (0,) * len(leading) + (row, column, 0), ends, strides)

    shifts = [shifted(row, column) for row in range(kernel_size) for column in range(kernel_size)]
    return jnp.concatenate(shifts, axis=-1)


def _convolutions_for(image: tuple[int, ...]) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
    """Channels, kernel sizes and strides."""
    height, width, _ = image
    if min(height, width) >= 36:  # the network of Mnih et al. 2015
        return (32, 64, 64), (8, 4, 3), (4, 2, 1)
    return (16,), (min(3, height, width),), (1,)


def _without_mask(space: Space) -> Space:
    if not isinstance(space, Dict):
        return space
    return Dict({name: entry for name, entry in space.entries if name != "action_mask"})


def _image_shape(space: Space) -> tuple[int, ...] | None:
    """[H, W, C] if the space is one of images."""
    return space.shape if isinstance(space, Box) and len(space.shape or ()) == 3 else None


def _parts(space: Space) -> list[Space]:
    """The leaves of a space."""
    if isinstance(space, Dict):
        return [part for _, entry in space.entries for part in _parts(entry)]
    if isinstance(space, Tuple):
        return [part for entry in space.spaces for part in _parts(entry)]
    return [space]
