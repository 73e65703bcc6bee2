"""Torsos by observation space, the two heads, and initialising a thousand agents at once."""

import os
import re
import subprocess
import sys
from pathlib import Path

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrl.components.critics import Critics
from jaxrl.components.initializers import init_network, orthogonal
from jaxrl.components.networks import CNN, MLP, ActorCritic, torso_for
from jaxrl.components.torsos import EntryTorso, FlatTorso, patches
from jaxrl.envs.spaces import Box, Dict, Discrete, MultiDiscrete, Tuple, flatten

VECTOR = Box(-1.0, 1.0, (4,))
IMAGE = Box(0.0, 1.0, (10, 10, 3))
MASK = Box(0, 1, (3,), np.bool_)
KEY = jax.random.key(0)


RANDOM = np.random.default_rng(0)


def observations(space, leading):
    """Some observations with these leading axes, drawn without a compilation."""
    if isinstance(space, Dict):
        return {name: observations(entry, leading) for name, entry in space.entries}
    if isinstance(space, Tuple):
        return tuple(observations(entry, leading) for entry in space.spaces)
    shape = (*leading, *space.shape)
    if isinstance(space, Box):
        return jnp.asarray(RANDOM.uniform(space.low, space.high + (space.dtype == np.bool_), shape).astype(space.dtype))
    return jnp.asarray(RANDOM.integers(0, getattr(space, "nvec", getattr(space, "n", None)), shape), jnp.int32)


def parameters(module, *args):
    """Some parameters of the right shapes: to draw real ones takes a compilation per layer."""
    shapes = jax.eval_shape(module.init, KEY, *args)
    return jax.tree.map(lambda leaf: jnp.float32(RANDOM.normal(size=leaf.shape) / 3), shapes)


@pytest.mark.parametrize(
    ("space", "kind"),
    [
        (VECTOR, MLP),
        (Box(-1.0, 1.0, (2, 3)), FlatTorso),
        (Box(-1.0, 1.0, ()), FlatTorso),
        (Discrete(5), FlatTorso),
        (MultiDiscrete((2, 3)), FlatTorso),
        (IMAGE, CNN),
        (Box(0, 255, (10, 10, 3), np.uint8), CNN),
        (Box(0.0, 1.0, (2, 2, 1)), CNN),
        (Box(0, 255, (40, 36, 1), np.uint8), CNN),
        (Dict({"position": VECTOR, "card": Discrete(3), "action_mask": MASK}), FlatTorso),
        (Dict({"board": IMAGE, "action_mask": MASK}), EntryTorso),
        (Tuple((VECTOR, Discrete(3))), FlatTorso),
    ],
    ids=str,
)
def test_every_observation_space_has_a_torso_that_accepts_any_leading_axes(space, kind):
    torso = torso_for(space, (8, 6), "tanh")
    assert isinstance(torso, kind)
    assert hash(torso) == hash(torso_for(space, (8, 6), "tanh"))
    obs = observations(space, (2, 3))
    params = parameters(torso, obs)
    features = jax.jit(torso.apply)(params, obs)
    assert features.shape == (2, 3, 6)
    assert features.dtype == jnp.float32
    one = jax.jit(torso.apply)(params, jax.tree.map(lambda leaf: leaf[1, 2], obs))
    np.testing.assert_allclose(one, features[1, 2], rtol=1e-5, atol=1e-6)


def test_the_mask_is_no_feature_and_the_rest_is_flattened_as_the_space_says():
    space = Dict({"position": VECTOR, "card": Discrete(3), "seats": MultiDiscrete((2, 2))})
    masked = Dict({**space.spaces, "action_mask": MASK})
    obs = observations(masked, (5,))
    torso = torso_for(masked, (8,), "tanh")
    params = parameters(torso, obs)
    without_mask = {name: obs[name] for name in space.spaces}
    by_hand = MLP((8,), "tanh").apply(
        {"params": params["params"]["MLP_0"]}, jax.vmap(lambda obs: flatten(space, obs))(without_mask)
    )
    np.testing.assert_allclose(torso.apply(params, obs), by_hand, rtol=1e-6)
    other = {**obs, "action_mask": ~obs["action_mask"]}
    np.testing.assert_array_equal(torso.apply(params, other), torso.apply(params, obs))


@pytest.mark.parametrize(("kernel_size", "stride"), [(3, 1), (3, 2), (4, 3)])
def test_a_product_with_patches_is_a_convolution(kernel_size, stride):
    image = jnp.float32(RANDOM.normal(size=(5, 10, 12, 2)))
    kernel = jnp.float32(RANDOM.normal(size=(kernel_size, kernel_size, 2, 3)))
    expected = jax.lax.conv_general_dilated(
        image, kernel, (stride, stride), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )
    actual = jnp.dot(patches(image, kernel_size, stride), kernel.reshape(-1, 3))
    np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-5)


def test_bytes_are_brought_to_the_unit_interval():
    image = observations(Box(0, 255, (10, 10, 3), np.uint8), (2,))
    torso = CNN(hidden_sizes=(8,))
    params = parameters(torso, image)
    np.testing.assert_allclose(torso.apply(params, image), torso.apply(params, image / np.float32(255)), rtol=1e-5)


def test_an_image_among_other_entries_asks_for_a_torso_of_ones_own():
    with pytest.raises(ValueError, match="needs a torso of your own"):
        torso_for(Dict({"board": IMAGE, "hand": VECTOR}), (8,), "tanh")


def test_a_misspelt_activation_is_refused_with_the_nearest_name():
    with pytest.raises(ValueError, match=r"got 'rellu'; did you mean 'relu'\?"):
        torso_for(VECTOR, (8,), "rellu")


def _normalised(features):
    mean = features.mean(axis=-1, keepdims=True)
    return (features - mean) / np.sqrt(np.square(features - mean).mean(axis=-1, keepdims=True) + 1e-6)


def _layer(params, number, features):
    """Dense, LayerNorm with its scale and bias, ReLU, in numpy."""
    dense, norm = (jax.tree.map(np.asarray, params[f"{kind}_{number}"]) for kind in ("Dense", "LayerNorm"))
    return np.maximum(_normalised(features @ dense["kernel"] + dense["bias"]) * norm["scale"] + norm["bias"], 0.0)


def test_a_layer_norm_stands_between_a_layer_and_its_activation():
    obs = observations(VECTOR, (5,))
    torso = torso_for(VECTOR, (8, 6), "relu", layer_norm=True)
    params = parameters(torso, obs)
    expected = np.asarray(obs)
    for number in range(2):
        expected = _layer(params["params"], number, expected)
    np.testing.assert_allclose(torso.apply(params, obs), expected, rtol=1e-4, atol=1e-5)


def test_a_convolution_is_normalised_over_its_channels():
    image = observations(IMAGE, (2,))
    torso = torso_for(IMAGE, (8,), "relu", layer_norm=True)
    params = parameters(torso, image)
    hidden = _layer(params["params"], 0, np.asarray(patches(image, 3, 1)))
    expected = _layer(params["params"]["MLP_0"], 0, hidden.reshape(2, -1))
    np.testing.assert_allclose(torso.apply(params, image), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "space", [VECTOR, IMAGE, Box(-1.0, 1.0, (2, 3)), Dict({"board": IMAGE, "action_mask": MASK})], ids=str
)
def test_the_dense_layers_of_every_torso_can_be_noisy(space):
    torso = torso_for(space, (8, 6), "relu", noisy_sigma=0.5)
    obs = observations(space, (2,))
    params = parameters(torso, obs)
    names = [jax.tree_util.keystr(path) for path, _ in jax.tree_util.tree_leaves_with_path(params)]
    assert [sum(name.endswith(end) for name in names) for end in ("kernel_sigma']", "bias_sigma']")] == [2, 2]
    assert not np.allclose(torso.apply(params, obs, rngs={"noise": KEY}), torso.apply(params, obs))


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("space", [VECTOR, IMAGE, Dict({"board": IMAGE, "action_mask": MASK})], ids=str)
def test_actor_and_critic_have_their_shapes_and_share_a_torso_only_if_told_to(space, shared):
    network = ActorCritic(torso_for(space, (8, 8), "relu"), num_outputs=3, num_free=2, shared=shared)
    obs = observations(space, (4, 2))
    params = parameters(network, obs)
    (outputs, free), values = jax.jit(network.apply)(params, obs)
    assert outputs.shape == (4, 2, 3)
    assert values.shape == (4, 2)
    np.testing.assert_array_equal(free, params["params"]["free"])
    by_method = jax.jit(lambda params: [network.apply(params, obs, method=name) for name in ("actor", "critic")])(
        params
    )
    np.testing.assert_allclose(by_method[0][0], outputs, rtol=1e-5)
    np.testing.assert_allclose(by_method[1], values, rtol=1e-5)

    of_values = jax.jit(jax.grad(lambda params: network.apply(params, obs, method="critic").sum()))(params)["params"]
    reaches_actor = any(jnp.any(leaf != 0) for leaf in jax.tree.leaves(of_values["actor_torso"]))
    assert reaches_actor == shared
    assert ("critic_torso" in params["params"]) == (not shared)
    assert not any(jnp.any(leaf != 0) for leaf in jax.tree.leaves(of_values["policy_head"]))


def test_a_head_without_free_parameters_has_none():
    network = ActorCritic(MLP((8,)), num_outputs=3)
    params = parameters(network, jnp.zeros(4))
    assert "free" not in params["params"]
    assert network.apply(params, jnp.zeros(4), method="actor")[1] is None


def test_kernels_start_orthogonal_with_their_gains_and_biases_and_free_parameters_at_zero():
    params = init_network(ActorCritic(MLP((16, 8)), num_outputs=3, num_free=2), KEY, jnp.zeros(4))["params"]
    np.testing.assert_array_equal(params["free"], 0.0)
    gains = {"policy_head": 0.01, "value_head": 1.0}
    layers = {**{name: params[name] for name in gains}, **params["actor_torso"], **params["critic_torso"]}
    for name, layer in layers.items():
        singular_values = np.linalg.svd(layer["kernel"], compute_uv=False)
        np.testing.assert_allclose(singular_values, gains.get(name, np.sqrt(2.0)), rtol=1e-5)
        np.testing.assert_array_equal(layer["bias"], 0.0)
    assert not np.allclose(params["actor_torso"]["Dense_0"]["kernel"], params["critic_torso"]["Dense_0"]["kernel"])


def test_all_kernels_come_from_one_draw_and_so_do_those_of_an_ensemble():
    """A draw for each layer is most of what a training's first program takes to compile."""
    networks = {
        "actor-critic": (ActorCritic(MLP((16, 8)), num_outputs=3), (jnp.zeros(4),)),
        "critics": (Critics(MLP((5,)), 3, (16, 8)), (jnp.zeros(4), jnp.zeros(2))),
    }
    for name, (network, arguments) in networks.items():
        drawn = str(jax.make_jaxpr(lambda key, network=network, of=arguments: init_network(network, key, *of))(KEY))
        assert drawn.count("erf_inv") == 1, name
        leaves = jax.tree.leaves(init_network(network, KEY, *arguments))
        assert {type(leaf) for leaf in leaves} == {type(jnp.zeros(1))}
        kernels = np.concatenate([np.ravel(leaf) for leaf in leaves if np.any(leaf)])
        assert len(np.unique(np.abs(kernels))) > 0.99 * len(kernels)  # none is drawn twice


def test_linens_own_init_draws_the_same_kind_of_kernels():
    torso = MLP((16, 8))
    for layer in torso.init(KEY, jnp.zeros(4))["params"].values():
        singular_values = np.linalg.svd(layer["kernel"], compute_uv=False)
        np.testing.assert_allclose(singular_values, np.sqrt(2.0), rtol=1e-5)


def test_no_direction_of_a_kernel_is_likelier():
    """Without the signs of the diagonal of R, the first entry would never be positive."""
    keys = jax.random.split(KEY, 400)
    kernels = np.stack([orthogonal()(key, (3, 2)) for key in keys])
    np.testing.assert_allclose(kernels.mean(axis=0), 0.0, atol=4 * np.sqrt(1 / 3 / 400))
    np.testing.assert_allclose((kernels**2).mean(axis=0), 1 / 3, atol=0.06)


class Sums(nn.Module):
    """A torso of one's own, of parts set up rather than compact."""

    size: int

    def setup(self):
        self.first, self.second = nn.Dense(self.size), nn.Dense(self.size)

    def __call__(self, obs):
        return jnp.tanh(self.first(obs["a"]) + self.second(obs["b"]))


def test_a_torso_of_ones_own_fits_by_its_signature():
    network = ActorCritic(Sums(5), num_outputs=2)
    obs = {"a": jnp.ones((3, 4)), "b": jnp.ones((3, 2))}
    params = parameters(network, obs)
    assert set(params["params"]["critic_torso"]) == {"first", "second"}
    assert network.apply(params, obs)[1].shape == (3,)


def test_a_thousand_agents_are_initialised_in_one_vmap_each_as_if_alone():
    """In a process of its own with a time limit, because the naive way hangs for ever instead of failing."""
    program = """
import jax, jax.numpy as jnp, numpy as np
from jaxrl.components.initializers import init_network
from jaxrl.components.networks import MLP, ActorCritic
network = ActorCritic(MLP((64, 64)), num_outputs=2)
keys = jax.random.split(jax.random.key(0), 1024)
params = jax.jit(jax.vmap(lambda key: init_network(network, key, jnp.zeros(4))))(keys)
alone = jax.jit(lambda key: init_network(network, key, jnp.zeros(4)))(keys[700])
jax.tree.map(lambda many, one: np.testing.assert_allclose(many[700], one, atol=1e-6), params, alone)
kernels = np.asarray(params["params"]["actor_torso"]["Dense_1"]["kernel"]).reshape(1024, -1)
assert len(np.unique(kernels, axis=0)) == 1024
"""
    environment = {name: value for name, value in os.environ.items() if name != "XLA_FLAGS"}  # one device, as it is met
    subprocess.run(
        [sys.executable, "-c", program], check=True, timeout=120, cwd=Path(__file__).parents[2], env=environment
    )


def test_no_decomposition_is_batched_under_vmap():
    """The same on machines that have more cores, where the naive way may pass."""
    keys = jax.random.split(KEY, 7)
    program = str(
        jax.make_jaxpr(jax.vmap(lambda key: init_network(ActorCritic(MLP((16,)), 2), key, jnp.zeros(4))))(keys)
    )
    assert "] = qr[" in program
    assert not re.search(r"f32\[7,\d+,\d+\] = qr\[", program)


def test_initialising_under_two_vmaps():
    network = ActorCritic(MLP((4,)), num_outputs=2)
    keys = jax.random.split(KEY, (2, 3))
    params = jax.vmap(jax.vmap(lambda key: init_network(network, key, jnp.zeros(4))))(keys)
    assert params["params"]["policy_head"]["kernel"].shape == (2, 3, 4, 2)
