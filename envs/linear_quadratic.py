"""The linear-quadratic regulator: the task of continuous control whose best controller has a closed form.

    x' = A x + B u + w,   reward = -(x^T Q x + u^T R u),   w ~ N(0, noise^2 I)

With a discount g the best action is u = -K x, and the value of a state -x^T P x - g noise^2 tr(P) / (1 - g), with

    K = g (R + g B^T P B)^-1 B^T P A,   P = Q + g A^T P (A - B K)

(Bertsekas, "Dynamic Programming and Optimal Control", section 3.1). The defaults are a cart that is pushed: position
and velocity, a tenth of a second a step.
"""

from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from jaxrl.pytree import Scalar, dataclass, hyperparameter, static

from .drawing import points
from .drawing.shapes import Picture
from .environment import TimeStep
from .spaces import Box

Matrix: TypeAlias = NDArray[np.floating[Any]]
TOLERANCE, MOST_SWEEPS, LARGEST = 1e-12, 100_000, 1e12


@dataclass
class LinearQuadratic:
    """n numbers to be brought to zero by m actions. The matrices are leaves: they can be vmapped and swept.

    An episode starts uniformly within `start` of zero on each axis, and never ends by itself. The state is clipped to
    `max_state` and the action to `max_action`; the closed form is that of the task without these bounds, which the best
    controller of the defaults does not meet.
    """

    A: Any = hyperparameter(((1.0, 0.1), (0.0, 1.0)))
    """[n, n]."""
    B: Any = hyperparameter(((0.0,), (0.1,)))
    """[n, m]."""
    Q: Any = hyperparameter(((1.0, 0.0), (0.0, 1.0)))
    """[n, n], the cost of the state, symmetric."""
    R: Any = hyperparameter(((1.0,),))
    """[m, m], the cost of the action, symmetric and positive definite."""
    noise: Scalar = hyperparameter(0.0, minimum=0.0)
    start: Scalar = hyperparameter(1.0, minimum=0.0)
    max_state: float = static(10.0)
    max_action: float = static(4.0)

    name, frame_rate = "LQR-v0", 10.0

    def check(self) -> None:
        """Refuse matrices that do not fit each other."""
        shapes = [np.shape(matrix)[-2:] for matrix in self._matrices]
        n, m = (*shapes[1], 0, 0)[:2]
        if shapes != [(n, n), (n, m), (n, n), (m, m)]:
            raise ValueError(
                "LinearQuadratic needs A [n, n], B [n, m], Q [n, n] and R [m, m], "
                f"got A {list(shapes[0])}, B {list(shapes[1])}, Q {list(shapes[2])} and R {list(shapes[3])}."
            )

    @property
    def observation_space(self) -> Box:
        return Box(-self.max_state, self.max_state, np.shape(self.B)[-2:-1])

    @property
    def action_space(self) -> Box:
        return Box(-self.max_action, self.max_action, np.shape(self.B)[-1:])

    def reset(self, key: jax.Array) -> tuple[jax.Array, jax.Array]:
        state = self.start * jax.random.uniform(key, self.observation_space.shape, jnp.float32, -1.0, 1.0)
        return state, state

    def step(self, key: jax.Array, state: jax.Array, action: jax.Array) -> tuple[jax.Array, TimeStep]:
        action = jnp.clip(action, -self.max_action, self.max_action)
        reward = -(state @ self.Q @ state + action @ self.R @ action)
        state = self.A @ state + self.B @ action + self.noise * jax.random.normal(key, state.shape)
        state = jnp.clip(state, -self.max_state, self.max_state)
        return state, TimeStep(state, reward, terminated=jnp.bool_(False), truncated=jnp.bool_(False), info={})

    def solution(self, discount: float) -> tuple[Matrix, Matrix]:
        """(K [m, n], P [n, n]) in float64: the best action is -K x, and -x^T P x the value without noise.

        By iterating the Riccati equation from P = Q. Raises ValueError where it does not settle: some of the state
        can then neither be controlled nor fades by itself.
        """
        A, B, Q, R = (np.asarray(matrix, np.float64) for matrix in self._matrices)
        P = Q
        for _ in range(MOST_SWEEPS):
            K: Matrix = discount * np.linalg.solve(R + discount * B.T @ P @ B, B.T @ P @ A)
            before, P = P, Q + discount * A.T @ P @ (A - B @ K)
            if np.abs(P - before).max() <= TOLERANCE * np.abs(P).max():
                return K, P
            if np.abs(P).max() > LARGEST:
                break
        raise ValueError(
            f"This regulator has no finite solution at a discount of {discount:g}; take a lower one, or let B reach "
            "what grows under A."
        )

    def value(self, obs: Any, discount: float) -> Matrix:
        """The optimal value [...] of states [..., n]; ValueError where noise would cost without end."""
        _, P = self.solution(discount)
        states = np.asarray(obs, np.float64)
        if self.noise and discount == 1.0:
            raise ValueError("A regulator with noise has no finite value at a discount of 1; take a lower one.")
        spread = discount * float(self.noise) ** 2 * np.trace(P) / (1.0 - discount) if self.noise else 0.0
        return -np.einsum("...i,ij,...j->...", states, P, states) - spread

    def best_action(self, obs: Any, discount: float) -> Matrix:
        """The best action [..., m] in states [..., n]."""
        gain, _ = self.solution(discount)
        return -np.asarray(obs, np.float64) @ gain.T

    def draw(self, state: Any) -> Picture:
        """The first two numbers of the state as a place among the starts, and zero, where it should be."""
        return points.regulator(np.asarray(state), max(2 * float(self.start), self.max_state / 10))

    @property
    def _matrices(self) -> tuple[Any, Any, Any, Any]:
        return self.A, self.B, self.Q, self.R
