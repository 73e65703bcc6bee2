import sys

import numpy as np
import pytest

from jaxrl.analysis.aggregates import performance_profile
from jaxrl.analysis.plots import (
    learning_curve,
    save_intervals,
    save_learning_curve,
    save_learning_curves,
    save_performance_profiles,
)
from jaxrl.analysis.statistics import Interval, interquartile_mean

STEPS = np.array([100, 200, 300])


def draw(values):
    from matplotlib.figure import Figure

    axes = Figure().add_subplot()
    learning_curve(axes, STEPS, values, label="ppo")
    return axes


@pytest.mark.parametrize("num_seeds", [1, 4])
def test_a_picture_is_written(tmp_path, num_seeds):
    path = tmp_path / "curve.png"
    values = np.arange(num_seeds * 3.0).reshape(num_seeds, 3)
    save_learning_curve(path, STEPS, values, title="PPO on CartPole-v1")
    assert path.read_bytes().startswith(b"\x89PNG")
    assert path.stat().st_size > 5_000


def test_drawing_leaves_pyplot_alone(tmp_path):
    was_imported = "matplotlib.pyplot" in sys.modules
    save_learning_curve(tmp_path / "curve.svg", STEPS, np.ones((2, 3)))
    assert ("matplotlib.pyplot" in sys.modules) == was_imported


def test_the_line_is_the_mean_and_the_band_lies_around_it():
    axes = draw(np.array([[0.0, 1.0, 2.0], [2.0, 3.0, 6.0]]))
    (line,) = axes.lines
    np.testing.assert_array_equal(line.get_xydata(), [[100, 1], [200, 2], [300, 4]])
    (filled,) = axes.collections
    heights = filled.get_paths()[0].vertices[:, 1]
    assert heights.min() == 0.0
    assert heights.max() == 6.0


def test_a_report_without_a_value_is_bridged():
    axes = draw(np.array([[np.nan, 1.0, 2.0], [np.nan, 3.0, np.nan]]))
    np.testing.assert_array_equal(axes.lines[0].get_xydata(), [[200, 2], [300, 2]])


def test_one_seed_has_no_band():
    assert not draw(np.array([[1.0, 2.0, 3.0]])).collections


def test_nothing_measured_is_an_empty_picture(tmp_path):
    save_learning_curve(tmp_path / "curve.png", STEPS, np.full((2, 3), np.nan))
    assert (tmp_path / "curve.png").exists()


SIGNATURES = {"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF"}


@pytest.mark.parametrize("suffix", SIGNATURES)
def test_the_format_follows_the_name(tmp_path, suffix):
    path = tmp_path / f"curves.{suffix}"
    save_learning_curves(path, {"CartPole-v1": {"PPO": (STEPS, np.eye(3))}})
    assert path.read_bytes().startswith(SIGNATURES[suffix])


def test_every_run_has_a_line_and_every_environment_a_panel(tmp_path, drawn):
    few, many = np.array([[0.0, 1.0, 9.0], [2.0, 3.0, 5.0]]), np.array([[0.0] * 3, [1.0] * 3, [2.0] * 3, [90.0] * 3])
    panels = {
        "CartPole-v1": {"PPO": (STEPS, few), "A2C": (STEPS * 2, many)},
        "Acrobot-v1": {"PPO": (STEPS, -few)},
    }
    save_learning_curves(tmp_path / "curves.svg", panels, ylabel="loss", statistic=interquartile_mean)
    first, second = drawn[0].axes
    assert (first.get_title(), second.get_title()) == ("CartPole-v1", "Acrobot-v1")
    assert first.get_ylabel() == "loss"
    assert [text.get_text() for text in first.get_legend().get_texts()] == ["PPO", "A2C"]
    assert first.get_legend().get_title().get_text() == "interquartile mean and 95 % band"
    np.testing.assert_array_equal(first.lines[0].get_xydata(), [[100, 1], [200, 2], [300, 7]])
    np.testing.assert_array_equal(first.lines[1].get_xydata(), [[200, 1.5], [400, 1.5], [600, 1.5]])
    np.testing.assert_array_equal(second.lines[0].get_ydata(), [-1, -2, -7])
    assert len(first.collections) == 2
    assert first.lines[0].get_color() == second.lines[0].get_color() != first.lines[1].get_color()


def test_twenty_runs_can_be_told_apart(tmp_path, drawn):
    curves = {f"run {number}": (STEPS, np.full((1, 3), number)) for number in range(20)}
    save_learning_curves(tmp_path / "curves.svg", {"CartPole-v1": curves})
    assert len({(line.get_color(), line.get_linestyle()) for line in drawn[0].axes[0].lines}) == 20


def test_profiles_are_drawn_over_the_range_of_all_scores(tmp_path, drawn):
    scores = {"PPO": np.array([3.0, 5.0, 5.0]), "A2C": np.array([1.0]), "DQN": np.array([[2.0, 4.0], [3.0, 4.5]])}
    save_performance_profiles(tmp_path / "profiles.svg", scores, xlabel="return")
    save_performance_profiles(tmp_path / "profiles.svg", scores, thresholds=[0.0, 4.0])
    first, second = (figure.axes[0] for figure in drawn)
    np.testing.assert_array_equal(first.lines[0].get_xdata(), np.linspace(1.0, 5.0, 101))
    np.testing.assert_array_equal(second.lines[0].get_xydata(), [[0, 1], [4, 2 / 3]])
    np.testing.assert_array_equal(second.lines[2].get_ydata(), [1, 0.25])
    assert len(second.collections) == 2  # one seed has no band
    _, low, high = performance_profile(scores["PPO"], [0.0, 4.0])
    heights = second.collections[0].get_paths()[0].vertices[:, 1]
    assert (heights.min(), heights.max()) == (low.min(), high.max())


def test_intervals_are_bars_with_the_estimate_across(tmp_path, drawn):
    intervals = {
        "mean": {"PPO": Interval(3.0, 1.0, 4.0), "A2C": Interval(7.0, np.nan, np.nan)},
        "IQM": {"PPO": Interval(2.0, 1.5, 4.5), "A2C": Interval(7.0, np.nan, np.nan)},
    }
    save_intervals(tmp_path / "intervals.svg", intervals)
    first, second = drawn[0].axes
    assert (first.get_title(), second.get_title()) == ("mean", "IQM")
    (bar,) = second.patches
    assert (bar.get_x(), bar.get_x() + bar.get_width()) == (1.5, 4.5)
    assert [lines.get_segments()[0][0, 0] for lines in second.collections] == [2.0, 7.0]
    assert [text.get_text() for text in first.get_yticklabels()] == ["PPO", "A2C"]
    assert first.get_ylim() == second.get_ylim() == (1.5, -0.5)  # the first on top
