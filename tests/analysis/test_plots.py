import sys

import numpy as np
import pytest

from jaxrl.analysis.plots import learning_curve, save_learning_curve

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
