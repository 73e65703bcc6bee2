"""Networks of action values against their formulas in numpy, and the recurrent one against acting step by step."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrl.components.initializers import init_network
from jaxrl.components.q_networks import ActionHead, ImplicitQNetwork, QNetwork, RecurrentQNetwork
from jaxrl.components.recurrent import RecurrentActorCritic
from jaxrl.components.torsos import MLP, FlatTorso
from jaxrl.envs.spaces import Box, Dict

A, K, SIZE = 3, 5, 6
RANDOM = np.random.default_rng(0)
OBS = jnp.float32(RANDOM.normal(size=(2, 7, 4)))
FRACTIONS = jnp.float32(RANDOM.uniform(size=(2, 7, K)))


def parameters(module, *args):
    """Some parameters of the right shapes: to draw real ones takes a compilation per layer."""
    shapes = jax.eval_shape(module.init, jax.random.key(0), *args)
    return jax.tree.map(lambda leaf: jnp.float32(RANDOM.normal(size=leaf.shape) / 2), shapes)


def affine(layer, inputs):
    return np.asarray(inputs) @ np.asarray(layer["kernel"]) + np.asarray(layer["bias"])


HEADS = pytest.mark.parametrize("num_atoms", [None, K], ids=["values", "atoms"])
FORMS = [{}, {"dueling": True}, {"dueling": True, "noisy_sigma": 0.5}, {"head_sizes": (8,), "dueling": True}]


@HEADS
@pytest.mark.parametrize("fields", FORMS, ids=["plain", "dueling", "noisy", "deep"])
def test_shapes_for_any_leading_axes(num_atoms, fields):
    network = QNetwork(MLP((SIZE,)), A, num_atoms, **fields)
    params = parameters(network, OBS)
    values = network.apply(params, OBS)
    assert values.shape == (2, 7, A) if num_atoms is None else (2, 7, A, K)
    np.testing.assert_allclose(network.apply(params, OBS[1, 2]), values[1, 2], rtol=1e-4, atol=1e-5)
    if "noisy_sigma" in fields:
        assert not np.allclose(network.apply(params, OBS, rngs={"noise": jax.random.key(0)}), values)


@HEADS
def test_without_dueling_the_head_is_one_layer(num_atoms):
    head = ActionHead(A, num_atoms)
    features = OBS[..., :3]
    params = parameters(head, features)
    expected = affine(params["params"]["advantage_stream"], features)
    actual = head.apply(params, features).reshape(expected.shape)  # atom after atom, action after action
    np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-6)
    assert list(params["params"]) == ["advantage_stream"]


@HEADS
def test_dueling_the_mean_over_actions_is_the_value_and_advantages_have_no_level(num_atoms):
    head = ActionHead(A, num_atoms, dueling=True)
    params = parameters(head, OBS)
    values = head.apply(params, OBS)
    value = affine(params["params"]["value_stream"], OBS)  # [..., 1], or an atom each
    mean = values.mean(axis=2)
    np.testing.assert_allclose(mean.reshape(value.shape), value, rtol=1e-4, atol=1e-5)

    raised = jax.tree.map(lambda leaf: leaf, params)
    level = np.arange(1.0, 1.0 + (num_atoms or 1), dtype=np.float32)  # another one for every atom
    raised["params"]["advantage_stream"]["bias"] += np.tile(level, A)
    np.testing.assert_allclose(head.apply(raised, OBS), values, atol=1e-4)
    raised["params"]["value_stream"]["bias"] += level
    shift = level if num_atoms else level[0]
    np.testing.assert_allclose(head.apply(raised, OBS), values + np.broadcast_to(shift, values.shape), atol=1e-4)


def test_the_streams_of_a_deep_head_share_nothing():
    head = ActionHead(A, dueling=True, hidden_sizes=(8,))
    params = parameters(head, OBS)["params"]
    for stream in ("advantage_stream", "value_stream"):
        assert params[stream]["layers_0"]["Dense_0"]["kernel"].shape == (4, 8)


def test_heads_start_orthogonal_with_gain_one_and_biases_at_zero():
    network = QNetwork(MLP((SIZE,)), A, dueling=True)
    head = init_network(network, jax.random.key(0), OBS)["params"]["head"]
    for layer in head.values():
        np.testing.assert_allclose(np.linalg.svd(layer["kernel"], compute_uv=False), 1.0, rtol=1e-5)
        np.testing.assert_array_equal(layer["bias"], 0.0)


def test_the_mask_of_an_observation_is_no_feature():
    space = Dict({"cards": Box(-1.0, 1.0, (4,)), "action_mask": Box(0, 1, (A,), np.bool_)})
    network = QNetwork(FlatTorso(Dict({"cards": space.spaces["cards"]}), (SIZE,)), A)
    obs = {"cards": OBS, "action_mask": jnp.ones((2, 7, A), bool)}
    params = parameters(network, obs)
    values = network.apply(params, obs)
    np.testing.assert_array_equal(network.apply(params, {**obs, "action_mask": ~obs["action_mask"]}), values)


@pytest.mark.parametrize("dueling", [False, True])
def test_implicit_quantiles_follow_the_formula(dueling):
    network = ImplicitQNetwork(MLP((SIZE,)), A, num_cosines=9, dueling=dueling)
    params = parameters(network, OBS, FRACTIONS)
    weights = params["params"]
    psi = np.tanh(affine(weights["encoder"]["Dense_0"], OBS))
    expected = np.zeros((2, 7, A, K))
    for k in range(K):
        cosines = np.stack([np.cos(np.pi * i * np.asarray(FRACTIONS[..., k])) for i in range(9)], axis=-1)
        merged = psi * np.maximum(affine(weights["embedding"]["Dense_0"], cosines), 0.0)
        values = affine(weights["head"]["advantage_stream"], merged)
        if dueling:
            value = affine(weights["head"]["value_stream"], merged)
            values = value + values - values.mean(axis=-1, keepdims=True)
        expected[..., k] = values
    np.testing.assert_allclose(network.apply(params, OBS, FRACTIONS), expected, rtol=1e-4, atol=1e-4)
    one = network.apply(params, OBS[0, 1], FRACTIONS[0, 1])
    np.testing.assert_allclose(one, expected[0, 1], rtol=1e-4, atol=1e-4)


def test_a_noisy_implicit_network_is_noisy_in_embedding_and_head():
    network = ImplicitQNetwork(MLP((SIZE,)), A, noisy_sigma=0.5)
    weights = parameters(network, OBS, FRACTIONS)["params"]
    assert "kernel_sigma" in weights["embedding"]["NoisyDense_0"]
    assert "kernel_sigma" in weights["head"]["advantage_stream"]


FIRST = jnp.asarray(RANDOM.uniform(size=(9, 2)) < 0.3)
SEQUENCE = jnp.float32(RANDOM.normal(size=(9, 2, 4)))


@pytest.mark.parametrize("core", ["gru", "lstm"])
@pytest.mark.parametrize("dueling", [False, True])
def test_running_over_time_reproduces_acting(core, dueling):
    network = RecurrentQNetwork(MLP((SIZE,)), A, core, 8, dueling)
    memory = jax.tree.map(lambda leaf: leaf + 0.5, network.initial_memory((2,)))  # from the rollout before
    params = parameters(network, SEQUENCE, FIRST, memory)
    rerun, last = jax.jit(network.apply)(params, SEQUENCE, FIRST, memory)
    assert rerun.shape == (9, 2, A)
    assert ("value_stream" in params["params"]["head"]) == dueling

    step = jax.jit(lambda obs, memory: network.apply(params, obs, memory, method="step"))
    for t in range(9):
        fresh = network.initial_memory((2,))
        memory = jax.tree.map(lambda new, old, t=t: jnp.where(FIRST[t][:, None], new, old), fresh, memory)
        values, memory = step(SEQUENCE[t], memory)
        np.testing.assert_allclose(rerun[t], values, atol=2e-5)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5), last, memory)


def test_the_memory_is_reset_before_the_core_reads_what_starts_an_episode():
    network = RecurrentQNetwork(MLP((SIZE,)), A, hidden_size=8)
    first = jnp.zeros((9, 2), bool).at[4].set(True)
    memory = network.initial_memory((2,)) + 0.5
    params = parameters(network, SEQUENCE, first, memory)

    def later(obs, memory):
        return network.apply(params, obs, first, memory)[0][4:].sum()

    of_obs, of_memory = jax.grad(later, (0, 1))(SEQUENCE, memory)
    np.testing.assert_array_equal(of_obs[:4], 0.0)
    np.testing.assert_array_equal(of_memory, 0.0)
    assert (jnp.abs(of_obs[4:]).max(axis=(1, 2)) > 0).all()


def test_the_core_is_that_of_the_recurrent_actor_critic():
    network = RecurrentQNetwork(MLP((SIZE,)), A, hidden_size=8)
    memory = network.initial_memory((2,))
    params = parameters(network, SEQUENCE, FIRST, memory)["params"]
    critic = RecurrentActorCritic(MLP((SIZE,)), A, hidden_size=8)
    heads = {"policy_head": params["head"]["advantage_stream"]}
    heads["value_head"] = jax.tree.map(lambda leaf: leaf[..., :1], heads["policy_head"])
    same = {"params": {"encoder": params["encoder"], **params["recurrent_core"], **heads}}
    (outputs, _), _, last = critic.apply(same, SEQUENCE, FIRST, memory)
    values, memory = network.apply({"params": params}, SEQUENCE, FIRST, memory)
    np.testing.assert_allclose(outputs, values, atol=1e-6)
    np.testing.assert_allclose(last, memory, atol=1e-6)


@HEADS
def test_a_small_gain_begins_with_all_action_values_alike(num_atoms):
    wide, narrow = (QNetwork(MLP((SIZE,)), A, num_atoms, dueling=True, gain=gain) for gain in (1.0, 0.01))
    wide, narrow = (network.apply(init_network(network, jax.random.key(0), OBS), OBS) for network in (wide, narrow))
    np.testing.assert_allclose(narrow, 0.01 * wide, rtol=1e-4, atol=1e-6)
