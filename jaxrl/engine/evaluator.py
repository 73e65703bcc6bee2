"""Greedy episodes with the policies of all agents, in the course of a run and at its end, by one compiled program."""

import time
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh
from numpy.typing import NDArray

from jaxrl.engine.evaluate import Episodes
from jaxrl.engine.host_loop import Chunk, in_order
from jaxrl.engine.parallel import fetch, place
from jaxrl.engine.population import Population
from jaxrl.engine.programs import compile_evaluate


class Evaluator:
    """Plays `num_episodes` greedy episodes with each agent; compiled when it is first needed, or before."""

    def __init__(self, population: Population, mesh: Mesh | None, num_episodes: int) -> None:
        self._population, self._mesh, self._num_episodes = population, mesh, num_episodes
        self._program: Any = None
        self.seconds_compiling = 0.0
        self.seconds = 0.0
        """Spent playing, all evaluations together."""

    def compile(self, chunk: Chunk) -> None:
        """Compile for chunks like this one, so that no evaluation has to."""
        if self._program is None:
            self._program, self.seconds_compiling = compile_evaluate(
                self._population, self._mesh, chunk.agents, chunk.keys, chunk.states, self._num_episodes
            )

    def final(self, chunks: list[Chunk]) -> Episodes | None:
        """The episodes at the end of a run, numpy leaves [M, num_episodes]; None where none are wanted."""
        return self._play(chunks, [chunk.keys for chunk in chunks]) if self._num_episodes else None

    def means(self, chunks: list[Chunk], iteration: int) -> NDArray[np.float32]:
        """[M]: the mean returns after `iteration` iterations, of other episodes than those at the end."""
        fold = jax.vmap(jax.random.fold_in, in_axes=(0, None))
        keys = [place(fold(chunk.keys, iteration), self._mesh) for chunk in chunks]
        return np.asarray(self._play(chunks, keys).returns).mean(axis=1)

    def _play(self, chunks: list[Chunk], keys: list[jax.Array]) -> Episodes:
        self.compile(chunks[0])
        began = time.perf_counter()
        played = [self._program(chunk.agents, key, chunk.states) for chunk, key in zip(chunks, keys, strict=True)]
        episodes: Episodes = in_order(chunks, fetch(played))
        self.seconds += time.perf_counter() - began
        return episodes
