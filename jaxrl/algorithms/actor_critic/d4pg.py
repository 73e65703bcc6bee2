"""Distributed distributional DDPG (Barth-Maron et al. 2018, https://arxiv.org/abs/1804.08617), on one device or many.

DDPG with a critic that gives the probabilities of K fixed returns, targets of n steps, and a prioritized replay if
wanted:

    target: the distribution of r + gamma^n (1 - terminated) Z_target(next_obs, mu_target(next_obs)), projected (C51)
    critic: cross-entropy from the target to Z(obs, action)
    actor:  -mean of E[Z(obs, mu(obs))]
"""

from typing import Any

import jax
import jax.numpy as jnp

from jaxrl.algorithms.actor_critic import actor_critic
from jaxrl.algorithms.actor_critic.actor_critic import ContinuousSettings, State
from jaxrl.algorithms.actor_critic.ddpg import actor_step, deterministic_action
from jaxrl.algorithms.actor_critic.learner import Learner, descend, with_moved_targets
from jaxrl.components.continuous import ContinuousPolicy, PointHead, num_entries
from jaxrl.components.critics import Critics
from jaxrl.components.replay import Batch
from jaxrl.components.value_distributions import Categorical
from jaxrl.metrics import Metrics, mean
from jaxrl.pytree import Scalar, dataclass, hyperparameter, static


@dataclass
class D4PG(ContinuousSettings):
    """D4PG for actions in a bounded Box; the range of returns is the task's."""

    num_atoms: int = static(51, minimum=2)  # K
    n_step: int = static(5, minimum=1)
    """Rewards in a target before it bootstraps."""

    value_min: Scalar = hyperparameter(-150.0)
    """The least return that is told apart from a lesser one."""
    value_max: Scalar = hyperparameter(150.0)
    noise_scale: Scalar = hyperparameter(0.3, minimum=0)  # sigma
    """Standard deviation of the noise added to actions, in half-widths of their range."""

    def check(self) -> None:
        """Refuse spaces that no network here fits, a replay that is too small, and an empty range of returns."""
        actor_critic.check(self)
        self.form  # noqa: B018  # building it checks the range

    @property
    def steps_per_iteration(self) -> int:
        return self.num_envs * self.num_steps

    @property
    def num_critics(self) -> int:
        return 1

    @property
    def form(self) -> Categorical:
        """From logits to the mean of the distribution."""
        return Categorical(self.value_min, self.value_max, self.num_atoms)

    @property
    def head(self) -> PointHead:
        return PointHead(num_entries(actor_critic.space(self)))

    @property
    def critic_network(self) -> Critics:
        return actor_critic.critic_network(self, num_atoms=self.num_atoms)

    @property
    def targets(self) -> tuple[str, ...]:
        return ("actor", "critics")

    def init(self, key: jax.Array) -> State:
        return actor_critic.init(self, key)

    def init_params(self, key: jax.Array, obs: Any) -> dict[str, Any]:
        """The first actor and critic."""
        return actor_critic.init_params(self, key, obs)

    def step(self, key: jax.Array, state: State, iteration: jax.Array) -> tuple[State, Metrics]:
        return actor_critic.step(self, key, state, iteration)

    def policy(self, state: State, greedy: bool = True) -> ContinuousPolicy:
        return actor_critic.policy(self, state, greedy)

    def update(self, key: jax.Array, learner: Learner, batch: Batch, count: jax.Array) -> Any:
        """One gradient step of the critic and of the actor: (learner, divergences [B], metrics)."""
        learner, errors, metrics = self.critic_step(learner, batch)
        learner, more = actor_step(self, learner, batch, self.value)
        return with_moved_targets(self, learner, count), errors, {**metrics, **more}

    def critic_step(self, learner: Learner, batch: Batch) -> tuple[Learner, jax.Array, Metrics]:
        """Move the critic towards the projected target; also KL(target || prediction) [B]."""
        next_action = deterministic_action(self, learner.target_params["actor"], batch.next_obs)
        next_logits = self.logits(learner.target_params["critics"], batch.next_obs, next_action)
        target = self.form.project(jax.nn.softmax(next_logits), batch.reward, batch.discount)

        def loss(params: Any) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
            logits = self.logits(params, batch.obs, batch.action)
            cross_entropy = self.form.cross_entropy(target, logits)
            return (batch.weight * cross_entropy).mean(), (cross_entropy, logits)

        learner, (cross_entropy, logits) = descend(self, learner, "critics", loss)
        divergence = jnp.maximum(cross_entropy - jax.scipy.special.entr(target).sum(axis=-1), 0.0)
        metrics = {"critic_loss": mean(cross_entropy), "divergence": mean(divergence), "value": mean(self.form(logits))}
        return learner, divergence, metrics

    def logits(self, params: Any, obs: Any, action: jax.Array) -> jax.Array:
        """Of Z(obs, action), [B, K]."""
        return self.critic_network.apply(params, obs, action)[0]

    def value(self, params: Any, obs: Any, action: jax.Array) -> jax.Array:
        """What the actor climbs, [B]: the mean of the distribution."""
        return self.form(self.logits(params, obs, action))
