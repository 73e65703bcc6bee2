"""Masked actions: impossible, with everything about the others right and finite."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrl.components.distributions import action_head
from jaxrl.envs.spaces import Box, Discrete, MultiDiscrete

RANDOM = np.random.default_rng(0)
LEADING = (4, 3)
SPACES = {"discrete": Discrete(5), "multi-discrete": MultiDiscrete((2, 4, 3))}


@pytest.mark.parametrize("name", ["discrete", "multi-discrete"])
def test_masked_actions_are_impossible_and_everything_stays_finite(name):
    space = SPACES[name]
    head = action_head(space)
    outputs = jnp.float32(3.0 * RANDOM.normal(size=(*LEADING, head.num_outputs)))
    mask = jnp.asarray(RANDOM.random((*LEADING, head.num_outputs)) < 0.5)
    sizes = getattr(space, "nvec", (space.n if name == "discrete" else 0,))
    starts = np.cumsum((0, *sizes[:-1]))
    mask = mask.at[..., starts].set(True)  # at least one allowed per choice

    distribution = head(outputs, None, mask)
    noise = head.noise(jax.random.key(0), (300, *LEADING))
    actions = jax.vmap(distribution.sample)(noise).reshape(-1, *LEADING, len(sizes))
    for action in (actions, distribution.mode().reshape(1, *LEADING, len(sizes))):
        for choice, start in enumerate(starts):
            allowed = np.take_along_axis(np.asarray(mask)[None], np.asarray(action)[..., choice, None] + start, -1)
            assert allowed.all()

    # By hand: the entropy of the renormalised probabilities of the allowed actions.
    expected = np.zeros(LEADING)
    for choice, start in enumerate(starts):
        part = slice(start, start + sizes[choice])
        weights = np.exp(np.asarray(outputs, np.float64)[..., part]) * np.asarray(mask)[..., part]
        probs = weights / weights.sum(-1, keepdims=True)
        expected -= (probs * np.log(np.where(probs > 0, probs, 1.0))).sum(-1)
    np.testing.assert_allclose(distribution.entropy(), expected, atol=1e-5)

    probs = jax.nn.softmax(distribution.logits)
    assert (probs == 0).sum() >= (~mask).sum()
    np.testing.assert_allclose(probs.sum(-1), 1.0, rtol=1e-6)

    def quantities(outputs):
        distribution, other = head(outputs, None, mask), head(outputs + 1.0, None, mask)
        forbidden = jnp.broadcast_to(jnp.int32(np.array(sizes) - 1), (*LEADING, len(sizes)))
        action = forbidden[..., 0] if name == "discrete" else forbidden
        return jnp.stack([distribution.log_prob(action), distribution.entropy(), distribution.kl(other)])

    assert jnp.isfinite(quantities(outputs)).all()
    assert jnp.isfinite(jax.jit(jax.jacrev(lambda x: quantities(x).sum(axis=(1, 2))))(outputs)).all()


def test_a_forbidden_action_has_a_very_negative_log_prob():
    distribution = action_head(Discrete(3))(jnp.zeros(3), None, jnp.array([True, False, True]))
    assert -np.inf < distribution.log_prob(jnp.int32(1)) < -1e6
    np.testing.assert_allclose(distribution.log_prob(jnp.int32(0)), -np.log(2.0), rtol=1e-6)


def test_a_mask_that_forbids_everything_counts_as_none():
    head, logits = action_head(Discrete(4)), jnp.array([0.0, 1.0, 2.0, 3.0])
    np.testing.assert_array_equal(head(logits, None, jnp.zeros(4, bool)).log_probs, head(logits).log_probs)
    head = action_head(MultiDiscrete((2, 3)))
    mask = jnp.array([False, False, True, False, False])  # the first choice has nothing, the second one action
    distribution = head(jnp.zeros(5), None, mask)
    np.testing.assert_allclose(distribution.entropy(), np.log(2.0), rtol=1e-6)


@pytest.mark.parametrize("squash", [False, True])
def test_a_mask_on_real_valued_actions_is_refused(squash):
    head = action_head(Box(-1.0, 1.0, (1,)), squash=squash)
    with pytest.raises(TypeError, match="An action mask needs a Discrete or MultiDiscrete action space"):
        head(jnp.zeros(head.num_outputs), jnp.zeros(head.num_free), jnp.ones(1, bool))
