import signal

from jaxrl.cli.main import main
from jaxrl.engine.reporting import tables


def test_ctrl_c_saves_and_says_how_to_go_on(tmp_path, monkeypatch, capsys):
    append = tables.append_csv

    def append_and_interrupt(path, report):
        append(path, report)
        if report.iteration == 3:
            signal.raise_signal(signal.SIGINT)

    folder = tmp_path / "run"
    sizes = {"num_envs": 4, "num_steps": 8, "num_minibatches": 1, "total_steps": 256}
    words = ["seeds=2", "eval_episodes=2", *(f"algorithm.{name}={size}" for name, size in sizes.items())]
    with monkeypatch.context() as patch:
        patch.setattr(tables, "append_csv", append_and_interrupt)
        assert main(["train", f"directory={folder}", *words]) == 130
    sentence = f"jaxrl: stopped at iteration 3 of 8, and saved; go on with `jaxrl resume {folder}`."
    assert sentence in capsys.readouterr().err
    assert main(["resume", str(folder), "progress=false"]) == 0
    assert "PPO on CartPole-v1, 2 seeds x 256 steps" in capsys.readouterr().out
    assert len((folder / "metrics.csv").read_text().splitlines()) == 1 + 2 * 8
