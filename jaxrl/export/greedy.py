"""What every form carries away: the greedy policy as a function of observations, and of a memory where it needs one."""

import dataclasses
from typing import Any

import jax
import numpy as np
from jax.interpreters import partial_eval

from jaxrl.algorithm import Policy
from jaxrl.envs.spaces import Space


@dataclasses.dataclass(frozen=True)
class Greedy:
    """A policy that draws nothing, with the shapes and dtypes of its inputs; their first axis is the batch."""

    policy: Policy
    obs: Any
    """Leaves of shape [batch, ...], where `batch` is a symbol or a number."""
    memory: Any
    """The same; None where the action does not depend on a memory."""

    @property
    def batch(self) -> Any:
        """The first axis of every input: the symbol `batch`, or a number."""
        return jax.tree.leaves(self.obs)[0].shape[0]

    @property
    def inputs(self) -> dict[str, Any]:
        """By name, in the order in which `act` takes them."""
        return {"obs": self.obs} if self.memory is None else {"obs": self.obs, "memory": self.memory}

    def act(self, policy: Policy, obs: Any, memory: Any = None) -> Any:
        """The action, or the pair (action, memory after it) of a policy with a memory."""
        if self.memory is None:
            return policy.act(jax.random.key(0), obs, policy.initial_memory((1,)))[0]
        return policy.act(jax.random.key(0), obs, memory)

    def baked(self, *inputs: Any) -> Any:
        """`act` with the parameters of the policy inside."""
        return self.act(self.policy, *inputs)

    def check_memory_starts_at_zero(self, form: str) -> None:
        """Raise ValueError unless a caller who knows the shapes of the memory knows how it begins."""
        if any(np.any(leaf) for leaf in jax.tree.leaves(self.policy.initial_memory((1,)))):
            raise ValueError(
                f"form={form} needs a policy whose memory begins as zeros, and this one begins otherwise; "
                "use form=numpy, which carries the beginning too."
            )


def greedy(policy: Policy, observation_space: Space, batch: int | None = None) -> Greedy:
    """`policy` for batches of observations of that space: of any size, or of `batch` where a network needs a number.

    Raises ValueError where the policy draws random numbers, or its network asks for the size of a batch of any size.
    """
    size: Any = jax.export.symbolic_shape("batch")[0] if batch is None else batch
    one = jax.eval_shape(observation_space.sample, jax.random.key(0))
    obs = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct((size, *leaf.shape), leaf.dtype), one)
    memory = jax.eval_shape(lambda: policy.initial_memory((size,)))
    try:
        draws, remembers = _dependencies(policy, obs, memory)
    except jax.errors.InconclusiveDimensionOperation:
        raise ValueError(
            "The policy's network asks for the size of its batch, and was given a batch of any size; name one, as in "
            "batch=1."
        ) from None
    if draws:
        raise ValueError(
            "Only a policy that draws no random numbers can be exported, and this one does; "
            "take the greedy one, as in algorithm.policy(state, greedy=True)."
        )
    return Greedy(policy, obs, memory if remembers else None)


def _dependencies(policy: Policy, obs: Any, memory: Any) -> tuple[bool, bool]:
    """Whether the action depends on the key, and whether on the memory."""

    def action(key: jax.Array, memory: Any, obs: Any) -> Any:
        return policy.act(key, obs, memory)[0]

    jaxpr = jax.make_jaxpr(action)(jax.random.key(0), memory, obs).jaxpr
    _, is_used = partial_eval.dce_jaxpr(jaxpr, [True] * len(jaxpr.outvars))
    return is_used[0], any(is_used[1 : 1 + len(jax.tree.leaves(memory))])
