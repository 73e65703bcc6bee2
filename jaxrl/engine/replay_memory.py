"""What the replays of a run take, told before anything is allocated."""

from typing import Any

import jax

from jaxrl.algorithm import Algorithm
from jaxrl.memory import size, tree_bytes


def replay_bytes(algorithm: Algorithm[Any]) -> int:
    """Bytes of the replay of one agent; 0 where its state has none. Only shapes are computed."""
    state = jax.eval_shape(algorithm.init, jax.random.key(0))
    return tree_bytes(getattr(state, "replay", None))


def replays_in_words(algorithm: Algorithm[Any], are_saved: bool) -> str:
    """`, each with a replay of 1.5 GiB`, for people; empty where there is none."""
    replay = replay_bytes(algorithm)
    if not replay:
        return ""
    rest = "" if are_saved else ", which checkpoints leave out, so that a resumed run goes on approximately"
    return f", each with a replay of {size(replay)}{rest}"
