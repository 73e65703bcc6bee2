"""Searches do what they are for: PBT finds a schedule where every fixed setting fails, halving keeps the best."""

import dataclasses

import long_runs
import numpy as np
import optuna
import pytest
from drift import DRIFT

import jaxrl

EIGHT_POOR = {"learning_rate": [1e-5] * 8}


@pytest.fixture(scope="module")
def ppo():
    return jaxrl.PPO("CartPole-v1", total_steps=70_000, num_envs=16)


def test_pbt_finds_a_schedule_where_the_fixed_setting_fails(ppo):
    options = {"seeds": 2, "num_reports": 34, "eval_episodes": 16, "progress": False, "devices": 2}
    search = jaxrl.PBT(every=1, factors=(0.5, 3.0), bounds={"learning_rate": (1e-6, 1e-2)})
    with long_runs.engine():
        fixed = jaxrl.sweep(ppo, EIGHT_POOR, **options)
        evolved = jaxrl.sweep(ppo, EIGHT_POOR, search=search, **options)
    assert fixed.returns.max() < 250
    assert evolved.returns.max(axis=0).min() >= 475  # what Gymnasium calls solved, for the best of each population
    rates = evolved.metrics["learning_rate"]
    assert rates[:, :, 0].max() == np.float32(1e-5)
    assert np.median(rates, axis=0).max(axis=-1).min() > 1e-4  # in each population at some time


def test_halving_keeps_the_learning_rates_that_learn(ppo):
    rates = [1e-6, 1e-5, 1e-3, 2e-3]
    options = {"seeds": 2, "num_reports": 16, "eval_episodes": 16, "progress": False, "devices": 2}
    with long_runs.engine():
        longer = dataclasses.replace(ppo, total_steps=150_000)  # at 2e-3 all of 24 seeds come to 500
        halved = jaxrl.sweep(longer, {"learning_rate": rates}, search=jaxrl.SuccessiveHalving(rungs=2), **options)
    assert {row.values["learning_rate"] for row in halved.ranking[:2]} == {1e-3, 2e-3}
    assert halved.ranking[0].result.estimate >= 475
    assert {agent % 4 for agent in halved.runs[0].stopped} >= {0, 1}


def test_a_sampler_of_optuna_drives_a_sweep():
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=0, n_startup_trials=8))
    space = {"rate": optuna.distributions.FloatDistribution(0.0, 2.0)}
    means = []
    for _ in range(4):
        trials = [study.ask(space) for _ in range(8)]
        swept = jaxrl.sweep(DRIFT, [trial.params for trial in trials], seeds=2, eval_episodes=2, progress=False)
        for trial, returns in zip(trials, swept.returns, strict=True):
            study.tell(trial, returns.mean())
        means.append(np.mean([trial.params["rate"] for trial in trials]))
    assert means[-1] > means[0]  # the return grows with the rate
    assert study.best_params["rate"] > 1.8
