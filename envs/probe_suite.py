"""All probes as one environment, and how near to the known answers a learner has to come."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from jaxrl.pytree import Scalar, dataclass, hyperparameter

from .environment import TimeStep
from .probes import PROBES
from .spaces import Box, Space


@dataclass
class ProbeSuite:
    """Several probes as one environment: which of them it is, is a number, so that one program trains on them all.

    An observation is that of the probe, filled up with zeros to the length of the longest.
    """

    probes: tuple[Any, ...]
    which: Scalar = hyperparameter(0.0, minimum=0.0)

    @property
    def observation_space(self) -> Space:
        return Box(-10.0, 10.0, (self._width,))

    @property
    def action_space(self) -> Space:
        return self.probes[0].action_space

    @property
    def shown(self) -> NDArray[np.float32]:
        """[M, width]: the observations to ask about, of every probe in turn."""
        return np.concatenate([_padded(probe.shown, self._width) for probe in self.probes])

    @property
    def first(self) -> NDArray[np.bool_]:
        """[M]: whether an episode begins with them."""
        return np.concatenate([probe.first for probe in self.probes])

    def rows(self, index: int) -> slice:
        """Where the observations of a probe stand among `shown`."""
        ends = np.cumsum([0, *(len(probe.shown) for probe in self.probes)])
        return slice(int(ends[index]), int(ends[index + 1]))

    def reset(self, key: jax.Array) -> tuple[Any, jax.Array]:
        states, observations = zip(*(probe.reset(key) for probe in self.probes), strict=True)
        return states, self._chosen([_padded(obs, self._width) for obs in observations])

    def step(self, key: jax.Array, state: Any, action: Any) -> tuple[Any, TimeStep]:
        played = [probe.step(key, one, action) for probe, one in zip(self.probes, state, strict=True)]
        states, steps = zip(*played, strict=True)
        return states, TimeStep(
            obs=self._chosen([_padded(step.obs, self._width) for step in steps]),
            reward=self._chosen([step.reward for step in steps]),
            terminated=self._chosen([step.terminated for step in steps]),
            truncated=self._chosen([step.truncated for step in steps]),
            info={},
        )

    @property
    def _width(self) -> int:
        return max(probe.observation_space.shape[0] for probe in self.probes)

    def _chosen(self, values: Any) -> jax.Array:
        return jnp.stack(values)[jnp.int32(self.which)]


def probe_suite(continuous: bool = False) -> ProbeSuite:
    """Every probe, with two discrete actions, or `continuous` ones in [-2, 2]."""
    return ProbeSuite(tuple(probe(continuous=continuous) for probe in PROBES))


def values_agree(found: Any, known: Any) -> bool:
    """Whether all are within 0.1 of the known values, or within a fiftieth of the large ones."""
    known = np.asarray(known)
    return bool((np.abs(np.asarray(found) - known) <= np.maximum(0.1, 0.02 * np.abs(known))).all())


def actions_agree(found: Any, best: Any, continuous: bool) -> bool:
    """Whether all are the best ones, or within 0.2 of them where they are `continuous`."""
    return bool((np.abs(np.asarray(found) - np.asarray(best)) <= (0.2 if continuous else 0.0)).all())


def _padded(obs: Any, width: int) -> Any:
    pad = [(0, 0)] * (obs.ndim - 1) + [(0, width - obs.shape[-1])]
    return np.pad(obs, pad) if isinstance(obs, np.ndarray) else jnp.pad(obs, pad)
