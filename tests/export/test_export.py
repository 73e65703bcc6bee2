"""`jaxrl.export_policy` and `jaxrl export`: from a run folder to files that need no jaxrl."""

import re
import subprocess
import sys

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxrl
from jaxrl.cli.main import main
from jaxrl.components.recurrent import RecurrentActorCritic
from jaxrl.export import onnx, stablehlo
from jaxrl.export.greedy import greedy
from jaxrl.export.numpy_file import source_and_weights

TINY = {"num_envs": 2, "num_steps": 4, "total_steps": 32, "hidden_sizes": (3,)}
OBS = np.random.default_rng(0).normal(size=(6, 4)).astype(np.float32)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    directory = tmp_path_factory.mktemp("runs") / "first"
    agent = jaxrl.A2C("CartPole-v1", **TINY)
    jaxrl.run(agent, seeds=3, directory=directory, eval_episodes=4, progress=False)
    return directory


WITHOUT_JAX = """
import sys
sys.modules |= dict.fromkeys(["jax", "jaxlib", "jaxrl", "flax"])  # importing them raises
import numpy as np
import policy
print(policy.act(np.load("obs.npy")).tolist())
"""
WITHOUT_JAXRL = """
import sys
sys.modules |= dict.fromkeys(["jaxrl", "flax", "gymnax"])
import jax, numpy as np
policy = jax.export.deserialize(open("policy.stablehlo", "rb").read())
print(policy.call(np.load("obs.npy")).tolist())
"""


def printed(program, folder):
    """What a process of its own prints that runs `program` in `folder`."""
    command = [sys.executable, "-c", program]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout.strip()


@pytest.mark.parametrize("seed", ["best", 1])
def test_each_file_plays_as_the_saved_policy(folder, tmp_path, seed):
    files = jaxrl.export_policy(folder, tmp_path / "robot", seed)
    assert [file.name for file in files] == ["policy.stablehlo", "policy.py", "policy.npz", "policy.onnx"]
    policy = jaxrl.load_policy(folder, seed)
    action, _ = policy.act(jax.random.key(0), OBS, policy.initial_memory((6,)))

    np.save(tmp_path / "robot" / "obs.npy", OBS)
    assert printed(WITHOUT_JAX, tmp_path / "robot") == str(np.asarray(action).tolist())
    assert printed(WITHOUT_JAXRL, tmp_path / "robot") == str(np.asarray(action).tolist())

    import onnxruntime

    session = onnxruntime.InferenceSession(files[3])
    np.testing.assert_array_equal(session.run(["action"], {"obs": OBS})[0], action)


def test_the_command_line_writes_into_the_run_and_overwrites_nothing(folder, capsys):
    assert main(["export", str(folder), "form=numpy", "seed=2"]) == 0
    out = capsys.readouterr().out
    assert [line.split()[0] for line in out.splitlines()] == [f"{folder}/policy/policy.{end}" for end in ("py", "npz")]
    text = (folder / "policy" / "policy.py").read_text()
    assert text.startswith('"""The greedy policy of A2C on CartPole-v1, seed 2, in numpy alone.')
    assert "obs: float32 [batch, 4]\naction: int32 [batch]\n" in text
    assert main(["export", str(folder)]) == 2
    assert "policy.py' is already there, and nothing is overwritten; choose another folder." in capsys.readouterr().err


def test_the_help_shows_every_setting(capsys):
    assert main(["export", "--help"]) == 0
    text = capsys.readouterr().out
    assert all(word in text for word in ("form=numpy", "seed=", "output=", "batch=", "jaxrl export runs/"))


WRONG = [
    ([], "jaxrl export needs a run folder, as in jaxrl export runs/NAME."),
    (["nowhere"], "'nowhere' holds no run: settings.yaml is missing."),
    (["RUN", "sed=1"], "There is no setting 'sed'; did you mean 'seed'?"),
    (["RUN", "seed=first"], "seed must be a whole number of at least 0 or best, got 'first'."),
    (["RUN", "seed=3"], "The run in 'RUN' has the seeds 0 to 2, got seed 3."),
    (["RUN", "batch=0"], "batch must be a whole number of at least 1, got '0'."),
    (["RUN", "form=torch"], "form must be one of all, stablehlo, numpy, onnx, got 'torch'."),
    (["RUN", "output=RUN/summary.txt"], "'RUN/summary.txt' is a file, not a folder; choose another folder."),
]


@pytest.mark.parametrize(("words", "sentence"), WRONG, ids=[" ".join(words) for words, _ in WRONG])
def test_what_is_wrong_is_said_in_one_sentence(words, sentence, folder, capsys):
    assert main(["export", *(word.replace("RUN", str(folder)) for word in words)]) == 2
    assert capsys.readouterr().err == f"jaxrl: {sentence.replace('RUN', str(folder))}\n"


def test_without_its_converter_onnx_is_left_out_or_asked_for(folder, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(onnx, "is_installed", lambda: False)
    files = jaxrl.export_policy(folder, tmp_path)
    assert [file.name for file in files] == ["policy.stablehlo", "policy.py", "policy.npz"]
    assert main(["export", str(folder), "form=onnx", f"output={tmp_path}"]) == 2
    assert capsys.readouterr().err == (
        "jaxrl: form=onnx needs the converter jax2onnx; install it with pip install 'jaxrl[onnx]'.\n"
    )


def policy_of(agent, **options):
    """With drawn parameters, which takes no time to compile."""
    shapes = jax.eval_shape(lambda key: agent.policy(agent.init(key), **options), jax.random.key(0))
    return jax.tree.map(lambda leaf: np.random.default_rng(0).normal(size=leaf.shape).astype(leaf.dtype), shapes)


def test_a_policy_that_explores_is_refused():
    agent = jaxrl.A2C("CartPole-v1", **TINY)
    with pytest.raises(ValueError, match="Only a policy that draws no random numbers can be exported, and this one"):
        greedy(policy_of(agent, greedy=False), agent.env.observation_space)


class AskingTorso(nn.Module):
    @nn.compact
    def __call__(self, obs):
        rows = obs.reshape(-1, 4)
        return (rows if rows.shape[0] > 3 else 2.0 * rows).reshape(obs.shape)


def test_a_network_that_asks_for_the_size_of_its_batch_is_given_one():
    agent = jaxrl.A2C("CartPole-v1", torso=AskingTorso(), num_envs=4, total_steps=32)
    policy, space = policy_of(agent), agent.env.observation_space
    with pytest.raises(ValueError, match=r"asks for the size of its batch, .*; name one, as in batch=1\."):
        greedy(policy, space)
    loaded = jax.export.deserialize(stablehlo.serialized(greedy(policy, space, batch=6)))
    np.testing.assert_array_equal(loaded.call(OBS), policy.act(jax.random.key(0), OBS)[0])


def test_a_memory_that_does_not_begin_as_zeros_is_for_numpy_alone(monkeypatch):
    monkeypatch.setattr(RecurrentActorCritic, "initial_memory", lambda self, shape: jnp.full((*shape, 8), 0.5))
    agent = jaxrl.RecurrentPPO("CartPole-v1", num_envs=4, total_steps=512, memory_size=8, hidden_sizes=(3,))
    policy = greedy(policy_of(agent), agent.env.observation_space)
    text, _ = source_and_weights(policy, "The policy")
    assert "np.full((batch, 8), 0.5, np.float32)" in text
    for form, serialized in (("stablehlo", stablehlo.serialized), ("onnx", onnx.serialized)):
        with pytest.raises(ValueError, match=f"form={form} needs a policy whose memory begins as zeros"):
            serialized(policy)


def test_observations_of_another_shape_are_refused_in_a_sentence(folder, tmp_path):
    source, weights = source_and_weights(
        greedy(jaxrl.load_policy(folder), jaxrl.make("CartPole-v1").observation_space), ""
    )
    np.savez(tmp_path / "policy.npz", **weights)
    names = {"__file__": str(tmp_path / "policy.py")}
    exec(source, names)
    for obs, given in ((OBS[0], [4]), (OBS[:, :3], [6, 3]), (OBS[None], [1, 6, 4])):
        sentence = f"obs must have the shape [batch, 4], got {given}; one alone is obs[None]."
        with pytest.raises(ValueError, match=re.escape(sentence)):
            names["act"](obs)
    assert names["act"](OBS.astype(np.float64)).dtype == np.int32
