import dataclasses

import jax
import numpy as np
import pytest
from drift import DRIFT

import jaxrl
from jaxrl.engine import programs
from jaxrl.engine.host_loop import Watch, prepare, train_with_reports
from jaxrl.engine.plan import make_plan
from jaxrl.engine.population import Population
from jaxrl.engine.run import run
from jaxrl.engine.train import all_finite
from jaxrl.engine.waves import Wave, metrics_of, stopped_in
from jaxrl.memory import tree_bytes

SEEDS = 4
OPTIONS = {"seeds": SEEDS, "num_reports": 7, "eval_episodes": 2}
START = np.asarray(run(DRIFT, **OPTIONS).state.learner.twin)  # of each weight, which then grows by 0.5 an iteration


def prepared_for(algorithm, seeds):
    population = Population((algorithm,), jax.random.split(jax.random.key(0), seeds))
    plan, programs = make_plan(population, None, None)
    return prepare(population, np.arange(seeds), plan.chunk, None, programs)


def iterations_until(weight):
    """[S]: the first iteration after which a seed's weight is at least `weight`."""
    return np.maximum(np.ceil((weight - START) / 0.5), 1).astype(int)


def test_a_seed_that_reaches_the_target_trains_no_further():
    target = 4 * float(np.median(START) + 1.6)  # the return is 4 times the weight
    result = run(DRIFT, **OPTIONS, eval_every=1, target_return=target)
    expected = iterations_until(target / 4)
    assert 1 == expected.min() < expected.max() < 7
    assert result.stopped == dict(enumerate(expected.tolist()))
    np.testing.assert_allclose(result.state.learner.weight, START + 0.5 * expected, rtol=1e-6)
    assert result.iteration == expected.max()
    assert f"4 of 4 seeds at the target return, after 10 to {10 * expected.max()} steps" in str(result)


def test_those_that_go_on_are_not_touched_by_those_that_stop():
    target = 4 * float(START.max() + 1.6)  # one seed stops in the middle, others go on to the end
    result = run(DRIFT, **OPTIONS, eval_every=1, target_return=target)
    whole = run(DRIFT, **OPTIONS, eval_every=1)
    going_on = np.array([seed for seed in range(SEEDS) if seed not in result.stopped])
    assert 0 < len(going_on) < SEEDS
    assert result.iteration == 7
    for name, values in result.metrics.items():
        np.testing.assert_array_equal(values[going_on], whole.metrics[name][going_on], err_msg=name)
    np.testing.assert_array_equal(result.state.learner.weight[going_on], whole.state.learner.weight[going_on])


def test_the_metrics_of_a_stopped_seed_stay_as_they_were():
    target = 4 * float(START.max() + 0.6)
    result = run(DRIFT, **OPTIONS, eval_every=1, target_return=target)
    best = int(START.argmax())
    where = result.stopped[best] - 1
    assert where < 6
    np.testing.assert_array_equal(result.metrics["loss"][best, where:], result.metrics["loss"][best, where])
    np.testing.assert_allclose(
        result.metrics["evaluation_return"][best, where:], 4 * result.state.learner.weight[best], rtol=1e-6
    )


def test_without_evaluations_the_episodes_of_the_training_count():
    target = 4 * float(START.max() + 0.1)
    result = run(DRIFT, **OPTIONS, target_return=target)
    # Episodes end in every second iteration; in the others nothing was measured.
    expected = 2 * np.ceil(iterations_until(target / 4) / 2).astype(int)
    assert result.stopped == {seed: int(at) for seed, at in enumerate(expected) if at <= 7}
    assert result.stopped[int(START.argmax())] == 2


def test_evaluations_come_after_every_so_many_reports():
    result = run(DRIFT, **OPTIONS, eval_every=3)
    measured = np.isfinite(result.metrics["evaluation_return"])
    assert (measured == [False, False, True, False, False, True, False]).all()
    np.testing.assert_allclose(result.metrics["evaluation_return"][:, 5], 4 * (START + 3.0), rtol=1e-6)


def test_evaluations_change_nothing_of_the_training():
    evaluated, plain = run(DRIFT, **OPTIONS, eval_every=2), run(DRIFT, **OPTIONS)
    for name, values in plain.metrics.items():
        np.testing.assert_array_equal(values, evaluated.metrics[name])
    np.testing.assert_array_equal(plain.evaluation.returns, evaluated.evaluation.returns)


@pytest.mark.parametrize(("num_reports", "end_of_stretch"), [(7, 3), (2, 3), (1, 7)])
def test_a_seed_that_diverges_is_named_with_its_iteration_and_frozen(num_reports, end_of_stretch):
    broken = dataclasses.replace(DRIFT, breaks_at=3)
    result = run(broken, **OPTIONS | {"num_reports": num_reports})
    expected = np.flatnonzero(START < 0)
    assert 0 < len(expected) < SEEDS
    assert result.diverged == dict.fromkeys(expected.tolist(), 3)
    assert result.stopped == {}
    np.testing.assert_allclose(result.state.learner.weight[expected], START[expected] + 0.5 * end_of_stretch, rtol=1e-6)
    others = np.flatnonzero(START >= 0)
    np.testing.assert_allclose(result.state.learner.weight[others], START[others] + 3.5, rtol=1e-6)


@pytest.mark.parametrize("broken", [None, "small", "other", "large"])
def test_every_leaf_is_looked_at_and_a_large_one_not_copied(broken):
    sizes = {"small": (3,), "other": (2, 2), "large": (programs.SMALL + 1,)}
    tree = {name: np.full(size, np.nan if name == broken else 1.0, np.float32) for name, size in sizes.items()}
    tree["count"] = np.int32(1)
    numbers = programs._numbers(tree)
    assert [each.size for each in numbers] == [3 + 4, programs.SMALL + 1]
    assert bool(all_finite(numbers)) == (broken is None)


def test_freezing_copies_no_replay():
    agent = jaxrl.DQN("CartPole-v1", replay_capacity=200_000, hidden_sizes=(8,), total_steps=2_000)
    prepared = prepared_for(agent, 2)
    replay = tree_bytes(prepared.chunks[0].states.replay)
    assert replay > 10_000_000
    analysis = prepared.program.memory_analysis()
    assert analysis.temp_size_in_bytes < replay / 10
    assert analysis.alias_size_in_bytes >= replay


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"eval_every": 0}, "eval_every must be a whole number of at least 1, got 0"),
        ({"eval_every": 1, "eval_episodes": 0}, "eval_every plays eval_episodes greedy episodes each time, got 0"),
        ({"target_return": "high"}, "target_return must be None or a return, got 'high'"),
        ({"target_return": float("nan")}, "target_return must be None or a return, got nan"),
    ],
)
def test_wrong_options_are_refused_in_a_sentence(options, sentence):
    with pytest.raises((TypeError, ValueError), match=sentence.replace("got 0", "got (eval_episodes=)?0")):
        run(DRIFT, **OPTIONS | options)


def test_a_stopped_seed_keeps_the_evaluation_that_stopped_it():
    def evaluate(states, iteration):
        return np.float32([0, 1, 2, 3]) + 10 * iteration

    prepared = prepared_for(DRIFT, SEEDS)
    trained = train_with_reports(prepared, 7, Watch(evaluate=evaluate, eval_every=2, target_return=22.5))
    wave = Wave(trained.chunks, trained.reports, None)
    assert stopped_in([wave]) == {3: 2, 0: 4, 1: 4, 2: 4}
    np.testing.assert_array_equal(
        metrics_of([wave])["evaluation_return"][:, [1, 3]].T, [[20, 21, 22, 23], [40, 41, 42, 23]]
    )
    assert trained.reports[-1].iteration == 4


def test_the_speed_counts_each_seed_until_it_stops():
    result = run(DRIFT, **OPTIONS, eval_every=1, target_return=4 * float(START.max() + 1.6))
    assert 0 < len(result.stopped) < SEEDS
    expected = sum(10 * result.stopped.get(seed, 7) for seed in range(SEEDS))
    assert result.steps_of_all == expected < 10 * 7 * SEEDS


def test_a_target_needs_something_to_compare_it_with():
    prepared = prepared_for(DRIFT, SEEDS)
    nameless = dataclasses.replace(prepared, program=lambda *args: without_returns(prepared.program(*args)))
    with pytest.raises(
        ValueError, match="the metric episode_return, which this algorithm does not have; set eval_every"
    ):
        train_with_reports(nameless, 7, Watch(target_return=1.0))


def without_returns(answer):
    states, (metrics, diverged_at) = answer
    return states, ({name: values for name, values in metrics.items() if name != "episode_return"}, diverged_at)
