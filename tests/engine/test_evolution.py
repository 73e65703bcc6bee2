"""Population-based training and successive halving, on populations of which every number is known."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from drift import DRIFT

import jaxrl
from jaxrl.engine import plan
from jaxrl.engine.evolution import PBT, SuccessiveHalving, exploit_and_explore, kept_settings
from jaxrl.engine.reporting import tables

OPTIONS = {"num_reports": 7, "eval_episodes": 2, "progress": False}
RATES = [0.25, 2.0, 0.5, 1.0]


def test_the_worst_go_on_from_the_best_with_values_near_theirs():
    search = PBT(fraction=0.25, factors=(0.5, 2.0), bounds={"rate": (0.0, 100.0)})
    scores = jnp.array([5.0, jnp.nan, 7.0, 1.0, 8.0, 3.0, 2.0, 4.0])
    learner, values = {"weight": jnp.arange(8.0)}, {"rate": 10.0 + jnp.arange(8.0)}
    seen = set()
    for key in jax.random.split(jax.random.key(0), 20):
        after, explored, parents = exploit_and_explore(key, scores, learner, values, search)
        changed = np.flatnonzero(parents != jnp.arange(8))
        assert set(changed) == {1, 3}  # NaN is the worst of all
        assert set(np.asarray(parents)[changed]) <= {2, 4}
        np.testing.assert_array_equal(after["weight"], parents)
        kept = np.setdiff1d(np.arange(8), changed)
        np.testing.assert_array_equal(explored["rate"][kept], values["rate"][kept])
        ratio = explored["rate"][changed] / values["rate"][parents][changed]
        assert set(np.asarray(ratio).tolist()) <= {0.5, 2.0}
        seen |= set(zip(np.asarray(parents)[changed].tolist(), np.asarray(ratio).tolist(), strict=True))
    assert len(seen) == 4  # either parent, either factor


def test_values_stay_within_their_bounds():
    search = PBT(fraction=0.5, factors=(0.1, 10.0), bounds={"rate": (1.0, 2.0)})
    _, explored, _ = exploit_and_explore(
        jax.random.key(0), jnp.arange(16.0), jnp.zeros(16), {"rate": jnp.full(16, 1.5)}, search
    )
    assert set(np.asarray(explored["rate"]).tolist()) == {1.0, 1.5, 2.0}


@pytest.fixture(scope="module")
def evolved(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pbt") / "run"
    search = PBT(every=2, fraction=0.25, factors=(0.8, 1.25))
    return jaxrl.sweep(DRIFT, {"rate": RATES}, seeds=2, search=search, directory=folder, eval_every=1, **OPTIONS)


def test_what_a_population_has_learnt_follows_from_its_metrics(evolved):
    """A weight grows by its rate: replayed in numpy from the rates and the copies that the metrics show."""
    rates, returns = evolved.metrics["rate"], evolved.metrics["evaluation_return"]
    np.testing.assert_array_equal(rates[:, :, 0], np.repeat(np.float32(RATES)[:, None], 2, axis=1))
    weights = returns / 4
    for seed in range(2):
        for report in range(1, 7):
            before, after = weights[:, seed, report - 1], weights[:, seed, report]
            grown = after - rates[:, seed, report]
            is_copied = np.abs(grown - before) > 1e-4
            if report % 2:  # there was no selection after an odd number of reports
                assert not is_copied.any()
                np.testing.assert_array_equal(rates[:, seed, report], rates[:, seed, report - 1])
            else:
                assert is_copied.sum() == 1
                assert before[is_copied] == before.min()
                np.testing.assert_allclose(grown[is_copied], before.max(), rtol=1e-5)


def test_a_population_finds_what_none_of_it_had(evolved):
    assert evolved.metrics["rate"][:, :, -1].min() >= 0.25
    assert evolved.returns.min() > 4 * (7 * 0.25)  # the slowest was replaced


def test_each_seed_is_a_population_of_its_own(evolved):
    assert not np.array_equal(evolved.metrics["rate"][:, 0], evolved.metrics["rate"][:, 1]) or not np.array_equal(
        evolved.returns[:, 0], evolved.returns[:, 1]
    )


def test_over_devices_a_population_is_the_same(evolved):
    search = PBT(every=2, fraction=0.25, factors=(0.8, 1.25))
    other = jaxrl.sweep(DRIFT, {"rate": RATES}, seeds=2, search=search, eval_every=1, devices=1, **OPTIONS)
    for name, values in evolved.metrics.items():
        np.testing.assert_allclose(other.metrics[name], values, rtol=1e-5, err_msg=name)


def test_an_agent_that_diverged_is_replaced():
    broken = dataclasses.replace(DRIFT, breaks_at=2)
    plain = jaxrl.sweep(broken, {"rate": RATES}, seeds=2, eval_every=1, search=PBT(every=9), **OPTIONS)
    replaced = jaxrl.sweep(broken, {"rate": RATES}, seeds=2, eval_every=1, search=PBT(every=1, fraction=0.5), **OPTIONS)
    assert np.isnan(plain.returns).any()
    assert np.isfinite(replaced.returns).sum() > np.isfinite(plain.returns).sum()


def interrupted(tmp_path, at, **options):
    """The folder of a run that broke off after report `at`."""

    class Stop(Exception):
        pass

    def stop(path, report):
        if report.iteration == at:
            raise Stop

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tables, "append_csv", stop)
        with pytest.raises(Stop):
            jaxrl.sweep(DRIFT, {"rate": RATES}, directory=tmp_path, checkpoint_every=0, **OPTIONS | options)
    return tmp_path


def test_a_population_goes_on_as_if_it_had_never_stopped(evolved, tmp_path):
    search = PBT(every=2, fraction=0.25, factors=(0.8, 1.25))
    folder = interrupted(tmp_path / "run", 6, seeds=2, search=search, eval_every=1)
    resumed = jaxrl.resume(folder, progress=False)
    for name, values in evolved.runs[0].metrics.items():
        np.testing.assert_array_equal(resumed.metrics[name], values, err_msg=name)
    np.testing.assert_array_equal(resumed.returns, evolved.runs[0].returns)


def test_the_rungs_lie_where_the_budget_says():
    search = SuccessiveHalving(rungs=3, keep=0.5)
    found = {report: search.survivors(16, report, 80) for report in range(1, 81)}
    assert {report: count for report, count in found.items() if count} == {10: 8, 20: 4, 40: 2}


def test_the_settings_with_the_best_means_are_kept():
    scores = np.array([[1.0, 5.0, np.nan, 4.0], [3.0, 5.0, 9.0, 1.0]])
    assert kept_settings(scores, 1).tolist() == [False, True, False, False]
    assert kept_settings(scores, 3).tolist() == [True, True, False, True]


@pytest.mark.parametrize(("lanes", "devices"), [(2, 1), (8, 1), (8, 2)])
def test_those_who_are_behind_are_given_up_and_cost_nothing_more(monkeypatch, lanes, devices):
    monkeypatch.setattr(plan, "CPU_LANES", lanes)
    search = SuccessiveHalving(rungs=2, keep=0.5)  # after a quarter of 8 reports, and after half of them
    longer = dataclasses.replace(DRIFT, total_steps=80)
    options = OPTIONS | {"num_reports": 8}
    halved = jaxrl.sweep(longer, {"rate": RATES}, seeds=2, search=search, eval_every=1, devices=devices, **options)
    whole = jaxrl.sweep(longer, {"rate": RATES}, seeds=2, devices=devices, **options)
    iterations = {0.25: 2, 2.0: 8, 0.5: 2, 1.0: 4}
    starts = whole.returns / 4 - 8 * np.array(RATES)[:, None]
    expected = 4 * (starts + (np.array(RATES) * list(iterations.values()))[:, None])
    np.testing.assert_allclose(halved.returns, expected, rtol=1e-4)
    assert halved.runs[0].steps_of_all == 2 * 10 * (2 + 8 + 2 + 4)
    assert "6 of 8 agents given up, after 20 to 40 steps" in str(halved.runs[0])
    chunks = halved.runs[0].chunks
    assert len(chunks) > 1
    assert {int(member) % 4 for member in chunks[0].members} == {1}  # packed together


def test_a_halved_sweep_goes_on_as_if_it_had_never_stopped(monkeypatch, tmp_path):
    monkeypatch.setattr(plan, "CPU_LANES", 2)
    options = {"seeds": 2, "search": SuccessiveHalving(rungs=2), "eval_every": 1, "devices": 1}
    whole = jaxrl.sweep(DRIFT, {"rate": RATES}, **OPTIONS | options)
    resumed = jaxrl.resume(interrupted(tmp_path / "run", 5, **options), progress=False)
    np.testing.assert_array_equal(resumed.returns, whole.runs[0].returns)
    np.testing.assert_array_equal(resumed.metrics["loss"], whole.runs[0].metrics["loss"])
    assert (tmp_path / "run" / "sweep.csv").read_text().splitlines()[1].startswith("1,1,2.0,")


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: PBT(every=0), "PBT.every must be a whole number of at least 1, got 0"),
        (lambda: PBT(fraction=0.6), "PBT.fraction must be above 0 and at most 0.5, got 0.6"),
        (lambda: PBT(factors=(0.0, 2.0)), "PBT.factors must be two numbers above 0"),
        (lambda: SuccessiveHalving(rungs=0), "SuccessiveHalving.rungs must be a whole number of at least 1, got 0"),
        (lambda: SuccessiveHalving(keep=1.0), "SuccessiveHalving.keep must be between 0 and 1, got 1.0"),
    ],
)
def test_a_search_that_makes_no_sense_is_refused_in_a_sentence(make, sentence):
    with pytest.raises(ValueError, match=sentence):
        make()


@pytest.mark.parametrize(
    ("rates", "options", "sentence"),
    [
        ([0.5], {}, "A search chooses among settings that differ in numbers, and one of the programs has a single"),
        (
            [0.5, 1.0],
            {"search": PBT(bounds={"rat": (0.0, 1.0)})},
            "PBT.bounds names what Drift cannot vary, 'rat'; did you mean 'rate'?",
        ),
        ([0.5, 1.0], {"target_return": 3.0}, "A search decides itself who goes on; use target_return=None beside it"),
    ],
)
def test_a_search_that_has_nothing_to_choose_is_refused_in_a_sentence(rates, options, sentence):
    with pytest.raises(ValueError, match=sentence):
        jaxrl.sweep(DRIFT, {"rate": rates}, **OPTIONS | {"search": PBT()} | options)
