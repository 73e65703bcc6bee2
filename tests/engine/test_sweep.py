import csv
import dataclasses
import signal

import jax
import numpy as np
import pytest
from drift import DRIFT

import jaxrl
from jaxrl.cli.main import main
from jaxrl.engine import plan, run
from jaxrl.engine.interrupts import Interrupted
from jaxrl.engine.reporting import tables
from jaxrl.engine.saved_run import labels, load_runs
from jaxrl.engine.sweep import groups_of

OPTIONS = {"num_reports": 7, "eval_episodes": 2, "progress": False}
START = np.asarray(jaxrl.run(DRIFT, seeds=3, **OPTIONS).state.learner.twin)
"""[S]: of each weight, which then grows by `rate` an iteration; an episode's return is 4 times the weight."""
RATES = [0.25, 1.0, 0.5]
FILES = ("programs.yaml", "sweep.csv")
"""Of a sweep of several programs, besides their folders."""


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    return jaxrl.sweep(DRIFT, {"rate": RATES}, seeds=3, directory=tmp_path_factory.mktemp("sweep") / "rates", **OPTIONS)


def test_every_setting_is_trained_with_every_seed(swept):
    expected = 4 * (START + 7 * np.array(RATES)[:, None])
    np.testing.assert_allclose(swept.returns, expected, rtol=1e-5)
    assert swept.metrics["loss"].shape == (3, 3, 7)
    for setting in range(3):
        for seed in range(3):
            policy = swept.policy(setting, seed)
            assert policy.action == pytest.approx(expected[setting, seed] / 4, rel=1e-5)


def test_settings_that_differ_in_numbers_are_one_program(swept):
    assert len(swept.runs) == 1
    assert len(swept.runs[0].population) == 9


def test_the_best_mean_comes_first(swept):
    assert [row.setting for row in swept.ranking] == [1, 2, 0]
    assert swept.best == {"rate": 1.0}
    first = swept.ranking[0].result
    assert first.estimate == pytest.approx(4 * (START.mean() + 7))
    assert first.low < first.estimate < first.high
    lines = str(swept).splitlines()
    assert lines[0].startswith("3 settings in 1 program")
    assert lines[2].split()[:2] == ["1", "1"]
    assert lines[4].split()[:2] == ["3", "0.25"]


def test_the_ranking_is_a_table_in_the_folder(swept):
    with (swept.directory / "sweep.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["rate"] for row in rows] == ["1.0", "0.5", "0.25"]
    assert [row["setting"] for row in rows] == ["1", "2", "0"]
    assert float(rows[0]["return"]) == swept.ranking[0].result.estimate


def test_the_folder_gives_back_each_setting(swept):
    runs = load_runs(swept.directory)
    assert labels(runs) == ["rate=0.25", "rate=1.0", "rate=0.5"]
    for saved, returns in zip(runs, swept.returns, strict=True):
        np.testing.assert_allclose(saved.scores(), returns, rtol=1e-6)
        np.testing.assert_allclose(saved.curve("loss"), swept.metrics["loss"][runs.index(saved)], rtol=1e-6)


def test_a_policy_is_loaded_by_its_setting_and_seed(swept):
    best = jaxrl.load_policy(swept.directory, "best")
    assert best.action == pytest.approx(START.max() + 7, rel=1e-5)
    other = jaxrl.load_policy(swept.directory, 2, setting=0)
    assert other.action == pytest.approx(START[2] + 7 * 0.25, rel=1e-5)
    assert jaxrl.load_policy(swept.directory, "best", setting=2).action == pytest.approx(START.max() + 3.5, rel=1e-5)
    with pytest.raises(ValueError, match="is a sweep of 3 settings; name the setting of seed 1"):
        jaxrl.load_policy(swept.directory, 1)
    with pytest.raises(IndexError, match="has the settings 0 to 2, got setting 3"):
        jaxrl.load_policy(swept.directory, 1, setting=3)


def test_what_shapes_the_program_makes_another(tmp_path):
    swept = jaxrl.sweep(
        DRIFT, {"rate": [0.5, 1.0], "total_steps": [70, 30]}, seeds=3, directory=tmp_path / "both", **OPTIONS
    )
    assert [len(run.population.settings) for run in swept.runs] == [2, 2]
    iterations = np.array([7, 3, 7, 3])
    rates = np.array([0.5, 0.5, 1.0, 1.0])
    np.testing.assert_allclose(swept.returns, 4 * (START + (rates * iterations)[:, None]), rtol=1e-5)
    assert {path.name for path in (tmp_path / "both").iterdir()} == {"total_steps=70", "total_steps=30", *FILES}
    assert len(load_runs(tmp_path / "both")) == 4
    with pytest.raises(ValueError, match=r"the programs of this sweep have \[3, 7\] reports"):
        _ = swept.metrics


def test_a_sweep_of_several_programs_goes_on_with_those_that_are_left(tmp_path, monkeypatch):
    space, options = {"rate": [0.5, 1.0], "total_steps": [70, 30, 50]}, OPTIONS | {"seeds": 3, "checkpoint_every": 0}
    whole = jaxrl.sweep(DRIFT, space, directory=tmp_path / "whole", **options)
    append_csv = tables.append_csv

    def stop_in_the_second(path, report):
        append_csv(path, report)
        if path.parent.name == "total_steps=30" and report.iteration == 2:
            signal.raise_signal(signal.SIGTERM)

    with monkeypatch.context() as patch:
        patch.setattr(tables, "append_csv", stop_in_the_second)
        with pytest.raises(Interrupted, match=r"^one program of the sweep has saved where it was; go on with .*/cut`"):
            jaxrl.sweep(DRIFT, space, directory=tmp_path / "cut", **options)
    with pytest.raises(ValueError, match="holds a sweep of several programs; use resume_sweep"):
        jaxrl.resume(tmp_path / "cut")
    assert main(["resume", str(tmp_path / "cut"), "progress=false"]) == 0
    for name in ("sweep.csv", "total_steps=30/metrics.csv", "total_steps=50/evaluation.csv"):
        assert (tmp_path / "cut" / name).read_text() == (tmp_path / "whole" / name).read_text()
    with pytest.raises(ValueError, match="came to its end; there is nothing to go on with"):
        jaxrl.resume_sweep(tmp_path / "cut")
    (tmp_path / "cut" / "sweep.csv").unlink()  # as where it ended between the last program and this
    ranking = jaxrl.resume_sweep(tmp_path / "cut")
    assert [(row.setting, row.values) for row in ranking] == [(row.setting, row.values) for row in whole.ranking]
    (tmp_path / "cut" / "programs.yaml").write_text("- 3")
    with pytest.raises(ValueError, match=r"programs.yaml' is damaged and cannot be read"):
        jaxrl.resume_sweep(tmp_path / "cut")
    with pytest.raises(FileNotFoundError, match=r"holds no sweep of several programs: programs.yaml is missing"):
        jaxrl.resume_sweep(tmp_path / "cut" / "total_steps=30")
    with pytest.raises(FileExistsError, match=r"already holds a run \(sweep.csv\)"):
        jaxrl.sweep(DRIFT, space, directory=tmp_path / "cut", **options)


def test_numbers_inside_the_environment_can_be_swept():
    def agents(**values):
        return [jaxrl.PPO(jaxrl.make("CartPole-v1", **values)), jaxrl.PPO(jaxrl.make("CartPole-v1"), gae_lambda=0.9)]

    assert groups_of(agents()) == [[0, 1]]
    assert groups_of(agents(max_steps=200)) in ([[0, 1]], [[0], [1]])  # whichever the environment says


def test_a_seed_that_diverges_is_left_out_of_its_setting():
    broken = dataclasses.replace(DRIFT, breaks_at=3)
    swept = jaxrl.sweep(broken, {"rate": [0.25, 1.0]}, seeds=3, **OPTIONS)
    count = int((START < 0).sum())
    assert 0 < count < 3
    assert np.isnan(swept.returns[:, START < 0]).all()
    assert [row.diverged for row in swept.ranking] == [count, count]
    assert f"{count} diverged" in str(swept)
    assert f"seed {np.flatnonzero(START < 0)[0]} of setting 1 (by iteration 3)" in str(swept.runs[0])


@pytest.mark.parametrize(
    ("space", "options", "sentence"),
    [
        ({"rat": [0.1]}, {}, "Drift has no setting 'rat'; did you mean 'rate'?"),
        ({"rate": [0.1]}, {"sedes": 2}, "There is no option 'sedes'; did you mean 'seeds'?"),
        ({"rate": ["fast"]}, {}, "Drift.rate must be a number, got 'fast'"),
        ({"env__lenght": [2]}, {}, "Countdown has no setting 'lenght'; did you mean 'length'?"),
    ],
)
def test_what_cannot_be_swept_is_refused_in_a_sentence(space, options, sentence):
    with pytest.raises((TypeError, ValueError), match=sentence.replace("?", r"\?")):
        jaxrl.sweep(DRIFT, space, **OPTIONS | options)


def test_the_options_of_a_sweep_are_those_of_run():
    import inspect

    from jaxrl.engine.options import Options

    arguments = inspect.signature(jaxrl.run).parameters
    expected = {field.name: field.default for field in dataclasses.fields(Options) if field.name != "search"}
    assert {name: each.default for name, each in arguments.items() if name != "algorithm"} == expected


@pytest.mark.parametrize(("lanes", "devices"), [(1, 1), (2, 1), (8, 1), (1, 4), (3, 2)])
def test_however_they_are_cut_up_the_agents_are_the_same(monkeypatch, swept, lanes, devices):
    monkeypatch.setattr(plan, "CPU_LANES", lanes)
    cut = jaxrl.sweep(DRIFT, {"rate": RATES}, seeds=3, devices=devices, **OPTIONS)
    assert len(cut.runs[0].chunks) > 1 or lanes * devices >= 8
    for name, values in swept.metrics.items():
        np.testing.assert_allclose(cut.metrics[name], values, rtol=1e-6, err_msg=name)
    np.testing.assert_allclose(cut.returns, swept.returns, rtol=1e-6)
    np.testing.assert_allclose(cut.runs[0].state.learner.weight, swept.runs[0].state.learner.weight, rtol=1e-6)


def test_what_does_not_fit_is_trained_in_waves(monkeypatch, tmp_path):
    monkeypatch.setattr(plan, "CPU_LANES", 2)
    whole = jaxrl.run(DRIFT, seeds=7, devices=1, **OPTIONS)
    room = (whole.space.working + 4 * whole.space.state / 8) / 2**30
    cut = jaxrl.run(DRIFT, seeds=7, devices=1, max_memory=room, directory=tmp_path / "waves", **OPTIONS)
    assert cut.space.state == whole.space.state / 2
    np.testing.assert_array_equal(cut.returns, whole.returns)
    for name, values in whole.metrics.items():
        np.testing.assert_array_equal(cut.metrics[name], values, err_msg=name)
    np.testing.assert_array_equal(cut.state.learner.weight, whole.state.learner.weight)
    assert cut.state.world is None
    assert cut.policy(5).action == whole.policy(5).action
    with (tmp_path / "waves" / "metrics.csv").open() as file:
        rows = [(row["seed"], row["iteration"]) for row in csv.DictReader(file)]
    assert sorted(rows) == sorted((str(seed), str(at)) for seed in range(7) for at in range(1, 8))


def test_a_run_in_waves_goes_on_in_the_wave_where_it_stopped(monkeypatch, tmp_path):
    monkeypatch.setattr(plan, "CPU_LANES", 2)
    whole = jaxrl.run(DRIFT, seeds=7, devices=1, **OPTIONS)
    room = (whole.space.working + 4 * whole.space.state / 8) / 2**30
    options = OPTIONS | {"seeds": 7, "devices": 1, "max_memory": room, "checkpoint_every": 0}

    class Stop(Exception):
        pass

    def stop_in_the_second_wave(path, report):
        if report.first == 4 and report.iteration == 3:
            raise Stop

    with monkeypatch.context() as patch:
        patch.setattr(tables, "append_csv", stop_in_the_second_wave)
        with pytest.raises(Stop):
            jaxrl.run(DRIFT, directory=tmp_path / "run", **options)
    resumed = jaxrl.resume(tmp_path / "run", progress=False)
    np.testing.assert_array_equal(resumed.returns, whole.returns)
    np.testing.assert_array_equal(resumed.metrics["loss"], whole.metrics["loss"])
    np.testing.assert_array_equal(resumed.state.learner.weight, whole.state.learner.weight)


def test_not_even_one_agent_fits():
    with pytest.raises(ValueError, match=r"One agent takes .* of state and .* to train it, and there is room for 8 B"):
        jaxrl.run(DRIFT, max_memory=8 / 2**30, **OPTIONS)


def test_the_program_does_not_grow_with_the_population():
    keys = jax.random.split(jax.random.key(0), 6_400)
    plans = [plan.make_plan(run.Population((DRIFT,), keys[:count]), None, None)[0] for count in (16, 6_400)]
    assert [each.chunk for each in plans] == [8, 8]
    assert plans[0].working == plans[1].working
