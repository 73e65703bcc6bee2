import itertools

import numpy as np
import pytest

from jaxrl.analysis.statistics import band, bootstrap_interval, interquartile_mean, mean, optimality_gap


def test_the_interval_is_that_of_all_resamples_counted_out():
    values = np.array([1.0, 2.0, 4.0, 8.0])
    every_resample = np.array([np.mean(draw) for draw in itertools.product(values, repeat=4)])  # 256, equally likely
    expected = np.quantile(every_resample, (0.1, 0.9))
    interval = bootstrap_interval(values, confidence=0.8, num_resamples=200_000)
    assert interval.estimate == values.mean()
    np.testing.assert_allclose((interval.low, interval.high), expected, atol=0.02)


def test_a_wide_sample_gives_the_normal_interval():
    values = np.random.default_rng(0).normal(3.0, 2.0, size=400)
    interval = bootstrap_interval(values)
    half_width = 1.96 * values.std() / np.sqrt(400)
    np.testing.assert_allclose((interval.low, interval.high), values.mean() + np.array([-1, 1]) * half_width, rtol=0.01)


def test_the_interval_covers_the_truth_as_often_as_it_says():
    generator = np.random.default_rng(1)
    covered = 0
    for repetition in range(200):
        interval = bootstrap_interval(generator.normal(size=32), num_resamples=400, seed=repetition)
        covered += interval.low <= 0.0 <= interval.high
    # 95 % of 200, within four binomial standard errors (3.1 each) and the bootstrap's known shortfall at 32 values
    assert 174 <= covered <= 200


def test_blocks_of_resamples_do_not_depend_on_the_memory_bound():
    values = np.random.default_rng(2).normal(size=3_000)  # 333 resamples at once, several blocks
    interval = bootstrap_interval(values, num_resamples=2_000)
    half_width = 1.96 * values.std() / np.sqrt(3_000)
    np.testing.assert_allclose(interval.high - interval.low, 2 * half_width, rtol=0.1)


def test_the_same_values_give_the_same_interval():
    assert bootstrap_interval([1.0, 5.0, 2.0]) == bootstrap_interval([1.0, 5.0, 2.0])


def test_equal_values_have_an_interval_without_width():
    assert bootstrap_interval([7.0] * 5) == (7.0, 7.0, 7.0)


def test_one_value_has_no_interval():
    estimate, low, high = bootstrap_interval([2.5])
    assert estimate == 2.5
    assert np.isnan([low, high]).all()
    assert np.isnan(bootstrap_interval([])).all()


def test_the_interquartile_mean_drops_a_quarter_at_each_end():
    np.testing.assert_allclose(interquartile_mean(np.array([100.0, 1, 2, 3, 4, 5, 6, -50])), np.mean([2, 3, 4, 5]))
    np.testing.assert_allclose(interquartile_mean(np.arange(11.0) ** 2), np.mean(np.arange(2.0, 9.0) ** 2))
    np.testing.assert_allclose(interquartile_mean(np.array([3.0, 1.0, 5.0])), 3.0)
    np.testing.assert_allclose(interquartile_mean(np.array([[0.0, 1, 2, 9], [9, 0, 4, 6]])), [1.5, 5.0])
    assert mean(np.array([1.0, 2.0, 6.0])) == 3.0


def test_any_statistic_of_the_last_axis_has_an_interval():
    values = np.concatenate([np.zeros(20), [1_000.0]])
    assert bootstrap_interval(values, statistic=interquartile_mean) == (0.0, 0.0, 0.0)


def test_the_band_leaves_out_what_was_not_measured():
    values = np.array([[np.nan, 1.0, 2.0], [np.nan, 3.0, np.nan], [np.nan, 5.0, np.inf]])
    middle, low, high = band(values)
    np.testing.assert_array_equal(middle, [np.nan, 3.0, 2.0])
    assert 1.0 <= low[1] < 3.0 < high[1] <= 5.0
    assert np.isnan([low[0], low[2], high[0], high[2]]).all()


@pytest.mark.parametrize(
    ("values", "settings", "sentence"),
    [
        ([[1.0, 2.0]], {}, "array with one axis, got"),
        ([1.0, np.nan], {}, "leave out the seeds that diverged"),
        ([1.0, 2.0], {"confidence": 95}, "confidence must lie between 0 and 1, got 95"),
    ],
)
def test_values_without_a_meaning_are_refused(values, settings, sentence):
    with pytest.raises(ValueError, match=sentence):
        bootstrap_interval(values, **settings)


def test_the_band_takes_any_statistic():
    values = np.array([[0.0], [1.0], [2.0], [90.0]])
    middle, low, high = band(values, statistic=interquartile_mean)
    interval = bootstrap_interval(values[:, 0], statistic=interquartile_mean, num_resamples=1_000)
    assert (middle[0], low[0], high[0]) == interval
    assert middle[0] == 1.5


def test_the_statistic_of_one_value_is_not_the_value():
    assert bootstrap_interval([3.0], statistic=lambda values: optimality_gap(values, 5.0)).estimate == 2.0
