"""AWR on one batch against plain Python and known answers, and what its replay lets it draw."""

from dataclasses import replace
from functools import cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from actor_critic_batch import Stretched

import jaxrl
from jaxrl.algorithms.actor_critic import awr
from jaxrl.algorithms.actor_critic.awr import AWR
from jaxrl.components.normalization import RunningStats, normalize
from jaxrl.components.policies import ActorPolicy
from jaxrl.components.replay import Step
from jaxrl.envs.environment import TimeStep
from jaxrl.envs.spaces import Box, Dict, Discrete, MultiDiscrete
from jaxrl.metrics import mean
from jaxrl.pytree import dataclass, static

L, B, GAMMA, LAMBDA = 7, 6, 0.9, 0.8
KEY = jax.random.key(0)
SIZES: dict[str, Any] = {"hidden_sizes": (8,), "batch_size": B, "sequence_length": L}
NUMBERS: dict[str, Any] = {"discount": GAMMA, "trace_decay": LAMBDA}
# Adam with so large an epsilon steps by the gradient itself.
PLAIN: dict[str, Any] = {"learning_rate": 1e6, "critic_learning_rate": 1e6, "adam_epsilon": 1e6}
_jit = partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})


@dataclass
class Counter:
    """What is observed is how many steps it has lived, over all episodes, beside a mask if there is one."""

    actions: Any = static(Discrete(3))
    mask: tuple[bool, ...] | None = static(None)

    @property
    def observation_space(self) -> Any:
        count = Box(0.0, np.inf, (3,))
        return count if self.mask is None else Dict({"obs": count, "action_mask": Box(0, 1, (3,), np.bool_)})

    @property
    def action_space(self) -> Any:
        return self.actions

    def reset(self, key: jax.Array) -> Any:
        return jnp.float32(0), self.look(jnp.float32(0))

    def step(self, key: jax.Array, state: jax.Array, action: Any) -> Any:
        end = jnp.bool_(False)
        return state + 1, TimeStep(self.look(state + 1), jnp.float32(1), terminated=end, truncated=end, info={})

    def look(self, state: jax.Array) -> Any:
        count = jnp.full((3,), state)
        return count if self.mask is None else {"obs": count, "action_mask": jnp.array(self.mask)}


def _batch(env: Any) -> Step:
    """Random sequences [L, B] with terminations and truncations; a successor is the next row's observation or none."""
    random, shape = np.random.default_rng(0), (L, B)
    terminated = random.random(shape) < 0.2
    truncated = (random.random(shape) < 0.3) & ~terminated
    obs = random.normal(size=(*shape, 3)).astype(np.float32)
    ended = (terminated | truncated)[..., None]
    next_obs = np.where(ended, random.normal(size=obs.shape), np.concatenate([obs[1:], -obs[-1:]])).astype(np.float32)
    shown: Any = (obs, next_obs)
    if isinstance(env, Counter) and env.mask is not None:
        mask = np.broadcast_to(np.array(env.mask), (*shape, 3))
        shown = tuple({"obs": x, "action_mask": mask} for x in shown)
    space = env.action_space
    if isinstance(space, Box):
        action = random.uniform(space.low, space.high, (*shape, 2)).astype(np.float32)
    else:  # 0 or 1, which every mask here allows
        action = random.integers(0, 2, (*shape, *space.shape)).astype(np.int32)
    reward = random.normal(size=shape).astype(np.float32)
    return jax.tree.map(jnp.asarray, Step(shown[0], action, reward, terminated, truncated, shown[1]))


@cache
def _learner(env: Any) -> Any:
    """Nothing learned yet; the same for all agents here."""
    return _jit(lambda: AWR(env, **SIZES).init(KEY).learner)()


@_jit
def _critic(agent: AWR, params: Any, obs: Any) -> jax.Array:
    return agent.critic_network.apply(params["critics"], obs)


def _log_prob(agent: AWR, params: Any, batch: Step) -> jax.Array:
    policy = ActorPolicy(params, None, agent.actor_network, agent.head, agent.env.action_space)
    return policy.distribution(batch.obs).log_prob(batch.action)


@_jit
def _change(agent: AWR, learner: Any, batch: Step) -> Any:
    """What an update subtracts from the parameters."""
    after = agent.update(KEY, learner, batch, jnp.int32(0))[0].params
    return jax.tree.map(jnp.subtract, learner.params, after)


def _assert_close(a: Any, b: Any, atol: float = 2e-5) -> None:
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        np.testing.assert_allclose(x, y, rtol=2e-3, atol=atol)


def _returns_by_hand(agent: AWR, params: Any, batch: Step) -> tuple[np.ndarray, np.ndarray]:
    """(R, A), one step after another from the last."""
    value, next_value = (np.asarray(_critic(agent, params, obs)) for obs in (batch.obs, batch.next_obs))
    reward, terminated, truncated = (np.asarray(x) for x in (batch.reward, batch.terminated, batch.truncated))
    returns = np.zeros((L, B))
    for lane in range(B):
        for t in reversed(range(L)):
            if terminated[t, lane]:
                after = 0.0
            elif truncated[t, lane] or t == L - 1:
                after = next_value[t, lane]
            else:
                after = (1 - LAMBDA) * next_value[t, lane] + LAMBDA * returns[t + 1, lane]
            returns[t, lane] = reward[t, lane] + GAMMA * after
    return returns, returns - value


def test_returns_are_those_of_a_plain_loop() -> None:
    agent = AWR(Counter(), **SIZES, **NUMBERS)
    params, batch = _learner(agent.env).params, _batch(agent.env)
    assert np.asarray(batch.truncated)[:-1].any()
    assert np.asarray(batch.terminated)[:-1].any()
    returns, advantages = _jit(AWR.targets_and_advantages)(agent, params["critics"], batch)
    expected = _returns_by_hand(agent, params, batch)
    np.testing.assert_allclose(returns, expected[0], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(advantages, expected[1], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "env",
    [Counter(), Counter(mask=(True, True, False)), Counter(MultiDiscrete((2, 3))), Stretched()],
    ids=["discrete", "masked", "multi-discrete", "continuous"],
)
def test_without_temperature_it_clones_what_was_done(env: Any) -> None:
    # exp(A / infinity) is 1, which the clip at 1 leaves as it is.
    agent = AWR(env, **SIZES, **NUMBERS, **PLAIN, temperature=1e9, max_weight=1.0)
    learner, batch = _learner(env), _batch(env)
    cloning = _jit(jax.grad(lambda params: -_log_prob(agent, params, batch).mean()))(learner.params["actor"])
    step = _change(agent, learner, batch)
    assert max(np.abs(leaf).max() for leaf in jax.tree.leaves(cloning)) > 0.05
    _assert_close(step["actor"], cloning)


@pytest.mark.parametrize("normalized", [False, True])
def test_each_loss_is_a_regression_on_constants(normalized: bool) -> None:
    agent = AWR(Counter(), **SIZES, **NUMBERS, **PLAIN, temperature=0.7, max_weight=2.0)
    agent = replace(agent, normalize_advantages=normalized)
    learner, batch = _learner(agent.env), _batch(agent.env)
    returns, advantages = _returns_by_hand(agent, learner.params, batch)
    if normalized:
        advantages = (advantages - advantages.mean()) / advantages.std()
    weights = jnp.asarray(np.minimum(np.exp(advantages / 0.7), 2.0), jnp.float32)
    assert (np.asarray(weights) == 2.0).any()
    assert (np.asarray(weights) < 2.0).any()
    targets = jnp.asarray(returns, jnp.float32)

    def loss(params: Any) -> jax.Array:
        error = agent.critic_network.apply(params["critics"], batch.obs) - targets
        return (0.5 * jnp.square(error) - weights * _log_prob(agent, params["actor"], batch)).mean()

    step = _change(agent, learner, batch)
    _assert_close(step, _jit(jax.grad(loss))(learner.params))


@pytest.mark.parametrize(
    ("rate", "fixed", "moved"), [("learning_rate", "actor", "critics"), ("critic_learning_rate", "critics", "actor")]
)
def test_the_critic_and_the_actor_move_at_rates_of_their_own(rate: str, fixed: str, moved: str) -> None:
    agent = replace(AWR(Counter(), **SIZES, **NUMBERS, **PLAIN, temperature=0.7, max_weight=2.0), **{rate: 0.0})
    step = _change(agent, _learner(agent.env), _batch(agent.env))
    assert all((np.asarray(leaf) == 0).all() for leaf in jax.tree.leaves(step[fixed]))
    assert all((np.asarray(leaf) != 0).any() for leaf in jax.tree.leaves(step[moved]))


def test_on_a_bandit_it_becomes_what_the_paper_says() -> None:
    counts, reward, temperature = np.array([3, 2, 1]), np.array([0.0, 0.5, 1.0]), 0.4
    drawn = jnp.asarray(np.repeat(np.arange(3), counts))[None]  # [L=1, B]: each action as often as mu takes it
    yes, obs = jnp.ones((1, B), bool), jnp.zeros((1, B, 3))
    batch = Step(obs, drawn, jnp.asarray(reward, jnp.float32)[drawn], yes, ~yes, obs)
    agent = AWR(Counter(), **{**SIZES, "sequence_length": 1}, temperature=temperature, learning_rate=1e-2)
    agent = replace(agent, critic_learning_rate=0.0)
    learner = _learner(agent.env)
    value = float(_critic(agent, learner.params, obs)[0, 0])

    def policy(max_weight: jax.Array) -> jax.Array:
        limited = replace(agent, max_weight=max_weight)
        last, _ = jax.lax.scan(
            lambda learner, count: (limited.update(KEY, learner, batch, count)[0], ()), learner, jnp.arange(1_000)
        )
        distribution = ActorPolicy(
            last.params["actor"], None, agent.actor_network, agent.head, agent.env.action_space
        ).distribution(obs[0, 0])
        return jnp.exp(jax.vmap(distribution.log_prob)(jnp.arange(3)))

    limits = np.array([1e6, 2.0], np.float32)
    found = _jit(jax.vmap(policy))(jnp.asarray(limits))
    weights = np.minimum(np.exp((reward - value) / temperature), limits[:, None])
    assert (weights[1] == 2.0).any()
    assert (weights[1] < 2.0).any()
    expected = counts * weights / (counts * weights).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(found, expected, atol=1e-3)


def test_observations_are_normalised_for_both_networks() -> None:
    agent = AWR(Counter(), **SIZES, **NUMBERS, **PLAIN)
    learner, batch = _learner(agent.env), _batch(agent.env)
    stats = RunningStats(jnp.array([0.5, -1.0, 0.0]), jnp.array([4.0, 1.0, 0.25]), jnp.float32(10))
    obs, next_obs = (normalize(stats, x) for x in (batch.obs, batch.next_obs))
    step = _change(agent, replace(learner, observation_stats=stats), batch)
    _assert_close(step, _change(agent, learner, replace(batch, obs=obs, next_obs=next_obs)))


def _lived(monkeypatch: Any, iterations: int, **fields: Any) -> list[dict[str, Any]]:
    """What was drawn in each iteration by an agent with two environments: the oldest and newest step, the gaps."""

    def update(self: AWR, key: jax.Array, learner: Any, batch: Step, count: jax.Array) -> Any:
        seen = batch.obs[..., 0]
        gaps = mean(jnp.diff(seen, axis=0), jnp.ones_like(seen[1:], bool))
        return learner, (), {"oldest": mean(seen.min()), "newest": mean(seen.max()), "gap": gaps}

    monkeypatch.setattr(AWR, "update", update)
    agent = AWR(Counter(), hidden_sizes=(4,), num_envs=2, num_steps=4, num_updates=1, batch_size=256, **fields)
    step, state, seen = _jit(agent.step), _jit(agent.init)(KEY), []
    for iteration in range(iterations):
        state, metrics = step(jax.random.fold_in(KEY, iteration), state, jnp.int32(iteration))
        seen.append({name: metrics[name] for name in ("oldest", "newest", "gap")})
    return seen


def _span(seen: dict[str, Any]) -> tuple[float, float]:
    assert float(seen["gap"].total) == float(seen["gap"].weight)  # one step after another, in every sequence
    return float(seen["oldest"].total), float(seen["newest"].total)


def test_on_policy_draws_come_from_the_newest_rollout_alone(monkeypatch: Any) -> None:
    seen = _lived(monkeypatch, 3, sequence_length=3, replay_capacity=None)
    assert [_span(each) for each in seen] == [(0, 3), (4, 7), (8, 11)]


def test_a_replay_of_one_rollout_is_the_same_as_none() -> None:
    sizes: dict[str, Any] = {"num_envs": 2, "num_steps": 4, "sequence_length": 3}
    on_policy = AWR(Counter(), replay_capacity=None, **sizes).sequences
    assert on_policy == AWR(Counter(), replay_capacity=8, **sizes).sequences
    assert on_policy.ring.num_items == 8


def test_off_policy_draws_reach_back_as_far_as_the_replay_and_wait_for_a_sequence(monkeypatch: Any) -> None:
    seen = _lived(monkeypatch, 6, sequence_length=7, replay_capacity=24)
    assert float(seen[0]["oldest"].weight) == 0
    assert [_span(each) for each in seen[1:]] == [(0, 7), (0, 11), (4, 15), (8, 19), (12, 23)]


def test_actions_are_kept_as_drawn() -> None:
    agent = AWR(Counter(Box(-0.1, 0.1, (2,))), num_envs=2, num_steps=8, **{**SIZES, "learning_rate": 0.0})
    _, rollout, _ = _jit(AWR.collect)(agent, KEY, _jit(agent.init)(KEY))
    assert np.abs(rollout.action).max() > 0.5
    assert rollout.action.shape == (8, 2, 2)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"temperature": 0.0}, "temperature must be above 0, got 0"),
        ({"max_weight": 0.0}, "max_weight must be above 0, got 0"),
        ({"sequence_length": 0}, "sequence_length must be at least 1, got 0"),
        ({"replay_capacity": 255}, r"replay_capacity must hold at least one sequence .* got 255"),
        ({"sequence_length": 64, "replay_capacity": 511}, r"2 rollouts of num_envs \* num_steps = 8 \* 32 .* got 511"),
        ({"sequence_length": 33, "replay_capacity": None}, "sequence_length must be at most num_steps = 32 .* got 33"),
        ({"activation": "rely"}, "did you mean 'relu'"),
    ],
)
def test_settings_that_do_not_fit_are_refused(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        AWR(Counter(), **fields)


def test_sizes_that_the_devices_do_not_divide_are_refused() -> None:
    agent = jaxrl.AWR(Counter(), batch_size=6, axis="devices")

    def step(key: jax.Array) -> Any:
        return agent.step(key, agent.init(key), jnp.int32(0))

    with pytest.raises(ValueError, match="batch_size must be a multiple of the 4 devices of axis 'devices', got 6"):
        jax.eval_shape(jax.vmap(step, axis_name="devices"), jax.random.split(KEY, 4))


def test_a_batch_keeps_what_is_no_number() -> None:
    agent = AWR(Counter(mask=(True, True, False)), **SIZES, normalize_observations=True)
    batch = awr.prepared(_learner(agent.env), _batch(agent.env))
    assert batch.obs["action_mask"].dtype == jnp.bool_
