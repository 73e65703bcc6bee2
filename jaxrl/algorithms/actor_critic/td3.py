"""Twin delayed DDPG (Fujimoto et al. 2018, https://arxiv.org/abs/1802.09477).

DDPG with three changes, each of which can be switched off:

    a' = clip(mu_target(next_obs) + clip(target_noise * n, -target_noise_clip, target_noise_clip), -1, 1)
    y  = r + gamma^n (1 - terminated) min over critics of Q_target(next_obs, a')
    the actor and the target networks move at every policy_delay-th gradient step only

With one critic, `target_noise` 0 and a `policy_delay` of 1 it is DDPG.
"""

from typing import Any

import jax
import jax.numpy as jnp

from jaxrl.algorithms.actor_critic import actor_critic
from jaxrl.algorithms.actor_critic.actor_critic import ContinuousSettings, State
from jaxrl.algorithms.actor_critic.ddpg import actor_step, critic_step, deterministic_action
from jaxrl.algorithms.actor_critic.learner import Learner, every, with_moved_targets
from jaxrl.components.continuous import ContinuousPolicy, PointHead, num_entries
from jaxrl.components.critics import Critics
from jaxrl.components.replay import Batch
from jaxrl.metrics import Metrics
from jaxrl.pytree import Scalar, dataclass, hyperparameter, static


@dataclass
class TD3(ContinuousSettings):
    """TD3 for actions in a bounded Box."""

    num_critics: int = static(2, minimum=1)
    """The target is the least of their values; the actor follows the first."""
    policy_delay: int = static(2, minimum=1)  # d
    """Gradient steps of the critics for one of the actor, and for one move of the targets."""

    target_noise: Scalar = hyperparameter(0.2, minimum=0)  # sigma~
    """Standard deviation of the noise on the target's action, in half-widths of the range of actions."""
    target_noise_clip: Scalar = hyperparameter(0.5, minimum=0)  # c
    """The most of it."""

    def check(self) -> None:
        """Refuse spaces that no network here fits, and a replay that is too small."""
        actor_critic.check(self)

    @property
    def steps_per_iteration(self) -> int:
        return self.num_envs * self.num_steps

    @property
    def head(self) -> PointHead:
        return PointHead(num_entries(actor_critic.space(self)))

    @property
    def critic_network(self) -> Critics:
        return actor_critic.critic_network(self)

    @property
    def targets(self) -> tuple[str, ...]:
        return ("actor", "critics")

    def init(self, key: jax.Array) -> State:
        return actor_critic.init(self, key)

    def init_params(self, key: jax.Array, obs: Any) -> dict[str, Any]:
        """The first actor and critics."""
        return actor_critic.init_params(self, key, obs)

    def step(self, key: jax.Array, state: State, iteration: jax.Array) -> tuple[State, Metrics]:
        return actor_critic.step(self, key, state, iteration)

    def policy(self, state: State, greedy: bool = True) -> ContinuousPolicy:
        return actor_critic.policy(self, state, greedy)

    def update(self, key: jax.Array, learner: Learner, batch: Batch, count: jax.Array) -> Any:
        """One gradient step of the critics, now and then of the actor: (learner, errors [B], metrics)."""
        next_action = smoothed_action(self, key, learner.target_params["actor"], batch.next_obs)
        learner, errors, metrics = critic_step(self, learner, batch, next_action)
        learner, more = every(
            self.policy_delay, count, lambda learner: actor_step(self, learner, batch, self.value), learner
        )
        learner = with_moved_targets(self, learner, count, self.policy_delay)
        return learner, errors, {**metrics, **more}

    def value(self, params: Any, obs: Any, action: jax.Array) -> jax.Array:
        """What the actor climbs, [B]: the first critic."""
        return self.critic_network.apply(params, obs, action)[0]


def smoothed_action(td3: TD3, key: jax.Array, params: Any, obs: Any) -> jax.Array:
    """Eq. 14: mu(obs) with clipped noise, [B, D] in [-1, 1]."""
    action = deterministic_action(td3, params, obs)
    noise = td3.target_noise * smoothing_noise(key, action.shape)
    return jnp.clip(action + jnp.clip(noise, -td3.target_noise_clip, td3.target_noise_clip), -1.0, 1.0)


def smoothing_noise(key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    """Of standard deviation 1."""
    return jax.random.normal(key, shape)
