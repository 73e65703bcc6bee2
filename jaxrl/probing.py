"""`check_algorithm`: train an algorithm on tasks with known answers, and say which part of it is broken."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl.algorithm import Algorithm
from jaxrl.engine.compilation import compile_ahead
from jaxrl.engine.train import train
from jaxrl.envs.probe_suite import ProbeSuite, actions_agree, probe_suite, values_agree

ValueOf = Callable[[Any, Any, jax.Array, jax.Array], jax.Array]


@dataclasses.dataclass(frozen=True)
class Answer:
    """What an algorithm answered to one probe."""

    probe: str
    is_right: bool
    sentence: str


@dataclasses.dataclass(frozen=True)
class Answers:
    """What an algorithm answered to the probes; one sentence each when printed."""

    answers: tuple[Answer, ...]

    @property
    def are_right(self) -> bool:
        """Whether all of them are."""
        return all(answer.is_right for answer in self.answers)

    def __str__(self) -> str:
        return "\n".join(f"{'right' if a.is_right else 'WRONG'}  {a.sentence}" for a in self.answers)


def check_algorithm(
    build: Callable[[Any], Algorithm[Any]],
    value: ValueOf | None = None,
    *,
    continuous: bool = False,
    key: jax.Array | None = None,
    num_seeds: int = 2,
) -> Answers:
    """Train `build(env)`, an algorithm, on every probe, and compare what it learned with the known answers.

    All probes and seeds are one program, in which `env` shows observations [4] and takes two discrete actions, or with
    `continuous` one in [-2, 2]. `value(algorithm, state, obs, first)` gives the values [M] that were learned for
    observations [M, 4]; they stand in the order of an episode, and `first` [M] says where one begins, for those with a
    memory. Without it only the two probes that have a best action are judged. Values grow with the discount, and are
    learned sooner at 0.8 than at 0.99; some 50,000 steps suffice for most algorithms.

    Raises ValueError where there is a `value` and the algorithm has no field `discount` below 1, or where it gives
    something else than [M].
    """
    suite = probe_suite(continuous)
    discount = None if value is None else _discount(build(suite))
    keys = jax.random.split(jax.random.key(0) if key is None else key, num_seeds)
    actions, values = _learned(build, value, suite, keys)
    answers = []
    for index, probe in enumerate(suite.probes):
        rows, obs = suite.rows(index), jnp.asarray(probe.shown)
        compared, agreed = [], []
        if discount is not None:
            known, found = np.asarray(probe.value(obs, discount)), values[index][:, rows]
            compared.append(_compared("value", known, found))
            agreed.append(values_agree(found, known))
        if probe.best_action(obs) is not None:
            best, found = np.ravel(probe.best_action(obs)), actions[index][:, rows].reshape(num_seeds, -1)
            compared.append(_compared("best action", best, found))
            agreed.append(actions_agree(found, best, continuous))
        if compared:
            answers.append(_answer(probe, compared, all(agreed)))
    return Answers(tuple(answers))


def _learned(build: Callable[[Any], Any], value: ValueOf | None, suite: ProbeSuite, keys: jax.Array) -> tuple[Any, Any]:
    """Greedy actions and values [probe, seed, M, ...] at the observations that the probes show."""
    obs, first = jnp.asarray(suite.shown), jnp.asarray(suite.first)

    def learn(which: jax.Array, key: jax.Array) -> tuple[Any, Any]:
        algorithm = build(dataclasses.replace(suite, which=which))
        train_key, act_key = jax.random.split(key)
        state = train(algorithm, train_key, num_reports=1).state
        policy = algorithm.policy(state)
        action, _ = policy.act(act_key, obs, policy.initial_memory(obs.shape[:1]))
        values = jnp.zeros(len(obs)) if value is None else jnp.asarray(value(algorithm, state, obs, first))
        if values.shape != first.shape:
            raise ValueError(
                f"`value` must give a number for each of the {len(obs)} observations, {list(first.shape)}, "
                f"got {list(values.shape)}; take the value of the best action, or the only entry of an axis."
            )
        return action, values

    each = jax.vmap(jax.vmap(learn, (None, 0)), (0, None))
    which = jnp.arange(len(suite.probes), dtype=jnp.float32)
    program, _ = compile_ahead(each, which, keys)
    return jax.device_get(program(which, keys))


def _answer(probe: Any, compared: list[str], is_right: bool) -> Answer:
    name = type(probe).__name__
    advice = "" if is_right else f"; look at {probe.part}"
    return Answer(name, is_right, f"{name}: {' and '.join(compared)}{advice}.")


def _compared(what: str, known: Any, found: Any) -> str:
    """What was expected and found at each observation; `known` [M], `found` [seed, M]."""
    each = [
        f"{right:.2f} (found {low:.2f} to {high:.2f})"
        for right, low, high in zip(known, found.min(axis=0), found.max(axis=0), strict=True)
    ]
    return f"{what} {', '.join(each)}"


def _discount(algorithm: Any) -> float:
    discount = getattr(algorithm, "discount", None)
    if discount is None or not discount < 1:
        raise ValueError(
            f"The values of the probes are known for a field `discount` below 1, and {type(algorithm).__name__} has "
            f"{discount}; give it one, or leave out `value`."
        )
    return float(discount)
