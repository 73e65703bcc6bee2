"""`prng` and `deterministic`: the options that decide the bits of a run."""

import signal
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
import yaml
from drift import DRIFT

import jaxrl
from jaxrl.engine import compilation, plan
from jaxrl.engine.interrupts import Interrupted
from jaxrl.engine.options import PRNGS, Options
from jaxrl.engine.reporting import tables

QUIET: dict[str, Any] = {"num_reports": 7, "progress": False, "devices": 1}


@pytest.mark.parametrize("prng", PRNGS)
def test_a_run_draws_from_the_prng_that_it_names(prng: str, tmp_path: Path) -> None:
    run = jaxrl.run(DRIFT, seeds=3, prng=prng, directory=tmp_path / "run", eval_episodes=0, **QUIET)
    keys = jax.random.split(jax.random.key(0, impl=prng), 3)
    alone = jax.jit(jax.vmap(lambda key: jaxrl.train(DRIFT, key).state.learner.weight))(keys)
    np.testing.assert_allclose(run.state.learner.weight, alone, rtol=1e-6)
    assert yaml.safe_load((tmp_path / "run" / "settings.yaml").read_text())["run"]["prng"] == prng


def test_the_settings_name_the_default_prng_too() -> None:
    assert Options().as_settings()["prng"] == "threefry2x32"
    with jax.default_prng_impl("rbg"):
        assert Options().as_settings()["prng"] == "rbg"
    key = jax.random.key(3, impl="unsafe_rbg")
    settings = Options(seed=key).as_settings()
    assert settings["prng"] is None
    assert Options(**settings).key == key


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"prng": "mt19937"}, "prng must be None or one of 'threefry2x32', 'rbg', 'unsafe_rbg', got 'mt19937'"),
        ({"prng": "rbg", "seed": jax.random.key(0)}, "A JAX key given as seed has a PRNG of its own; leave prng at"),
        ({"deterministic": 1}, "deterministic must be true or false, got 1"),
    ],
)
def test_wrong_ones_are_refused_in_a_sentence(options: dict[str, Any], sentence: str) -> None:
    with pytest.raises((TypeError, ValueError), match=sentence):
        jaxrl.run(DRIFT, **options)


def test_a_run_goes_on_with_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options: dict[str, Any] = QUIET | {"seeds": 2, "prng": "rbg", "deterministic": True}
    with monkeypatch.context() as patch:
        patch.setattr(tables, "append_csv", lambda *arguments: signal.raise_signal(signal.SIGTERM))
        with pytest.raises(Interrupted):
            jaxrl.run(DRIFT, **options, directory=tmp_path / "stopped")
    path = tmp_path / "stopped" / "settings.yaml"
    settings = path.read_text()
    for own, other in (("prng: rbg", "prng: unsafe_rbg"), ("deterministic: true", "deterministic: false")):
        assert own in settings
        path.write_text(settings.replace(own, other))
        with pytest.raises(ValueError, match=f"was made with {own.split(':')[0]}=.*a run goes on with its own"):
            jaxrl.resume(tmp_path / "stopped", progress=False)
    path.write_text(settings)
    resumed = jaxrl.resume(tmp_path / "stopped", progress=False)
    whole = jaxrl.run(DRIFT, **options)
    np.testing.assert_array_equal(resumed.metrics["noise"], whole.metrics["noise"])
    np.testing.assert_array_equal(resumed.state.learner.weight, whole.state.learner.weight)


@pytest.mark.parametrize("prng", PRNGS)
def test_with_threefry_alone_an_agent_draws_the_same_whoever_is_beside_it(
    prng: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = []
    for lanes in (1, 3):
        monkeypatch.setattr(plan, "CPU_LANES", lanes)
        run = jaxrl.run(DRIFT, seeds=3, prng=prng, eval_episodes=0, **QUIET)
        weights.append(np.asarray(run.state.learner.weight))
        assert len(set(weights[-1].tolist())) == 3
    is_same = np.isclose(*weights, rtol=1e-5)
    # Under vmap the others draw for the whole batch from the key of its first agent.
    assert is_same.tolist() == ([True, True, True] if prng == "threefry2x32" else [True, False, False])


def test_a_deterministic_run_asks_for_it_in_every_program(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    compiled = jax.stages.Lowered.compile

    def keep(lowered: Any, compiler_options: Any = None) -> Any:
        asked.append(compiler_options)
        return compiled(lowered, compiler_options)

    monkeypatch.setattr(jax.stages.Lowered, "compile", keep)
    jaxrl.run(DRIFT, deterministic=True, **QUIET)
    width = "xla_cpu_prefer_vector_width"  # of every run here; the tests' XLA_FLAGS name the level
    assert asked == [{width: compilation.ON_CPU[width]}] * 3  # nothing more, since a CPU is deterministic
    asked.clear()
    with monkeypatch.context() as patch:
        # This compiler knows the GPU's options too; one that it did not know it would refuse.
        patch.setattr(compilation.jax, "default_backend", lambda: "gpu")
        jaxrl.run(DRIFT, deterministic=True, **QUIET)
        jaxrl.run(DRIFT, deterministic=False, **QUIET)
    assert asked == [compilation.DETERMINISTIC] * 3 + [{}] * 3


def test_an_option_that_the_compiler_does_not_know_is_no_option() -> None:
    with (
        compilation.compiler_options({"xla_gpu_determinstic_ops": True}),
        pytest.raises(jax.errors.JaxRuntimeError, match="No such compile option"),
    ):
        compilation.compile_ahead(lambda x: x, 1.0)
