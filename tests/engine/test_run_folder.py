import os
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxrl
from jaxrl.engine.run_folder import check_new, create, leaf_names, read_policies, write_policies

FEW = {"num_envs": 2, "num_steps": 4, "total_steps": 16, "num_minibatches": 1, "num_epochs": 1, "hidden_sizes": (3,)}


@pytest.fixture(scope="module")
def algorithm():
    return jaxrl.PPO("CartPole-v1", **FEW, normalize_observations=True)


@pytest.fixture(scope="module")
def original(algorithm, tmp_path_factory):
    """The folder of a run without its training: what matters here are the files."""
    from jaxrl.engine.results import open_folder

    folder = open_folder(tmp_path_factory.mktemp("runs") / "ppo", [algorithm], {"seeds": 2})
    states = jax.vmap(algorithm.init)(jax.random.split(jax.random.key(0), 2))
    write_policies(folder, jax.device_get(jax.vmap(algorithm.policy)(states)))
    (folder / "evaluation.csv").write_text("seed,episode,return\n0,0,3\n0,1,4\n1,0,nan\n1,1,9\n")
    return folder


@pytest.fixture
def folder(original, tmp_path):
    return shutil.copytree(original, tmp_path / "run")


def test_the_whole_algorithm_comes_back_from_its_settings(folder, algorithm):
    from jaxrl.engine.load import load_algorithm

    loaded = load_algorithm(folder)
    assert loaded == algorithm
    assert loaded.env == algorithm.env


def test_a_loaded_policy_acts(folder):
    policy = jaxrl.load_policy(folder, 1)
    action, memory = policy.act(jax.random.key(0), jnp.ones((5, 4)), policy.initial_memory((5,)))
    assert action.shape == (5,)
    assert memory == ()


def test_the_seeds_have_policies_of_their_own(folder):
    first, second = (jax.tree.leaves(jaxrl.load_policy(folder, seed)) for seed in (0, 1))
    assert any(not np.array_equal(a, b) for a, b in zip(first, second, strict=True))


def test_the_best_seed_is_one_with_a_return(folder):
    best, first = jaxrl.load_policy(folder, "best"), jaxrl.load_policy(folder, 0)
    jax.tree.map(np.testing.assert_array_equal, best, first)


def test_an_algorithm_can_be_given_in_place_of_the_saved_one(folder, algorithm):
    (folder / "settings.yaml").unlink()
    greedy, sampling = (jaxrl.load_policy(folder, 0, algorithm=algorithm, greedy=greedy) for greedy in (True, False))
    assert greedy.greedy
    assert not sampling.greedy
    jax.tree.map(np.testing.assert_array_equal, greedy.params, sampling.params)


def test_policies_of_any_dtype_come_back_bit_for_bit(tmp_path):
    policy = {"a": [jnp.arange(4, dtype=jnp.bfloat16).reshape(2, 2) / 3, jnp.ones((2,), bool)], "b": jnp.uint8([1, 2])}
    write_policies(tmp_path, jax.device_get(policy))
    template = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape[1:], leaf.dtype), policy)
    loaded = read_policies(tmp_path, template)
    jax.tree.map(np.testing.assert_array_equal, loaded, jax.device_get(policy))
    assert jax.tree.map(lambda leaf: leaf.dtype, loaded) == jax.tree.map(lambda leaf: leaf.dtype, policy)
    assert leaf_names(policy) == ["a/0", "a/1", "b"]


def test_the_policies_are_plain_arrays(folder):
    with np.load(folder / "policies.npz", allow_pickle=False) as file:
        assert all(file[name].shape[0] == 2 and file[name].dtype.kind in "fiub" for name in file.files)


def change(name, old, new):
    def act(folder):
        path = folder / name
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))

    return act


def cut(name):
    def act(folder):
        path = folder / name
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])

    return act


DAMAGES = [
    (lambda folder: shutil.rmtree(folder), 0, r"holds no run: settings\.yaml is missing"),
    (lambda folder: (folder / "settings.yaml").unlink(), 0, r"holds no run: settings\.yaml is missing"),
    (lambda folder: (folder / "settings.yaml").write_text(""), 0, "is damaged: it names no algorithm"),
    (lambda folder: (folder / "settings.yaml").write_text("algorithm: [a"), 0, "is damaged and cannot be read"),
    (lambda folder: (folder / "settings.yaml").write_bytes(b"\xff\xfe\x00"), 0, "is damaged and cannot be read"),
    (change("settings.yaml", "num_envs:", "num_env:"), 0, "no setting 'num_env'; did you mean 'num_envs'"),
    (change("settings.yaml", "discount: 0.99", "discount: high"), 0, "PPO.discount must be a number, got 'high'"),
    (change("settings.yaml", "ppo.PPO", "ppo.PPX"), 0, r"'jaxrl\..*PPX' cannot be imported"),
    (
        change("settings.yaml", "jaxrl.algorithms.policy_gradient.ppo.PPO", "os.system"),
        0,
        "'os.system' is no dataclass",
    ),
    (change("settings.yaml", "- 3", "- 5"), 0, "does not fit the algorithm: .* was the network another one"),
    (change("settings.yaml", "- 3", "- 3\n  - 3"), 0, "does not fit the algorithm: .* was the network another one"),
    (
        lambda folder: (folder / "policies.npz").unlink(),
        0,
        r"policies\.npz' is missing: the run did not come to its end",
    ),
    (lambda folder: (folder / "policies.npz").write_bytes(b""), 0, r"policies\.npz' is damaged and cannot be read"),
    (
        lambda folder: (folder / "policies.npz").write_bytes(b"x" * 99),
        0,
        r"policies\.npz' is damaged and cannot be read",
    ),
    (cut("policies.npz"), 0, r"policies\.npz' is damaged and cannot be read"),
    (
        lambda folder: (folder / "evaluation.csv").unlink(),
        "best",
        r"evaluation\.csv' is missing: the run was not evaluated",
    ),
    (lambda folder: (folder / "evaluation.csv").write_text("a,b\n1,2\n"), "best", r"evaluation\.csv' is damaged"),
    (lambda folder: (folder / "evaluation.csv").write_text("seed,return\n"), "best", "has no evaluated seed"),
    (lambda folder: None, 2, "has the seeds 0 to 1, got seed 2"),
    (lambda folder: None, -1, "has the seeds 0 to 1, got seed -1"),
    (lambda folder: None, "worst", "seed must be a number or 'best', got 'worst'"),
]


@pytest.mark.parametrize(("damage", "seed", "sentence"), DAMAGES, ids=range(len(DAMAGES)))
def test_a_damaged_run_is_reported_in_a_sentence(folder, damage, seed, sentence):
    damage(folder)
    with pytest.raises((OSError, ValueError, TypeError, IndexError), match=sentence) as raised:
        jaxrl.load_policy(folder, seed)
    assert "\n" not in str(raised.value)


def test_a_file_is_no_run(folder):
    with pytest.raises(FileNotFoundError, match="is a file; name the folder of a run"):
        jaxrl.load_policy(folder / "policies.npz")


def test_what_no_file_can_name_asks_for_the_algorithm(tmp_path):
    from jaxrl.engine.results import open_folder

    class Local(type(jaxrl.make("CartPole-v1"))):  # inside a function: no other program can import it
        pass

    env = jaxrl.make("CartPole-v1")
    local = Local(env.rules, env.params, env.observation_space, env.action_space)
    folder = open_folder(tmp_path / "run", [jaxrl.PPO(local, **FEW)], {})
    with pytest.raises(TypeError, match="pass algorithm=, the one that was trained"):
        jaxrl.load_policy(folder)


def test_a_folder_is_made_with_its_parents(tmp_path):
    assert create(tmp_path / "a" / "b") == tmp_path / "a" / "b"
    assert (tmp_path / "a" / "b" / "settings.yaml").exists()


@pytest.mark.parametrize("name", ["settings.yaml", "metrics.csv", "policies.npz"])
def test_a_run_is_never_overwritten(tmp_path, name):
    (tmp_path / name).write_text("precious")
    with pytest.raises(FileExistsError, match=rf"already holds a run \({name}\), and nothing is overwritten"):
        create(tmp_path)
    assert (tmp_path / name).read_text() == "precious"


def test_a_folder_with_other_files_may_become_a_run(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    create(tmp_path)
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_a_file_in_the_way_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file", tmp_path / "file" / "run"):
        with pytest.raises(NotADirectoryError, match=r"file' is a file, not a directory; choose another directory"):
            create(path)


def test_what_cannot_be_written_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda *_: False)  # the tests may run as root, who may write everywhere
    with pytest.raises(PermissionError, match="cannot be written; choose another directory"):
        check_new(tmp_path / "run")
    monkeypatch.undo()
    with pytest.raises(OSError, match=r"'/proc/run' cannot be written \(.*\); choose another directory"):
        create("/proc/run")
