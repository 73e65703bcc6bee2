"""The contract of an environment: its own rules, both ends of an episode, the true successor, and nothing of resets."""

from typing import Any, Literal, Protocol, TypeVar

import jax

from jaxrl.pytree import dataclass

from .spaces import Space

EnvState = TypeVar("EnvState")
ResetMode = Literal["fresh", "optimistic", "cached"]


@dataclass
class TimeStep:
    """What one step of an environment answers."""

    obs: Any
    """The true successor, also where the episode ended: never the first observation of the next episode."""
    reward: jax.Array
    """float32 [] (or [A] with several agents)."""
    terminated: jax.Array
    """bool []: the task is over, and nothing of value comes after `obs`."""
    truncated: jax.Array
    """bool []: the episode was cut (a time limit), and its value goes on from `obs`."""
    info: dict[str, Any]
    """Diagnostics; the same keys at every step."""


class Environment(Protocol[EnvState]):
    """A world as two pure functions; an implementation is a `jaxrl.pytree.dataclass` whose physics are leaves."""

    @property
    def observation_space(self) -> Space: ...

    @property
    def action_space(self) -> Space: ...

    def reset(self, key: jax.Array) -> tuple[EnvState, Any]:
        """Draw a first state: (state, obs)."""
        ...

    def step(self, key: jax.Array, state: EnvState, action: Any) -> tuple[EnvState, TimeStep]:
        """Play one action. A step past an end may be asked for (a finished lane of a batch); its answer is not used."""
        ...


def reset_mode(env: Any) -> ResetMode:
    """The way in which `env` wants its episodes to start: its own `reset_mode`, or that of the one it wraps.

    `fresh`: every episode starts from a draw of its own. `optimistic`: so too, but where many end at one step, more
    than are drawn together, they share the draws. `cached`: every lane restarts from its own first state.
    """
    while not hasattr(env, "reset_mode"):
        if not hasattr(env, "env"):
            return "fresh"
        env = env.env
    return env.reset_mode
