"""Training programs do not grow unnoticed; no clock is read, so this holds on any machine."""

import json

import jax
import jax.numpy as jnp
import program_counts
import pytest

STORED = json.loads(program_counts.FILE.read_text(encoding="utf-8"))
SLACK = {"kernels in loops": 1.1, "temporary bytes": 1.1}
"""Another version of XLA, or another processor, fuses a little otherwise."""


@pytest.mark.parametrize("name", program_counts.PROGRAMS)
def test_no_program_has_grown(name: str) -> None:
    for what, found in program_counts.counts(name).items():
        stored = STORED[name][what]
        assert found <= stored * SLACK.get(what, 1), (
            f"The {what} of {name} have grown from {stored} to {found}; make them fewer, or, if the change is worth "
            "it, write program_counts.json anew: python tests/engine/program_counts.py"
        )


def test_every_count_sees_what_it_counts() -> None:
    key = jax.random.key(0)

    def body(carry: jax.Array, index: jax.Array) -> tuple[jax.Array, jax.Array]:
        jax.debug.callback(lambda value: None, carry[0])
        shuffled = jax.random.normal(jax.random.fold_in(key, index), (8,)) + carry
        return jnp.sort(shuffled).at[index].add(1.0), shuffled.sum()

    traced = jax.jit(lambda start: jax.lax.scan(body, start, jnp.arange(5))).trace(jnp.zeros(8))
    found = program_counts.counted(traced)
    assert found.pop("kernels in loops") > 3
    assert found.pop("temporary bytes") > 0
    wanted = {"sorts in loops": 1, "scatters in loops": 1, "random draws in loops": 2, "host transfers": 1}
    assert found == wanted
