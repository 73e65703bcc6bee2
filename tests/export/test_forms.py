"""Every form gives the actions of the policy that it was made of, for every algorithm."""

import importlib.util

import jax
import numpy as np
import onnxruntime
import pytest
from conformance_table import ROWS

import jaxrl
from jaxrl.components.torsos import CNN
from jaxrl.envs.spaces import Box, Dict, Discrete, MultiDiscrete
from jaxrl.export import onnx
from jaxrl.export.greedy import greedy
from jaxrl.export.numpy_file import source_and_weights
from jaxrl.export.stablehlo import PLATFORMS, serialized

BATCH = 50


class Shown:
    """An environment that is never played: only its spaces are looked at."""

    def __init__(self, observation_space, action_space):
        self.observation_space, self.action_space = observation_space, action_space

    def reset(self, key):
        return (), self.observation_space.sample(key)

    def step(self, key, state, action):
        raise AssertionError


ENTRIES = {
    "action_mask": Box(0, 1, (5,), bool),
    "choices": MultiDiscrete((3, 2)),
    "place": Discrete(4),
    "speed": Box(-1.0, 1.0, (2, 3)),
}
STRUCTURED = Shown(Dict(ENTRIES), MultiDiscrete((3, 2)))
IMAGES = Shown(Box(0, 255, (7, 6, 3), np.uint8), Discrete(4))
VECTORS = Shown(Box(-1.0, 1.0, (3,)), Box(np.float32([-1.0, 0.0]), np.float32([1.0, 5.0])))
MORE = {
    "images": lambda: jaxrl.PQN(IMAGES, hidden_sizes=(8,)),
    "structured": lambda: jaxrl.PPO(STRUCTURED, hidden_sizes=(8,), normalize_observations=True),
    "residual": lambda: jaxrl.SAC(VECTORS, hidden_sizes=(8,), residual=True),
    "gelu": lambda: jaxrl.DQN(IMAGES, torso=CNN((4,), (3,), (2,), (8,), "gelu")),
}
ALGORITHMS = {row.name: row.build for row in ROWS} | MORE


def drawn(shapes, numbers):
    """Numbers for a tree of shapes; variances are positive, and the biases do not decide alone."""

    def draw(path, leaf):
        name = jax.tree_util.keystr(path)
        if leaf.dtype.kind in "iub":
            return numbers.integers(0, 2, leaf.shape).astype(leaf.dtype)
        values = numbers.normal(size=leaf.shape).astype(leaf.dtype)
        return np.abs(values) + 0.5 if "variance" in name else 0.1 * values if "bias" in name else values

    return jax.tree_util.tree_map_with_path(draw, shapes)


@pytest.fixture(scope="module", params=ALGORITHMS)
def case(request):
    """(what is carried away, a batch of observations, a memory, the action, the memory after it).

    The numbers are the first to give several actions, so that an action that is equal says something.
    """
    algorithm = ALGORITHMS[request.param]()
    space = algorithm.env.observation_space

    def shapes(key):
        policy = algorithm.policy(algorithm.init(key))
        obs = jax.vmap(space.sample)(jax.random.split(key, BATCH))
        return policy, obs, policy.initial_memory((BATCH,))

    act = jax.jit(lambda policy, obs, memory: policy.act(jax.random.key(2), obs, memory))
    for numbers in map(np.random.default_rng, range(100)):
        policy, obs, memory = drawn(jax.eval_shape(shapes, jax.random.key(0)), numbers)
        action, next_memory = act(policy, obs, memory)
        if len(np.unique(np.asarray(action).reshape(BATCH, -1), axis=0)) > 1:
            return greedy(policy, space), obs, memory, action, next_memory
    raise AssertionError("whatever the numbers, there is a single action")


def assert_same(given, wanted):
    """The same numbers: whole ones exactly, others to 1e-5 of what a policy gives."""
    assert jax.tree.structure(given) == jax.tree.structure(wanted)
    for x, y in zip(jax.tree.leaves(given), jax.tree.leaves(wanted), strict=True):
        assert (np.shape(x), np.asarray(x).dtype) == (y.shape, y.dtype)
        np.testing.assert_allclose(x, y, rtol=1e-5, atol=1e-5)


def module_of(folder, source, weights):
    (folder / "policy.py").write_text(source)
    np.savez(folder / "policy.npz", **weights)
    spec = importlib.util.spec_from_file_location("policy", folder / "policy.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_numpy(case, tmp_path):
    policy, obs, memory, action, next_memory = case
    module = module_of(tmp_path, *source_and_weights(policy, "The policy"))
    if policy.memory is None:
        assert_same(module.act(obs), action)
        return
    assert_same(module.act(obs, memory), (action, next_memory))
    assert_same(module.initial_memory(3), jax.device_get(policy.policy.initial_memory((3,))))


def test_stablehlo(case):
    policy, obs, memory, action, next_memory = case
    loaded = jax.export.deserialize(serialized(policy))
    assert loaded.platforms == PLATFORMS
    if policy.memory is None:
        assert_same(loaded.call(obs), action)
        return
    assert_same(loaded.call(obs, memory), (action, next_memory))
    (_, shapes), _ = jax.tree.unflatten(loaded.in_tree, loaded.in_avals)
    zeros = jax.tree.map(lambda leaf: np.zeros((3, *leaf.shape[1:]), leaf.dtype), shapes)
    assert_same(zeros, jax.device_get(policy.policy.initial_memory((3,))))


def test_onnx(case):
    policy, obs, memory, action, next_memory = case
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(onnx.serialized(policy), options)
    remembers = policy.memory is not None
    inputs = jax.tree.leaves([obs, memory] if remembers else obs)
    names = [each.name for each in session.get_inputs()]
    given = session.run(None, dict(zip(names, inputs, strict=True)))
    assert_same(given, jax.tree.leaves([action, next_memory] if remembers else action))
    wanted = {"obs": policy.obs, "memory": policy.memory}
    assert len(names) == len(jax.tree.leaves(wanted))
    assert session.get_outputs()[0].name.startswith("action")
    assert names[0].startswith("obs")
