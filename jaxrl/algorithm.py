"""The contract: what you choose is a frozen dataclass, what changes is a state, what happens is a pure function.

The engine runs whatever satisfies `Algorithm` and knows no algorithm by name.
"""

from typing import Any, Protocol, TypeVar

import jax

from jaxrl.metrics import Metrics

State = TypeVar("State")


class Policy(Protocol):
    """How an agent acts once trained: a pytree that carries its parameters and frozen normaliser statistics."""

    def act(self, key: jax.Array, obs: Any, memory: Any) -> tuple[Any, Any]:
        """Choose an action the environment accepts, for one observation or any leading axes; returns (action, memory).

        A feed-forward policy's memory is `()`. The caller resets a memory where an episode starts.
        """
        ...

    def initial_memory(self, shape: tuple[int, ...]) -> Any:
        """The memory at the start of an episode, with leading axes `shape`."""
        ...


class Algorithm(Protocol[State]):
    """Hyperparameters, and three pure functions of them.

    An implementation is a `jaxrl.pytree.dataclass`: numbers that may vary are leaves, what shapes the program static.
    The key and the iteration are arguments, not state: the driver gives each iteration a key of its own, and an
    iteration number that is the same for all seeds stays unbatched under `vmap`, so that branches on it stay branches.
    """

    @property
    def env(self) -> Any:
        """The environment that the algorithm trains in."""
        ...

    @property
    def total_steps(self) -> int:
        """Environment steps of a whole run; rounded up to whole iterations by `train`."""
        ...

    @property
    def steps_per_iteration(self) -> int:
        """Environment steps of one `step`, over all environments and devices."""
        ...

    def init(self, key: jax.Array) -> State:
        """The state before the first iteration."""
        ...

    def step(self, key: jax.Array, state: State, iteration: jax.Array) -> tuple[State, Metrics]:
        """One iteration: interact, then learn. The metrics have the same keys every time."""
        ...

    def policy(self, state: State, greedy: bool = True) -> Policy:
        """The policy of `state`; greedy by default, `greedy=False` explores as at the end of training."""
        ...


def num_iterations(algorithm: Algorithm[Any]) -> int:
    """Iterations of a whole run: `total_steps` rounded up to whole iterations."""
    return -(-algorithm.total_steps // algorithm.steps_per_iteration)
