"""The recurrent network against flax's cells, and its run over time against acting step by step."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrl.components.initializers import init_network
from jaxrl.components.networks import MLP
from jaxrl.components.recurrent import RecurrentActorCritic

T, N, SIZE = 12, 3, 8
OBS = jax.random.normal(jax.random.key(1), (T, N, 4))
FIRST = jax.random.bernoulli(jax.random.key(2), 0.3, (T, N))
NEVER = jnp.zeros((T, N), bool)


def build(core):
    network = RecurrentActorCritic(MLP((6,)), num_outputs=3, num_free=2, core=core, hidden_size=SIZE)
    shapes = jax.eval_shape(network.init, jax.random.key(0), OBS, FIRST, network.initial_memory((N,)))
    random = np.random.default_rng(0)  # sizes at which differences do not drown
    return network, jax.tree.map(lambda leaf: jnp.float32(random.normal(size=leaf.shape) / 2), shapes)


def act(network, params, memory, first):
    """Step by step, as in a rollout; the caller resets the memory."""
    step = jax.jit(lambda obs, memory: network.apply(params, obs, memory, method="step"))
    outputs, values, memories = [], [], []
    for t in range(T):
        fresh = network.initial_memory((N,))
        memory = jax.tree.map(lambda new, old, t=t: jnp.where(first[t][:, None], new, old), fresh, memory)
        (output, _), value, memory = step(OBS[t], memory)
        outputs.append(output)
        values.append(value)
        memories.append(memory)
    return jnp.stack(outputs), jnp.stack(values), memories


@pytest.mark.parametrize("core", ["gru", "lstm"])
def test_running_over_time_reproduces_acting(core):
    """To the last digits, so that the first ratio of an update is 1; without the reset it is far off."""
    network, params = build(core)
    memory = jax.tree.map(lambda leaf: leaf + 0.5, network.initial_memory((N,)))  # from the rollout before
    outputs, values, memories = act(network, params, memory, FIRST)
    (rerun, free), rerun_values, last = jax.jit(network.apply)(params, OBS, FIRST, memory)
    np.testing.assert_allclose(rerun, outputs, atol=1e-6)
    np.testing.assert_allclose(rerun_values, values, atol=1e-6)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), last, memories[-1])
    assert free.shape == (2,)
    (unreset, _), _, _ = network.apply(params, OBS, NEVER, memory)
    assert jnp.abs(unreset - outputs).max() > 0.05


@pytest.mark.parametrize("core", ["gru", "lstm"])
def test_nothing_passes_the_start_of_an_episode(core):
    network, params = build(core)
    first = NEVER.at[5].set(True)

    def later_values(obs, memory):
        return network.apply(params, obs, first, memory)[1][5:].sum()

    of_obs, of_memory = jax.grad(later_values, (0, 1))(OBS, network.initial_memory((N,)))
    np.testing.assert_array_equal(of_obs[:5], 0.0)
    assert jnp.all(jnp.abs(of_obs[5:]).max(axis=(1, 2)) > 0)
    jax.tree.map(lambda leaf: np.testing.assert_array_equal(leaf, 0.0), of_memory)


def test_the_gru_is_that_of_flax():
    network, params = build("gru")
    weights = params["params"]
    inputs, recurrent = weights["input_layer"], np.split(weights["recurrent_kernel"], 3, axis=1)
    names = ("r", "z", "n")
    cell = {f"h{name}": {"kernel": kernel} for name, kernel in zip(names, recurrent, strict=True)}
    for name, kernel, bias in zip(
        names, np.split(inputs["kernel"], 3, axis=1), np.split(inputs["bias"], 3), strict=True
    ):
        cell[f"i{name}"] = {"kernel": kernel, "bias": bias}
    cell["hn"]["bias"] = weights["candidate_bias"]
    hidden = jax.random.normal(jax.random.key(4), (N, SIZE))
    features = MLP((6,)).apply({"params": weights["encoder"]}, OBS[0])
    expected, _ = nn.GRUCell(SIZE).apply({"params": cell}, hidden, features)
    _, _, actual = network.apply(params, OBS[0], hidden, method="step")
    np.testing.assert_allclose(actual, expected, atol=1e-5)


def test_the_lstm_is_that_of_flax():
    network, params = build("lstm")
    weights = params["params"]
    names = ("i", "f", "g", "o")
    cell = {}
    for name, kernel, recurrent, bias in zip(
        names,
        np.split(weights["input_layer"]["kernel"], 4, axis=1),
        np.split(weights["recurrent_kernel"], 4, axis=1),
        np.split(weights["input_layer"]["bias"], 4),
        strict=True,
    ):
        cell[f"i{name}"] = {"kernel": kernel}
        cell[f"h{name}"] = {"kernel": recurrent, "bias": bias}
    hidden, carried = jax.random.normal(jax.random.key(4), (2, N, SIZE))
    features = MLP((6,)).apply({"params": weights["encoder"]}, OBS[0])
    (expected_carried, expected_hidden), _ = nn.LSTMCell(SIZE).apply({"params": cell}, (carried, hidden), features)
    _, _, (actual_hidden, actual_carried) = network.apply(params, OBS[0], (hidden, carried), method="step")
    np.testing.assert_allclose(actual_hidden, expected_hidden, atol=1e-5)
    np.testing.assert_allclose(actual_carried, expected_carried, atol=1e-5)


@pytest.mark.parametrize("core", ["gru", "lstm"])
def test_a_memory_has_any_leading_axes_and_starts_at_zero(core):
    network, params = build(core)
    memory = network.initial_memory((2, 5))
    assert all(leaf.shape == (2, 5, SIZE) for leaf in jax.tree.leaves(memory))
    assert not any(leaf.any() for leaf in jax.tree.leaves(memory))
    (outputs, _), values, _ = network.apply(params, jnp.ones((2, 5, 4)), memory, method="step")
    assert outputs.shape == (2, 5, 3)
    assert values.shape == (2, 5)
    alone = network.apply(params, jnp.ones(4), network.initial_memory(()), method="step")[1]
    np.testing.assert_allclose(values, np.full((2, 5), alone), rtol=1e-5)


def test_recurrent_kernels_start_with_one_orthogonal_square_per_gate():
    network = RecurrentActorCritic(MLP((6,)), num_outputs=3, hidden_size=SIZE)
    params = init_network(network, jax.random.key(0), OBS, FIRST, network.initial_memory((N,)))["params"]
    squares = np.split(params["recurrent_kernel"], 3, axis=1)
    for square in squares:
        np.testing.assert_allclose(square @ square.T, np.eye(SIZE), atol=1e-5)
    assert not np.allclose(squares[0], squares[1])


def test_another_core_is_refused():
    network = RecurrentActorCritic(MLP((6,)), num_outputs=3, core="rnn")
    with pytest.raises(ValueError, match="must be 'gru' or 'lstm', got 'rnn'"):
        network.init(jax.random.key(0), OBS, FIRST, jnp.zeros((N, SIZE)))
