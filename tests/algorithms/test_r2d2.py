"""R2D2's targets against rlax, a plain loop and double DQN; what burns in, and what is stored to begin with."""

from dataclasses import replace
from functools import cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import rlax

import jaxrl
from jaxrl.algorithms.value_based.q_learning import Losses
from jaxrl.algorithms.value_based.r2d2 import R2D2
from jaxrl.components.replay import Step, ring_of, windows
from jaxrl.components.rollouts import where_done
from jaxrl.components.sequences import SequenceBatch, sequences_at

B, BURN_IN, L, NUM_STEPS, GAMMA = 6, 3, 8, 2, 0.9
SMALL: dict[str, Any] = {
    "num_envs": B,
    "num_steps": NUM_STEPS,
    "total_steps": 1_000,
    "burn_in": BURN_IN,
    "trace_length": L,
    "hidden_sizes": (8,),
    "memory_size": 8,
    "n_step": 3,
    "discount": GAMMA,
    "learning_starts": 0,
    "replay_capacity": 20 * B * NUM_STEPS,
}


@cache
def _agent(core: str = "lstm", **fields: Any) -> R2D2:
    return R2D2(jaxrl.make("CartPole-v1"), **{**SMALL, **fields}, core=core)


@jax.jit
def _loss(agent: R2D2, params: Any, target_params: Any, batch: SequenceBatch) -> Losses:
    return agent.loss(params, target_params, batch, jax.random.key(0))


@jax.jit
def _step(agent: R2D2, params: Any, obs: jax.Array, memory: Any) -> tuple[jax.Array, Any]:
    return agent.network.apply(params, obs, memory, method="step")


def _params(agent: R2D2, seed: int) -> Any:
    obs = jnp.zeros((1, 1, 4))
    memory = agent.network.initial_memory((1,))
    params = jax.jit(agent.network.init)(jax.random.key(seed), obs, jnp.zeros((1, 1), bool), memory)
    # Values of a size at which a wrong transformation shows.
    return jax.tree.map(lambda leaf: 2.0 * leaf, params)


def _batch(agent: R2D2, *, cut: bool) -> SequenceBatch:
    """Random sequences with terminations and, if `cut`, truncations."""
    random, shape = np.random.default_rng(0), (agent.burn_in + agent.trace_length, B)
    terminated = random.random(shape) < 0.15
    truncated = (random.random(shape) < 0.25) & ~terminated & cut
    ended = terminated | truncated
    memory = agent.network.initial_memory((B,))
    return SequenceBatch(
        obs=jnp.asarray(random.normal(size=(*shape, 4)), jnp.float32),
        action=jnp.asarray(random.integers(0, 2, shape), jnp.int32),
        reward=jnp.asarray(3.0 * random.normal(size=shape), jnp.float32),
        terminated=jnp.asarray(terminated),
        truncated=jnp.asarray(truncated),
        next_obs=jnp.asarray(random.normal(size=(*shape, 4)), jnp.float32),
        first=jnp.asarray(np.concatenate([np.zeros((1, B), bool), ended[:-1]])),
        memory=jax.tree.map(lambda leaf: jnp.asarray(random.normal(size=leaf.shape), jnp.float32), memory),
        weight=jnp.ones(B),
    )


def _lived(agent: R2D2, params: Any, batch: SequenceBatch) -> tuple[np.ndarray, np.ndarray]:
    """Q(obs) and Q(next_obs) of the trace [L, B, A], one step after another from the stored memory."""
    step = partial(_step, agent, params)
    memory, values, next_values = batch.memory, [], []
    fresh = agent.network.initial_memory((B,))
    for t in range(len(batch.reward)):
        first = np.asarray(batch.first[t])[:, None]
        memory = jax.tree.map(lambda new, old, first=first: jnp.where(first, new, old), fresh, memory)
        value, memory = step(batch.obs[t], memory)
        values.append(value)
        next_values.append(step(batch.next_obs[t], memory)[0])
    return np.stack(values)[agent.burn_in :], np.stack(next_values)[agent.burn_in :]


def _h(x: float) -> float:
    return np.sign(x) * (np.sqrt(abs(x) + 1) - 1) + 1e-3 * x


def _inverse(y: float) -> float:
    """By bisection."""
    low, high = -1e6, 1e6
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if _h(middle) < y else (low, middle)
    return (low + high) / 2


def _plain_errors(agent: R2D2, batch: SequenceBatch, online: Any, target: Any) -> np.ndarray:
    """Q(s_t, a_t) - y_t [L, B], window by window; a step that is not an end is followed by the next row."""
    (values, next_values), (target_values, target_next) = online, target
    to, back = (_h, _inverse) if agent.rescale_values else (float, float)
    rows = jax.tree.map(lambda leaf: np.asarray(leaf)[agent.burn_in :], replace(batch, memory=(), weight=()))
    errors = np.zeros((L, B))
    for b in range(B):
        for t in range(L):
            total, power, k = 0.0, 1.0, t
            while True:
                total += power * rows.reward[k, b]
                power *= GAMMA
                if rows.terminated[k, b] or rows.truncated[k, b] or k == L - 1 or k - t == agent.n_step - 1:
                    break
                k += 1
            at_cut = rows.truncated[k, b] or k == L - 1
            chooses, gives = (next_values[k], target_next[k]) if at_cut else (values[k + 1], target_values[k + 1])
            best = np.argmax(chooses[b] if agent.double else gives[b])
            bootstrap = 0.0 if rows.terminated[k, b] else back(gives[b][best])
            errors[t, b] = values[t, b, rows.action[t, b]] - to(total + power * bootstrap)
    return errors


@pytest.mark.parametrize("core", ["gru", "lstm"])
@pytest.mark.parametrize("fields", [{}, {"double": False}, {"rescale_values": False, "burn_in": 0}], ids=str)
def test_the_loss_is_that_of_a_plain_loop(core: str, fields: dict[str, Any]) -> None:
    agent = _agent(core, **fields)
    params, target_params, batch = _params(agent, 0), _params(agent, 1), _batch(agent, cut=True)
    found = _loss(agent, params, target_params, batch)
    lived = _lived(agent, params, batch), _lived(agent, target_params, batch)
    errors = _plain_errors(agent, batch, *lived)
    np.testing.assert_allclose(found.loss, 0.5 * (errors**2).mean(axis=0), rtol=2e-4)
    sizes = np.abs(errors)
    np.testing.assert_allclose(found.error, 0.9 * sizes.max(axis=0) + 0.1 * sizes.mean(axis=0), rtol=2e-4)


def test_the_errors_are_those_of_rlax() -> None:
    agent = _agent()
    params, target_params, batch = _params(agent, 0), _params(agent, 1), _batch(agent, cut=False)
    (values, next_values), (target_values, target_next) = (_lived(agent, p, batch) for p in (params, target_params))
    after = np.concatenate([values[1:], next_values[-1:]])  # of the step after each; the last has a successor alone
    target_after = np.concatenate([target_values[1:], target_next[-1:]])
    trace = jax.tree.map(lambda leaf: leaf[BURN_IN:], replace(batch, memory=(), weight=()))
    oracle = partial(rlax.transformed_n_step_q_learning, n=agent.n_step, tx_pair=rlax.SIGNED_HYPERBOLIC_PAIR)
    errors = jax.jit(jax.vmap(oracle, in_axes=1))(
        jnp.asarray(values),
        trace.action,
        jnp.asarray(target_after),
        jnp.argmax(jnp.asarray(after), axis=-1),
        trace.reward,
        GAMMA * (1.0 - trace.terminated),
    )  # [B, L]
    found = _loss(agent, params, target_params, batch)
    np.testing.assert_allclose(found.loss, 0.5 * jnp.square(errors).mean(axis=1), rtol=2e-4)


def _forgetful(params: Any) -> Any:
    """A GRU that keeps nothing: its update gate is shut, and what it remembers enters nowhere."""
    core = params["params"]["recurrent_core"]
    update = slice(8, 16)
    layer = core["input_layer"]
    layer = {"kernel": layer["kernel"].at[:, update].set(0.0), "bias": layer["bias"].at[update].set(-100.0)}
    core = {**core, "input_layer": layer, "recurrent_kernel": jnp.zeros_like(core["recurrent_kernel"])}
    return {"params": {**params["params"], "recurrent_core": core}}


def test_without_a_memory_it_is_double_dqn_on_n_step_windows() -> None:
    agent = _agent("gru", burn_in=0, rescale_values=False)
    params, target_params = (_forgetful(_params(agent, seed)) for seed in (0, 1))
    batch = _batch(agent, cut=True)
    # A row that is followed by another shows its successor, as the environment would.
    ended = (batch.terminated | batch.truncated)[:-1, :, None]
    next_obs = jnp.concatenate([jnp.where(ended, batch.next_obs[:-1], batch.obs[1:]), batch.next_obs[-1:]])
    batch = replace(batch, next_obs=next_obs)

    def values_of(params: Any, obs: jax.Array) -> jax.Array:
        return _step(agent, params, obs, agent.network.initial_memory(obs.shape[:1]))[0]

    rows = Step(batch.obs, batch.action, batch.reward, batch.terminated, batch.truncated, batch.next_obs)
    window = windows(rows, ring_of(L * B, B, L), jnp.arange(L * B), jnp.int32(0), GAMMA, agent.n_step)
    errors = jax.vmap(rlax.double_q_learning)(
        values_of(params, window.obs),
        window.action,
        window.reward,
        window.discount,
        values_of(target_params, window.next_obs),
        values_of(params, window.next_obs),
    ).reshape(L, B)
    found = _loss(agent, params, target_params, batch)
    np.testing.assert_allclose(found.loss, 0.5 * jnp.square(errors).mean(axis=0), rtol=2e-4)


def test_no_gradient_goes_into_the_burn_in() -> None:
    agent = _agent()
    params, batch = _params(agent, 0), _batch(agent, cut=True)

    @partial(jax.jit, static_argnames="argnums")
    def gradients(agent: R2D2, batch: SequenceBatch, argnums: tuple[int, ...]) -> Any:
        def total(params: Any, obs: jax.Array, memory: Any) -> jax.Array:
            lived = replace(batch, obs=obs, memory=memory)
            return agent.loss(params, params, lived, jax.random.key(0)).loss.sum()

        return jax.grad(total, argnums)(params, batch.obs, batch.memory)

    of_params, of_obs, of_memory = gradients(agent, batch, (0, 1, 2))
    assert (of_obs[:BURN_IN] == 0).all()
    assert (of_obs[BURN_IN] != 0).any()
    assert all((leaf == 0).all() for leaf in jax.tree.leaves(of_memory))
    # The rest is the gradient of the trace alone, begun with the memory after the burn-in.
    _, memory = agent.network.apply(params, batch.obs[:BURN_IN], batch.first[:BURN_IN], batch.memory)
    trace = jax.tree.map(lambda leaf: leaf[BURN_IN:], replace(batch, memory=(), weight=()))
    trace = replace(trace, memory=memory, weight=batch.weight)
    (alone,) = gradients(replace(agent, burn_in=0), trace, (0,))
    for x, y in zip(jax.tree.leaves(of_params), jax.tree.leaves(alone), strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-4, atol=1e-5)


@pytest.fixture(scope="module")
def played() -> tuple[R2D2, list[Any]]:
    """The states of the first iterations, none of which learns before the last; episodes are of three steps."""
    env = jaxrl.make("MemoryChain-bsuite", memory_length=2)
    agent = R2D2(env, **{**SMALL, "num_updates": 1, "batch_size": 4})
    step = jax.jit(agent.step)
    states = [agent.init(jax.random.key(0))]
    for i in range(agent.sequences.span):
        states.append(step(jax.random.fold_in(jax.random.key(1), i), states[-1], jnp.int32(i))[0])
    return agent, states


def test_learning_waits_for_the_first_sequence(played: tuple[R2D2, list[Any]]) -> None:
    _, states = played
    kernels = [jax.tree.leaves(state.learner.params)[-1] for state in states]
    for kernel in kernels[1:-1]:
        np.testing.assert_array_equal(kernel, kernels[0])
    assert not np.array_equal(kernels[-1], kernels[0])


def test_what_is_stored_is_the_memory_that_it_acted_with(played: tuple[R2D2, list[Any]]) -> None:
    agent, states = played
    batch = sequences_at(states[-1].replay, agent.sequences, jnp.arange(B))  # from the first chunk on
    memory, fresh = batch.memory, agent.network.initial_memory((B,))
    for chunk in range(1, agent.sequences.span):
        rows = slice((chunk - 1) * NUM_STEPS, chunk * NUM_STEPS)
        network, params = agent.network, states[0].learner.params
        _, memory = network.apply(params, batch.obs[rows], batch.first[rows], memory)
        ended = (batch.terminated | batch.truncated)[rows][-1]
        assert ended.all() == (chunk == 3)  # an episode of three steps ends with a chunk of two
        memory = where_done(ended, fresh, memory)
        for found, stored in zip(jax.tree.leaves(memory), jax.tree.leaves(states[-1].replay.memory), strict=True):
            np.testing.assert_allclose(stored[chunk], found, rtol=1e-5, atol=1e-6)
            assert (stored[chunk] != 0).any() or chunk == 3


def test_an_error_says_what_to_change() -> None:
    with pytest.raises(ValueError, match="R2D2 has no noisy layers, got noisy=True; leave it out"):
        R2D2(jaxrl.make("CartPole-v1"), noisy=True)
    with pytest.raises(ValueError, match="hold at least one sequence of each environment"):
        R2D2(jaxrl.make("CartPole-v1"), replay_capacity=100)
