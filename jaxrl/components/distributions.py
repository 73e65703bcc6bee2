"""Action distributions as small pytrees, and the heads that say what a network must output for them.

All randomness enters as noise: `head.noise(key, shape)` is drawn for a whole rollout in one call before the scan, and
`distribution.sample(noise)` is a pure function of it. That is the reason for a layer of our own: libraries sample from
a key inside every step, which costs more than the environment, and take seconds to import. The tests check every
formula against distrax.

Everything is computed in float32 and accepts any leading axes; `[...]` below are the leading axes of the outputs.
"""

import dataclasses
import math
from typing import Any, Protocol

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl.components.categorical import FORBIDDEN, Categorical, MultiCategorical, masked
from jaxrl.components.gaussian import Gaussian, SquashedGaussian
from jaxrl.envs.spaces import Box, Discrete, MultiDiscrete, Space


class Distribution(Protocol):
    """What an algorithm may ask of a policy's distribution at a batch of observations."""

    @property
    def batch_shape(self) -> tuple[int, ...]:
        """The leading axes."""
        ...

    def sample(self, noise: jax.Array) -> jax.Array:
        """The action that `noise`, one draw of the head's, selects; differentiable where actions are continuous."""
        ...

    def log_prob(self, action: jax.Array) -> jax.Array:
        """[...]: log-probability (or log-density) of a whole action."""
        ...

    def sample_and_log_prob(self, noise: jax.Array) -> tuple[jax.Array, jax.Array]:
        """`sample` and its `log_prob`, without inverting anything."""
        ...

    def entropy(self) -> jax.Array:
        """[...]: in nats."""
        ...

    def mode(self) -> jax.Array:
        """The greedy action."""
        ...

    def kl(self, other: Any) -> jax.Array:
        """[...]: KL[self, other] = E_self[log self - log other]; `other` is of the same class."""
        ...


class Head(Protocol):
    """The bridge from a network's outputs to a distribution: hashable, so that it can be a static field."""

    @property
    def num_outputs(self) -> int:
        """Outputs per observation that the network's last layer must give."""
        ...

    @property
    def num_free(self) -> int:
        """Parameters that do not depend on the observation; their initial value is 0."""
        ...

    def noise(self, key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
        """All randomness of sampling for leading axes `shape`, in one draw."""
        ...

    def __call__(self, outputs: jax.Array, free: jax.Array | None = None, mask: jax.Array | None = None) -> Any:
        """The distribution for `outputs` [..., num_outputs] and `free` [num_free].

        `mask` is bool, False where an action is forbidden; an observation whose mask forbids everything counts as
        unmasked, so that padding and final observations stay finite.
        """
        ...


def action_head(action_space: Space, *, squash: bool = False) -> Head:
    """The head for an action space.

    Discrete gives a categorical, MultiDiscrete independent categoricals, Box a diagonal Gaussian whose log-std does
    not depend on the observation. With `squash`, a Box gives a tanh-squashed Gaussian with state-dependent std.
    """
    if isinstance(action_space, Discrete):
        return CategoricalHead(action_space.n)
    if isinstance(action_space, MultiDiscrete):
        return MultiCategoricalHead(action_space.nvec)
    if not isinstance(action_space, Box) or not np.issubdtype(action_space.dtype, np.floating):
        raise TypeError(
            f"A policy needs a Discrete, MultiDiscrete or floating-point Box action space, got {action_space}; "
            "wrap the environment so that its actions are one of these."
        )
    shape = tuple(action_space.shape or ())
    if not squash:
        return GaussianHead(shape)
    if not action_space.is_bounded or np.any(action_space.low >= action_space.high):
        raise ValueError(
            f"A squashed Gaussian needs an action Box with finite bounds low < high, got {action_space}; "
            "give the Box such bounds, or use squash=False."
        )
    low, high = (np.asarray(bound, np.float32).ravel().tolist() for bound in (action_space.low, action_space.high))
    return SquashedGaussianHead(shape, tuple(low), tuple(high))


@dataclasses.dataclass(frozen=True)
class CategoricalHead:
    """One of `num_actions` actions; the outputs are logits [..., num_actions], a mask has their shape."""

    num_actions: int
    num_free: int = dataclasses.field(default=0, init=False)

    @property
    def num_outputs(self) -> int:
        """One logit per action."""
        return self.num_actions

    def noise(self, key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
        """Gumbel noise [*shape, num_actions]."""
        return jax.random.gumbel(key, (*shape, self.num_actions))

    def __call__(self, outputs: jax.Array, free: jax.Array | None = None, mask: jax.Array | None = None) -> Categorical:
        """The distribution for logits [..., num_actions]."""
        return Categorical(masked(outputs.astype(jnp.float32), mask))


@dataclasses.dataclass(frozen=True)
class MultiCategoricalHead:
    """One action of each of K independent choices; the outputs are the K groups of logits side by side.

    A mask has the shape of the outputs, [..., sum(nvec)].
    """

    nvec: tuple[int, ...]
    num_free: int = dataclasses.field(default=0, init=False)

    @property
    def num_outputs(self) -> int:
        """One logit per action of each choice."""
        return sum(self.nvec)

    def noise(self, key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
        """Gumbel noise [*shape, K, max(nvec)]."""
        return jax.random.gumbel(key, (*shape, len(self.nvec), max(self.nvec)))

    def __call__(
        self, outputs: jax.Array, free: jax.Array | None = None, mask: jax.Array | None = None
    ) -> MultiCategorical:
        """The distribution for logits [..., sum(nvec)]."""
        logits = self._padded(outputs.astype(jnp.float32), FORBIDDEN)
        if mask is not None:
            logits = masked(logits, self._padded(mask, False))
        return MultiCategorical(logits)

    def _padded(self, groups: jax.Array, filler: Any) -> jax.Array:
        """[..., sum(nvec)] to [..., K, max(nvec)], short groups filled up."""
        widest = max(self.nvec)
        if min(self.nvec) == widest:
            return groups.reshape(*groups.shape[:-1], len(self.nvec), widest)
        leading = [(0, 0)] * (groups.ndim - 1)
        parts = jnp.split(groups, np.cumsum(self.nvec)[:-1].tolist(), axis=-1)
        padded = [
            jnp.pad(part, [*leading, (0, widest - n)], constant_values=filler)
            for part, n in zip(parts, self.nvec, strict=True)
        ]
        return jnp.stack(padded, axis=-2)


@dataclasses.dataclass(frozen=True)
class GaussianHead:
    """A diagonal Gaussian over actions of `shape`; the outputs are the means, the free parameters the log-stds."""

    shape: tuple[int, ...]

    @property
    def num_outputs(self) -> int:
        """One mean per entry of the action."""
        return math.prod(self.shape)

    @property
    def num_free(self) -> int:
        """One log-std per entry of the action."""
        return math.prod(self.shape)

    def noise(self, key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
        """Normal noise [*shape, D]."""
        return jax.random.normal(key, (*shape, self.num_outputs))

    def __call__(self, outputs: jax.Array, free: jax.Array | None = None, mask: jax.Array | None = None) -> Gaussian:
        """The distribution for means [..., D] and log-stds `free` [D]."""
        _refuse(mask)
        if free is None:
            raise TypeError("A Gaussian head needs its log-std as `free`; pass the network's second output.")
        log_std = jnp.broadcast_to(free.astype(jnp.float32), outputs.shape)
        return Gaussian(outputs.astype(jnp.float32), log_std, self.shape)


@dataclasses.dataclass(frozen=True)
class SquashedGaussianHead:
    """A tanh-squashed Gaussian within the bounds of a Box; the outputs are the means, then the log-stds.

    The log-stds are clipped to [`min_log_std`, `max_log_std`] (Haarnoja et al. 2018, the authors' code).
    """

    shape: tuple[int, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    min_log_std: float = -20.0
    max_log_std: float = 2.0
    num_free: int = dataclasses.field(default=0, init=False)

    @property
    def num_outputs(self) -> int:
        """A mean and a log-std per entry of the action."""
        return 2 * math.prod(self.shape)

    def noise(self, key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
        """Normal noise [*shape, D]."""
        return jax.random.normal(key, (*shape, math.prod(self.shape)))

    def __call__(
        self, outputs: jax.Array, free: jax.Array | None = None, mask: jax.Array | None = None
    ) -> SquashedGaussian:
        """The distribution for means and log-stds, side by side in [..., 2 D]."""
        _refuse(mask)
        mean, log_std = jnp.split(outputs.astype(jnp.float32), 2, axis=-1)
        log_std = jnp.clip(log_std, self.min_log_std, self.max_log_std)
        return SquashedGaussian(mean, log_std, self.shape, self.low, self.high)


def _refuse(mask: jax.Array | None) -> None:
    if mask is not None:
        raise TypeError("An action mask needs a Discrete or MultiDiscrete action space, got a Box; drop the mask.")
