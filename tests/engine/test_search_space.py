import numpy as np
import pytest

from jaxrl.engine.search_space import Choice, LogUniform, Uniform, settings_of


def test_lists_are_tried_each_with_each_in_their_order():
    assert settings_of({"a": [1, 2], "b": (3.0, 4.0)}, None, 0) == [
        {"a": 1, "b": 3.0},
        {"a": 1, "b": 4.0},
        {"a": 2, "b": 3.0},
        {"a": 2, "b": 4.0},
    ]


def test_arrays_are_lists_of_plain_numbers():
    assert settings_of({"a": np.float32([0.5, 2.0])}, None, 0) == [{"a": 0.5}, {"a": 2.0}]


def test_a_value_may_be_a_tuple():
    sizes = [(64, 64), (8,)]
    assert [each["hidden_sizes"] for each in settings_of({"hidden_sizes": sizes}, None, 0)] == sizes


def test_draws_are_crossed_with_the_grid():
    found = settings_of({"a": Uniform(0, 1), "b": [1, 2], "c": Choice(["x", "y"])}, 3, 7)
    assert [each["b"] for each in found] == [1, 1, 1, 2, 2, 2]
    assert [each["a"] for each in found[:3]] == [each["a"] for each in found[3:]]
    assert list(found[0]) == ["a", "b", "c"]


def test_the_same_seed_draws_the_same():
    space = {"a": LogUniform(1e-5, 1e-1)}
    assert settings_of(space, 5, 3) == settings_of(space, 5, 3) != settings_of(space, 5, 4)


@pytest.mark.parametrize(
    ("distribution", "cdf"),
    [
        (Uniform(-1.0, 3.0), lambda x: (x + 1) / 4),
        (LogUniform(1e-4, 1e-1), lambda x: (np.log10(x) + 4) / 3),
    ],
)
def test_draws_have_the_distribution_that_is_named(distribution, cdf):
    draws = np.sort(distribution.sample(np.random.default_rng(0), 4_000))
    distance = np.abs(cdf(draws) - (np.arange(4_000) + 0.5) / 4_000).max()
    assert distance < 1.63 / np.sqrt(4_000)  # Kolmogorov-Smirnov at 1 %


def test_choices_are_equally_likely():
    draws = Choice([1, 2, 4]).sample(np.random.default_rng(0), 3_000)
    counts = np.array([draws.count(value) for value in (1, 2, 4)])
    assert ((counts - 1_000) ** 2 / 1_000).sum() < 9.2  # chi-square, 2 degrees of freedom, 1 %


def test_a_list_of_settings_is_tried_as_it_is():
    listed = [{"a": 1}, {"b": 2}]
    assert settings_of(listed, None, 0) == listed


@pytest.mark.parametrize(
    ("space", "num_samples", "sentence"),
    [
        ({"a": 0.1}, None, "a must be a list of values to try, or a distribution such as jaxrl.LogUniform"),
        ({"a": "fast"}, None, "a must be a list of values to try, .* got 'fast'"),
        ({"a": []}, None, "a must be a list of at least one value"),
        ({"a": Uniform(0, 1)}, None, "a is drawn from a distribution, which needs num_samples, .* got None"),
        ({"a": Uniform(0, 1)}, 0, "num_samples, a whole number of at least 1, got 0"),
        ({"a": [1]}, 3, "num_samples=3 was given, and nothing is drawn"),
        ([{"a": 1}], 3, "num_samples=3 was given, and a list of settings is tried as it is"),
        ([], None, "sweep needs a mapping such as"),
        (3, None, "sweep needs a mapping such as .* got 3"),
    ],
)
def test_what_is_no_space_is_refused_in_a_sentence(space, num_samples, sentence):
    with pytest.raises((TypeError, ValueError), match=sentence):
        settings_of(space, num_samples, 0)


@pytest.mark.parametrize("make", [lambda: Uniform(1, 1), lambda: LogUniform(0, 1), lambda: LogUniform(2, 1)])
def test_a_distribution_needs_two_ends(make):
    with pytest.raises(ValueError, match="the first is less than the second"):
        make()


def test_a_choice_needs_something_to_choose_from():
    with pytest.raises(ValueError, match="Choice needs a list of at least one value"):
        Choice([])
