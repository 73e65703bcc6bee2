import csv
import json
import re

import numpy as np
import pytest
import yaml

from jaxrl.analysis.aggregates import probability_of_improvement
from jaxrl.analysis.statistics import bootstrap_interval, interquartile_mean, mean, median
from jaxrl.cli.compare import table
from jaxrl.cli.main import main

PPO = [9.0, 8.0, 7.5, 10.0, 6.0]
A2C = [5.0, 7.5, 8.5]


def write_run(folder, scores, *, algorithm="PPO", environment="CartPole-v1", diverged=(), num_reports=3):
    """A run folder with the final returns `scores`, and a learning curve towards them."""
    folder.mkdir(parents=True)
    settings = {"environment": environment, "algorithm": {"_target_": f"jaxrl.algorithms.{algorithm}"}}
    (folder / "settings.yaml").write_text(yaml.safe_dump(settings))
    with (folder / "metrics.csv").open("w", newline="") as metrics, (folder / "evaluation.csv").open("w") as final:
        writer = csv.writer(metrics)
        writer.writerow(("seed", "iteration", "steps", "episode_return", "episode_length"))
        for report in range(1, num_reports + 1):
            writer.writerows(
                (seed, report, 100 * report, score * report / num_reports, -score) for seed, score in enumerate(scores)
            )
        final.write("seed,episode,return,length,completed\n")
        final.writelines(
            f"{seed},{episode},{score + offset},9,True\n"
            for seed, score in enumerate(scores)
            for episode, offset in enumerate((-1, 1))
            if seed not in diverged
        )


@pytest.fixture(autouse=True)
def runs(tmp_path, monkeypatch):
    """Runs of two algorithms on CartPole, one of which lost a seed, and one run on another environment."""
    monkeypatch.chdir(tmp_path)
    write_run(tmp_path / "runs" / "ppo", PPO)
    write_run(tmp_path / "runs" / "a2c", [*A2C, 1e9], algorithm="A2C", diverged=(3,))
    write_run(tmp_path / "runs" / "lr=0.1", [20.0, 30.0])
    write_run(tmp_path / "runs" / "acrobot", [-70.0, -80.0], environment="Acrobot-v1")


def cell(interval):
    return "{:.2f} [{:.2f}, {:.2f}]".format(*interval)


def test_the_table_holds_the_numbers_of_the_evaluation(capsys):
    assert main(["compare", "runs/ppo", "runs/a2c", "target=8"]) == 0
    title, header, first, second, diverged = capsys.readouterr().out.splitlines()
    assert title.startswith("CartPole-v1, return of the final greedy evaluation")
    assert re.split(r" {2,}", header.strip()) == [
        "run", "seeds", "mean", "median", "IQM", "optimality gap", "P(X > PPO)"
    ]  # fmt: skip
    ppo, a2c = re.split(r" {2,}", first.strip()), re.split(r" {2,}", second.strip())
    statistics = (mean, median, interquartile_mean)
    assert ppo[:5] == ["PPO", "5", *(cell(bootstrap_interval(PPO, statistic=each)) for each in statistics)]
    assert a2c[:5] == ["A2C", "3", *(cell(bootstrap_interval(A2C, statistic=each)) for each in statistics)]
    assert float(ppo[5].split()[0]) == 0.5  # 2 and 0.5 are missed, over five seeds
    assert a2c[5].startswith("1.17 ")  # 3 and 0.5 over three
    assert ppo[6] == "-"
    assert a2c[6] == cell(probability_of_improvement(A2C, PPO))
    assert diverged == "  diverged   seed 3 of runs/a2c; left out"


def test_each_environment_has_a_table(capsys):
    assert main(["compare", "runs/acrobot", "runs/ppo", "runs/lr=0.1", "metric=episode_length"]) == 0
    acrobot, cartpole = capsys.readouterr().out.split("\n\n")
    assert acrobot.startswith("Acrobot-v1, last episode_length of the training")
    assert "75.00 [70.00, 80.00]" in acrobot
    assert "P(X" not in acrobot
    assert re.search(r"^  lr=0\.1 +2 +-25\.00 \[-30\.00, -20\.00\]", cartpole, re.MULTILINE)
    assert re.search(r"P\(X > ppo\)$", cartpole, re.MULTILINE)


def test_a_run_without_seeds_has_an_empty_row():
    text = table({"PPO": np.array([]), "A2C": np.array([0.0123])}, {"mean": mean})
    assert [re.split(r" {2,}", line.strip()) for line in text.splitlines()[1:]] == [
        ["PPO", "0", "-", "-"],
        ["A2C", "1", "0.012", "-"],
    ]


def test_the_export_is_what_marl_eval_reads(capsys, tmp_path):
    assert main(["compare", "runs/ppo", "runs/a2c", "export=results.json"]) == 0
    assert "  exported   results.json" in capsys.readouterr().out
    exported = json.loads((tmp_path / "results.json").read_text())
    runs = exported["jaxrl"]["CartPole-v1"]
    assert list(runs) == ["PPO", "A2C"]
    assert list(runs["A2C"]) == ["run_0", "run_1", "run_2"]
    assert runs["PPO"]["run_1"]["step_2"] == {"step_count": 300, "episode_return": [8.0]}
    assert runs["PPO"]["run_1"]["absolute_metrics"] == {"episode_return": [7.0, 9.0]}


def test_curves_have_a_line_for_each_run(capsys, tmp_path, drawn):
    assert main(["plot", "runs/ppo", "runs/a2c", "runs/lr=0.1", "runs/acrobot", "output=curves.svg"]) == 0
    assert capsys.readouterr().out == "  diverged   seed 3 of runs/a2c; left out\n  picture    curves.svg\n"
    assert (tmp_path / "curves.svg").read_text().startswith("<?xml")
    cartpole, acrobot = drawn[0].axes
    assert [line.get_label() for line in cartpole.lines] == ["ppo", "A2C", "lr=0.1"]
    assert [line.get_label() for line in acrobot.lines] == ["PPO"]
    assert (cartpole.get_title(), cartpole.get_ylabel()) == ("CartPole-v1", "episode return")
    np.testing.assert_allclose(cartpole.lines[1].get_ydata(), np.mean(A2C) * np.array([1 / 3, 2 / 3, 1]))
    np.testing.assert_array_equal(acrobot.lines[0].get_xdata(), [100, 200, 300])


def test_runs_of_one_algorithm_can_share_a_line(drawn):
    words = ["runs/ppo", "runs/lr=0.1", "by=algorithm", "metric=episode_length", "statistic=iqm", "output=a.png"]
    assert main(["plot", *words]) == 0
    (line,) = drawn[0].axes[0].lines
    assert line.get_label() == "PPO"
    np.testing.assert_allclose(line.get_ydata(), -interquartile_mean(np.array([*PPO, 20.0, 30.0])))
    assert drawn[0].axes[0].get_ylabel() == "episode length"


@pytest.mark.parametrize("kind", ["profiles", "intervals"])
def test_scores_are_drawn(kind, capsys, tmp_path, drawn):
    assert main(["plot", "runs/ppo", "runs/a2c", f"kind={kind}"]) == 0
    assert f"  picture    {kind}.png" in capsys.readouterr().out
    assert (tmp_path / f"{kind}.png").read_bytes().startswith(b"\x89PNG")
    axes = drawn[0].axes
    if kind == "intervals":
        assert [each.get_title() for each in axes] == ["mean", "median", "interquartile mean"]
        assert axes[1].collections[0].get_segments()[0][0, 0] == np.median(PPO)
        assert [bar.get_x() for bar in axes[0].patches] == [bootstrap_interval(each).low for each in (PPO, A2C)]
    else:
        np.testing.assert_array_equal(axes[0].lines[0].get_xdata()[[0, -1]], [5.0, 10.0])


@pytest.mark.parametrize("command", ["plot", "compare"])
def test_the_help_has_an_example(command, capsys):
    assert main([command, "--help"]) == 0
    assert re.search(rf"^  jaxrl {command} runs/", capsys.readouterr().out, re.MULTILINE)


WRONG = [
    (["compare"], "jaxrl compare needs run folders, as in jaxrl compare runs/NAME runs/OTHER."),
    (["plot", "output=a.svg"], "jaxrl plot needs run folders"),
    (["compare", "nowhere"], "'nowhere' holds no run: settings.yaml is missing."),
    (["compare", "runs/nowhere=1"], "'runs/nowhere=1' holds no run: settings.yaml is missing."),
    (["compare", "runs/ppo", "runs/ppo/"], "'runs/ppo/' is named twice; name each run once."),
    (["compare", "runs/ppo", "--target"], "There is no option '--target'; see jaxrl compare --help."),
    (["compare", "runs/ppo", "targt=3"], "There is no setting 'targt'; did you mean 'target'?"),
    (["compare", "runs/ppo", "target=high"], "target must be a number, got 'high'."),
    (["compare", "runs/ppo", "metric=loss"], "The run in 'runs/ppo' has no metric 'loss'; choose one of"),
    (["compare", "runs/ppo", "export=a.csv"], "export must be a file name that ends with .json, got 'a.csv'."),
    (["compare", "runs/ppo", "export=no/a.json"], "The directory 'no' of export=no/a.json does not exist."),
    (["plot", "runs/ppo", "output=a.jpg"], "output must be a file name that ends with .png or .svg or .pdf, got"),
    (["plot", "runs/ppo", "kind=bars"], "kind must be one of curves, profiles, intervals, got 'bars'."),
    (["plot", "runs/ppo", "statistic=max"], "statistic must be one of mean, iqm, got 'max'."),
    (
        ["plot", "runs/ppo", "runs/acrobot", "kind=profiles"],
        "kind=profiles compares runs on one environment, got CartPole-v1 and Acrobot-v1.",
    ),
]


@pytest.mark.parametrize(("words", "sentence"), WRONG, ids=[" ".join(words) for words, _ in WRONG])
def test_what_is_wrong_is_said_in_one_sentence_with_status_2(words, sentence, capsys, tmp_path):
    assert main(words) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"jaxrl: {sentence}")
    assert err.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["runs"]


def test_lines_of_runs_that_reported_at_different_steps_are_not_put_together(capsys, tmp_path):
    write_run(tmp_path / "runs" / "longer", PPO, num_reports=4)
    assert main(["plot", "runs/ppo", "runs/longer", "by=algorithm"]) == 2
    assert "The runs of PPO on CartPole-v1 reported at different steps; use by=run." in capsys.readouterr().err


def test_nothing_is_drawn_where_every_seed_diverged(capsys, tmp_path):
    write_run(tmp_path / "runs" / "lost", [1.0], diverged=(0,))
    assert main(["plot", "runs/lost", "kind=intervals"]) == 2
    assert "every seed of every run diverged" in capsys.readouterr().err
