"""Every formula against distrax, sampling against the probabilities, masks and saturation at their extremes."""

import distrax
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrl.components.categorical import MultiCategorical
from jaxrl.components.distributions import action_head
from jaxrl.envs.spaces import Box, Dict, Discrete, MultiDiscrete

RANDOM = np.random.default_rng(0)
LEADING = (4, 3)
SPACES = {
    "discrete": (Discrete(5), False),
    "multi-discrete": (MultiDiscrete((2, 4, 3)), False),
    "multi-discrete, equal": (MultiDiscrete((3, 3)), False),
    "box": (Box(-1.0, 1.0, (2,)), False),
    "scalar box": (Box(-1.0, 1.0, ()), False),
    "matrix box": (Box(-1.0, 1.0, (2, 3)), False),
    "squashed": (Box(np.float32([-2.0, 0.0]), np.float32([1.0, 10.0])), True),
    "squashed matrix": (Box(-3.0, 1.0, (2, 2)), True),
}


def outputs_of(head, seed=0):
    random = np.random.default_rng(seed)
    return jnp.float32(random.normal(size=(*LEADING, head.num_outputs))), jnp.float32(
        random.normal(size=head.num_free) / 2
    )


def distribution_of(name, seed=0):
    space, squash = SPACES[name]
    head = action_head(space, squash=squash)
    return space, head, head(*outputs_of(head, seed))


def reference(name, distribution):
    """The same distribution in distrax."""
    if name == "discrete":
        return distrax.Categorical(distribution.logits)
    if name.startswith("multi"):
        return distrax.Independent(distrax.Categorical(distribution.logits), 1)
    shape = (*LEADING, *distribution.shape)
    mean, std = distribution.mean.reshape(shape), jnp.exp(distribution.log_std).reshape(shape)
    gaussian = distrax.Independent(distrax.Normal(mean, std), len(distribution.shape))
    if not name.startswith("squashed"):
        return gaussian
    return distrax.Transformed(gaussian, distrax.Block(to_box(distribution), len(distribution.shape)))


def to_box(squashed):
    low, high = (np.float32(bound).reshape(squashed.shape) for bound in (squashed.low, squashed.high))
    return distrax.Chain([distrax.ScalarAffine((high + low) / 2, (high - low) / 2), distrax.Tanh()])


@pytest.mark.parametrize("name", SPACES)
def test_a_head_is_hashable_and_shapes_and_types_are_those_of_the_space(name):
    space, head, distribution = distribution_of(name)
    assert hash(head) == hash(action_head(space, squash=SPACES[name][1]))
    noise = head.noise(jax.random.key(0), LEADING)
    action, log_prob = jax.jit(type(distribution).sample_and_log_prob)(distribution, noise)
    for value in (action, distribution.sample(noise), distribution.mode()):
        assert value.shape == (*LEADING, *space.shape)
        assert value.dtype == space.dtype
    for value in (log_prob, distribution.log_prob(action), distribution.entropy(), distribution.kl(distribution)):
        assert value.shape == LEADING
        assert value.dtype == jnp.float32
    assert distribution.batch_shape == LEADING
    if not isinstance(space, Box) or SPACES[name][1]:
        assert jax.vmap(jax.vmap(space.contains))(action).all()


@pytest.mark.parametrize("name", SPACES)
def test_log_prob_entropy_and_kl_equal_distrax(name):
    _, head, distribution = distribution_of(name)
    other = distribution_of(name, seed=1)[2]
    noise = head.noise(jax.random.key(1), LEADING)
    if name.startswith("squashed"):
        noise = noise / 10  # near the bounds the oracle, which inverts tanh, has no digits left
    action, log_prob = distribution.sample_and_log_prob(noise)
    with jax.numpy_rank_promotion("allow"):
        expected, expected_other = reference(name, distribution), reference(name, other)
        expected_log_prob = expected.log_prob(action)
        expected_kl = expected.kl_divergence(expected_other)
        expected_entropy = None if name.startswith("squashed") else expected.entropy()
    np.testing.assert_allclose(log_prob, expected_log_prob, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(distribution.log_prob(action), expected_log_prob, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(distribution.kl(other), expected_kl, rtol=1e-4, atol=1e-4)
    if expected_entropy is not None:
        np.testing.assert_allclose(distribution.entropy(), expected_entropy, rtol=1e-5, atol=1e-5)


def test_squashed_log_prob_equals_distrax_from_before_the_squashing():
    _, head, distribution = distribution_of("squashed")
    noise = 3 * head.noise(jax.random.key(1), LEADING)
    action, log_prob = distribution.sample_and_log_prob(noise)
    unsquashed = distribution.mean + jnp.exp(distribution.log_std) * noise
    with jax.numpy_rank_promotion("allow"):
        expected_action, slope = to_box(distribution).forward_and_log_det(unsquashed)
        density = distrax.Normal(distribution.mean, jnp.exp(distribution.log_std)).log_prob(unsquashed)
    np.testing.assert_allclose(action, expected_action, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(log_prob, (density - slope).sum(axis=-1), rtol=1e-4, atol=1e-4)


# The mode of a squashed Gaussian is the image of the Gaussian's, see its docstring.
@pytest.mark.parametrize("name", [name for name in SPACES if not name.startswith("squashed")])
def test_no_action_is_likelier_than_the_mode(name):
    _, head, distribution = distribution_of(name)
    noise = head.noise(jax.random.key(4), LEADING)
    assert (distribution.log_prob(distribution.mode()) >= distribution.log_prob(distribution.sample(noise))).all()


@pytest.mark.parametrize("name", SPACES)
def test_kl_is_zero_of_itself_and_never_negative(name):
    one, other = distribution_of(name)[2], distribution_of(name, seed=1)[2]
    np.testing.assert_allclose(one.kl(one), 0.0, atol=1e-6)
    assert (one.kl(other) > 0).all()


@pytest.mark.parametrize("name", ["discrete", "multi-discrete"])
def test_sampling_follows_the_probabilities(name):
    """Frequencies of 40,000 draws within 4.5 standard errors."""
    space, squash = SPACES[name]
    head = action_head(space, squash=squash)
    logits = jnp.float32(RANDOM.normal(size=head.num_outputs))
    distribution = head(jnp.broadcast_to(logits, (40_000, head.num_outputs)))
    actions = distribution.sample(head.noise(jax.random.key(2), (40_000,))).reshape(40_000, -1)
    groups = jnp.split(logits, np.cumsum(getattr(space, "nvec", (5,)))[:-1])
    for choice, group in enumerate(groups):
        expected = np.asarray(jax.nn.softmax(group))
        observed = np.bincount(actions[:, choice], minlength=len(expected)) / 40_000
        assert np.all(np.abs(observed - expected) < 4.5 * np.sqrt(expected * (1 - expected) / 40_000))


@pytest.mark.parametrize("squash", [False, True])
def test_densities_integrate_to_one_and_entropy_is_minus_the_mean_log_density(squash):
    low, high = (-2.0, 1.0) if squash else (-12.0, 12.0)
    head = action_head(Box(-2.0, 1.0, (1,)), squash=squash)
    distribution = head(jnp.array([0.4, -0.7])[: head.num_outputs], jnp.full(head.num_free, -0.7))
    edges = np.linspace(low, high, 20_001, dtype=np.float32)
    middles = (edges[1:] + edges[:-1]) / 2
    log_density = np.asarray(jax.vmap(distribution.log_prob)(middles[:, None]), np.float64)
    weights = np.exp(log_density) * (high - low) / 20_000
    np.testing.assert_allclose(weights.sum(), 1.0, atol=1e-3)
    np.testing.assert_allclose(distribution.entropy(), -(weights * log_density).sum(), atol=2e-3)


def test_squashed_entropy_is_the_mean_over_many_samples():
    """Over means and spreads, within 5 standard errors of 100,000 draws and the quadrature's 0.02."""
    head = action_head(Box(-1.0, 3.0, (1,)), squash=True)
    outputs = jnp.array([[[mean, log_std]] for mean in (0.0, 2.0) for log_std in (-2.0, 0.0, 1.5)])
    noise = head.noise(jax.random.key(0), (6, 100_000))
    distribution = head(jnp.broadcast_to(outputs, (6, 100_000, 2)))
    log_probs = -distribution.sample_and_log_prob(noise)[1]
    errors = 5 * log_probs.std(axis=1) / np.sqrt(100_000) + 0.02
    assert (np.abs(head(outputs[:, 0]).entropy() - log_probs.mean(axis=1)) < errors).all()


@pytest.mark.parametrize("name", ["box", "squashed"])
def test_sample_is_differentiable_in_the_outputs(name):
    space, squash = SPACES[name]
    head = action_head(space, squash=squash)
    outputs, free = outputs_of(head)
    noise = head.noise(jax.random.key(3), LEADING)
    gradient = jax.grad(lambda outputs: head(outputs, free).sample(noise).sum())(outputs)
    step = 1e-2 * jnp.ones_like(outputs)
    ahead, behind = (head(outputs + sign * step, free).sample(noise).sum() for sign in (1, -1))
    np.testing.assert_allclose((gradient * step).sum(), (ahead - behind) / 2, rtol=1e-3)


def test_a_saturated_squashed_gaussian_stays_finite_in_value_and_gradient():
    head = action_head(Box(-2.0, 2.0, (1,)), squash=True)
    means = jnp.array([-1000.0, -30.0, 0.0, 30.0, 1000.0])

    def log_prob(mean, log_std, invert):
        distribution = head(jnp.stack([mean, log_std])[None].reshape(2))
        action, log_prob = distribution.sample_and_log_prob(jnp.array([0.5]))
        return distribution.log_prob(jax.lax.stop_gradient(action)) if invert else log_prob

    for invert in (False, True):
        for log_std in (-100.0, 0.0, 100.0):
            values, gradients = jax.vmap(jax.value_and_grad(log_prob, (0, 1)), (0, None, None))(means, log_std, invert)
            assert jnp.isfinite(values).all()
            assert all(jnp.isfinite(gradient).all() for gradient in gradients)
    # Far out, log(1 - tanh(u)^2) = log 4 - 2 |u|.
    far = head(jnp.array([30.0, 0.0])).sample_and_log_prob(jnp.array([0.0]))[1]
    np.testing.assert_allclose(far, -0.5 * np.log(2 * np.pi) - (np.log(4.0) - 60.0) - np.log(2.0), rtol=1e-5)


def test_short_choices_of_a_multi_discrete_never_take_an_action_they_lack():
    space, head, distribution = distribution_of("multi-discrete")
    assert isinstance(distribution, MultiCategorical)
    actions = distribution.sample(head.noise(jax.random.key(0), LEADING) * 100.0)
    assert (actions < np.array(space.nvec).reshape(1, 1, 3)).all()


def test_a_gaussian_is_not_clipped_and_its_spread_starts_at_one():
    head = action_head(Box(-1.0, 1.0, (1,)))
    distribution = head(jnp.zeros(1), jnp.zeros(1))
    np.testing.assert_allclose(distribution.sample(jnp.array([3.0])), [3.0])
    np.testing.assert_allclose(distribution.sample(jnp.array([-3.0])), [-3.0])


def test_a_squashed_gaussian_fills_an_asymmetric_box():
    head = action_head(Box(np.float32([-2.0, 0.0]), np.float32([1.0, 10.0])), squash=True)
    outputs = jnp.array([[-50.0, -50.0], [0.0, 0.0], [50.0, 50.0]])
    modes = head(jnp.concatenate([outputs, jnp.zeros_like(outputs)], axis=-1)).mode()
    np.testing.assert_allclose(modes, [[-2.0, 0.0], [-0.5, 5.0], [1.0, 10.0]], atol=1e-6)


@pytest.mark.parametrize(
    ("space", "squash", "error", "message"),
    [
        (Dict({"a": Discrete(2)}), False, TypeError, "needs a Discrete, MultiDiscrete or floating-point Box"),
        (Box(0, 5, (2,), np.int32), False, TypeError, "floating-point Box"),
        (Box(-np.inf, np.inf, (2,)), True, ValueError, "finite bounds low < high"),
        (Box(1.0, 1.0, (2,)), True, ValueError, "finite bounds low < high"),
    ],
)
def test_an_action_space_without_a_distribution_is_refused(space, squash, error, message):
    with pytest.raises(error, match=message):
        action_head(space, squash=squash)


def test_a_gaussian_without_its_log_std_is_refused():
    with pytest.raises(TypeError, match="needs its log-std as `free`"):
        action_head(Box(-1.0, 1.0, (1,)))(jnp.zeros(1))
