"""The value-based family: its losses against rlax on one batch, what their parts have in common, and a solved MDP."""

from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import long_runs
import numpy as np
import pytest
import rlax

import jaxrl
from jaxrl.algorithms.value_based import iqn, q_learning
from jaxrl.algorithms.value_based.c51 import C51
from jaxrl.algorithms.value_based.dqn import DQN
from jaxrl.algorithms.value_based.iqn import IQN
from jaxrl.algorithms.value_based.munchausen_dqn import MunchausenDQN
from jaxrl.algorithms.value_based.qr_dqn import QRDQN
from jaxrl.algorithms.value_based.rainbow import Rainbow
from jaxrl.components.initializers import init_network
from jaxrl.components.replay import Batch
from jaxrl.components.value_distributions import midpoints, quantile_huber_loss
from jaxrl.envs.environment import TimeStep
from jaxrl.envs.spaces import Box, Dict, Discrete
from jaxrl.pytree import dataclass, static

S, A, B, K, GAMMA = 5, 3, 16, 7, 0.9
KEYS = jax.random.split(jax.random.key(0), 8)
SMALL: dict[str, Any] = {"hidden_sizes": (8,), "batch_size": B}
ATOMS: dict[str, Any] = {"num_atoms": K, "value_min": -2.0, "value_max": 3.0}
OFF: dict[str, Any] = {
    "distributional": False,
    "double": False,
    "dueling": False,
    "n_step": 1,
    "prioritized": False,
    "noisy": False,
    "priority_exponent": 0.6,
}


@dataclass
class RandomMDP:
    """S states, A actions: transitions, rewards and ends drawn once; each state is shown by a vector of its own."""

    transitions = np.random.default_rng(0).dirichlet(np.full(S, 0.3), size=(S, A)).astype(np.float32)
    rewards = np.random.default_rng(1).uniform(-1, 1, size=(S, A)).astype(np.float32)
    end_probability = np.random.default_rng(2).uniform(0, 0.4, size=(S, A)).astype(np.float32)

    masked: bool = static(False)
    """Show a mask of actions too; nothing steps such a one here."""

    action_space = Discrete(A)

    @property
    def observation_space(self) -> Any:
        states = Box(-9.0, 9.0, (S,))
        return Dict({"action_mask": Box(0.0, 1.0, (A,)), "state": states}) if self.masked else states

    def reset(self, key: jax.Array) -> Any:
        state = jax.random.randint(key, (), 0, S)
        return state, jax.nn.one_hot(state, S)

    def step(self, key: jax.Array, state: Any, action: Any) -> Any:
        end_key, state_key = jax.random.split(key)
        following = jax.random.choice(state_key, S, p=jnp.asarray(self.transitions)[state, action])
        ended = jax.random.bernoulli(end_key, jnp.asarray(self.end_probability)[state, action])
        reward = jnp.asarray(self.rewards)[state, action]
        return following, TimeStep(jax.nn.one_hot(following, S), reward, ended, jnp.bool_(False), {})

    def optimal_values(self, discount: float) -> np.ndarray:
        """Q* [S, A] by value iteration."""
        values = np.zeros((S, A))
        for _ in range(500):
            values = self.rewards + discount * (1 - self.end_probability) * (self.transitions @ values.max(axis=1))
        return values


BATCH = Batch(
    obs=jax.random.normal(KEYS[0], (B, S)),
    action=jax.random.randint(KEYS[1], (B,), 0, A),
    reward=jax.random.normal(KEYS[2], (B,)),
    discount=GAMMA * jax.random.bernoulli(KEYS[3], 0.7, (B,)).astype(jnp.float32),
    next_obs=jax.random.normal(KEYS[4], (B, S)),
    weight=jnp.ones(B),
)
EVERY: dict[str, Any] = {
    "dqn": (DQN, {}),
    "c51": (C51, ATOMS),
    "qr_dqn": (QRDQN, {"num_quantiles": K}),
    "iqn": (IQN, {"num_fractions": K, "num_target_fractions": 6, "num_acting_fractions": 5, "num_cosines": 4}),
    "munchausen_dqn": (MunchausenDQN, {}),
    "rainbow": (Rainbow, {**ATOMS, "noisy": False}),
}
BY_NAME = pytest.mark.parametrize("name", EVERY)


def made(name: str, masked: bool = False, **fields: Any) -> Any:
    algorithm, own = EVERY[name]
    return algorithm(RandomMDP(masked=masked), **{**SMALL, **own, **fields})


def params_of(agent: Any, seed: int) -> Any:
    return init_network(agent.network, jax.random.key(seed), BATCH.obs[0])


def found(agent: Any, params: Any, target_params: Any, batch: Batch = BATCH) -> Any:
    return jax.jit(type(agent).loss)(agent, params, target_params, batch, KEYS[5])


def outputs(agent: Any, params: Any, obs: Any) -> jax.Array:
    return agent.network.apply(params, obs)


@pytest.mark.parametrize("double", [False, True], ids=["single", "double"])
def test_dqn_s_errors_are_rlax_s(double: bool) -> None:
    agent = made("dqn", double=double, huber_delta=1.0)
    params, target_params = params_of(agent, 0), params_of(agent, 1)
    q, next_q, selector = (
        outputs(agent, *pair)
        for pair in ((params, BATCH.obs), (target_params, BATCH.next_obs), (params, BATCH.next_obs))
    )
    if double:
        error = jax.vmap(rlax.double_q_learning)(q, BATCH.action, BATCH.reward, BATCH.discount, next_q, selector)
    else:
        error = jax.vmap(rlax.q_learning)(q, BATCH.action, BATCH.reward, BATCH.discount, next_q)
    loss = found(agent, params, target_params)
    np.testing.assert_allclose(loss.error, np.abs(error), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(loss.loss, rlax.huber_loss(error, 1.0), rtol=1e-4, atol=1e-6)
    squared = found(replace(agent, huber_delta=None), params, target_params)
    np.testing.assert_allclose(squared.loss, rlax.l2_loss(error), rtol=1e-4, atol=1e-6)


@pytest.mark.filterwarnings("ignore:Rlax categorical_cross_entropy:PendingDeprecationWarning")
@pytest.mark.parametrize("double", [False, True], ids=["single", "double"])
def test_c51_s_losses_are_rlax_s_and_its_errors_divergences(double: bool) -> None:
    agent = made("c51", double=double)
    params, target_params = params_of(agent, 0), params_of(agent, 1)
    logits, next_logits = outputs(agent, params, BATCH.obs), outputs(agent, target_params, BATCH.next_obs)
    atoms = jnp.broadcast_to(jnp.linspace(-2.0, 3.0, K), (B, K))
    arguments = (atoms, logits, BATCH.action, BATCH.reward, BATCH.discount, atoms, next_logits)
    if double:
        selector = (jax.nn.softmax(outputs(agent, params, BATCH.next_obs)) * atoms[:, None]).sum(axis=-1)
        expected = jax.vmap(rlax.categorical_double_q_learning)(*arguments, selector)
    else:
        expected = jax.vmap(rlax.categorical_q_learning)(*arguments)
    loss = found(agent, params, target_params)
    np.testing.assert_allclose(loss.loss, expected, rtol=1e-4)
    assert (loss.error >= 0).all()
    assert (loss.error < loss.loss + 1e-6).all()

    # Where the prediction is the target, there is no divergence: a reward on an atom, an end, all mass there.
    certain = replace(BATCH, reward=jnp.full(B, 3.0), discount=jnp.zeros(B))
    sure = jax.tree.map(jnp.zeros_like, params)
    bias = sure["params"]["head"]["advantage_stream"]["bias"].reshape(A, K).at[:, -1].set(50.0)
    sure["params"]["head"]["advantage_stream"]["bias"] = bias.reshape(-1)
    np.testing.assert_allclose(found(agent, sure, target_params, certain).error, 0.0, atol=1e-5)


@pytest.mark.parametrize("double", [False, True], ids=["single", "double"])
def test_qr_dqn_s_losses_are_rlax_s(double: bool) -> None:
    agent = made("qr_dqn", double=double)
    params, target_params = params_of(agent, 0), params_of(agent, 1)
    quantiles, next_quantiles = outputs(agent, params, BATCH.obs), outputs(agent, target_params, BATCH.next_obs)
    selector = outputs(agent, params, BATCH.next_obs) if double else next_quantiles

    def one(q: Any, a: Any, r: Any, d: Any, s: Any, n: Any) -> Any:
        return rlax.quantile_q_learning(q.T, midpoints(K), a, r, d, s.T, n.T, 1.0)

    expected = jax.vmap(one)(quantiles, BATCH.action, BATCH.reward, BATCH.discount, selector, next_quantiles)
    np.testing.assert_allclose(found(agent, params, target_params).loss, expected, rtol=1e-4)


def test_iqn_s_loss_is_the_quantile_loss_at_drawn_fractions(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the midpoints for the draws, and as many of each, it is QR-DQN's on the same network."""
    agent = made("iqn", num_target_fractions=K, num_acting_fractions=K)
    params, target_params = params_of(agent, 0), params_of(agent, 1)
    drawn = found(agent, params, target_params).loss
    monkeypatch.setattr(iqn, "drawn_fractions", lambda key, size, num: jnp.broadcast_to(midpoints(num), (size, num)))
    quantiles, next_quantiles = outputs(agent, params, BATCH.obs), outputs(agent, target_params, BATCH.next_obs)
    chosen = next_quantiles[jnp.arange(B), next_quantiles.mean(axis=-1).argmax(axis=-1)]
    target = BATCH.reward[:, None] + BATCH.discount[:, None] * chosen
    predicted = quantiles[jnp.arange(B), BATCH.action]
    expected = quantile_huber_loss(predicted, jnp.broadcast_to(midpoints(K), (B, K)), target)
    np.testing.assert_allclose(agent.loss(params, target_params, BATCH, KEYS[5]).loss, expected, rtol=1e-4)
    assert not np.allclose(drawn, expected, rtol=1e-2)


def test_munchausen_s_errors_are_those_of_the_paper_s_equation() -> None:
    agent = made("munchausen_dqn", temperature=0.2, bonus_min=-0.3)
    params, target_params = params_of(agent, 0), params_of(agent, 1)
    q, target_q, next_q = (
        np.asarray(outputs(agent, *pair), np.float64)
        for pair in ((params, BATCH.obs), (target_params, BATCH.obs), (target_params, BATCH.next_obs))
    )
    pi, next_pi = (np.exp(x / 0.2) / np.exp(x / 0.2).sum(axis=1, keepdims=True) for x in (target_q, next_q))
    rows = np.arange(B)
    bonus = np.clip(0.2 * np.log(pi[rows, BATCH.action]), -0.3, 0.0)
    assert (bonus == -0.3).any()
    assert (bonus > -0.3).any()
    soft = (next_pi * (next_q - 0.2 * np.log(next_pi))).sum(axis=1)
    error = q[rows, BATCH.action] - (BATCH.reward + 0.9 * bonus + BATCH.discount * soft)
    np.testing.assert_allclose(found(agent, params, target_params).error, np.abs(error), rtol=1e-3, atol=1e-5)


def test_munchausen_without_bonus_and_temperature_is_dqn() -> None:
    agent, dqn = made("munchausen_dqn", bonus_coefficient=0.0, temperature=1e-6), made("dqn")
    params, target_params = params_of(dqn, 0), params_of(dqn, 1)
    for one, other in zip(found(agent, params, target_params), found(dqn, params, target_params), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)


def _gradient(agent: Any, params: Any, target_params: Any) -> Any:
    def loss(params: Any) -> Any:
        result = agent.loss(params, target_params, BATCH, KEYS[5])
        return result.loss.mean(), result

    return jax.jit(jax.grad(loss, has_aux=True))(params)


@pytest.mark.parametrize(
    ("switches", "other", "fields"),
    [
        (OFF, DQN, {}),
        (
            {**OFF, "double": True, "dueling": True, "noisy": True},
            DQN,
            {"double": True, "dueling": True, "noisy": True},
        ),
        ({**OFF, "distributional": True}, C51, {}),
    ],
    ids=["all_off", "double_dueling_noisy", "distributional"],
)
def test_rainbow_with_parts_off_is_dqn_or_c51_with_the_others(switches: Any, other: Any, fields: Any) -> None:
    rainbow = Rainbow(RandomMDP(), **SMALL, **ATOMS, **switches)
    plain = other(RandomMDP(), **SMALL, **(ATOMS if other is C51 else {}), **fields)
    params, target_params = params_of(plain, 0), params_of(plain, 1)
    assert jax.tree.structure(params) == jax.tree.structure(params_of(rainbow, 0))
    for x, y in zip(
        jax.tree.leaves(_gradient(rainbow, params, target_params)),
        jax.tree.leaves(_gradient(plain, params, target_params)),
        strict=True,
    ):
        np.testing.assert_array_equal(x, y)


def test_rainbow_with_every_part_off_is_dqn_over_a_whole_run() -> None:
    run: dict[str, Any] = {"total_steps": 640, "learning_starts": 64, "replay_capacity": 256}
    agents = Rainbow(RandomMDP(), **SMALL, **run, **OFF), DQN(RandomMDP(), **SMALL, **run)
    one, other = (jax.jit(jaxrl.train)(agent, jax.random.key(0)).state.learner for agent in agents)
    for x, y in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-4, atol=1e-6)


@BY_NAME
def test_a_forbidden_action_s_value_plays_no_part(name: str) -> None:
    """Dear as it may be to the target network, an action that the mask forbids changes no target."""
    # Munchausen's bonus compares the action taken with all that were allowed, this one among them.
    bonus = {"bonus_coefficient": 0.0} if name == "munchausen_dqn" else {}
    agent = made(name, masked=True, double=False, dueling=False, **bonus)
    everything = jnp.ones((B, A), bool)
    free = replace(
        BATCH,
        obs={"action_mask": everything, "state": BATCH.obs},
        next_obs={"action_mask": everything, "state": BATCH.next_obs},
    )
    forbidden = replace(free, next_obs={**free.next_obs, "action_mask": everything.at[:, 0].set(False)})
    params = init_network(agent.network, jax.random.key(0), jax.tree.map(lambda leaf: leaf[0], free.obs))
    dear = _dearer(params, 0)
    np.testing.assert_allclose(
        found(agent, params, dear, forbidden).loss, found(agent, params, params, forbidden).loss, rtol=1e-5
    )
    assert not np.allclose(found(agent, params, dear, free).loss, found(agent, params, params, free).loss, rtol=1e-2)


def _dearer(params: Any, action: int) -> Any:
    """The parameters with an action's value raised, whatever stands for it."""
    raised = jax.tree.map(lambda leaf: leaf, params)
    stream = raised["params"]["head"]["advantage_stream"]
    atoms = stream["bias"].size // A
    stream["bias"] = stream["bias"].reshape(A, atoms).at[action].add(5.0 * jnp.arange(1.0, atoms + 1)).reshape(-1)
    return raised


NOISY = pytest.mark.parametrize("name", ["dqn", "c51", "qr_dqn", "iqn", "rainbow"])


@NOISY
def test_noise_is_drawn_for_the_online_the_target_and_the_selecting_network(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = made(name, noisy=True, double=True)
    real = q_learning.outputs
    applied, keys = [], []

    @jax.jit
    def drawn(params: Any, target_params: Any, batch: Batch) -> Any:
        def spy(agent: Any, these: Any, obs: Any, key: Any, *args: Any) -> Any:
            applied.append((these is target_params, obs is batch.next_obs))
            keys.append(key)
            return real(agent, these, obs, key, *args)

        monkeypatch.setattr(q_learning, "outputs", spy)
        agent.loss(params, target_params, batch, KEYS[5])
        return jnp.stack(keys)

    drawn_keys = drawn(params_of(agent, 0), params_of(agent, 1), BATCH)
    assert sorted(applied) == [(False, False), (False, True), (True, True)]
    assert len(np.unique(jax.random.key_data(drawn_keys), axis=0)) == 3


@NOISY
def test_noise_explores_and_is_absent_in_evaluation(name: str) -> None:
    agent = made(name, noisy=True, noisy_sigma=5.0)

    @jax.jit
    def actions(keys: jax.Array) -> Any:
        state = agent.init(jax.random.key(0))
        values = agent.to_values(outputs(agent, state.learner.params, BATCH.obs))
        policies = [agent.policy(state, greedy) for greedy in (True, False)]
        greedy, exploring = jax.vmap(lambda key: [policy.act(key, BATCH.obs, ())[0] for policy in policies])(keys)
        return greedy, exploring, values.argmax(axis=-1)

    greedy, exploring, best = map(np.asarray, actions(jax.random.split(jax.random.key(1), 8)))
    np.testing.assert_array_equal(greedy, np.broadcast_to(best, greedy.shape))
    assert (exploring != exploring[0]).any()


def test_iqn_acts_greedily_by_midpoints_and_explores_by_drawn_fractions() -> None:
    agent = made("iqn")
    params = params_of(agent, 0)
    fixed = jnp.broadcast_to(midpoints(5), (B, 5))
    np.testing.assert_array_equal(agent.network.apply(params, BATCH.obs), agent.network.apply(params, BATCH.obs, fixed))
    drawn = [agent.network.apply(params, BATCH.obs, rngs={"noise": key}) for key in (KEYS[0], KEYS[0], KEYS[1])]
    np.testing.assert_array_equal(drawn[0], drawn[1])
    assert not np.allclose(drawn[0], drawn[2])
    assert not np.allclose(drawn[0], agent.network.apply(params, BATCH.obs))


@pytest.mark.parametrize(
    ("algorithm", "fields", "sentence"),
    [
        (MunchausenDQN, {"double": True}, "MunchausenDQN.double must be False, got True"),
        (MunchausenDQN, {"n_step": 3}, "MunchausenDQN.n_step must be 1, got 3"),
        (
            C51,
            {"value_min": 1.0, "value_max": 1.0},
            "value_max must be above value_min, got value_min=1 and value_max=1",
        ),
        (Rainbow, {"value_min": 20.0}, "value_max must be above value_min, got value_min=20 and value_max=10"),
    ],
    ids=["munchausen_double", "munchausen_n_step", "c51_range", "rainbow_range"],
)
def test_settings_without_a_meaning_are_refused(algorithm: Any, fields: Any, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        algorithm(RandomMDP(), **fields)


SOLVE: dict[str, Any] = {
    "hidden_sizes": (),  # of one-hot states: a table
    "batch_size": 256,
    "num_envs": 32,
    "num_steps": 16,
    "num_updates": 16,
    "replay_capacity": 40_960,
    "total_steps": 51_200,
    "target_period": 10,
    "target_rate": 1.0,
    "discount": GAMMA,
    "learning_rate": 0.03,
    "anneal_learning_rate": True,
    "max_grad_norm": None,
    "exploration_end": 1.0,
}
LIKE_A_TABLE: dict[str, Any] = {
    "dqn": {"huber_delta": None},
    "c51": {"num_atoms": 51, "value_min": -10.0, "value_max": 10.0, "learning_rate": 0.1, "target_period": 5},
    "qr_dqn": {"num_quantiles": 32, "huber_delta": 0.05},
}


@pytest.mark.parametrize("name", LIKE_A_TABLE)
def test_the_values_of_a_small_mdp_are_those_of_value_iteration(name: str) -> None:
    optimal = RandomMDP().optimal_values(GAMMA)
    agent = made(name, **{**SOLVE, **LIKE_A_TABLE[name]})
    state = long_runs.jit(jaxrl.train)(agent, jax.random.key(0)).state
    learned = np.asarray(agent.to_values(outputs(agent, state.learner.params, jnp.eye(S))))
    np.testing.assert_allclose(learned, optimal, atol=0.1)
    np.testing.assert_array_equal(learned.argmax(axis=1), optimal.argmax(axis=1))
