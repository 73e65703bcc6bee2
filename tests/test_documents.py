"""What the documents say is true: the README's Python runs, its commands are accepted, its links lead somewhere."""

import re
import shlex
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

from jaxrl.cli.composition import algorithm_names
from jaxrl.cli.main import main
from jaxrl.envs.registry import GYMNAX_NAMES

ROOT = Path(__file__).parents[1]
DOCUMENTS = ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md")
README = (ROOT / "README.md").read_text(encoding="utf-8")

# The sizes of the README are for an accelerator; each of these must occur in it, so that none is forgotten.
SMALLER = {
    "total_steps=500_000": "total_steps=4_096",
    "total_steps=50_000": "total_steps=512",
    "total_steps=100_000": "total_steps=512",
    "num_envs=64": "num_envs=4, hidden_sizes=(8,)",
    "key(0), 2048)": "key(0), 4)",
    "keys[:256]": "keys[:2]",
    "num_episodes=128": "num_episodes=8",
    "seeds=32, ": "seeds=4, eval_episodes=2, progress=False, ",
    '"total_steps": 20_000': '"total_steps": 512',
    "seeds=4, directory": "seeds=2, eval_episodes=2, progress=False, directory",
    "seeds=16)": "seeds=2, eval_episodes=2, num_reports=2, progress=False)",
    "num_samples=64": "num_samples=3",
    "seeds=4)  # of the study": "seeds=2, eval_episodes=2, num_reports=2, progress=False)",
    "range(4)": "range(2)",
    "range(16)": "range(2)",
    "check_env(env)": "check_env(env, num_steps=300)",
}


def blocks(text, language):
    return re.findall(rf"^```{language}\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)


def test_the_python_of_the_readme_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("JAXRL_CACHE", str(ROOT / ".pytest_cache" / "jax"))
    program = "\n".join(blocks(README, "python"))
    for size, smaller in SMALLER.items():
        assert size in program
        program = program.replace(size, smaller)
    names = {"__name__": "readme"}
    exec(compile(program, "README.md", "exec"), names)
    assert names["grid"].metrics["episode_return"].shape[:2] == (8, 2)
    assert names["episodes"].returns.shape == (8,)
    assert (tmp_path / "runs" / "demo" / "policies.npz").is_file()
    printed = capsys.readouterr().out
    assert "No problems found." in printed
    assert "PPO on CartPole-v1, 4 seeds" in printed


def test_the_environment_of_the_readme_takes_twenty_lines():
    (block,) = [block for block in blocks(README, "python") if "class Corridor" in block]
    body = block.partition("@dataclass")[2].partition("jaxrl.register")[0]
    assert len([line for line in body.splitlines() if line.strip()]) <= 20


def commands():
    found = re.findall(r"^jaxrl train.*$", README.replace("\\\n", ""), flags=re.MULTILINE)
    return [line.partition("  #")[0].strip() for line in found]


@pytest.mark.parametrize("command", commands())
def test_the_commands_of_the_readme_are_accepted(command, capsys):
    words = shlex.split(command)[1:]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        assert main(words if {"--help", "--settings"} & set(words) else [*words, "--settings"]) == 0
    assert capsys.readouterr().out


def test_there_are_commands_in_the_readme():
    assert len(commands()) >= 5


def test_the_readme_names_every_algorithm_and_environment():
    assert not [name for name in (*algorithm_names(), *GYMNAX_NAMES) if f"`{name}`" not in README]


@pytest.mark.parametrize("name", DOCUMENTS)
def test_links_lead_to_something(name):
    text = (ROOT / name).read_text(encoding="utf-8")
    targets = [target for target in re.findall(r"\]\(([^)#]+)\)", text) if "://" not in target]
    assert not [target for target in targets if not (ROOT / target).exists()]


@pytest.mark.parametrize("name", ["ARCHITECTURE.md", "CONTRIBUTING.md"])
def test_files_that_are_named_exist(name):
    """Paths in backquotes, such as `jaxrl/engine/train.py`."""
    text = (ROOT / name).read_text(encoding="utf-8")
    paths = set(re.findall(r"`((?:jaxrl|envs|tests|benchmarks|notebooks|docs)/[\w./]*)`", text))
    assert not [path for path in sorted(paths) if not (ROOT / path).exists()]


def test_the_speeds_of_the_readme_are_those_of_the_results():
    made = subprocess.run([sys.executable, ROOT / "benchmarks/summary.py"], capture_output=True, text=True, check=True)
    assert made.stdout in README
