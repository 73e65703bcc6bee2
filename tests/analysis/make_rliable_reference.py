"""Writes rliable_reference.json: fixed scores, and what rliable says of them. Not run by the tests.

rliable wants pandas<3, so it lives in an environment of its own:

    python -m venv reference && reference/bin/pip install rliable 'pandas<3'
    reference/bin/python tests/analysis/make_rliable_reference.py

rliable draws its resamples from numpy's global generator, `choice(num_seeds, scores.shape)` for each: with the seed
and the order of the draws known, the tests feed the same resamples and expect the same interval ends.
"""

import importlib.metadata
import json
from pathlib import Path

import numpy as np
from rliable import library, metrics

SEED, NUM_RESAMPLES, CONFIDENCE = 12345, 500, 0.95
THRESHOLDS = [0.0, 0.25, 0.5, 0.75, 1.0, 1.5]
AGGREGATES = {
    "mean": metrics.aggregate_mean,
    "median": metrics.aggregate_median,
    "iqm": metrics.aggregate_iqm,
    "optimality_gap": metrics.aggregate_optimality_gap,
}


def estimate(scores, function):
    """`[estimate, low, high]`, each a number or a list."""
    np.random.seed(SEED)  # noqa: NPY002  # what rliable draws from
    points, intervals = library.get_interval_estimates(
        {"it": scores}, function, reps=NUM_RESAMPLES, confidence_interval_size=CONFIDENCE
    )
    return [np.squeeze(part).tolist() for part in (points["it"], *intervals["it"])]


def main():
    generator = np.random.default_rng(0)
    x = np.round(generator.gamma(2.0, 0.4, size=(7, 5)), 2)  # two decimals: some scores are equal
    y = np.round(generator.gamma(2.0, 0.3, size=(10, 5)), 2)
    y[:7, 2] = x[:, 2]  # a task in which half of the pairs tie or nearly so
    curves = np.round(np.cumsum(generator.gamma(1.0, 0.2, size=(6, 3, 4)), axis=-1), 2)
    names = ("rliable", "arch", "numpy", "scipy", "pandas")
    reference = {
        "versions": {name: importlib.metadata.version(name) for name in names},
        "seed": SEED,
        "num_resamples": NUM_RESAMPLES,
        "confidence": CONFIDENCE,
        "thresholds": THRESHOLDS,
        "scores": {"x": x.tolist(), "y": y.tolist(), "curves": curves.tolist()},
        "aggregates": {
            which: {
                name: estimate(scores, lambda scores, function=function: np.array([function(scores)]))
                for name, function in AGGREGATES.items()
            }
            for which, scores in (("x", x), ("y", y), ("one task", x[:, :1]))
        },
        "performance_profile": estimate(x, lambda scores: library.score_distributions(scores, np.array(THRESHOLDS))),
        "probability_of_improvement": estimate(
            (x, y), lambda x, y: np.array([metrics.probability_of_improvement(x, y)])
        ),
        "sample_efficiency": estimate(
            curves,
            lambda scores: np.array([metrics.aggregate_iqm(scores[..., report]) for report in range(4)]),
        ),
    }
    path = Path(__file__).with_name("rliable_reference.json")
    path.write_text(json.dumps(reference, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
