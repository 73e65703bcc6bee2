import jax
import jax.numpy as jnp
import numpy as np

from jaxrl.components.schedules import constant, fraction_done, linear


def test_linear_goes_straight_and_stays_beyond_the_end():
    fractions = jnp.array([0.0, 0.25, 1.0, 3.0])
    np.testing.assert_allclose(jax.vmap(linear, (None, None, 0))(2.0, 1.0, fractions), [2.0, 1.75, 1.0, 1.0])


def test_every_argument_of_a_schedule_may_be_traced():
    learning_rates = jnp.array([1.0, 2.0])
    swept = jax.jit(jax.vmap(lambda start, i: linear(start, 0.0, fraction_done(i, 4)), (0, None)))
    np.testing.assert_allclose(swept(learning_rates, jnp.int32(1)), [0.75, 1.5])


def test_the_first_iteration_is_at_fraction_zero():
    np.testing.assert_allclose(fraction_done(0, 7), 0.0)
    assert fraction_done(jnp.int32(3), 7).dtype == jnp.float32


def test_constant_has_the_value_at_every_fraction():
    np.testing.assert_array_equal(constant(0.5, jnp.array([0.0, 2.0])), np.float32([0.5, 0.5]))
