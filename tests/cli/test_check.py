import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml
from drift import DRIFT

import jaxrl
from jaxrl.cli.help import RUN_SETTINGS
from jaxrl.cli.main import COMMANDS, HELP, main
from jaxrl.engine import checkpoints

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "drift"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checkpoints.Checkpoints, "is_due", property(lambda self: True))
        jaxrl.run(DRIFT, seeds=2, num_reports=7, eval_episodes=2, directory=folder, progress=False)
    return folder


@pytest.fixture
def copied(finished, tmp_path):
    return shutil.copytree(finished, tmp_path / "copied")


def cut_in_half(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def test_the_installation_is_told_and_tried(capsys):
    assert main(["check"]) == 0
    out = capsys.readouterr().out
    for word in ("jaxrl ", "jax ", "devices    8 x cpu", "extras", "2 iterations of PPO on CartPole-v1"):
        assert word in out
    assert out.endswith("No problems found.\n")


def test_a_package_that_is_missing_is_named_with_its_extra(capsys, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.setattr("jaxrl.cli.check._training_problems", lambda: ["Seed 1 of a short training holds NaN."])
    assert main(["check"]) == 1
    out = capsys.readouterr().out
    assert "not installed: video (pip install 'jaxrl[video]')" in out
    assert "- Seed 1 of a short training holds NaN." in out


def test_an_environment_is_played(capsys):
    assert main(["check", "Catch-bsuite"]) == 0
    assert capsys.readouterr().out.startswith("No problems found.")


def test_a_sound_run_has_no_problems(finished, capsys):
    assert main(["check", str(finished)]) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"  finished, in '{finished}'",
        "  Drift on Countdown: 7 reports of each seed",
        "No problems found.",
    ]


def test_a_run_that_is_not_over_is_told(copied, capsys):
    (copied / "summary.txt").unlink()
    assert main(["check", str(copied)]) == 0
    assert "not finished: go on with jaxrl resume" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("policies.npz", "policies.npz' is damaged and cannot be read"),
        ("metrics.csv", "metrics.csv' is damaged and cannot be read"),
        ("checkpoints/7/states/manifest.ocdbt", "The checkpoint at iteration 7 is damaged"),
        ("checkpoints/6/about/metadata", "The checkpoint at iteration 6 is damaged"),
    ],
)
def test_what_is_damaged_is_named(copied, name, sentence, capsys):
    cut_in_half(copied / name)
    assert main(["check", str(copied)]) == 1
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("- ")]
    assert sentence in line


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["CartPol-v1"], "There is no run folder and no environment 'CartPol-v1'; did you mean 'CartPole-v1'?"),
        (["a", "b"], "jaxrl check takes one environment or one run folder, got a b."),
    ],
)
def test_what_cannot_be_checked_is_refused(words, sentence, capsys):
    assert main(["check", *words]) == 2
    assert sentence in capsys.readouterr().err


def test_a_folder_without_a_run_is_refused(tmp_path, capsys):
    assert main(["check", str(tmp_path)]) == 2
    assert "holds no run: settings.yaml is missing" in capsys.readouterr().err


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_is_in_the_help_and_has_one(command, capsys):
    assert f"  jaxrl {command}" in HELP
    assert main([command, "--help"]) == 0
    assert f"jaxrl {command}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ([], "jaxrl resume needs a run folder, as in jaxrl resume runs/NAME"),
        (["{run}"], "came to its end; there is nothing to go on with"),
        (["{run}", "device=2"], "There is no setting 'device'; did you mean 'devices'?"),
        (["{run}", "devices=["], "devices must be a number, true or false, got '['"),
        (["{run}", "exact=perhaps"], "exact must be true or false, got 'perhaps'"),
        (["nowhere"], "'nowhere' holds no run: settings.yaml is missing"),
    ],
)
def test_what_cannot_be_resumed_is_refused(words, sentence, finished, capsys):
    assert main(["resume", *(word.format(run=finished) for word in words)]) == 2
    assert sentence in capsys.readouterr().err


def test_train_help_explains_every_setting_of_a_run():
    settings = yaml.safe_load((ROOT / "jaxrl" / "configs" / "train.yaml").read_text())
    assert set(RUN_SETTINGS) == set(settings) - {"defaults"} | {"algorithm", "env"}


def test_an_interruption_without_a_word_is_named(monkeypatch, capsys):
    def interrupt(arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr("jaxrl.cli.listing.show_list", interrupt)
    assert main(["list"]) == 130
    assert capsys.readouterr().err == "jaxrl: interrupted.\n"


def test_one_log_needs_no_brackets(tmp_path, capsys):
    assert main(["train", "log=tensorbord", f"directory={tmp_path / 'run'}"]) == 2
    assert "There is no log 'tensorbord'; did you mean 'tensorboard'?" in capsys.readouterr().err


def test_a_diverged_policy_is_not_exported(copied, capsys):
    with np.load(copied / "policies.npz") as file:
        arrays = {name: np.where(np.arange(2) == 1, np.nan, file[name]) for name in file.files}
    np.savez(copied / "policies.npz", **arrays)
    assert main(["export", str(copied), "seed=1", "form=numpy"]) == 2
    assert "Seed 1 of the run in" in capsys.readouterr().err
