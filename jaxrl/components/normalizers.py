"""What an on-policy learner normalises by: statistics of observations, and of discounted returns for its rewards."""

from typing import Any

import jax
import jax.numpy as jnp

from jaxrl.components import normalization
from jaxrl.components.normalization import RunningStats
from jaxrl.components.rollouts import Transition
from jaxrl.pytree import Scalar, dataclass


@dataclass
class Normalizers:
    """Frozen through a rollout and its epochs; each is None where it is switched off."""

    observations: RunningStats | None
    returns: RunningStats | None
    """Of discounted sums of rewards, by whose standard deviation rewards are divided."""

    def normalized(self, obs: Any) -> Any:
        """Observations as the networks see them; any leading axes."""
        return obs if self.observations is None else normalization.normalize(self.observations, obs)

    def scaled(self, rewards: jax.Array) -> jax.Array:
        """Rewards as they are learned from."""
        return rewards if self.returns is None else normalization.scale_rewards(self.returns, rewards)

    def updated(
        self, rollout: Transition, running: jax.Array, discount: Scalar, axis: str | None
    ) -> tuple["Normalizers", jax.Array]:
        """Take in a rollout [T, N, ...]; `running` [N] are the discounted sums of the episodes under way, before it."""
        observations, returns = self.observations, self.returns
        if observations is not None:
            observations = normalization.update(observations, rollout.obs, axis)
        if returns is not None:
            running, sums = normalization.accumulate_returns(
                running, rollout.reward, rollout.terminated, rollout.truncated, discount
            )
            returns = normalization.update(returns, sums, axis)
        return Normalizers(observations, returns), running


def initial_normalizers(obs: Any, *, observations: bool, rewards: bool) -> Normalizers:
    """Fresh ones, which change nothing, for observations like `obs` [N, ...]."""
    return Normalizers(
        observations=RunningStats.of(obs) if observations else None,
        returns=RunningStats.of(jnp.zeros(1)) if rewards else None,
    )
