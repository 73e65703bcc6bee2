"""What a value network's outputs mean: the values themselves, probabilities of fixed returns, or quantiles.

Each form maps the network's outputs to action values, `form(outputs) -> [..., A]`, so that whatever chooses an action
need not know which form it is.
"""

from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np

from jaxrl.components.value_losses import huber
from jaxrl.pytree import Scalar, dataclass, hyperparameter, static


@dataclass
class Expected:
    """The outputs [..., A] are the action values."""

    def __call__(self, outputs: jax.Array) -> jax.Array:
        return outputs


@dataclass
class Categorical:
    """Outputs [..., A, K] are logits over K returns evenly spaced from value_min to value_max.

    Bellemare et al. 2017, https://arxiv.org/abs/1707.06887. The bounds must hold every return that is to be told apart.
    """

    value_min: Scalar = hyperparameter(-10.0)
    value_max: Scalar = hyperparameter(10.0)
    num_atoms: int = static(51, minimum=2)  # K

    def check(self) -> None:
        """Refuse an empty range, where the bounds are known."""
        low: Any = self.value_min
        high: Any = self.value_max
        if isinstance(low, np.floating) and isinstance(high, np.floating) and low >= high:
            raise ValueError(f"value_max must be above value_min, got value_min={low:g} and value_max={high:g}.")

    @property
    def support(self) -> jax.Array:
        """float32 [K]: the returns z_i."""
        return self.value_min + (self.value_max - self.value_min) * jnp.linspace(0.0, 1.0, self.num_atoms)

    def __call__(self, outputs: jax.Array) -> jax.Array:
        """sum_i z_i p_i."""
        return jnp.dot(jax.nn.softmax(outputs), self.support, precision=jax.lax.Precision.HIGHEST)

    def project(self, probabilities: jax.Array, reward: jax.Array, discount: jax.Array) -> jax.Array:
        """The distribution of r + discount * Z on the fixed returns again, [..., K]; reward and discount [...].

            Tz_j = clip(r + discount z_j, value_min, value_max)
            p'_i = sum_j clip(1 - |Tz_j - z_i| / spacing, 0, 1) p_j

        Each mass is shared by its two neighbours in proportion to how near they are (Bellemare et al. 2017, alg. 1);
        one that falls on a return stays whole. With discount 0 everything is at r.
        """
        chex.assert_equal_shape([reward, discount, probabilities[..., 0]])
        projected: jax.Array = jnp.vectorize(self._projected, signature="(k),(),()->(k)")(
            probabilities, reward, discount
        )
        return projected

    def _projected(self, probabilities: jax.Array, reward: jax.Array, discount: jax.Array) -> jax.Array:
        """`project` for one transition."""
        last = self.num_atoms - 1
        moved = reward + discount * self.support
        # In units of the spacing, where differences of near numbers are exact and the mass stays 1.
        position = jnp.clip((moved - self.value_min) / (self.value_max - self.value_min) * last, 0.0, last)
        # On a GPU a scatter-add adds in any order, so that the same key would no longer give the same bits.
        return jax.lax.platform_dependent(position, probabilities, cpu=deal_out_by_scatter, default=deal_out)

    @staticmethod
    def cross_entropy(target_probabilities: jax.Array, logits: jax.Array) -> jax.Array:
        """-sum_i p_i log softmax(logits)_i, both [..., K] -> [...]; its gradient is that of KL(p || softmax)."""
        return -(target_probabilities * jax.nn.log_softmax(logits)).sum(axis=-1)


def deal_out(position: jax.Array, mass: jax.Array) -> jax.Array:
    """Share each mass between the whole numbers on both sides of its position: [K] and [K] to [K]."""
    shares = jnp.maximum(1.0 - jnp.abs(position[:, None] - jnp.arange(len(mass))[None, :]), 0.0)
    return jnp.dot(mass, shares, precision=jax.lax.Precision.HIGHEST)


def deal_out_by_scatter(position: jax.Array, mass: jax.Array) -> jax.Array:
    """The same in O(K) in place of O(K^2), with which C51 is two to three times as fast on a CPU."""
    below = jnp.floor(position)
    index, above_share = below.astype(jnp.int32), position - below
    shared = jnp.zeros_like(mass).at[index].add(mass * (1.0 - above_share))
    return shared.at[jnp.minimum(index + 1, len(mass) - 1)].add(mass * above_share)


@dataclass
class Quantiles:
    """Outputs [..., A, K] are K equally likely returns (Dabney et al. 2018, https://arxiv.org/abs/1710.10044)."""

    def __call__(self, outputs: jax.Array) -> jax.Array:
        return outputs.mean(axis=-1)


def midpoints(num_fractions: int) -> jax.Array:
    """float32 [K]: (i + 0.5) / K, the fractions at which K quantiles are nearest to the whole distribution."""
    return (jnp.arange(num_fractions, dtype=jnp.float32) + 0.5) / num_fractions


def quantile_targets(reward: jax.Array, discount: jax.Array, next_quantiles: jax.Array) -> jax.Array:
    """r + discount * theta_j, [..., M]: the quantiles of the target; reward and discount [...]."""
    chex.assert_equal_shape([reward, discount, next_quantiles[..., 0]])
    return reward[..., None] + discount[..., None] * next_quantiles


def quantile_huber_loss(
    quantiles: jax.Array, fractions: jax.Array, targets: jax.Array, threshold: Scalar = 1.0
) -> jax.Array:
    """Quantile regression (Dabney et al. 2018, https://arxiv.org/abs/1806.06923, eq. 3):

        sum_i mean_j |tau_i - 1{u_ij < 0}| huber(u_ij, kappa) / kappa,   u_ij = target_j - quantile_i

    quantiles and fractions [..., K]: tau_i belongs to the quantile that is learned; targets [..., M], constants;
    the result is [...]. Divided by kappa it tends to the plain quantile loss as kappa goes to 0. The first paper does
    not divide, nor does rlax, which are equal at kappa = 1.
    """
    chex.assert_equal_shape([quantiles, fractions])
    errors = targets[..., None, :] - quantiles[..., :, None]
    weights = jnp.abs(fractions[..., :, None] - (errors < 0))
    return (weights * huber(errors, threshold) / threshold).mean(axis=-1).sum(axis=-1)
