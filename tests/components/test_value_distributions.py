"""The projection and the quantile loss against rlax and plain loops; regression against known quantiles."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import rlax
from scipy.stats import norm

from jaxrl.components.exploration import greedy_action
from jaxrl.components.value_distributions import (
    Categorical,
    Expected,
    Quantiles,
    deal_out,
    deal_out_by_scatter,
    midpoints,
    quantile_huber_loss,
)
from jaxrl.components.value_losses import pick

B, A, K, M = 32, 4, 21, 7
KEYS = jax.random.split(jax.random.key(0), 8)
LOGITS, NEXT_LOGITS = (2 * jax.random.normal(key, (B, A, K)) for key in KEYS[:2])
SELECTOR = jax.random.normal(KEYS[2], (B, A))
ACTION = jax.random.randint(KEYS[3], (B,), 0, A)
REWARD = 4 * jax.random.normal(KEYS[4], (B,))
DISCOUNT = 0.9 * jax.random.bernoulli(KEYS[5], 0.7, (B,)).astype(jnp.float32)
FORM = Categorical(value_min=-5.0, value_max=5.0, num_atoms=K)
PROBABILITIES = jax.nn.softmax(pick(NEXT_LOGITS, ACTION))


def projected_by_loop(probabilities, reward, discount, low, high):
    """Algorithm 1 of the paper, for one transition, with the care it leaves out where b is an integer."""
    num_atoms = len(probabilities)
    spacing = (high - low) / (num_atoms - 1)
    result = np.zeros(num_atoms)
    for j, mass in enumerate(np.asarray(probabilities, np.float64)):
        position = (np.clip(reward + discount * (low + j * spacing), low, high) - low) / spacing
        lower = min(int(np.floor(position)), num_atoms - 2)
        result[lower] += mass * (lower + 1 - position)
        result[lower + 1] += mass * (position - lower)
    return result


def test_each_form_gives_action_values() -> None:
    np.testing.assert_array_equal(Expected()(SELECTOR), SELECTOR)
    np.testing.assert_allclose(Quantiles()(LOGITS), np.asarray(LOGITS).mean(axis=2), atol=1e-6)
    support = np.linspace(-5.0, 5.0, K)
    np.testing.assert_allclose(FORM.support, support, atol=1e-6)
    np.testing.assert_allclose(FORM(LOGITS), (np.asarray(jax.nn.softmax(LOGITS)) * support).sum(axis=-1), atol=1e-5)


def test_projection_agrees_with_rlax_and_with_the_paper_s_loop() -> None:
    actual = FORM.project(PROBABILITIES, REWARD, DISCOUNT)
    moved = REWARD[:, None] + jnp.outer(DISCOUNT, FORM.support)
    expected = jax.vmap(rlax.categorical_l2_project, in_axes=(0, 0, None))(moved, PROBABILITIES, FORM.support)
    np.testing.assert_allclose(actual, expected, atol=2e-6)
    for row in range(B):
        loop = projected_by_loop(PROBABILITIES[row], float(REWARD[row]), float(DISCOUNT[row]), -5.0, 5.0)
        np.testing.assert_allclose(actual[row], loop, atol=2e-6)


@pytest.mark.parametrize("way", [deal_out, deal_out_by_scatter])
def test_each_platform_s_way_shares_a_mass_between_its_neighbours(way) -> None:  # type: ignore[no-untyped-def]
    position = jnp.concatenate([jnp.array([0.0, 3.0, 3.25, K - 1.5, K - 1.0]), jnp.full(K - 5, 7.0)])
    mass = jnp.arange(1.0, K + 1.0)
    expected = np.zeros(K)
    expected[[0, 3, 4, K - 2, K - 1, 7]] = [1, 2 + 3 * 0.75, 3 * 0.25, 2, 2 + 5, sum(range(6, K + 1))]
    np.testing.assert_allclose(way(position, mass), expected, rtol=1e-6)
    assert np.isnan(way(position.at[1].set(jnp.nan), mass)).any()  # a broken reward is not passed over in silence


@pytest.mark.parametrize(("platform", "scatters"), [("cpu", 2), ("cuda", 0), ("tpu", 0)])
def test_only_a_cpu_scatters(platform: str, scatters: int) -> None:
    traced = jax.jit(FORM.project).trace(PROBABILITIES, REWARD, DISCOUNT)
    assert traced.lower(lowering_platforms=(platform,)).as_text().count('"stablehlo.scatter"') == scatters


@pytest.mark.parametrize("reward", [-3.0, 0.0, 0.25, 4.9, 100.0, -100.0])
@pytest.mark.parametrize("discount", [0.0, 0.5, 1.0])
def test_projection_keeps_the_mass_at_every_offset(reward: float, discount: float) -> None:
    full = jnp.full(B, reward), jnp.full(B, discount)
    np.testing.assert_allclose(FORM.project(PROBABILITIES, *full).sum(axis=-1), 1.0, rtol=1e-6)


def test_projection_keeps_the_mean_where_nothing_is_clipped() -> None:
    reward, discount = REWARD / 12, 0.5 * DISCOUNT
    assert np.abs(reward).max() + 0.45 * 5.0 < 5.0
    before = reward + discount * (PROBABILITIES @ FORM.support)
    after = FORM.project(PROBABILITIES, reward, discount) @ FORM.support
    np.testing.assert_allclose(after, before, atol=1e-5)


def test_an_end_leaves_all_mass_at_the_reward_and_a_return_of_an_atom_stays_whole() -> None:
    rewards = jnp.array([0.1, 1.0, -5.0, 5.0, 9.0, -9.0])  # the atoms are 0.5 apart
    projected = FORM.project(PROBABILITIES[:6], rewards, jnp.zeros(6))
    expected = np.zeros((6, K))
    expected[0, [10, 11]] = 0.8, 0.2
    expected[np.arange(1, 6), [12, 0, 20, 20, 0]] = 1.0
    np.testing.assert_allclose(projected, expected, atol=1e-6)
    # An atom moved by a whole number of spacings is that atom.
    shifted = FORM.project(PROBABILITIES[:1], jnp.array([0.5]), jnp.ones(1))
    np.testing.assert_allclose(shifted[0, 1:-1], PROBABILITIES[0, :-2], atol=2e-6)
    np.testing.assert_allclose(shifted[0, -1], PROBABILITIES[0, -2:].sum(), atol=2e-6)


@pytest.mark.filterwarnings("ignore:Rlax categorical_cross_entropy:PendingDeprecationWarning")
@pytest.mark.parametrize("double", [False, True], ids=["single", "double"])
def test_categorical_losses_agree_with_rlax(double: bool) -> None:
    selector = SELECTOR if double else FORM(NEXT_LOGITS)
    chosen = jax.nn.softmax(pick(NEXT_LOGITS, greedy_action(selector)))
    actual = FORM.cross_entropy(FORM.project(chosen, REWARD, DISCOUNT), pick(LOGITS, ACTION))
    atoms = jnp.broadcast_to(FORM.support, (B, K))
    arguments = (atoms, LOGITS, ACTION, REWARD, DISCOUNT, atoms, NEXT_LOGITS)
    if double:
        expected = jax.vmap(rlax.categorical_double_q_learning)(*arguments, SELECTOR)
    else:
        expected = jax.vmap(rlax.categorical_q_learning)(*arguments)
    np.testing.assert_allclose(actual, expected, rtol=1e-5)


def test_the_bounds_can_be_vmapped() -> None:
    def project(low, high):
        return Categorical(low, high, K).project(PROBABILITIES, REWARD, DISCOUNT)

    lows, highs = jnp.array([-5.0, -10.0]), jnp.array([5.0, 20.0])
    for form, low, high in zip(jax.vmap(project)(lows, highs), lows, highs, strict=True):
        np.testing.assert_allclose(form, project(low, high), atol=1e-6)


@pytest.mark.parametrize("kappa", [0.5, 1.0, 2.0])
def test_quantile_loss_agrees_with_rlax_divided_by_kappa(kappa: float) -> None:
    quantiles, targets = 2 * jax.random.normal(KEYS[6], (B, K)), jax.random.normal(KEYS[7], (B, M))
    fractions = jax.random.uniform(KEYS[5], (B, K))
    actual = quantile_huber_loss(quantiles, fractions, targets, kappa)
    expected = jax.vmap(rlax.quantile_regression_loss, in_axes=(0, 0, 0, None))(quantiles, fractions, targets, kappa)
    np.testing.assert_allclose(actual, expected / kappa, rtol=1e-5)


def test_quantile_q_learning_agrees_with_rlax() -> None:
    target = REWARD[:, None] + DISCOUNT[:, None] * pick(NEXT_LOGITS, greedy_action(Quantiles()(LOGITS)))
    fractions = jnp.broadcast_to(midpoints(K), (B, K))
    actual = quantile_huber_loss(pick(LOGITS, ACTION), fractions, target)
    last_is_action = [x.swapaxes(1, 2) for x in (LOGITS, LOGITS, NEXT_LOGITS)]
    expected = jax.vmap(lambda q, tau, a, r, d, s, n: rlax.quantile_q_learning(q, tau, a, r, d, s, n, 1.0))(
        last_is_action[0], fractions, ACTION, REWARD, DISCOUNT, *last_is_action[1:]
    )
    np.testing.assert_allclose(actual, expected, rtol=1e-5)


def test_the_fraction_belongs_to_the_learned_quantile() -> None:
    """One target above two quantiles pulls on each by its own fraction."""
    pull = -jax.grad(lambda q: quantile_huber_loss(q, jnp.array([0.1, 0.9]), jnp.array([50.0, 60.0, 70.0])))(
        jnp.zeros(2)
    )
    np.testing.assert_allclose(pull, [0.1, 0.9], rtol=1e-6)


def test_regression_recovers_the_quantiles_of_a_gaussian() -> None:
    num = 9
    fractions = midpoints(num)
    np.testing.assert_allclose(fractions, (np.arange(num) + 0.5) / num, rtol=1e-6)
    samples = jnp.asarray(norm.ppf((np.arange(2000) + 0.5) / 2000), jnp.float32)
    slope = jax.grad(lambda q: quantile_huber_loss(q, fractions, 3.0 + 2.0 * samples, 0.01))

    def descend(index, quantiles):
        return quantiles - 2.0 * 0.997**index * slope(quantiles)

    learned = jax.lax.fori_loop(0, 2000, descend, jnp.zeros(num))
    np.testing.assert_allclose(learned, norm.ppf(np.asarray(fractions), 3.0, 2.0), atol=0.02)


def test_fewer_than_two_atoms_are_refused() -> None:
    with pytest.raises(ValueError, match=r"num_atoms must be at least 2, got 1"):
        Categorical(num_atoms=1)
