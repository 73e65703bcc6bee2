"""What is particular to PQN: its targets against rlax and a plain loop, its exploration, its memory."""

from dataclasses import replace
from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import rlax

import jaxrl
from jaxrl.algorithms.value_based.pqn import best_value, pqn_epsilon, pqn_loss
from jaxrl.metrics import values

T, N = 32, 4
SIZES: dict[str, Any] = {"num_envs": N, "num_steps": T, "total_steps": 1280, "num_minibatches": 4, "hidden_sizes": (8,)}


@cache
def _collected(name: str, max_steps: int, **fields: Any) -> tuple[Any, Any, Any]:
    """An algorithm, a state some iterations in, and a rollout."""
    algorithm = getattr(jaxrl, name)(jaxrl.make("CartPole-v1", max_steps=max_steps), **SIZES, **fields)
    state = jax.jit(lambda a, key: jaxrl.train(a, key, num_iterations=2).state)(algorithm, jax.random.key(0))
    return algorithm, state, _rollout(algorithm, state, 0)


@jax.jit
def _rollout(algorithm: Any, state: Any, iteration: Any) -> Any:
    return algorithm.collect(jax.random.key(1), state, iteration)[1]


@jax.jit
def _prepared(algorithm: Any, state: Any, rollout: Any) -> Any:
    memory = (state.world.memory,) if isinstance(algorithm, jaxrl.RecurrentPQN) else ()
    return algorithm.prepare(state.learner, rollout, *memory)


def _targets(algorithm: Any, state: Any, rollout: Any) -> np.ndarray:
    """[T, N], as they are learned from."""
    target = np.asarray(_prepared(algorithm, state, rollout).target)
    return target.T if isinstance(algorithm, jaxrl.RecurrentPQN) else target.reshape(T, N)


def test_targets_are_those_of_rlax_where_nothing_is_cut() -> None:
    pqn, state, rollout = _collected("PQN", 500)
    assert rollout.terminated.any(), "without an end the test shows less"
    assert not rollout.truncated.any()
    q, next_q = (pqn.network.apply(state.learner.params, obs) for obs in (rollout.obs, rollout.next_obs))
    discount = pqn.discount * (1.0 - rollout.terminated)
    errors = jax.vmap(rlax.q_lambda, in_axes=(1, 1, 1, 1, 1, None), out_axes=1)(
        q, rollout.action, pqn.reward_scale * rollout.reward, discount, next_q, np.float32(pqn.trace_decay)
    )
    taken = np.take_along_axis(np.asarray(q), np.asarray(rollout.action)[..., None], axis=-1)[..., 0]
    np.testing.assert_allclose(_targets(pqn, state, rollout), taken + errors, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("name", "fields"), [("PQN", {}), ("RecurrentPQN", {"memory_size": 8})], ids=["plain", "gru"])
def test_targets_follow_the_recursion_where_episodes_are_cut(name: str, fields: dict[str, Any]) -> None:
    """Environment by environment and backwards in time, the value of each true successor by itself."""
    algorithm, state, rollout = _collected(name, 9, **fields)
    assert rollout.truncated[:-1].any(axis=0).all()
    assert rollout.terminated.any() or name != "PQN"
    params, network = state.learner.params, algorithm.network

    @jax.jit
    def q(params: Any, obs: Any, memory: Any) -> Any:
        if name == "PQN":
            return network.apply(params, obs).max()
        return network.apply(params, obs, memory, method="step")[0].max()

    expected = np.zeros((T, N))
    for env in range(N):
        for t in reversed(range(T)):
            next_obs = rollout.next_obs[t, env]
            following = next_value = float(q(params, next_obs, rollout.extras[t, env] if name != "PQN" else ()))
            if t + 1 < T and not rollout.truncated[t, env]:
                decay = float(algorithm.trace_decay)
                following = (1 - decay) * next_value + decay * expected[t + 1, env]
            goes_on = 1.0 - float(rollout.terminated[t, env])
            reward = float(algorithm.reward_scale) * float(rollout.reward[t, env])
            expected[t, env] = reward + float(algorithm.discount) * goes_on * following
    np.testing.assert_allclose(_targets(algorithm, state, rollout), expected, rtol=1e-4, atol=1e-5)


def test_without_a_trace_targets_are_of_one_step_and_with_all_of_it_those_of_monte_carlo() -> None:
    pqn, state, rollout = _collected("PQN", 500)
    next_value = pqn.network.apply(state.learner.params, rollout.next_obs).max(axis=-1)
    reward = pqn.reward_scale * np.asarray(rollout.reward)
    one_step = reward + pqn.discount * (1.0 - np.asarray(rollout.terminated)) * next_value
    np.testing.assert_allclose(_targets(replace(pqn, trace_decay=0.0), state, rollout), one_step, rtol=1e-5)

    sums = _targets(replace(pqn, trace_decay=1.0), state, rollout)
    for env in range(N):
        (ends,) = np.nonzero(rollout.terminated[:, env])
        for start, end in zip(
            [0, *(ends + 1)], ends, strict=False
        ):  # whole episodes, the first perhaps without its start
            weights = float(pqn.discount) ** np.arange(end - start + 1)
            assert sums[start, env] == pytest.approx((weights * reward[start : end + 1, env]).sum(), rel=1e-4)


def test_rewards_are_scaled_where_they_are_learned_from_and_nowhere_else() -> None:
    pqn, state, rollout = _collected("PQN", 500)
    by_hand = replace(rollout, reward=0.3 * rollout.reward)
    scaled = _targets(replace(pqn, reward_scale=0.3), state, rollout)
    np.testing.assert_allclose(scaled, _targets(replace(pqn, reward_scale=1.0), state, by_hand), rtol=1e-5)
    assert rollout.reward.max() == 1.0


def test_the_loss_is_half_the_squared_error_of_the_actions_taken() -> None:
    pqn, state, rollout = _collected("PQN", 500)
    batch = _prepared(pqn, state, rollout)
    q = np.asarray(pqn.network.apply(state.learner.params, batch.obs))
    error = q[np.arange(T * N), batch.action] - batch.target
    loss, metrics = jax.jit(pqn_loss)(pqn, state.learner.params, batch)
    assert float(loss) == pytest.approx(0.5 * np.square(error).mean(), rel=1e-4)
    assert float(values(metrics)["td_error"]) == pytest.approx(np.abs(error).mean(), rel=1e-4)


def test_learning_sees_the_values_by_which_it_acted() -> None:
    pqn, state, rollout = _collected("RecurrentPQN", 9, memory_size=8)
    params, batch = state.learner.params, _prepared(pqn, state, rollout)
    acted_on, _ = pqn.network.apply(params, rollout.obs, rollout.memory, method="step")
    q = jax.jit(pqn.action_values)
    np.testing.assert_allclose(q(params, batch), np.swapaxes(acted_on, 0, 1), atol=1e-5)
    for wrong in (replace(batch, first=batch.first & False), replace(batch, memory=batch.memory + 0.5)):
        assert not np.allclose(q(params, wrong), np.swapaxes(acted_on, 0, 1), atol=1e-3)


def test_epsilon_falls_as_told_and_is_how_often_actions_are_random() -> None:
    pqn, state, _ = _collected("PQN", 500)
    pqn = replace(pqn, exploration_start=0.8, exploration_end=0.2, exploration_fraction=0.5)
    falling = [float(pqn_epsilon(pqn, jnp.int32(iteration))) for iteration in range(10)]  # a run of ten iterations
    np.testing.assert_allclose(falling, [0.8, 0.68, 0.56, 0.44, 0.32, *[0.2] * 5], rtol=1e-5)

    long = replace(pqn, num_steps=1024, exploration_start=1.0)
    rollout = _rollout(long, state, 0)
    best = pqn.network.apply(state.learner.params, rollout.obs).argmax(axis=-1)
    assert np.mean(rollout.action == best) == pytest.approx(0.5, abs=4 * 0.5 / 4096**0.5)
    rollout = _rollout(replace(long, exploration_start=0.0, exploration_end=0.0), state, 0)
    best = pqn.network.apply(state.learner.params, rollout.obs).argmax(axis=-1)
    np.testing.assert_array_equal(rollout.action, best)


def test_the_learning_rate_is_annealed_to_zero_unless_told_otherwise() -> None:
    pqn, state, rollout = _collected("PQN", 500)
    batch = _prepared(pqn, state, rollout)
    for anneal, iteration, moves in ((True, 0, True), (True, 10, False), (False, 10, True)):
        agent = replace(pqn, anneal_learning_rate=anneal)
        learner, _ = jax.jit(agent.learn)(jax.random.key(2), state.learner, batch, jnp.int32(iteration))
        before, after = (jax.tree.leaves(each.params) for each in (state.learner, learner))
        assert any(not np.array_equal(x, y) for x, y in zip(before, after, strict=True)) == moves


def test_a_forbidden_action_has_no_value() -> None:
    q = jnp.array([[1.0, 5.0, 3.0], [1.0, 5.0, 3.0]])
    obs = {"cards": jnp.zeros((2, 1)), "action_mask": jnp.array([[True, False, True], [True, True, True]])}
    np.testing.assert_array_equal(best_value(q, obs), [3.0, 5.0])
    np.testing.assert_array_equal(best_value(q, obs["cards"]), [5.0, 5.0])


def test_normalisation_begins_after_the_first_rollout_and_is_carried_by_the_policy() -> None:
    pqn, state, rollout = _collected("PQN", 500, normalize_observations=True)
    stats = state.learner.observation_stats
    assert float(stats.count) == 2 * T * N
    batch = _prepared(pqn, state, rollout)
    mean, variance = np.asarray(stats.mean), np.asarray(stats.variance)
    by_hand = (np.asarray(rollout.obs) - mean) / np.sqrt(variance + 1e-8)
    np.testing.assert_allclose(batch.obs, by_hand.reshape(T * N, -1), rtol=1e-3, atol=1e-3)
    q = pqn.network.apply(state.learner.params, batch.obs)
    np.testing.assert_array_equal(pqn.policy(state).act(jax.random.key(0), rollout.obs)[0].ravel(), q.argmax(axis=-1))


@pytest.mark.parametrize("name", ["PQN", "RecurrentPQN"])
def test_what_does_not_fit_is_refused(name: str) -> None:
    algorithm = getattr(jaxrl, name)
    with pytest.raises(ValueError, match="needs a Discrete action space, got Box"):
        algorithm("Pendulum-v1")
    divides = r"num_envs( \* num_steps)? must be a multiple of num_minibatches"
    with pytest.raises(ValueError, match=divides):
        algorithm("CartPole-v1", num_envs=8, num_steps=4, num_minibatches=7)
