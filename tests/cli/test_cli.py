import dataclasses
import importlib.util
import re

import jax
import numpy as np
import pytest
import yaml

import jaxrl
from jaxrl.cli.composition import algorithm_names, compose_runs, tuned_environments
from jaxrl.cli.main import main
from jaxrl.cli.train import algorithm_of
from jaxrl.engine.record import label_of
from jaxrl.engine.saved_run import load_runs
from jaxrl.envs.registry import SUITES

TINY = [
    "algorithm=a2c",
    "algorithm.num_envs=2",
    "algorithm.num_steps=4",
    "algorithm.total_steps=32",
    "algorithm.hidden_sizes=[3]",
    "env.max_steps=5",
    "eval_episodes=3",
    "seeds=2",
]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def built(*words):
    (choice,) = compose_runs(words)
    return algorithm_of(choice)


def test_help_shows_every_command_with_an_example(capsys):
    for words in ([], ["--help"], ["help"]):
        assert main(words) == 0
        text = capsys.readouterr().out
        for command in (
            "jaxrl train ",
            "jaxrl evaluate ",
            "jaxrl export ",
            "jaxrl plot ",
            "jaxrl compare ",
            "jaxrl list ",
        ):
            assert command in text


def test_the_version_is_that_of_the_package(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"jaxrl {jaxrl.__version__}\n"


def test_the_help_of_train_lists_every_setting_of_the_algorithm(capsys):
    assert main(["train", "--help", "algorithm=a2c"]) == 0
    text = capsys.readouterr().out
    for field in dataclasses.fields(jaxrl.A2C):
        assert (f"algorithm.{field.name}=" in text) == (field.name not in ("env", "axis"))
    assert re.search(r"algorithm\.num_steps=\d+ +T, the length of a rollout\.", text)
    assert re.search(r"seeds=16 +agents", text)
    assert "jaxrl train env=Acrobot-v1 seeds=4" in text


def test_the_help_of_train_explains_inherited_settings_too(capsys):
    assert main(["train", "--help", "algorithm=rainbow"]) == 0
    text = capsys.readouterr().out
    assert re.search(r"algorithm\.num_updates=\d+ +Gradient steps in each phase of learning\.", text)
    assert re.search(r"algorithm\.dueling=true +Q = V", text)


def test_list_names_algorithms_environments_and_what_is_tuned(capsys):
    assert main(["list"]) == 0
    text = capsys.readouterr().out
    assert re.search(r"  ppo +Proximal policy optimization$", text, re.MULTILINE)
    assert re.search(r"  CartPole-v1 +.*ppo", text)
    for name in (*algorithm_names(), *jaxrl.envs.registry.names()):
        assert f"  {name}" in text


def test_the_bare_command_is_the_main_job():
    (choice,) = compose_runs([])
    assert choice.algorithm == "ppo"
    assert choice.settings["env"] == {"name": "CartPole-v1"}
    assert choice.settings["seeds"] == 16
    assert algorithm_of(choice).total_steps == 150_000


# Those that take no discrete actions.
CONTINUOUS = {"crossq", "d4pg", "ddpg", "mpo", "sac", "td3", "tqc"}


def test_every_algorithm_and_every_tuned_setting_can_be_built():
    for algorithm in algorithm_names():
        env = "Pendulum-v1" if algorithm in CONTINUOUS else "CartPole-v1"
        assert built(f"algorithm={algorithm}", f"env={env}").env == jaxrl.make(env)
        for env in tuned_environments(algorithm):
            (choice,) = compose_runs([f"algorithm={algorithm}", f"env={env}"])
            suite = env.partition("/")[0]
            if suite in SUITES and not importlib.util.find_spec(suite):
                choice.settings["env"] = {"name": "CartPole-v1"}
            algorithm_of(choice)


def test_a_suites_environment_has_tuned_settings_of_its_own(capsys):
    assert "pgx/tic_tac_toe" in tuned_environments("ppo")
    agent = built("env=pgx/tic_tac_toe")
    assert agent.total_steps == 1_000_000
    assert label_of(agent) == "PPO on pgx/tic_tac_toe"
    assert main(["list"]) == 0
    assert re.search(r"^  pgx/tic_tac_toe +ppo$", capsys.readouterr().out, re.MULTILINE)


def test_tuned_settings_hold_for_their_environment_alone():
    default = jaxrl.PPO("Acrobot-v1").total_steps
    assert built("env=CartPole-v1").total_steps == 150_000 != default
    assert built("env=Probe/ActionReward-v0").total_steps == default


def test_what_stands_on_the_command_line_wins():
    agent = built(
        "env=CartPole-v1",
        "algorithm.total_steps=1e3",
        "algorithm.learning_rate=3e-3",
        "+algorithm.hidden_sizes=[8,4]",
        "algorithm.target_kl=null",
        "env.max_steps=200",
        "env.gravity=5",
    )
    expected = jaxrl.PPO(
        jaxrl.make("CartPole-v1", max_steps=200, gravity=5.0),
        total_steps=1_000,
        learning_rate=3e-3,
        hidden_sizes=(8, 4),
    )
    assert agent == expected


def test_any_environment_that_make_knows_is_accepted_without_a_file():
    for name in jaxrl.envs.registry.names()[::6]:
        (choice,) = compose_runs([f"env={name}"])
        assert choice.settings["env"]["name"] == name


def test_commas_make_several_runs():
    choices = compose_runs(["algorithm=ppo,a2c", "algorithm.learning_rate=1e-3,1e-2", "algorithm.hidden_sizes=[8,8]"])
    assert [choice.varied for choice in choices] == [
        {"algorithm": "ppo", "algorithm.learning_rate": 0.001},
        {"algorithm": "ppo", "algorithm.learning_rate": 0.01},
        {"algorithm": "a2c", "algorithm.learning_rate": 0.001},
        {"algorithm": "a2c", "algorithm.learning_rate": 0.01},
    ]
    agents = [algorithm_of(choice) for choice in choices]
    assert [type(agent).__name__ for agent in agents] == ["PPO", "PPO", "A2C", "A2C"]
    np.testing.assert_allclose([agent.learning_rate for agent in agents], [1e-3, 1e-2] * 2)
    assert {agent.hidden_sizes for agent in agents} == {(8, 8)}


def test_settings_can_be_seen_without_a_run(capsys, tmp_path):
    assert main(["train", "--settings", "env=Acrobot-v1", "env.max_steps=9"]) == 0
    settings = yaml.safe_load(capsys.readouterr().out)
    assert settings["env"] == {"name": "Acrobot-v1", "max_steps": 9}
    assert list(tmp_path.iterdir()) == []


def test_train_then_evaluate(capsys, tmp_path):
    assert main(["train", *TINY, "directory=runs/first", "progress=false"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert out.startswith("A2C on CartPole-v1, 2 seeds x 32 steps")
    assert "folder     runs/first" in out
    assert [path.name for path in tmp_path.iterdir()] == ["runs"]  # nothing of Hydra's lies about
    assert len(list((tmp_path / "runs" / "first").iterdir())) == 6

    assert main(["evaluate", "runs/first", "episodes=4", "seed=3"]) == 0
    out = capsys.readouterr().out
    assert "mean of 2 seeds and its 95 % bootstrap interval; 4 greedy episodes each" in out
    assert 1.0 <= float(out.split()[1]) <= 5.0  # the time limit of the saved environment holds

    path = tmp_path / "runs" / "first" / "policies.npz"
    with np.load(path) as file:
        policies = dict(file)
    for array in policies.values():
        array[1] = np.nan
    np.savez(path, **policies)
    assert main(["evaluate", "runs/first", "episodes=4"]) == 0
    out = capsys.readouterr().out
    assert "one seed has no interval" in out
    assert "NaN or infinity in the policy of seed 1; left out of the return" in out

    assert main(["train", *TINY, "directory=runs/first"]) == 2
    assert "'runs/first' already holds a run (settings.yaml), and nothing is overwritten" in capsys.readouterr().err


def test_numbers_are_one_program_and_what_shapes_it_another(capsys, tmp_path):
    words = ["algorithm.learning_rate=1e-3,1e-2", "algorithm.hidden_sizes=[4],[5]", "directory=runs/sweep"]
    assert main(["train", *TINY, *words]) == 0
    out, err = capsys.readouterr()
    folder = tmp_path / "runs" / "sweep"
    names = ["algorithm.hidden_sizes=[4]", "algorithm.hidden_sizes=[5]"]
    assert sorted(path.name for path in folder.iterdir()) == [*names, "programs.yaml", "sweep.csv"]
    assert "[2/2] algorithm.hidden_sizes=[5]" in err
    assert "4 settings in 2 programs" in out
    assert re.search(r"^ +1 +0\.001 +\d+\.\d+ \[", out, re.MULTILINE)
    assert len((folder / "sweep.csv").read_text().splitlines()) == 5
    for command in ("compare", "plot"):
        assert main([command, str(folder), *(["output=curves.svg"] if command == "plot" else [])]) == 0
    assert "algorithm.hidden_sizes=[4] learning_rate=0.01" in capsys.readouterr().out


def test_environments_of_other_packages_can_be_alternatives():
    choices = compose_runs(["env=pgx/connect_four,gymnasium/CartPole-v1,Acrobot-v1"])
    names = [choice.settings["env"]["name"] for choice in choices]
    assert names == ["pgx/connect_four", "gymnasium/CartPole-v1", "Acrobot-v1"]


def test_cores_that_are_asked_for_too_late_are_refused(monkeypatch, capsys):
    assert jax.device_count() == 8  # now it is too late
    monkeypatch.delenv("XLA_FLAGS")
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(99)), raising=False)
    with pytest.raises(RuntimeError, match="must come before anything asks JAX for a device, and JAX has 8 already"):
        jaxrl.use_all_cores()
    assert main(["train", *TINY]) == 2
    assert "or set JAX_NUM_CPU_DEVICES=99 before Python starts." in capsys.readouterr().err


def test_intervals_are_drawn():
    words = ["algorithm.learning_rate=tag(log,interval(1e-5,1e-1))", "algorithm.discount=interval(0.5,1)", "seeds=1,2"]
    choices = compose_runs([*words, "num_samples=50"])
    assert [choice.settings["seeds"] for choice in choices] == [1] * 50 + [2] * 50
    rates, discounts = (
        np.array([choice.varied[f"algorithm.{name}"] for choice in choices[:50]])
        for name in ("learning_rate", "discount")
    )
    assert 1e-5 < rates.min() < 1e-4 < 1e-2 < rates.max() < 1e-1
    assert 0.5 < discounts.min() < 0.6 < 0.9 < discounts.max() < 1
    assert float(algorithm_of(choices[3]).learning_rate) == pytest.approx(rates[3])


def test_a_search_changes_the_settings_of_a_sweep_within_its_bounds(capsys, tmp_path):
    words = ["algorithm.learning_rate=tag(log,interval(1e-4,1e-3))", "num_samples=4", "seeds=1", "num_reports=4"]
    search = ["search=pbt", "search.every=1,2", "search.fraction=0.5", "search.factors=[0.1,10]"]
    assert main(["train", *TINY, *words, *search, "progress=false", "directory=runs"]) == 0, capsys.readouterr().err
    for every in (1, 2):
        runs = load_runs(tmp_path / "runs" / f"search.every={every}")
        rates = np.concatenate([run.metrics["learning_rate"] for run in runs])
        changed = [not np.array_equal(rates[:, report], rates[:, report - 1]) for report in range(1, 4)]
        assert changed.index(True) + 1 == every
        np.testing.assert_allclose([rates.min(), rates.max()], [1e-4, 1e-3], rtol=1e-6)  # the interval's ends
    assert (
        "These are the settings that agents began with; metrics.csv has those they came to." in capsys.readouterr().out
    )


def test_a_run_without_a_name_gets_one(tmp_path, monkeypatch):
    monkeypatch.setattr("jaxrl.cli.train.time.strftime", lambda _: "20250101-120000")
    for _ in range(2):
        assert main(["train", *TINY, "progress=false", "eval_episodes=0"]) == 0
    folders = {path.name for path in (tmp_path / "runs").iterdir()}
    assert folders == {"a2c-CartPole-v1-20250101-120000", "a2c-CartPole-v1-20250101-120000-2"}


def test_what_does_not_fit_is_refused_with_the_numbers_and_leaves_no_folder(capsys, tmp_path):
    assert main(["train", *TINY, "max_memory=0", "directory=runs/large"]) == 2
    assert "of state and 0 B to train it, and there is room for 0 B; lower" in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()


RATES = ["algorithm.learning_rate=1e-3,1e-2"]
WRONG = [
    (["trian"], "There is no command 'trian'; did you mean 'train'?"),
    (["train", "--fast"], "There is no option '--fast'; see jaxrl train --help."),
    (["train", "CartPole-v1"], "'CartPole-v1' cannot be read; a setting is written name=value, as in"),
    (["train", "directory=a=b"], "'directory=a=b' cannot be read; a setting is written name=value, as in"),
    (["train", "~env"], "'~env' cannot be read; a setting is changed by name=value, and none is deleted."),
    (
        ["train", "num_samples=3"],
        "num_samples is for settings that are given as interval(low,high), and there is none.",
    ),
    (["train", "algorithm.discount=interval(0,1)"], "algorithm.discount is drawn from a distribution, which needs"),
    (["train", "algorithm.learning_rat=1e-3,1e-2"], "PPO has no setting 'learning_rat'; did you mean 'learning_rate'?"),
    (["train", "search=ptb"], "There is no search 'ptb'; use search=halving or search=pbt."),
    (["train", "search.every=2"], "'search.every' is a setting of a search; name one before it: search=halving or"),
    (["train", "search=pbt"], "A search chooses among settings that differ in numbers, and one of the programs has a"),
    (["train", "search=pbt", "search.evry=2", *RATES], "PBT has no setting 'evry'; did you mean 'every'?"),
    (["train", "search=pbt", "search.every=0", *RATES], "PBT.every must be a whole number of at least 1, got 0."),
    (["train", "seeds=interval(0,1)"], "'seeds=interval(0,1)' cannot be spread over runs ("),
    (["train", "algorithm=poo"], "There is no algorithm 'poo'; did you mean 'ppo'?"),
    (["train", "algorithm=xyz"], "There is no algorithm 'xyz'; see jaxrl list."),
    (["train", "env=CartPol-v1"], "There is no environment 'CartPol-v1'; did you mean 'CartPole-v1'?"),
    (["train", "sedes=3"], "There is no setting 'sedes'; did you mean 'seeds'?"),
    (["train", "learning_rate=1e-3"], "There is no setting 'learning_rate'; did you mean 'algorithm.learning_rate'?"),
    (["train", "hydra.run.dir=x"], "There is no setting 'hydra.run.dir'; choose one of: algorithm, "),
    (["train", "algorithm.learnin_rate=1"], "PPO has no setting 'learnin_rate'; did you mean 'learning_rate'?"),
    (["train", "algorithm.learning_rate=fast"], "PPO.learning_rate must be a number, got 'fast' (str)."),
    (["train", "algorithm.num_envs=2.5"], "PPO.num_envs must be of type int, got 2.5 (float)."),
    (["train", "algorithm.hidden_sizes=[a]"], "PPO.hidden_sizes must hold values of type int, got 'a' (str)."),
    (["train", "algorithm.discount=2"], "PPO.discount must be at most 1, got 2."),
    (["train", "algorithm.env=Acrobot-v1"], "PPO has no setting 'env'; did you mean"),
    (
        ["train", "algorithm.torso={_target_:os.system}"],
        "'os.system' is no dataclass, and only dataclasses can be built",
    ),
    (["train", "algorithm._target_=os.system"], "'os.system' is no dataclass, and only dataclasses can be built"),
    (["train", "env.max_step=3"], "CartPole-v1 has no setting 'max_step'; did you mean 'max_steps'?"),
    (["train", "env.gravity=high"], "CartPole-v1: gravity must be a number, got 'high'."),
    (["train", "seeds=0"], "seeds must be a whole number of at least 1, got 0."),
    (["train", "seeds=many"], "seeds must be a whole number of at least 1, got 'many'."),
    (["train", "seed=1.5"], "seed must be a whole number or a JAX key, got 1.5."),
    (["train", "devices=99"], "devices=99 was asked for, and JAX sees 8 (cpu)."),
    (
        ["train", "devices=3", "devices_per_agent=2"],
        "devices must be a multiple of devices_per_agent, got 3 and 2.",
    ),
    (["train", "directory=[a]"], "directory must be the name of a folder, got ['a']."),
    (["train", "algorithm=a2c,ppo", "algorithm.num_epochs=2"], "A2C has no setting 'num_epochs'"),
    (["evaluate"], "jaxrl evaluate needs a run folder, as in jaxrl evaluate runs/NAME."),
    (["evaluate", "nowhere"], "'nowhere' holds no run: settings.yaml is missing."),
    (["evaluate", "nowhere", "episode=3"], "There is no setting 'episode'; did you mean 'episodes'?"),
    (["evaluate", "nowhere", "episodes=0"], "episodes must be a whole number of at least 1, got '0'."),
    (["list", "all"], "jaxrl list takes no settings, got 'all'."),
]


@pytest.mark.parametrize(("words", "sentence"), WRONG, ids=[" ".join(words) for words, _ in WRONG])
def test_what_is_wrong_is_said_in_one_sentence_with_status_2(words, sentence, capsys, tmp_path):
    assert main(words) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"jaxrl: {sentence}")
    assert err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []
