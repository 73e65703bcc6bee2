"""The type checker sees what a user would get wrong: the settings of an algorithm, and the contract."""

import os
import re
from pathlib import Path

from mypy import api

ROOT = Path(__file__).parents[2]

PROGRAM = """
from typing import Any

import jax

import jaxrl
from jaxrl.engine.train import train
from jaxrl.pytree import dataclass, static

env = jaxrl.make("CartPole-v1")
good: jaxrl.Algorithm[Any] = jaxrl.PPO(env, num_envs=4, learning_rate=1e-3)
train(good, jax.random.key(0), num_reports=3)

jaxrl.PPO(env, learnin_rate=1e-3)  # misspelt
jaxrl.PPO(env, num_envs="four")  # wrong type
jaxrl.A2C(env, num_epochs=4)  # another algorithm's
jaxrl.PPO()  # missing


@dataclass
class Broken:
    env: Any
    total_steps: int = static(10)
    steps_per_iteration: int = static(1)

    def init(self, key: jax.Array) -> int:
        return 0

    def step(self, state: int, key: jax.Array) -> int:
        return 0


train(Broken(env), jax.random.key(0))  # no policy, and a step of its own making
jaxrl.run(good, seds=3)  # misspelt
good.total_steps = 3  # frozen
"""


def test_mistakes_are_found_and_nothing_else(tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)  # where the settings of mypy and its cache are
    (tmp_path / "program.py").write_text(PROGRAM)
    cache = os.environ.get("MYPY_CACHE_DIR", ".mypy_cache")
    out, err, _ = api.run(["--cache-dir", cache, "--no-error-summary", str(tmp_path / "program.py")])
    assert err == ""
    reported = re.findall(r"program\.py:(\d+): error: (.*)", out)
    lines = PROGRAM.splitlines()
    wrong = [number for number, line in enumerate(lines, 1) if "  # " in line]
    assert sorted({int(number) for number, _ in reported}) == wrong, out
    assert any('"learnin_rate"' in message for _, message in reported)
    assert "note:     policy" in out  # the missing member is named
