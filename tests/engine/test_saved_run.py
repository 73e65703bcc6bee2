import csv
import json
import math

import numpy as np
import pytest
import yaml

import jaxrl
from jaxrl.engine.saved_run import labels, load_run, marl_eval


@pytest.fixture
def folder_of(tmp_path):
    """Writes the tables of a run: `returns[seed]` at each report, and the final returns of the seeds evaluated."""

    def write(name, returns, episodes=None, *, environment="CartPole-v1", algorithm="PPO", steps=(100, 200, 300)):
        folder = tmp_path / name
        folder.mkdir(parents=True)
        settings = {"environment": environment, "algorithm": {"_target_": f"jaxrl.algorithms.{algorithm}"}}
        (folder / "settings.yaml").write_text(yaml.safe_dump(settings))
        with (folder / "metrics.csv").open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(("seed", "iteration", "steps", "episode_return", "loss"))
            for report, step in enumerate(steps):
                writer.writerows((seed, step // 10, step, each[report], -seed) for seed, each in enumerate(returns))
        if episodes is not None:
            with (folder / "evaluation.csv").open("w", newline="") as file:
                writer = csv.writer(file)
                writer.writerow(("seed", "episode", "return", "length", "completed"))
                for seed, each in episodes.items():
                    writer.writerows((seed, number, value, 9, True) for number, value in enumerate(each))
        return folder

    return write


def test_what_a_run_measured_comes_back(tmp_path):
    a2c = jaxrl.A2C("Probe/ActionReward-v0", num_envs=2, num_steps=4, total_steps=32, hidden_sizes=(3,))
    run = jaxrl.run(a2c, seeds=2, directory=tmp_path / "run", eval_episodes=3, progress=False)
    saved = load_run(tmp_path / "run")
    assert (saved.algorithm, saved.environment, saved.diverged) == ("A2C", "ActionReward", [])
    np.testing.assert_array_equal(saved.steps, run.steps)
    assert list(saved.metrics) == list(run.metrics)
    for name, values in run.metrics.items():
        np.testing.assert_allclose(saved.metrics[name], values, rtol=1e-6)
    np.testing.assert_allclose(saved.scores(), run.returns, rtol=1e-6)


def test_the_seeds_that_the_evaluation_leaves_out_diverged(folder_of):
    saved = load_run(folder_of("run", [[1, 2, 3], [4, 5, 6], [7, 8, 9]], {0: [10, 20], 2: [30, 50]}))
    assert (saved.diverged, saved.kept) == ([1], [0, 2])
    np.testing.assert_array_equal(saved.curve(), [[1, 2, 3], [7, 8, 9]])
    np.testing.assert_array_equal(saved.curve("loss"), [[0, 0, 0], [-2, -2, -2]])
    np.testing.assert_array_equal(saved.scores(), [15, 40])
    np.testing.assert_array_equal(saved.scores("episode_return"), [3, 9])


def test_without_an_evaluation_the_summary_names_those_that_diverged(folder_of):
    folder = folder_of("run", [[1, 2, math.nan], [4, 5, 6]])
    assert load_run(folder).diverged == []
    np.testing.assert_array_equal(load_run(folder).scores("episode_return"), [2, 6])  # the last value that there is
    line = "  diverged   NaN or infinity in the learner of seed 1 (by iteration 20); left out of the return\n"
    (folder / "summary.txt").write_text(line)
    assert load_run(folder).diverged == [1]
    with pytest.raises(ValueError, match="was not evaluated; compare runs by what they measured in training"):
        load_run(folder).scores()


def test_a_seed_with_a_return_that_is_not_finite_diverged(folder_of):
    saved = load_run(folder_of("run", [[1, 2, 3], [4, 5, 6]], {0: [math.inf, 1], 1: [30, 50]}))
    assert saved.diverged == [0]
    np.testing.assert_array_equal(saved.scores(), [40])


def test_every_seed_can_have_diverged(folder_of):
    saved = load_run(folder_of("run", [[1, 2, 3]], {}))
    assert saved.diverged == [0]
    assert saved.curve().shape == (0, 3)
    assert saved.scores().shape == (0,)


def test_the_later_of_two_rows_for_one_report_counts(folder_of):
    folder = folder_of("run", [[1, 2, 3]])
    with (folder / "metrics.csv").open("a") as file:
        file.write("0,20,200,7.5,0\n")
    np.testing.assert_array_equal(load_run(folder).curve(), [[1, 7.5, 3]])


def test_labels_tell_runs_apart(folder_of):
    curve = [[1, 2, 3]]
    ppo, a2c = folder_of("x/first", curve), folder_of("x/second", curve, algorithm="A2C")
    acrobot = folder_of("x/third", curve, environment="Acrobot-v1")
    assert labels([load_run(folder) for folder in (ppo, a2c, acrobot)]) == ["PPO", "A2C", "PPO"]
    other, same_name = folder_of("x/other", curve), folder_of("y/first", curve)
    assert labels([load_run(folder) for folder in (ppo, a2c, other)]) == ["first", "A2C", "other"]
    assert labels([load_run(folder) for folder in (ppo, same_name)]) == [str(ppo), str(same_name)]


def test_marl_eval_gets_the_reports_that_all_runs_have(folder_of):
    nan = math.nan
    first = folder_of("first", [[nan, 2, 3], [4, 5, 6], [7, 8, nan]], {0: [10, 20], 1: [30, 50]})
    second = folder_of("second", [[1, 2, 3, 4]], algorithm="A2C", steps=(100, 200, 250, 300))
    exported = marl_eval([load_run(first), load_run(second)])
    assert json.loads(json.dumps(exported, allow_nan=False)) == exported
    assert exported == {
        "jaxrl": {
            "CartPole-v1": {
                "PPO": {
                    "run_0": {
                        "step_0": {"step_count": 200, "episode_return": [2.0]},
                        "step_1": {"step_count": 300, "episode_return": [3.0]},
                        "absolute_metrics": {"episode_return": [10.0, 20.0]},
                    },
                    "run_1": {
                        "step_0": {"step_count": 200, "episode_return": [5.0]},
                        "step_1": {"step_count": 300, "episode_return": [6.0]},
                        "absolute_metrics": {"episode_return": [30.0, 50.0]},
                    },
                },
                "A2C": {
                    "run_0": {
                        "step_0": {"step_count": 200, "episode_return": [2.0]},
                        "step_1": {"step_count": 300, "episode_return": [4.0]},
                        "absolute_metrics": {"episode_return": [4.0]},
                    }
                },
            }
        }
    }


def test_marl_eval_needs_reports_in_common(folder_of):
    runs = [load_run(folder_of("a", [[1, 2, 3]])), load_run(folder_of("b", [[1]], steps=(150,)))]
    with pytest.raises(ValueError, match="no step is in all of them"):
        marl_eval(runs)


@pytest.mark.parametrize(
    ("file", "text", "sentence"),
    [
        ("metrics.csv", "seed,iteration,steps,loss\n", "is damaged: it has no rows"),
        ("metrics.csv", "a,b\n1,2\n", "not the columns of a run"),
        ("metrics.csv", "seed,iteration,steps,loss\n0,1,2\n0,1,2,3\n", "is damaged and cannot be read"),
        ("metrics.csv", "seed,iteration,steps,loss\n0,1,2,high\n", "is damaged and cannot be read"),
        ("metrics.csv", "", "is damaged and cannot be read"),
        ("evaluation.csv", "a,b\n1,2\n", "not the columns of an evaluation"),
        ("settings.yaml", "3", "is damaged: it names no algorithm"),
    ],
)
def test_a_damaged_table_is_named(folder_of, file, text, sentence):
    folder = folder_of("run", [[1, 2, 3]], {0: [1]})
    (folder / file).write_text(text)
    with pytest.raises(ValueError, match=sentence):
        load_run(folder)


def test_a_run_without_a_report_or_without_the_metric_is_named(folder_of):
    folder = folder_of("run", [[math.nan] * 3])
    with pytest.raises(ValueError, match="has no metric 'los'; did you mean 'loss'"):
        load_run(folder).curve("los")
    with pytest.raises(ValueError, match=r"Seed 0 of the run in .* has no value of that metric yet"):
        load_run(folder).scores("episode_return")
    (folder / "metrics.csv").unlink()
    with pytest.raises(FileNotFoundError, match="the run has not reported anything"):
        load_run(folder)
