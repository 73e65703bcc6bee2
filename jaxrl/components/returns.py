"""Returns and advantages from a rollout. Time is the first axis, any others follow; results are float32.

`next_values` are the values of the true successors, so nothing is shifted: next_values[t] follows values[t]. A
termination zeroes the bootstrap; a truncation keeps it; both cut the trace, because the next row is another episode.
These are targets: nothing here stops gradients, the caller's values are constants already.
"""

import chex
import jax
import jax.numpy as jnp

from jaxrl.pytree import Scalar


def discounts(terminated: jax.Array, discount: Scalar) -> jax.Array:
    """gamma * (1 - terminated): the one place that says what a successor's value is worth."""
    return discount * (1.0 - jnp.asarray(terminated, jnp.float32))


def generalized_advantages(  # noqa: PLR0913  # the quantities of the formula, and no more
    rewards: jax.Array,
    values: jax.Array,
    next_values: jax.Array,
    terminated: jax.Array,
    truncated: jax.Array,
    discount: Scalar,
    trace_decay: Scalar,
) -> jax.Array:
    """GAE (Schulman et al. 2016), all arrays [T, ...]:

    delta_t = r_t + gamma (1 - terminated_t) V(next_t) - V_t
    A_t     = delta_t + gamma lambda (1 - terminated_t) (1 - truncated_t) A_{t+1}
    """
    chex.assert_equal_shape([rewards, values, next_values, terminated, truncated])
    gammas = discounts(terminated, discount)
    errors = rewards + gammas * next_values - values
    return _accumulated(errors, gammas * trace_decay * _goes_on(truncated))


def lambda_returns(
    rewards: jax.Array,
    next_values: jax.Array,
    terminated: jax.Array,
    truncated: jax.Array,
    discount: Scalar,
    trace_decay: Scalar,
) -> jax.Array:
    """Lambda-returns (Sutton & Barto 2018, eq. 12.18), all arrays [T, ...]:

    G_t = r_t + gamma (1 - terminated_t) ((1 - lambda_t) V(next_t) + lambda_t G_{t+1})

    with lambda_t = 0 where the episode was truncated and in the last row.
    """
    chex.assert_equal_shape([rewards, next_values, terminated, truncated])
    gammas = discounts(terminated, discount)
    decays = (trace_decay * _goes_on(truncated)).at[-1].set(0.0)
    return _accumulated(rewards + gammas * (1.0 - decays) * next_values, gammas * decays)


def discounted_returns(
    rewards: jax.Array, terminated: jax.Array, truncated: jax.Array, bootstrap: jax.Array, discount: Scalar
) -> jax.Array:
    """Rewards to go, all arrays [T, ...]: G_t = r_t + gamma (1 - terminated_t) G_{t+1}.

    Where the episode was truncated and in the last row, `bootstrap` (the successor's value; zeros for none) takes the
    place of G_{t+1}.
    """
    return lambda_returns(rewards, bootstrap, terminated, truncated, discount, 1.0)


def n_step_returns(
    rewards: jax.Array,
    next_values: jax.Array,
    terminated: jax.Array,
    truncated: jax.Array,
    discount: Scalar,
    n: int,
) -> jax.Array:
    """n-step returns, all arrays [T, ...]: the sum of gamma^k r_{t+k} for k < m, then gamma^m V(next_{t+m-1}).

    m is n, or fewer where the episode or the rollout ends before; after a termination there is no bootstrap.
    Computed by G^1_t = r_t + gamma_t V(next_t) and G^m_t = r_t + gamma_t G^{m-1}_{t+1}.
    """
    chex.assert_equal_shape([rewards, next_values, terminated, truncated])
    if n < 1:
        raise ValueError(f"n-step returns need n of at least 1, got {n}.")
    gammas = discounts(terminated, discount)
    one_step = rewards + gammas * next_values
    goes_on = _goes_on(truncated)[:-1].astype(bool)

    def longer(_: int, returns: jax.Array) -> jax.Array:
        extended = jnp.where(goes_on, rewards[:-1] + gammas[:-1] * returns[1:], one_step[:-1])
        return jnp.concatenate([extended, one_step[-1:]])

    returns: jax.Array = jax.lax.fori_loop(0, n - 1, longer, one_step)
    return returns


def _goes_on(truncated: jax.Array) -> jax.Array:
    return 1.0 - jnp.asarray(truncated, jnp.float32)


def _accumulated(increments: jax.Array, decays: jax.Array) -> jax.Array:
    """x_t = increments_t + decays_t x_{t+1}, with 0 after the last row."""

    def backward(following: jax.Array, row: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        increment, decay = row
        current = increment + decay * following
        return current, current

    _, accumulated = jax.lax.scan(backward, jnp.zeros_like(increments[0]), (increments, decays), reverse=True)
    return accumulated
