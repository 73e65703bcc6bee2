"""A launcher of Hydra trains every combination in a process of its own."""

import os
import subprocess
import sys
from pathlib import Path

import jax
import pytest

from jaxrl.engine.saved_run import load_run

PPO = ("num_envs=4", "num_steps=32", "num_minibatches=1", "hidden_sizes=[8]", "total_steps=512")
WORDS = [*(f"algorithm.{word}" for word in PPO), "num_reports=2", "eval_episodes=0", "progress=false"]


def trained(*words: str) -> "subprocess.CompletedProcess[str]":
    """What came of `jaxrl train WORDS` in a process of its own: Hydra configures logging for all of it."""
    surroundings = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    surroundings["JAX_COMPILATION_CACHE_DIR"] = str(jax.config.jax_compilation_cache_dir)
    surroundings["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0.1"
    command = [sys.executable, "-m", "jaxrl", "train", *words]
    return subprocess.run(command, env=surroundings, capture_output=True, text=True, timeout=300, check=False)


def test_joblib_trains_every_combination(tmp_path: Path) -> None:
    swept = ["seeds=1,0", f"directory={tmp_path / 'swept'}"]  # the second is not to come to an end
    ended = trained("-m", "hydra/launcher=joblib", "hydra.launcher.n_jobs=2", "+hydra.job.env_set.A=b", *WORDS, *swept)
    assert ended.returncode == 1
    assert f"1 of 2 runs did not come to an end: {tmp_path / 'swept' / 'seeds=0'}" in ended.stderr
    assert "seeds must be a whole number of at least 1, got 0" in ended.stderr
    # In a process of its own as well: the tests' own compiles its first program otherwise, which changes last digits.
    assert trained(*WORDS, "seeds=1", f"directory={tmp_path / 'alone'}").returncode == 0
    found, expected = load_run(tmp_path / "swept" / "seeds=1"), load_run(tmp_path / "alone")
    for name, values in expected.metrics.items():
        assert values.tolist() == [pytest.approx(row, rel=1e-4, nan_ok=True) for row in found.metrics[name].tolist()]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["algorithm.leraning_rate=1,2", "hydra/launcher=joblib"], "learning_rate"),
        (["hydra/launcher=none_such"], "Could not find 'hydra/launcher/none_such'"),
    ],
)
def test_what_cannot_be_launched_is_refused(words: list[str], sentence: str, tmp_path: Path) -> None:
    ended = trained("-m", f"directory={tmp_path / 'swept'}", *words)
    assert ended.returncode != 0
    assert sentence in ended.stderr
    assert not (tmp_path / "swept").exists()
