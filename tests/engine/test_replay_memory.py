"""A replay says how large it is before it is built."""

import jax
import pytest

import jaxrl
from jaxrl.algorithms.value_based.dqn import DQN
from jaxrl.engine.replay_memory import replay_bytes, replays_in_words
from jaxrl.memory import size


def test_the_size_told_is_the_size_built() -> None:
    dqn = DQN(jaxrl.make("CartPole-v1"), num_envs=4, num_steps=2, replay_capacity=800, prioritized=True)
    state = dqn.init(jax.random.key(0))
    assert replay_bytes(dqn) == sum(leaf.nbytes for leaf in jax.tree.leaves(state.replay))
    assert replay_bytes(jaxrl.PPO(jaxrl.make("CartPole-v1"))) == 0


def test_a_run_says_how_large_its_replays_are(capsys: pytest.CaptureFixture[str]) -> None:
    dqn = DQN(jaxrl.make("CartPole-v1"), replay_capacity=1_000_000)
    assert replays_in_words(dqn, True) == ", each with a replay of 40.1 MiB"
    with pytest.raises(
        ValueError, match=r"One agent on each of 8 devices takes 321\.0 MiB of state .* room for 32\.0 MiB"
    ):
        jaxrl.run(dqn, seeds=100_000, max_memory=1 / 32)
    assert "for 100,000 seeds, each with a replay of 40.1 MiB ..." in capsys.readouterr().err


@pytest.mark.parametrize(
    ("number", "shown"), [(0, "0 B"), (1023, "1023 B"), (2048, "2.0 KiB"), (3 * 2**40, "3,072.0 GiB")]
)
def test_sizes_for_people(number: int, shown: str) -> None:
    assert size(number) == shown
