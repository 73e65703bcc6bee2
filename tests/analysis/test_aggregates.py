import itertools
import json
from pathlib import Path

import numpy as np
import pytest

from jaxrl.analysis.aggregates import (
    aggregate_iqm,
    aggregate_mean,
    aggregate_median,
    aggregate_optimality_gap,
    performance_profile,
    probability_of_improvement,
    sample_efficiency_curve,
    stratified_interval,
)
from jaxrl.analysis.statistics import bootstrap_interval, interquartile_mean, mean, median, optimality_gap

# rliable's own numbers; make_rliable_reference.py wrote them.
REFERENCE = json.loads(Path(__file__).with_name("rliable_reference.json").read_text(encoding="utf-8"))
X, Y, CURVES = (np.array(REFERENCE["scores"][name]) for name in ("x", "y", "curves"))
OPTIONS = {"num_resamples": REFERENCE["num_resamples"], "confidence": REFERENCE["confidence"]}
STATISTICS = {
    "mean": aggregate_mean,
    "median": aggregate_median,
    "iqm": aggregate_iqm,
    "optimality_gap": aggregate_optimality_gap,
}


class Recorded:
    """In place of numpy's generator: hands out the resamples that rliable drew."""

    def __init__(self, *draws):
        self.draws = iter(draws)

    def integers(self, high, size):
        drawn = next(self.draws)
        assert drawn.shape == size
        assert drawn.max() < high
        return drawn

    def multinomial(self, n, probabilities, size):
        drawn = next(self.draws)  # [num_resamples, num_seeds, num_tasks]
        assert drawn.shape == (size[1], n, size[0])
        return (drawn.transpose(2, 0, 1)[..., None] == np.arange(n)).sum(axis=2)


def rliable_draws(*shapes):
    """The indices of every resample, [num_resamples, *shape] for each of `shapes`, in rliable's order of drawing."""
    generator = np.random.RandomState(REFERENCE["seed"])  # rliable draws from the legacy generator
    draws = [
        [generator.choice(shape[0], shape, replace=True) for shape in shapes] for _ in range(REFERENCE["num_resamples"])
    ]
    return [np.stack(drawn) for drawn in zip(*draws, strict=True)]


@pytest.fixture
def recorded(monkeypatch):
    def give(*generators):
        each = iter(generators)
        monkeypatch.setattr("numpy.random.default_rng", lambda seed: next(each))

    return give


@pytest.mark.parametrize("name", STATISTICS)
@pytest.mark.parametrize(("which", "scores"), [("x", X), ("y", Y), ("one task", X[:, :1])])
def test_aggregates_are_those_of_rliable_on_the_same_resamples(name, which, scores, recorded):
    recorded(Recorded(*rliable_draws(scores.shape)))
    interval = stratified_interval(scores, STATISTICS[name], **OPTIONS)
    np.testing.assert_allclose(interval, REFERENCE["aggregates"][which][name], rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", STATISTICS)
def test_resamples_of_our_own_give_nearly_the_same_ends(name):
    estimate, *ends = REFERENCE["aggregates"]["x"][name]
    interval = stratified_interval(X, STATISTICS[name])
    assert interval.estimate == pytest.approx(estimate, abs=1e-12)
    # An end is a quantile of 500 resamples: its standard error is near 3 % of the interval's width, here four of them.
    np.testing.assert_allclose(interval[1:], ends, atol=0.12 * (ends[1] - ends[0]))


def test_profiles_are_those_of_rliable(recorded):
    recorded(Recorded(*rliable_draws(X.shape)))
    profile = performance_profile(X, REFERENCE["thresholds"], **OPTIONS)
    np.testing.assert_allclose(profile, REFERENCE["performance_profile"], rtol=0, atol=1e-12)


def test_the_probability_of_improvement_is_that_of_rliable(recorded):
    recorded(Recorded(*rliable_draws(X.shape, Y.shape)))
    interval = probability_of_improvement(X, Y, **OPTIONS)
    np.testing.assert_allclose(interval, REFERENCE["probability_of_improvement"], rtol=0, atol=1e-12)


def test_sample_efficiency_is_that_of_rliable(recorded):
    (draws,) = rliable_draws(CURVES.shape)
    recorded(*(Recorded(draws[..., report]) for report in range(CURVES.shape[-1])))
    curve = sample_efficiency_curve(CURVES, **OPTIONS)
    np.testing.assert_allclose(curve, REFERENCE["sample_efficiency"], rtol=0, atol=1e-12)


def test_the_reference_names_its_versions():
    assert REFERENCE["versions"]["rliable"] == "1.2.0"


def test_the_interquartile_mean_pools_the_runs_of_all_tasks():
    scores = np.array([[0.0, 10.0], [1.0, 11.0], [2.0, 12.0], [9.0, 10.0]])
    assert aggregate_iqm(scores) == np.mean([2, 9, 10, 10])
    assert interquartile_mean(scores.T).mean() == np.mean([1.5, 10.5])
    assert aggregate_iqm(scores) != interquartile_mean(scores.T).mean()


def test_the_median_is_over_tasks_and_that_of_one_task_is_its_mean():
    scores = np.array([[0.0, 4.0, 100.0], [2.0, 6.0, 0.0]])
    assert aggregate_median(scores) == np.median([1.0, 5.0, 50.0])
    assert aggregate_median(scores[:, :1]) == 1.0
    assert median(np.array([0.0, 7.0, 1.0])) == 1.0


def test_what_exceeds_the_target_does_not_make_up_for_what_misses_it():
    np.testing.assert_allclose(optimality_gap(np.array([0.5, 1.0, 3.0])), 0.5 / 3)
    np.testing.assert_allclose(optimality_gap(np.array([[100.0, 600.0], [500.0, 500.0]]), 500.0), [200.0, 0.0])
    np.testing.assert_allclose(aggregate_optimality_gap(np.array([[100.0], [600.0]]), 500.0), 200.0)


def test_one_task_has_the_interval_of_its_seeds():
    scores = X[:, 0]
    assert stratified_interval(scores, aggregate_mean) == bootstrap_interval(scores, statistic=mean)
    assert stratified_interval(scores[:, None]) == bootstrap_interval(scores, statistic=interquartile_mean)


def test_seeds_are_drawn_within_their_task():
    scores = np.array([[0.0, 10.0], [0.0, 20.0]])
    interval = stratified_interval(scores, lambda scores: scores[..., 0].max(axis=-1), num_resamples=200)
    assert interval == (0.0, 0.0, 0.0)


def test_ties_count_half_and_the_probabilities_add_up_to_one():
    x, y = np.array([1.0, 2.0, 2.0, 5.0]), np.array([2.0, 3.0, 0.0])
    pairs = [1.0 if a > b else 0.5 if a == b else 0.0 for a, b in itertools.product(x, y)]
    forth, back = probability_of_improvement(x, y), probability_of_improvement(y, x)
    assert forth.estimate == pytest.approx(np.mean(pairs))
    assert forth.estimate + back.estimate == pytest.approx(1.0)
    assert probability_of_improvement(x, x).estimate == 0.5
    assert probability_of_improvement(x + 10.0, y) == (1.0, 1.0, 1.0)


def test_the_interval_of_the_probability_is_that_of_all_resamples_counted_out():
    x, y = np.array([1.0, 3.0, 4.0]), np.array([2.0, 3.0])
    wins = (np.sign(x[:, None] - y) + 1) / 2
    every = [
        wins[np.ix_(i, j)].mean()
        for i in itertools.product(range(3), repeat=3)
        for j in itertools.product(range(2), repeat=2)
    ]
    interval = probability_of_improvement(x, y, confidence=0.6, num_resamples=50_000)
    np.testing.assert_allclose(interval[1:], np.quantile(every, (0.2, 0.8)), atol=1e-9)


def test_a_profile_counts_the_runs_above_each_threshold():
    share, low, high = performance_profile(np.array([[0.0, 1.0], [2.0, 3.0]]), [-1.0, 0.0, 1.5, 3.0])
    np.testing.assert_allclose(share, [1.0, 0.75, 0.5, 0.0])
    np.testing.assert_array_equal((low[[0, 3]], high[[0, 3]]), [[1, 0], [1, 0]])
    assert (low <= share).all()
    assert (share <= high).all()


def test_one_seed_has_estimates_and_no_intervals():
    assert np.isnan(stratified_interval([[1.0, 2.0]])[1:]).all()
    assert np.isnan(performance_profile([[1.0, 2.0]], [0.0, 1.5])[1:]).all()
    interval = probability_of_improvement([2.0], [1.0, 3.0])
    assert interval.estimate == 0.5
    assert np.isnan(interval[1:]).all()


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: stratified_interval([[[1.0]]]), r"needs scores \[num_seeds, num_tasks\], at least one of each, got"),
        (lambda: performance_profile([], [0.5]), "at least one of each, got"),
        (lambda: stratified_interval([1.0, np.nan]), "leave out the seeds that diverged"),
        (lambda: stratified_interval([1.0, 2.0], confidence=95), "confidence must lie between 0 and 1, got 95"),
        (lambda: probability_of_improvement(X, X[:, :2]), "the same tasks for both, got 5 and 2 tasks"),
        (lambda: sample_efficiency_curve(X), r"needs scores \[num_seeds, num_tasks, num_reports\], got \(7, 5\)"),
    ],
)
def test_scores_without_a_meaning_are_refused(call, sentence):
    with pytest.raises(ValueError, match=sentence):
        call()
