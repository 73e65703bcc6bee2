import csv
import sys

import numpy as np
import pytest
import yaml
from PIL import Image

from jaxrl.cli.main import main
from jaxrl.engine.run_videos import ranked_seeds

TINY = [
    "algorithm=a2c",
    "algorithm.num_envs=2",
    "algorithm.num_steps=4",
    "algorithm.total_steps=32",
    "algorithm.hidden_sizes=[3]",
    "env.max_steps=5",
    "eval_episodes=3",
    "seeds=4",
]
RETURNS = [[3, 3], [1, 3], [5, 3], ["nan", 3]]  # by seed: the best is 2, the median 0, and seed 3 diverged


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained") / "run"
    assert main(["train", *TINY, f"directory={folder}", "progress=false"]) == 0
    evaluation = folder / "evaluation.csv"
    header = evaluation.read_text().partition("\n")[0].split(",")
    rows = [{"seed": seed, "return": value} for seed, values in enumerate(RETURNS) for value in values]
    with evaluation.open("w", newline="") as file:
        writer = csv.DictWriter(file, header, restval=0)
        writer.writeheader()
        writer.writerows(rows)
    return folder


def test_the_best_and_the_median_seed_are_filmed(trained, capsys):
    assert main(["record", str(trained)]) == 0
    best, gif, mp4, median, *others = capsys.readouterr().out.splitlines()
    assert best.startswith("  best       seed 2, return 5.00 in 5 steps")
    assert gif.startswith(f"             {trained}/videos/best.gif  (4 frames, ")  # 0, 2, 4 and the last of 50 Hz
    assert mp4.startswith(f"             {trained}/videos/best.mp4  (6 frames, ")
    assert median.startswith("  median     seed 0, return 5.00 in 5 steps")
    assert len(others) == 2
    with Image.open(trained / "videos" / "best.gif") as image:
        assert (image.n_frames, image.size) == (4, (600, 428))
    assert sorted(path.name for path in (trained / "videos").iterdir()) == [
        "best.gif",
        "best.mp4",
        "median.gif",
        "median.mp4",
    ]


def test_a_second_recording_replaces_the_first_and_may_be_another_episode(trained, capsys):
    pictures = []
    for words in (["seed=1"], ["seed=1"], ["seed=1", "episode=7"], ["seed=1", "steps=3"]):
        assert main(["record", str(trained), *words]) == 0
        pictures.append((trained / "videos" / "seed-1.gif").read_bytes())
    assert pictures[0] == pictures[1] != pictures[2]
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("  seed-1     seed 1, return ")
    assert "in 3 steps, not ended: see steps=" in lines[-3]


def test_another_folder_is_never_overwritten(trained, tmp_path, capsys):
    words = ["record", str(trained), "seed=best", "steps=2", f"output={tmp_path / 'new' / 'films'}"]
    assert main(words) == 0
    assert (tmp_path / "new" / "films" / "best.gif").is_file()
    assert main(words) == 2
    assert "best.gif' exists, and nothing is overwritten there; choose another output=." in capsys.readouterr().err


def test_without_pyav_the_gif_is_written_and_one_line_says_what_to_install(trained, tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "av", None)
    assert main(["record", str(trained), "steps=2", f"output={tmp_path / 'films'}"]) == 0
    assert sorted(path.name for path in (tmp_path / "films").iterdir()) == ["best.gif", "median.gif"]
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if "MP4" in line] == [
        '  no MP4     MP4 needs PyAV: pip install "jaxrl[video]"; a GIF needs nothing more.'
    ]


def test_gymnasium_shows_the_same_task(trained, tmp_path, capsys):
    assert main(["record", str(trained), "seed=0", "steps=3", "gymnasium=true", f"output={tmp_path}"]) == 0
    assert "seed 0, return 3.00 in 3 steps, not ended" in capsys.readouterr().out
    with Image.open(tmp_path / "seed-0.gif") as image:
        track = np.asarray(image.convert("RGB"))[299, 5]
    assert track.max() < 10  # black as Gymnasium draws it


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["seed=4"], "has the seeds 0 to 3, got seed 4."),
        (["seed=worst"], "seed must be best, median or a number, got 'worst'."),
        (["steps=0"], "steps must be a whole number of at least 1, got '0'."),
        (["episode=-1"], "episode must be a whole number of at least 0, got '-1'."),
        (["sed=1"], "There is no setting 'sed'; did you mean 'seed'?"),
        (["--seed=1"], "There is no option '--seed=1'; see jaxrl record --help."),
        (["gymnasium=CartPole-v9"], "Gymnasium has no environment 'CartPole-v9' that it can draw: "),
        (["gymnasium=Pendulum-v1"], "name the environment that is the same task."),
        (
            ["output=settings.yaml"],
            "The directory 'settings.yaml' cannot be made (File exists); choose another output=.",
        ),
    ],
)
def test_what_does_not_fit_is_refused_in_one_sentence(trained, words, sentence, capsys, monkeypatch):
    monkeypatch.chdir(trained)
    assert main(["record", ".", *words]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert sentence in printed.err
    assert printed.err.count("\n") == 1


def test_two_runs_or_none_are_refused(trained, tmp_path, capsys):
    assert main(["record"]) == 2
    (tmp_path / "other").symlink_to(trained)
    assert main(["record", str(trained), str(tmp_path / "other")]) == 2
    assert "jaxrl record takes one run folder, got 2." in capsys.readouterr().err


def test_a_seed_that_diverged_is_not_played(trained, tmp_path, capsys):
    broken = tmp_path / "broken"
    broken.mkdir()
    for name in ("settings.yaml", "metrics.csv", "evaluation.csv"):
        (broken / name).write_bytes((trained / name).read_bytes())
    with np.load(trained / "policies.npz") as saved:
        policies = {name: np.array(values) for name, values in saved.items()}
    for values in policies.values():
        values[3, ...] = np.nan
    np.savez(broken / "policies.npz", **policies)
    assert main(["record", str(broken), "seed=3"]) == 2
    assert "diverged: its policy holds NaN or infinity; name another." in capsys.readouterr().err


def test_what_cannot_be_drawn_leaves_no_folder(trained, capsys, monkeypatch):
    monkeypatch.setattr("jaxrl.envs.drawing.drawer.GYMNAX", {})
    settings = yaml.safe_load((trained / "settings.yaml").read_text())
    assert settings["environment"] == "CartPole-v1"
    assert main(["record", str(trained), f"output={trained / 'nothing'}"]) == 2
    assert "CartPole-v1 cannot be drawn: it needs a method draw(state)" in capsys.readouterr().err
    assert not (trained / "nothing").exists()


def test_the_help_has_an_example(capsys):
    assert main(["record", "--help"]) == 0
    assert "jaxrl record runs/ppo-CartPole-v1-20250101-120000\n" in capsys.readouterr().out
    assert main(["--help"]) == 0
    assert "jaxrl record RUN " in capsys.readouterr().out


@pytest.mark.parametrize(("means", "ranked"), [([3.0, 9.0, 5.0], [1, 2, 0]), ([4.0, 4.0], [0, 1])])
def test_the_seeds_are_ranked_by_their_evaluation(tmp_path, means, ranked):
    rows = "".join(f"{seed},{mean}\n" for seed, mean in enumerate(means))
    (tmp_path / "evaluation.csv").write_text("seed,return\n" + rows)
    assert ranked_seeds(tmp_path) == ranked


def test_a_run_of_diverged_seeds_has_no_best_one(tmp_path):
    (tmp_path / "evaluation.csv").write_text("seed,return\n0,nan\n")
    with pytest.raises(ValueError, match="has no evaluated seed that did not diverge; name a seed by"):
        ranked_seeds(tmp_path)
