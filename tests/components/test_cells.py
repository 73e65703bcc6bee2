"""The gradient through time of a cell, beside JAX's own of a loop over the steps."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrl.components.cells import gru, lstm, output, over_time

T, N, H = 9, 3, 5
CELLS = {"gru": (gru, 3), "lstm": (lstm, 4)}


def by_loop(cell, kernel, bias, inputs, first, memory):
    """What `over_time` does, step by step."""
    memories = []
    for step in range(T):
        memory = jax.tree.map(lambda leaf, step=step: leaf * (1.0 - first[step][:, None]), memory)
        recurrent = output(memory) @ kernel
        memory = cell(inputs[step], recurrent + jnp.broadcast_to(bias, recurrent.shape), memory)
        memories.append(memory)
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *memories)


def arguments(core):
    """(kernel, bias, inputs, memory), and the weights of a sum over memories."""
    cell, gates = CELLS[core]
    random = np.random.default_rng(0)

    def drawn(*shape):
        return jnp.float32(random.normal(size=shape))

    memory = drawn(N, H) if cell is gru else (drawn(N, H), drawn(N, H))
    weights = jax.tree.map(lambda leaf: drawn(T, *leaf.shape), memory)
    return (drawn(H, gates * H), drawn(gates * H), drawn(T, N, gates * H), memory), weights


def total(run, core, first, weights):
    """(kernel, bias, inputs, memory) -> a sum of all memories that `run` gives."""

    def weighed(kernel, bias, inputs, memory):
        memories = run(CELLS[core][0], kernel, bias, inputs, first, memory)
        return sum(jax.tree.leaves(jax.tree.map(lambda leaf, weight: (leaf * weight).sum(), memories, weights)))

    return weighed


def assert_near(found, expected):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4), found, expected)


FIRSTS = {
    "one episode": jnp.zeros((T, N), bool),
    "starts": jax.random.bernoulli(jax.random.key(2), 0.3, (T, N)),
    "a start at once": jnp.zeros((T, N), bool).at[0].set(True),
}


@pytest.mark.parametrize("first", FIRSTS.values(), ids=FIRSTS)
@pytest.mark.parametrize("core", CELLS)
def test_memories_and_all_gradients_are_those_of_a_loop(core, first):
    args, weights = arguments(core)
    *products, memory = args
    memories = (
        jax.jit(run, static_argnums=0)(CELLS[core][0], *products, first, memory) for run in (over_time, by_loop)
    )
    assert_near(*memories)  # where no gradient is asked for
    of_ours, of_loop = (
        jax.jit(jax.value_and_grad(total(run, core, first, weights), argnums=(0, 1, 2, 3)))(*args)
        for run in (over_time, by_loop)
    )
    assert_near(of_ours, of_loop)


@pytest.mark.parametrize("core", CELLS)
def test_agents_of_a_population_have_gradients_of_their_own(core):
    args, weights = arguments(core)
    gradient = jax.grad(total(over_time, core, FIRSTS["starts"], weights), argnums=(0, 3))
    scales = jnp.array([0.5, 1.0])
    together = jax.jit(jax.vmap(lambda scale: gradient(scale * args[0], *args[1:])))(scales)
    for agent, scale in enumerate(scales):
        assert_near(jax.tree.map(lambda leaf, agent=agent: leaf[agent], together), gradient(scale * args[0], *args[1:]))


def test_gradients_of_gradients():
    args, weights = arguments("gru")

    def penalty(kernel, run):
        by_inputs = jax.grad(total(run, "gru", FIRSTS["starts"], weights), argnums=2)(kernel, *args[1:])
        return jnp.square(by_inputs).sum()

    found, expected = (jax.jit(jax.grad(penalty), static_argnums=1)(0.3 * args[0], run) for run in (over_time, by_loop))
    assert_near(found, expected)


@pytest.mark.parametrize("core", CELLS)
def test_no_step_adds_up_the_gradient_of_the_kernel(core):
    """The scan backward carries a memory; a matrix in it would cost more than all the rest."""
    args, weights = arguments(core)
    gradient = jax.grad(total(over_time, core, FIRSTS["starts"], weights), argnums=0)
    scans = [each for each in jax.make_jaxpr(gradient)(*args).eqns if each.primitive.name == "scan"]
    carried = [var.aval.shape for each in scans for var in each.outvars[: each.params["num_carry"]]]
    assert carried
    assert set(carried) == {(N, H)}
