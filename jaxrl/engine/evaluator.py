"""Greedy episodes with the policies of all seeds, in the course of a run and at its end, by one compiled program."""

import time
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh
from numpy.typing import NDArray

from jaxrl.algorithm import Algorithm
from jaxrl.engine.evaluate import Episodes
from jaxrl.engine.parallel import place_seeds
from jaxrl.engine.programs import compile_evaluate


class Evaluator:
    """Plays `num_episodes` greedy episodes with each of S seeds; compiled when it is first needed, or before."""

    def __init__(self, algorithm: Algorithm[Any], keys: jax.Array, mesh: Mesh | None, num_episodes: int) -> None:
        self._algorithm, self._keys, self._mesh, self._num_episodes = algorithm, keys, mesh, num_episodes
        self._program: Any = None
        self.seconds_compiling = 0.0
        self.seconds = 0.0
        """Spent playing, all evaluations together."""

    def compile(self, states: Any) -> None:
        """Compile for states like these, so that no evaluation has to."""
        self._program, self.seconds_compiling = compile_evaluate(
            self._algorithm, self._keys, states, self._num_episodes, self._mesh
        )

    def final(self, states: Any) -> Episodes | None:
        """The episodes at the end of a run, numpy leaves [S, num_episodes]; None where none are wanted."""
        return self._play(self._keys, states) if self._num_episodes else None

    def means(self, states: Any, iteration: int) -> NDArray[np.float32]:
        """[S]: the mean returns after `iteration` iterations, of other episodes than those at the end."""
        keys = jax.vmap(jax.random.fold_in, in_axes=(0, None))(self._keys, iteration)
        returns = self._play(place_seeds(keys, self._mesh), states).returns
        return np.asarray(returns).mean(axis=1)

    def _play(self, keys: jax.Array, states: Any) -> Episodes:
        if self._program is None:
            self.compile(states)
        began = time.perf_counter()
        episodes: Episodes = jax.device_get(self._program(self._algorithm, keys, states))
        self.seconds += time.perf_counter() - began
        return episodes
