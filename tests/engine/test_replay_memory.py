"""A replay says how large it is before it is built, and the replays of all seeds must fit."""

import jax
import pytest

import jaxrl
from jaxrl.algorithms.value_based.dqn import DQN
from jaxrl.engine.replay_memory import check_replays, replay_bytes
from jaxrl.memory import size


def test_the_size_told_is_the_size_built() -> None:
    dqn = DQN(jaxrl.make("CartPole-v1"), num_envs=4, num_steps=2, replay_capacity=800, prioritized=True)
    state = dqn.init(jax.random.key(0))
    assert replay_bytes(dqn) == sum(leaf.nbytes for leaf in jax.tree.leaves(state.replay))
    assert replay_bytes(jaxrl.PPO(jaxrl.make("CartPole-v1"))) == 0


def test_replays_that_do_not_fit_together_are_refused_before_anything_is_built() -> None:
    dqn = DQN(jaxrl.make("CartPole-v1"), replay_capacity=1_000_000)
    check_replays(dqn, seeds=1, devices=None)
    with pytest.raises(ValueError, match=r"The replays of 100000 seeds take 100000 \* 40.1 MiB = 3,911.6 GiB, .*lower"):
        jaxrl.run(dqn, seeds=100_000)


@pytest.mark.parametrize(
    ("number", "shown"), [(0, "0 B"), (1023, "1023 B"), (2048, "2.0 KiB"), (3 * 2**40, "3,072.0 GiB")]
)
def test_sizes_for_people(number: int, shown: str) -> None:
    assert size(number) == shown
