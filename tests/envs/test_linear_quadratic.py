"""The oracles are scipy's solution of the Riccati equation, and long play."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg

import jaxrl
from jaxrl.envs.linear_quadratic import LinearQuadratic

FAR = {"max_state": 1e6, "max_action": 1e6}


def drawn(seed, n, m):
    """A regulator with matrices at random."""
    generator = np.random.default_rng(seed)
    A, B, C, D = (generator.normal(size=shape) for shape in ((n, n), (n, m), (n, n), (m, m)))
    return LinearQuadratic(A=0.5 * A, B=B, Q=C @ C.T, R=D @ D.T + 0.1 * np.eye(m), **FAR)


REGULATORS = {"default": LinearQuadratic(**FAR), "drawn": drawn(0, 3, 2), "one": drawn(1, 1, 1), "wide": drawn(2, 2, 4)}


@pytest.mark.parametrize("discount", [0.5, 0.95, 1.0])
@pytest.mark.parametrize("name", REGULATORS)
def test_the_solution_is_scipys(name, discount):
    env = REGULATORS[name]
    A, B, Q, R = (np.asarray(matrix, np.float64) for matrix in (env.A, env.B, env.Q, env.R))
    # A discount is a damping of A and B.
    P = scipy.linalg.solve_discrete_are(discount**0.5 * A, discount**0.5 * B, Q, R)
    K = discount * np.linalg.solve(R + discount * B.T @ P @ B, B.T @ P @ A)
    gain, value_matrix = env.solution(discount)
    np.testing.assert_allclose(value_matrix, P, rtol=1e-8, atol=1e-8)
    np.testing.assert_allclose(gain, K, rtol=1e-8, atol=1e-8)


def played(env, gain, start, discount, keys):
    """Discounted returns [N] of u = -gain x over 400 steps."""

    def play(key):
        def step(x, both):
            key, weight = both
            x, timestep = env.step(key, x, -jnp.float32(gain) @ x)
            return x, weight * timestep.reward

        weights = jnp.float32(discount ** np.arange(400))
        return jax.lax.scan(step, jnp.float32(start), (jax.random.split(key, 400), weights))[1].sum()

    return np.asarray(jax.jit(jax.vmap(play))(keys))


@pytest.mark.parametrize("name", REGULATORS)
def test_the_best_actions_collect_the_value_and_others_less(name):
    env, keys = REGULATORS[name], jax.random.split(jax.random.key(0), 1)
    start = np.linspace(0.4, 1.0, env.observation_space.shape[0])
    gain, _ = env.solution(0.95)
    (best,) = played(env, gain, start, 0.95, keys)
    assert best == pytest.approx(env.value(start, 0.95), rel=1e-4)
    np.testing.assert_allclose(env.best_action(start, 0.95), -gain @ start)
    for seed in range(5):
        other = gain + 0.1 * np.random.default_rng(seed).normal(size=gain.shape)
        assert played(env, other, start, 0.95, keys)[0] < best


def test_noise_costs_what_the_trace_says():
    env = LinearQuadratic(noise=0.3, **FAR)
    gain, _ = env.solution(0.9)
    returns = played(env, gain, np.array([1.0, -0.5]), 0.9, jax.random.split(jax.random.key(1), 4_000))
    error = returns.std() / len(returns) ** 0.5
    assert abs(returns.mean() - env.value([1.0, -0.5], 0.9)) < 4 * error
    assert env.value([1.0, -0.5], 0.9) < LinearQuadratic(**FAR).value([1.0, -0.5], 0.9) - 10 * error


def test_the_best_controller_of_the_defaults_never_meets_a_bound():
    env = LinearQuadratic()
    corners = np.array([[1, 1], [1, -1], [-1, 1], [-1, -1]], np.float64)
    A, B, _, _ = (np.asarray(matrix, np.float64) for matrix in (env.A, env.B, env.Q, env.R))
    for discount in (0.9, 1.0):
        states = corners
        for _ in range(200):
            actions = env.best_action(states, discount)
            assert np.abs(actions).max() < env.max_action
            assert np.abs(states).max() < env.max_state
            states = states @ A.T + actions @ B.T


def test_an_episode_starts_within_reach_and_is_only_cut():
    env = jaxrl.make("LQR-v0", start=0.5, max_steps=3)
    state, obs = jax.vmap(env.reset)(jax.random.split(jax.random.key(0), 500))
    assert 0.45 < np.abs(obs).max() <= 0.5
    for time in range(3):
        state, timestep = jax.vmap(env.step)(jax.random.split(jax.random.key(1), 500), state, jnp.full((500, 1), 9.0))
        assert not timestep.terminated.any()
        assert timestep.truncated.all() == (time == 2)
    bounds = jaxrl.make("LQR-v0", max_state=0.2)
    state, timestep = bounds.step(jax.random.key(0), bounds.reset(jax.random.key(0))[0], jnp.ones(1))
    assert np.abs(timestep.obs).max() <= 0.2 + 1e-7


def test_matrices_can_be_varied_inside_one_program():
    gains = jnp.float32([[[0.0], [0.1]], [[0.0], [0.2]]])
    envs = jax.vmap(lambda B: LinearQuadratic(B=B))(gains)
    after = jax.vmap(lambda env: env.step(jax.random.key(0), jnp.ones(2), jnp.ones(1))[0])(envs)
    np.testing.assert_allclose(after, [[1.1, 1.1], [1.1, 1.2]], rtol=1e-6)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"A": [[1.0]]}, r"got A \[1, 1\], B \[2, 1\], Q \[2, 2\] and R \[1, 1\]"),
        ({"B": [1.0, 2.0]}, "needs A .*n, n"),
        ({"noise": -1}, "noise must be at least 0"),
    ],
)
def test_bad_input_gets_one_sentence(settings, sentence):
    with pytest.raises(ValueError, match=sentence):
        LinearQuadratic(**settings)


def test_what_cannot_be_controlled_has_no_solution():
    env = LinearQuadratic(A=[[2.0]], B=[[0.0]], Q=[[1.0]], R=[[1.0]])
    with pytest.raises(ValueError, match="no finite solution at a discount of 1; take a lower one"):
        env.solution(1.0)
    assert env.solution(0.2)[1] == pytest.approx(1 / (1 - 0.2 * 4))
    with pytest.raises(ValueError, match="with noise has no finite value at a discount of 1; take a lower one"):
        LinearQuadratic(noise=0.1).value([1.0, 0.0], 1.0)
