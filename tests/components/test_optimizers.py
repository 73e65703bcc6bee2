"""The flat optimizers against optax leaf by leaf, and a hand-written one."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxrl.components.optimizers import adam, radam, rmsprop

PARAMS = {"kernel": jnp.arange(6.0).reshape(2, 3) / 10, "bias": jnp.array([1.0, -1.0, 0.5])}


def gradients(num_steps=5):
    random = np.random.default_rng(0)
    return [
        jax.tree.map(lambda leaf: random.normal(size=leaf.shape).astype(np.float32), PARAMS) for _ in range(num_steps)
    ]


def trained(optimizer, steps):
    params, opt_state = PARAMS, optimizer.init(PARAMS)
    for gradient in steps:
        updates, opt_state = optimizer.update(gradient, opt_state, params)
        params = optax.apply_updates(params, updates)
    return params


def assert_close(actual, expected):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-7), actual, expected)


@pytest.mark.parametrize("max_grad_norm", [None, 0.5, 100.0])
def test_adam_is_optax_adam_after_a_clip_by_global_norm(max_grad_norm):
    clip = optax.identity() if max_grad_norm is None else optax.clip_by_global_norm(max_grad_norm)
    expected = trained(optax.chain(clip, optax.adam(1e-2, eps=1e-5)), gradients())
    assert_close(trained(adam(1e-2, max_grad_norm=max_grad_norm), gradients()), expected)


@pytest.mark.parametrize("max_grad_norm", [None, 0.5])
def test_radam_is_optax_radam_after_a_clip_by_global_norm(max_grad_norm):
    clip = optax.identity() if max_grad_norm is None else optax.clip_by_global_norm(max_grad_norm)
    steps = gradients(12)  # the rectification begins with the sixth
    expected = trained(optax.chain(clip, optax.radam(1e-2, eps=1e-3)), steps)
    assert_close(trained(radam(1e-2, epsilon=1e-3, max_grad_norm=max_grad_norm), steps), expected)


def test_radam_follows_the_paper():
    """Algorithm 2 there, with rho_inf = 2 / (1 - 0.999) - 1 = 1999."""
    steps, params = gradients(8), jax.tree.map(np.asarray, PARAMS)
    m = v = jax.tree.map(lambda leaf: 0.0 * leaf, params)
    for t, gradient in enumerate(steps, 1):
        m = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, m, gradient)
        v = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g**2, v, gradient)
        rho = 1999 - 2 * t * 0.999**t / (1 - 0.999**t)
        if rho > 5:
            r = np.sqrt((rho - 4) * (rho - 2) * 1999 / ((1999 - 4) * (1999 - 2) * rho))
            moves = jax.tree.map(
                lambda m, v, t=t, r=r: r * (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8), m, v
            )
        else:
            moves = jax.tree.map(lambda m, t=t: m / (1 - 0.9**t), m)
        params = jax.tree.map(lambda p, move: p - 0.01 * move, params, moves)
    actual = trained(radam(0.01), steps)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), actual, params)


def test_the_norm_is_that_of_all_parameters_together():
    def sgd_like(gradient):  # rmsprop without memory of the past divides by |g|: look at the clip through its state
        optimizer = rmsprop(1.0, decay=0.0, max_grad_norm=0.5)
        _, state = optimizer.update(gradient, optimizer.init(PARAMS))
        return jnp.sqrt(jax.tree.leaves(state)[0].sum())

    np.testing.assert_allclose(sgd_like(gradients(1)[0]), 0.5, rtol=1e-5)


def test_adam_follows_the_paper():
    first, second = gradients(2)
    m = jax.tree.map(lambda a, b: 0.9 * 0.1 * a + 0.1 * b, first, second)
    v = jax.tree.map(lambda a, b: 0.999 * 0.001 * a**2 + 0.001 * b**2, first, second)

    def step(m, v, i):
        return 0.01 * (m / (1 - 0.9**i)) / (np.sqrt(v / (1 - 0.999**i)) + 1e-5)

    after_one = jax.tree.map(lambda p, g: p - step(0.1 * g, 0.001 * g**2, 1), PARAMS, first)
    expected = jax.tree.map(lambda p, m, v: p - step(m, v, 2), after_one, m, v)
    actual = trained(adam(0.01), [first, second])
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4), actual, expected)


def test_epsilon_is_added_outside_the_root():
    tiny = jax.tree.map(lambda leaf: jnp.full_like(leaf, 1e-5), PARAMS)
    for optimizer in (adam(1.0, epsilon=1e-5), rmsprop(1.0, decay=0.0, epsilon=1e-5)):
        updates, _ = optimizer.update(tiny, optimizer.init(PARAMS), PARAMS)
        np.testing.assert_allclose(updates["bias"], -0.5, rtol=1e-4)  # 1e-5 / (1e-5 + 1e-5)


def test_rmsprop_follows_its_definition():
    first, second = gradients(2)
    square = jax.tree.map(lambda g: 0.01 * g**2, first)
    expected = jax.tree.map(lambda p, g, s: p - 0.1 * g / (np.sqrt(s) + 1e-5), PARAMS, first, square)
    square = jax.tree.map(lambda s, g: 0.99 * s + 0.01 * g**2, square, second)
    expected = jax.tree.map(lambda p, g, s: p - 0.1 * g / (np.sqrt(s) + 1e-5), expected, second, square)
    actual = trained(rmsprop(0.1), [first, second])
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), actual, expected)


@pytest.mark.parametrize("make", [adam, radam, rmsprop])
def test_learning_rate_and_norm_may_be_swept_and_the_state_carried_on(make):
    rates, norms = jnp.array([1e-3, 1e-2]), jnp.array([0.5, 2.0])

    def two_steps(rate, norm):
        first, second = gradients(2)
        params, opt_state = PARAMS, make(rate, max_grad_norm=norm).init(PARAMS)
        for gradient in (first, second):
            optimizer = make(rate, max_grad_norm=norm)  # built anew: only its state is carried
            updates, opt_state = optimizer.update(gradient, opt_state, params)
            params = optax.apply_updates(params, updates)
        return params, opt_state

    swept, states = jax.jit(jax.vmap(two_steps))(rates, norms)
    assert all(leaf.shape[0] == 2 for leaf in jax.tree.leaves(states))
    for index in range(2):
        alone = trained(make(float(rates[index]), max_grad_norm=float(norms[index])), gradients(2))
        assert_close(jax.tree.map(lambda leaf, index=index: leaf[index], swept), alone)


def test_over_an_axis_the_gradient_is_averaged_before_it_is_clipped():
    """Two halves that cancel but for a small rest: clipping first would leave another direction."""
    random = np.random.default_rng(1)
    halves = jax.tree.map(
        lambda leaf: np.float32([9.0, -8.0]).reshape(2, *[1] * leaf.ndim) * random.normal(size=(1, *leaf.shape)), PARAMS
    )
    average = jax.tree.map(lambda leaf: leaf.mean(axis=0), halves)

    def two_steps(half):
        return trained(adam(1e-2, max_grad_norm=0.5, axis="devices"), [half, half])

    spread = jax.vmap(two_steps, axis_name="devices")(halves)
    alone = trained(adam(1e-2, max_grad_norm=0.5), [average, average])
    for device in range(2):
        assert_close(jax.tree.map(lambda leaf, device=device: leaf[device], spread), alone)


def test_there_is_one_collective_per_step_whatever_the_number_of_leaves():
    optimizer = adam(1e-2, max_grad_norm=0.5, axis="devices")
    program = jax.make_jaxpr(
        lambda gradient: optimizer.update(gradient, optimizer.init(PARAMS), PARAMS), axis_env=[("devices", 2)]
    )(gradients(1)[0])
    assert str(program).count("psum") == 1
