"""`train`, `evaluate` and `vary` as a user calls them."""

from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxrl
from jaxrl.engine.train import advance, advance_in_parts, bounds_of_parts, initial_state
from jaxrl.metrics import over_parts
from jaxrl.pytree import dataclass

PPO = jaxrl.PPO(jaxrl.make("CartPole-v1"), num_envs=4, num_steps=8, total_steps=330, hidden_sizes=(8,))
TRAIN = jax.jit(jaxrl.train, static_argnames=("num_reports",))


@dataclass
class Scripted:
    """A policy that always plays `action`."""

    action: jax.Array

    def act(self, key: jax.Array, obs: Any, memory: Any) -> tuple[Any, Any]:
        return jnp.broadcast_to(self.action, obs.shape[:1]), memory

    def initial_memory(self, shape: tuple[int, ...]) -> tuple[()]:
        return ()


def test_total_steps_are_rounded_up_to_whole_iterations() -> None:
    result = TRAIN(PPO, jax.random.key(0))
    assert int(result.iteration) == 11
    assert result.steps == 352
    assert all(metric.shape == (11,) for metric in result.metrics.values())


def test_going_on_is_never_having_stopped() -> None:
    key = jax.random.key(0)
    whole = TRAIN(PPO, key, start=0, num_iterations=10)
    half = TRAIN(PPO, key, start=0, num_iterations=5)
    rest = TRAIN(PPO, key, state=half.state, start=half.iteration, num_iterations=5)
    assert int(rest.iteration) == 10
    for x, y in zip(jax.tree.leaves(whole.state), jax.tree.leaves(rest.state), strict=True):
        np.testing.assert_array_equal(x, y)


def test_reports_are_means_over_their_stretch() -> None:
    fine = TRAIN(PPO, jax.random.key(0))
    coarse = TRAIN(PPO, jax.random.key(0), num_reports=1)
    np.testing.assert_allclose(coarse.metrics["entropy"], fine.metrics["entropy"].mean(keepdims=True), rtol=1e-4)
    assert np.isnan(fine.metrics["episode_return"]).any(), "a stretch without an episode's end is NaN"
    assert np.isfinite(coarse.metrics["episode_return"]).all()


def test_a_run_in_parts_is_the_run_up_to_rounding() -> None:
    state, run_key = initial_state(PPO, jax.random.key(0))
    whole, metrics, _ = jax.jit(advance)(PPO, run_key, state, 0, 5)
    parts, each, suspects = jax.jit(advance_in_parts)(PPO, run_key, state, bounds_of_parts(0, 5, 3))
    for x, y in zip(jax.tree.leaves((whole, metrics)), jax.tree.leaves((parts, over_parts(each))), strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-3, atol=1e-5)
    assert suspects.shape == (3,)


@pytest.mark.parametrize("num_iterations", [0, 1, 7, 100, 30_000_000, 2**31 - 1])
@pytest.mark.parametrize("num_parts", [1, 16, 100])
def test_parts_cover_every_iteration_of_the_longest_run(num_iterations: int, num_parts: int) -> None:
    expected = [part * num_iterations // num_parts for part in range(num_parts + 1)]
    for given in (num_iterations, jnp.int32(num_iterations)):
        assert bounds_of_parts(0, given, num_parts).tolist() == expected
    later = [1_000 + part * (num_iterations // 2) // num_parts for part in range(num_parts + 1)]
    assert bounds_of_parts(jnp.int32(1_000), num_iterations // 2, num_parts).tolist() == later


def test_legacy_keys_are_the_same_keys() -> None:
    new = TRAIN(PPO, jax.random.key(3))
    old = TRAIN(PPO, jax.random.PRNGKey(3))
    for x, y in zip(jax.tree.leaves(new.state), jax.tree.leaves(old.state), strict=True):
        np.testing.assert_array_equal(x, y)


def test_vary_gives_one_leaf_an_axis_and_no_other() -> None:
    agents, axes = jaxrl.vary(PPO, learning_rate=jnp.array([0.0, 1e-2]))
    assert agents.learning_rate.shape == (2,)
    assert (axes.learning_rate, axes.discount) == (0, None)
    keys = jax.random.split(jax.random.key(0), 3)
    grid = jax.jit(jax.vmap(jax.vmap(jaxrl.train, (None, 0)), (axes, None)))(agents, keys)
    assert grid.metrics["entropy"].shape == (2, 3, 11)
    assert grid.steps.shape == (2, 3)
    kernels = grid.state.learner.params["params"]["policy_head"]["kernel"]
    start = jax.vmap(lambda key: PPO.init(jax.random.split(key)[0]).learner.params)(keys)
    np.testing.assert_allclose(kernels[0], start["params"]["policy_head"]["kernel"], rtol=1e-5)
    assert not np.allclose(kernels[1], kernels[0])


def test_the_physics_can_be_varied_too() -> None:
    agents, axes = jaxrl.vary(PPO, env__params__gravity=jnp.array([9.8, 30.0]))
    result = jax.jit(jax.vmap(jaxrl.train, (axes, None)))(agents, jax.random.key(0))
    assert not np.allclose(result.state.world.obs[0], result.state.world.obs[1])


def test_evaluate_plays_one_whole_episode_per_lane() -> None:
    env = jaxrl.make("CartPole-v1")
    episodes = jax.jit(jaxrl.evaluate, static_argnames="num_episodes")(
        Scripted(jnp.int32(1)), env, jax.random.key(0), num_episodes=32
    )
    assert episodes.completed.all()
    np.testing.assert_array_equal(episodes.returns, episodes.lengths.astype(jnp.float32))
    assert len(np.unique(episodes.lengths)) > 1
    assert episodes.lengths.min() >= 7
    assert episodes.lengths.max() <= 12  # pushing one way only


def test_evaluate_is_bounded_and_says_what_was_not_completed() -> None:
    env = jaxrl.make("Pendulum-v1")  # 200 steps, always
    episodes = jaxrl.evaluate(Scripted(jnp.zeros(1)), env, jax.random.key(0), num_episodes=3, max_steps=5)
    assert not episodes.completed.any()
    np.testing.assert_array_equal(episodes.lengths, [5, 5, 5])


def test_evaluate_vmaps_over_agents() -> None:
    keys = jax.random.split(jax.random.key(0), 3)
    states = jax.jit(jax.vmap(lambda key: PPO.init(key)))(keys)
    policies = jax.vmap(PPO.policy)(states)
    episodes = jax.jit(jax.vmap(lambda policy, key: jaxrl.evaluate(policy, PPO.env, key, 8)))(policies, keys)
    assert episodes.returns.shape == (3, 8)
    assert episodes.completed.all()


def test_a_gymnax_environment_is_accepted_as_it_is() -> None:
    import gymnax

    env, _ = gymnax.make("CartPole-v1")
    assert replace(PPO, env=env) == PPO
    assert replace(PPO, env="CartPole-v1") == PPO


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: jaxrl.train(PPO, jax.random.split(jax.random.key(0), 2)), "key must be a single key"),
        (lambda: jaxrl.train(PPO, 0), "key must be a JAX random key"),
        (lambda: jaxrl.train(PPO, jax.random.key(0), num_reports=0), "num_reports must be a positive int"),
        (lambda: jaxrl.train(PPO, jax.random.key(0), num_iterations=-1), "num_iterations must be at least 0"),
        (lambda: jaxrl.vary(PPO, learning_rat=jnp.ones(2)), "did you mean 'learning_rate'"),
        (lambda: jaxrl.vary(PPO, num_envs=jnp.ones(2)), "a static setting cannot vary"),
        (lambda: jaxrl.vary(PPO, learning_rate=1e-3), "must be an array of values"),
        (lambda: jaxrl.vary(PPO, learning_rate=jnp.ones(2), discount=jnp.ones(3)), "must have the same length"),
        (lambda: jaxrl.evaluate(None, PPO.env, jax.random.key(0), num_episodes=0), "num_episodes must be"),
        (lambda: jaxrl.PPO(jaxrl.make("CartPole-v1"), num_envs=0), "PPO.num_envs must be at least 1, got 0"),
        (lambda: jaxrl.PPO(jaxrl.make("CartPole-v1"), num_envs=2.5), "PPO.num_envs must be of type int, got 2.5"),
        (lambda: jaxrl.PPO(jaxrl.make("CartPole-v1"), num_minibatches=7), "must be a multiple of num_minibatches"),
        (lambda: jaxrl.PPO(jaxrl.make("CartPole-v1"), learning_rate=-1e-3), "learning_rate must be at least 0"),
        (lambda: jaxrl.PPO(jaxrl.make("CartPole-v1"), learning_rate="fast"), "learning_rate must be a number"),
        (lambda: jaxrl.PPO(jaxrl.make("CartPole-v1"), learning_rate=float("nan")), "learning_rate must be finite"),
        (lambda: jaxrl.PPO(jaxrl.make("CartPole-v1"), discount=1.5), "discount must be at most 1, got 1.5"),
        (lambda: jaxrl.PPO(jaxrl.make("CartPole-v1"), clip_range=0), "clip_range must be above 0"),
        (lambda: jaxrl.PPO(jaxrl.make("CartPole-v1"), discount=None), "discount must be a number, got None"),
        (lambda: jaxrl.PPO(jaxrl.make("CartPole-v1"), learnin_rate=1e-3), "did you mean 'learning_rate'"),
        (lambda: jaxrl.PPO(jaxrl.make("CartPole-v1"), activation="tan"), "tanh"),
        (lambda: jaxrl.PPO(jaxrl.make("CartPole-v1"), hidden_sizes=(64, 0)), "hidden_sizes must be at least 1"),
        (lambda: jaxrl.PPO("CartPol-v1"), "CartPole-v1"),
        (lambda: jaxrl.PPO(3), "environment"),
        (lambda: jaxrl.RecurrentPPO(jaxrl.make("CartPole-v1"), num_envs=6), "num_envs must be a multiple of"),
        (lambda: jaxrl.RecurrentPPO(jaxrl.make("CartPole-v1"), core="rnn"), "core must be one of 'gru', 'lstm'"),
        (lambda: jaxrl.PPO(jaxrl.make("CartPole-v1"), normalize_advantages="yes"), "must be of type bool"),
    ],
)
def test_every_wrong_setting_is_refused_in_one_sentence(call: Any, sentence: str) -> None:
    with pytest.raises((TypeError, ValueError)) as caught:
        call()
    message = str(caught.value)
    assert sentence in message
    assert "\n" not in message.strip()


def test_an_algorithm_prints_what_was_chosen_and_no_more() -> None:
    ppo = jaxrl.PPO(jaxrl.make("CartPole-v1", gravity=12.5), learning_rate=3e-4, num_envs=16)
    assert repr(ppo) == "PPO(env=Gymnax(CartPole(), gravity=12.5), num_envs=16, learning_rate=0.0003)"
    assert repr(jaxrl.PPO("CartPole-v1")) == "PPO(env=Gymnax(CartPole()))"


def test_the_reports_know_their_steps() -> None:
    result = TRAIN(PPO, jax.random.key(0), num_reports=2)
    np.testing.assert_array_equal(result.report_steps, [160, 352])
