"""The oracles are Gymnasium's own tables, values known in closed form, and long play."""

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxrl
from jaxrl.envs.tabular import (
    CliffWalking,
    FrozenLake,
    RandomWalk,
    action_values,
    optimal_values,
    policy_values,
    transitions,
)

# ours -> Gymnasium's
TABLES = {
    "CliffWalking-v1": (CliffWalking(), {}),
    "CliffWalkingSlippery-v1": (CliffWalking(is_slippery=True), {}),
    "FrozenLake-v1": (FrozenLake(), {}),
    "FrozenLake8x8-v1": (FrozenLake(map_name="8x8"), {}),
    "FrozenLake-v1 on firm ice": (FrozenLake(is_slippery=False), {"is_slippery": False}),
    "FrozenLake-v1 otherwise": (
        FrozenLake(desc=("SFS", "HFG"), success_rate=0.7, goal_reward=5, hole_reward=-2, step_reward=-0.25),
        {"desc": ["SFS", "HFG"], "success_rate": 0.7, "reward_schedule": (5, -2, -0.25)},
    ),
}


def uniform(env):
    num_states, num_actions = transitions(env).rewards.shape
    return np.full((num_states, num_actions), 1 / num_actions)


@pytest.mark.parametrize("name", TABLES)
def test_the_matrices_are_gymnasiums(name):
    env, settings = TABLES[name]
    theirs = gymnasium.make(name.split()[0], **settings).unwrapped
    model = transitions(env)
    ends = {after for row in theirs.P.values() for all_ in row.values() for _, after, _, is_end in all_ if is_end}
    assert set(np.flatnonzero(model.terminal)) == ends
    np.testing.assert_allclose(model.starts, theirs.initial_state_distrib, atol=1e-7)
    for state, row in theirs.P.items():
        for action, outcomes in row.items():
            probabilities = np.zeros(len(theirs.P))
            for probability, after, _, _ in outcomes:
                probabilities[after] += probability
            mean = sum(probability * reward for probability, _, reward, _ in outcomes)
            if state in ends:  # where nobody plays, Gymnasium's cliff still has moves
                probabilities, mean = np.eye(len(theirs.P))[state], 0.0
            np.testing.assert_allclose(model.probabilities[state, action], probabilities, atol=1e-7)
            np.testing.assert_allclose(model.rewards[state, action], mean, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("length", [1, 5, 19, 100])
def test_a_random_walk_is_worth_how_far_it_is(length):
    known = np.arange(length + 2) / (length + 1)
    known[[0, -1]] = 0.0
    for env in (RandomWalk(length=length), RandomWalk(length=length, slip=0.25)):
        np.testing.assert_allclose(policy_values(env, uniform(env), 1.0), known, atol=1e-9)
    np.testing.assert_allclose(optimal_values(RandomWalk(length=length), 1.0), known, atol=1e-8)
    lost = RandomWalk(length=length, left_reward=-1)
    np.testing.assert_allclose(policy_values(lost, uniform(lost), 1.0)[1:-1], 2 * known[1:-1] - 1, atol=1e-9)


def test_a_chain_without_slips_is_worth_its_discounted_end():
    env = RandomWalk(length=6, slip=0)
    np.testing.assert_allclose(optimal_values(env, 0.9)[1:-1], 0.9 ** np.arange(5, -1, -1), rtol=1e-12)


def test_right_is_where_the_reward_is():
    env = RandomWalk(slip=0)
    assert env.step(jax.random.key(0), jnp.int32(3), 1)[0] == 4
    assert (action_values(env, optimal_values(env, 0.9), 0.9)[1:-1].argmax(axis=1) == 1).all()


def test_nothing_comes_after_an_end_whatever_values_are_given():
    assert action_values(RandomWalk(length=1, slip=0), np.ones(3), 0.5).tolist() == [[0, 0], [0, 1], [0, 0]]


def test_the_ruin_of_a_gambler():
    # With probability p of going right the chance to win from k is (1 - r^k) / (1 - r^(n + 1)), r = (1 - p) / p.
    ratio, k = 0.3 / 0.7, np.arange(1, 10)
    known = (1 - ratio**k) / (1 - ratio**10)
    np.testing.assert_allclose(optimal_values(RandomWalk(length=9, slip=0.3), 1.0)[1:-1], known, rtol=1e-6)


def test_the_cliff_costs_thirteen_steps():
    env = CliffWalking()
    values = optimal_values(env, 1.0)
    assert values[36] == -13
    assert values[0] == -14  # eleven to the right, three down
    q = action_values(env, values, 1.0)
    assert q[36].tolist() == [-13, -113, -14, -14]
    assert q[47].tolist() == [0, 0, 0, 0]


def test_the_lakes_known_values():
    # 14/17 is the chance of ever crossing the 4x4 lake; 0.542 its value at a discount of 0.99.
    assert optimal_values(FrozenLake(), 1.0)[0] == pytest.approx(14 / 17, abs=1e-6)
    assert optimal_values(FrozenLake(), 0.99)[0] == pytest.approx(0.5420, abs=5e-5)
    assert optimal_values(FrozenLake(is_slippery=False), 0.99)[0] == pytest.approx(0.99**5, rel=1e-9)
    assert optimal_values(FrozenLake(map_name="8x8", is_slippery=False), 0.99)[0] == pytest.approx(0.99**13, rel=1e-9)


@pytest.mark.parametrize("env", [FrozenLake(), CliffWalking(is_slippery=True), RandomWalk(slip=0.1)], ids=repr)
def test_the_optimum_is_the_value_of_its_own_greedy_policy_and_no_policy_beats_it(env):
    best = optimal_values(env, 0.97)
    greedy = np.eye(env.action_space.n)[action_values(env, best, 0.97).argmax(axis=1)]
    np.testing.assert_allclose(policy_values(env, greedy, 0.97), best, atol=1e-9)
    for seed in range(20):
        policy = np.random.default_rng(seed).dirichlet(np.full(env.action_space.n, 0.3), len(best))
        assert (policy_values(env, policy, 0.97) <= best + 1e-9).all()


def test_play_collects_what_the_exact_values_say():
    env, discount = FrozenLake(), 0.9
    policy = np.random.default_rng(0).dirichlet(np.ones(4), 16)

    def play(key):
        def step(carry, key):
            state, weight = carry
            act_key, step_key = jax.random.split(key)
            action = jax.random.categorical(act_key, jnp.log(jnp.float32(policy))[state])
            state, timestep = env.step(step_key, state, action)
            return (state, weight * discount * ~timestep.terminated), weight * timestep.reward

        reset_key, play_key = jax.random.split(key)
        start, _ = env.reset(reset_key)
        return jax.lax.scan(step, (start, jnp.float32(1)), jax.random.split(play_key, 100))[1].sum()

    returns = np.asarray(jax.jit(jax.vmap(play))(jax.random.split(jax.random.key(0), 20_000)))
    error = returns.std() / len(returns) ** 0.5
    assert abs(returns.mean() - policy_values(env, policy, discount)[0]) < 4 * error


@pytest.mark.parametrize(
    "env", [FrozenLake(), FrozenLake(desc=("SFS", "FHG")), CliffWalking(is_slippery=True)], ids=repr
)
def test_a_step_draws_each_outcome_as_often_as_the_matrix_says(env):
    model, num_draws = transitions(env), 4_000
    keys = jax.random.split(jax.random.key(1), num_draws)
    states = np.flatnonzero(~model.terminal)
    step = jax.vmap(jax.vmap(jax.vmap(env.step, (0, None, None)), (None, None, 0)), (None, 0, None))
    after, timestep = jax.jit(step)(keys, jnp.asarray(states), jnp.arange(env.action_space.n))
    counts = np.asarray(jax.nn.one_hot(after, len(model.terminal)).mean(axis=2))
    expected = model.probabilities[states]
    assert (counts[expected == 0] == 0).all()
    assert (np.abs(counts - expected) <= 5 * np.sqrt(expected * (1 - expected) / num_draws) + 1e-6).all()
    np.testing.assert_array_equal(timestep.terminated, model.terminal[np.asarray(after)])
    rewards = np.asarray(timestep.reward)
    error = rewards.std(axis=2) / num_draws**0.5
    assert (np.abs(rewards.mean(axis=2) - model.rewards[states]) <= 5 * error + 1e-4).all()
    starts = np.asarray(jax.nn.one_hot(jax.vmap(env.reset)(keys)[0], len(model.terminal)).mean(axis=0))
    np.testing.assert_allclose(starts, model.starts, atol=5 * 0.5 / num_draws**0.5)


def test_wrappers_that_leave_the_rules_alone_are_looked_through():
    env = jaxrl.make("FrozenLake-v1", flatten=True, max_steps=7, reset_mode="cached")
    np.testing.assert_array_equal(optimal_values(env, 0.9), optimal_values(FrozenLake(), 0.9))


@pytest.mark.parametrize(
    ("call", "error", "sentence"),
    [
        (lambda: transitions(jaxrl.make("CartPole-v1")), TypeError, "Only a tabular environment .* got Gymnax"),
        (lambda: transitions(jaxrl.make("FrozenLake-v1", sticky_actions=0.1)), TypeError, "got StickyActions"),
        (lambda: policy_values(RandomWalk(), np.ones((7, 2)), 0.9), ValueError, r"probabilities \[7, 2\] .* sum of 1"),
        (lambda: policy_values(RandomWalk(), np.ones(7), 0.9), ValueError, r"got shape \[7\]"),
        (lambda: optimal_values(RandomWalk(), 1.5), ValueError, r"discount must be in \[0, 1\], got 1.5"),
        (
            lambda: policy_values(CliffWalking(), np.eye(4)[np.zeros(48, int)], 1.0),
            ValueError,
            "This policy never ends from state 0, where .* take a lower one",
        ),
        (lambda: FrozenLake(desc=("SF", "G")), ValueError, "rows of one length"),
        (lambda: FrozenLake(desc=("FF", "FG")), ValueError, r"S \(at least one\)"),
        (lambda: FrozenLake(desc=("SX", "FG")), ValueError, r"got \('SX', 'FG'\)"),
        (lambda: FrozenLake(desc=(1, 2)), ValueError, r"got \(1, 2\)"),
        (lambda: jaxrl.make("FrozenLake-v1", map_nam="8x8"), TypeError, "'map_nam'; did you mean 'map_name'"),
        (lambda: jaxrl.make("FrozenLake-v1", map_name="9x9"), ValueError, "one of '4x4', '8x8', got '9x9'"),
    ],
)
def test_bad_input_gets_one_sentence(call, error, sentence):
    with pytest.raises(error, match=sentence) as raised:
        call()
    assert "\n" not in str(raised.value)


def test_what_can_be_collected_for_ever_has_no_value_without_a_discount(monkeypatch):
    monkeypatch.setattr("jaxrl.envs.tabular.solutions.MOST_SWEEPS", 500)
    with pytest.raises(ValueError, match="have not settled in 500 sweeps; take a lower one"):
        optimal_values(FrozenLake(step_reward=0.1), 1.0)


@pytest.mark.parametrize("point", [0.0, 1 - 2**-24])
def test_what_is_impossible_is_never_drawn(point, monkeypatch):
    monkeypatch.setattr(jax.random, "uniform", lambda key: jnp.float32(point))
    firm = FrozenLake(is_slippery=False)  # of its three outcomes the first and the last are impossible
    assert firm.step(jax.random.key(0), jnp.int32(0), 2)[0] == 1
