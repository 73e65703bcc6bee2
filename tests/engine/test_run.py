import csv
import dataclasses
import itertools

import jax
import numpy as np
import pytest
import yaml
from drift import DRIFT, Countdown, Drift

from jaxrl.engine.reporting import tables
from jaxrl.engine.run import load_policy, run
from jaxrl.engine.train import train


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    return run(DRIFT, seeds=3, num_reports=3, eval_episodes=5, directory=tmp_path_factory.mktemp("runs") / "a" / "b")


def rows_of(path):
    with path.open() as file:
        return list(csv.DictReader(file))


def test_agent_k_is_the_one_that_train_gives_for_the_kth_key(finished):
    keys = jax.random.split(jax.random.key(0), 3)
    for k, key in enumerate(keys):
        alone = jax.jit(lambda key: train(DRIFT, key, num_reports=3))(key)
        np.testing.assert_array_equal(finished.state.learner.weight[k], alone.state.learner.weight)
        for name, values in alone.metrics.items():
            np.testing.assert_allclose(finished.metrics[name][k], values, rtol=1e-6)
        assert finished.iteration == alone.iteration
        assert finished.steps[-1] == alone.steps


def test_each_report_is_the_mean_of_its_stretch(finished):
    start = jax.random.normal(jax.random.split(jax.random.split(jax.random.key(0), 3)[1])[0])
    weights = float(start) + 0.5 * np.arange(1, 8)  # after each of the 7 iterations
    stretches = np.split(weights, [2, 4])
    np.testing.assert_allclose(finished.metrics["loss"][1], [part.mean() for part in stretches], rtol=1e-5)
    odd = [weights[[1]], weights[[3]], weights[[5]]]
    np.testing.assert_allclose(finished.metrics["episode_return"][1], [4 * part.mean() for part in odd], rtol=1e-5)
    np.testing.assert_array_equal(finished.steps, [20, 40, 70])


def test_there_are_no_more_reports_than_iterations():
    result = run(DRIFT, num_reports=100, eval_episodes=0)
    assert result.metrics["loss"].shape == (1, 7)
    assert np.isnan(result.metrics["episode_return"][0]).tolist() == [True, False] * 3 + [True]
    assert result.evaluation is None
    assert "return" not in str(result)


def test_the_steps_are_rounded_up_to_whole_iterations():
    result = run(dataclasses.replace(DRIFT, total_steps=31), eval_episodes=0)
    assert result.iteration == 4
    assert result.steps[-1] == 40


def test_the_evaluation_plays_the_trained_policies(finished):
    expected = 4 * np.asarray(finished.state.learner.weight)
    np.testing.assert_allclose(finished.evaluation.returns, np.tile(expected[:, None], 5), rtol=1e-5)
    np.testing.assert_array_equal(finished.evaluation.lengths, 4)
    assert finished.evaluation.completed.all()
    np.testing.assert_allclose(finished.returns, expected, rtol=1e-5)
    assert finished.result.low < finished.result.estimate < finished.result.high
    np.testing.assert_allclose(finished.policy(2).action, finished.state.learner.weight[2])


def test_the_summary_says_what_how_well_how_fast_and_where(finished):
    summary = str(finished)
    assert summary.startswith("Drift on Countdown, 3 seeds x 70 steps (3 x cpu)")
    assert f"{finished.result.estimate:.2f} [{finished.result.low:.2f}, {finished.result.high:.2f}]" in summary
    assert "5 greedy episodes each" in summary
    assert "steps/s over all seeds" in summary
    assert "compiling" in summary
    assert str(finished.directory) in summary
    assert repr(finished) == summary
    assert "one seed has no interval" in str(run(DRIFT, eval_episodes=1))


def test_an_episode_that_does_not_end_is_reported():
    result = run(Drift(Countdown(length=20_000)), seeds=2, eval_episodes=3)
    assert not result.evaluation.completed.any()
    assert "6 of 6 evaluation episodes did not end" in str(result)


def test_the_folder_holds_everything(finished):
    names = {path.name for path in finished.directory.iterdir()}
    assert names == {
        "settings.yaml",
        "metrics.csv",
        "evaluation.csv",
        "policies.npz",
        "learning_curve.png",
        "summary.txt",
    }
    assert (finished.directory / "learning_curve.png").read_bytes().startswith(b"\x89PNG")
    assert (finished.directory / "summary.txt").read_text() == f"{finished}\n"


def test_the_metrics_file_has_a_row_for_each_seed_and_report(finished):
    rows = rows_of(finished.directory / "metrics.csv")
    assert list(rows[0]) == ["seed", "iteration", "steps", "episode_return", "loss", "noise"]
    assert [(row["seed"], row["iteration"], row["steps"]) for row in rows] == [
        (str(seed), iteration, steps)
        for (iteration, steps), seed in itertools.product([("2", "20"), ("4", "40"), ("7", "70")], range(3))
    ]
    losses = np.array([row["loss"] for row in rows], np.float32).reshape(3, 3).T
    np.testing.assert_array_equal(losses, finished.metrics["loss"])  # not a digit is lost


def test_the_evaluation_file_has_a_row_for_each_episode(finished):
    rows = rows_of(finished.directory / "evaluation.csv")
    assert [(row["seed"], row["episode"]) for row in rows] == [(str(s), str(e)) for s in range(3) for e in range(5)]
    assert {row["length"] for row in rows} == {"4"}
    assert {row["completed"] for row in rows} == {"True"}


def test_the_settings_file_says_how_the_run_came_about(finished):
    settings = yaml.safe_load((finished.directory / "settings.yaml").read_text())
    assert settings["algorithm"]["rate"] == 0.5
    assert settings["algorithm"]["breaks_at"] is None
    assert settings["environment"] == "Countdown"
    assert settings["run"]["seeds"] == 3
    assert settings["run"]["seed"] == 0
    assert settings["device"]["platform"] == "cpu"
    assert settings["versions"]["jax"] == jax.__version__


@pytest.mark.parametrize("greedy", [True, False])
def test_a_loaded_policy_is_the_trained_one(finished, greedy):
    loaded = load_policy(finished.directory, 1, greedy=greedy)
    trained = finished.policy(1, greedy)
    assert jax.tree.structure(loaded) == jax.tree.structure(trained)
    jax.tree.map(np.testing.assert_array_equal, loaded, trained)


def test_the_best_policy_is_that_with_the_highest_evaluation(finished):
    best = int(np.argmax(finished.returns))
    np.testing.assert_array_equal(load_policy(finished.directory, "best").action, finished.policy(best).action)


def test_a_diverged_seed_is_named_and_left_out(tmp_path):
    broken = dataclasses.replace(DRIFT, breaks_at=3)
    result = run(broken, seeds=4, num_reports=7, eval_episodes=2, directory=tmp_path / "run")
    sound = run(DRIFT, seeds=4, num_reports=7, eval_episodes=2)
    expected = np.flatnonzero(np.asarray(sound.state.learner.twin) < 0)
    assert 0 < len(expected) < 4
    assert result.diverged == dict.fromkeys(expected.tolist(), 3)
    assert result.result.estimate == pytest.approx(np.delete(sound.returns, expected).mean(), rel=1e-6)
    assert f"seed {expected[0]} (by iteration 3)" in str(result)
    assert f"mean of {4 - len(expected)} seed" in str(result) or "one seed" in str(result)
    assert (tmp_path / "run" / "learning_curve.png").exists()
    assert np.flatnonzero(np.isnan(result.returns)).tolist() == expected.tolist()
    best = int(np.nanargmax(result.returns))
    np.testing.assert_array_equal(load_policy(tmp_path / "run", "best").action, result.policy(best).action)


def test_a_run_of_which_nothing_is_left_says_so(tmp_path):
    broken = dataclasses.replace(DRIFT, breaks_at=1)
    result = run(broken, seed=0, eval_episodes=2, directory=tmp_path / "run")  # its one agent starts below 0
    assert result.diverged == {0: 1}
    assert "every seed diverged" in str(result)
    assert np.isnan(result.result.estimate)


def test_a_key_may_stand_in_for_the_seed():
    expected = run(DRIFT, seeds=2, seed=7, eval_episodes=0).state.learner.weight
    for key in (jax.random.key(7), jax.random.PRNGKey(7)):
        np.testing.assert_array_equal(run(DRIFT, seeds=2, seed=key, eval_episodes=0).state.learner.weight, expected)


@pytest.mark.parametrize("devices", [1, 2, 4])
def test_seeds_over_devices_are_the_same_seeds(devices):
    alone = run(DRIFT, seeds=4, num_reports=2, eval_episodes=3)
    spread = run(DRIFT, seeds=4, num_reports=2, eval_episodes=3, devices=devices)
    assert len(spread.state.learner.weight.devices()) == devices
    jax.tree.map(np.testing.assert_array_equal, spread.state.learner, alone.state.learner)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6), spread.metrics, alone.metrics)
    np.testing.assert_array_equal(spread.evaluation.returns, alone.evaluation.returns)
    assert f"({devices} x cpu)" in str(spread)


def test_what_was_measured_survives_an_interruption(tmp_path, monkeypatch):
    def interrupt(*_):
        if len(rows_of(tmp_path / "run" / "metrics.csv")) == 4:  # two seeds, two reports
            raise KeyboardInterrupt

    append = tables.append_csv
    monkeypatch.setattr(tables, "append_csv", lambda *args: (append(*args), interrupt()))
    with pytest.raises(KeyboardInterrupt):
        run(DRIFT, seeds=2, num_reports=7, directory=tmp_path / "run")
    assert [row["iteration"] for row in rows_of(tmp_path / "run" / "metrics.csv")] == ["1", "1", "2", "2"]
    with pytest.raises(FileNotFoundError, match=r"policies\.npz' is missing: the run did not come to its end"):
        load_policy(tmp_path / "run")


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"seeds": 0}, "seeds must be a whole number of at least 1, got 0"),
        ({"seeds": 2.0}, r"seeds must be a whole number of at least 1, got 2\.0"),
        ({"seeds": True}, "seeds must be a whole number of at least 1, got True"),
        ({"num_reports": 0}, "num_reports must be a whole number of at least 1, got 0"),
        ({"eval_episodes": -1}, "eval_episodes must be a whole number of at least 0, got -1"),
        ({"progress": "no"}, "progress must be true or false, got 'no'"),
        ({"seed": "abc"}, "seed must be a whole number or a JAX key, got 'abc'"),
        ({"seed": np.zeros(2)}, r"key must be a JAX random key such as jax\.random\.key\(0\)"),
        ({"seed": jax.random.split(jax.random.key(0), 3)}, r"must be a single key, got an array of shape \(3,\)"),
        ({"seed": 2**63}, "seed must be a whole number of at most 64 bits, got 9223372036854775808"),
        ({"devices": 0}, r"devices must be None or a whole number of at least 1, got 0"),
        ({"devices": 1_000}, "devices=1000 was asked for, and JAX sees 8"),
        ({"devices": 4, "devices_per_agent": 3}, "devices must be a multiple of devices_per_agent, got 4 and 3"),
        ({"devices_per_agent": 9}, "devices must be a multiple of devices_per_agent, got 8 and 9"),
        ({"max_memory": -1}, "max_memory must be None or a number of GiB of at least 0, got -1"),
        ({"max_memory": 0}, "One agent takes .* of state and .* to train it, and there is room for 0 B; lower"),
        ({"directory": 3}, "directory must be a path, got 3"),
    ],
)
def test_wrong_options_are_refused_in_a_sentence(settings, sentence, tmp_path):
    with pytest.raises((TypeError, ValueError), match=sentence):
        run(DRIFT, **{"directory": tmp_path / "run", **settings})
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("algorithm", "sentence"),
    [
        (Drift, r"needs an algorithm such as jaxrl\.PPO\(env\), got the class Drift"),
        (Countdown(), r"needs an algorithm such as jaxrl\.PPO\(env\), got Countdown"),
        (dataclasses.replace(DRIFT, axis="devices"), "needs axis=None, got axis='devices'"),
    ],
)
def test_what_is_no_algorithm_to_run_is_refused(algorithm, sentence):
    with pytest.raises((TypeError, ValueError), match=sentence):
        run(algorithm)


def test_a_trace_is_written_on_request(tmp_path):
    run(DRIFT, num_reports=3, eval_episodes=0, directory=tmp_path / "run", profile=True)
    (trace,) = (tmp_path / "run" / "profile").rglob("*.xplane.pb")
    assert trace.stat().st_size > 0


@pytest.mark.parametrize("options", [{"log": "jsonl"}, {"profile": True}])
def test_what_writes_needs_a_directory(options):
    with pytest.raises(ValueError, match="writes into the folder of the run, and there is none; give it a directory"):
        run(DRIFT, **options)


def test_the_report_tells_time_and_memory(finished):
    state_bytes = sum(leaf.nbytes for leaf in jax.tree.leaves(finished.state))
    assert finished.space.state == state_bytes
    assert finished.space.planned >= state_bytes + finished.space.working
    assert finished.space.peak > 10_000_000  # of a process with JAX in it
    assert "planned in all" in str(finished)
    assert finished.timing.compiling > 0
