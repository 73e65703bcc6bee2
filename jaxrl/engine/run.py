"""Training for people: a host loop over one compiled program, with progress, a folder, evaluations and a summary.

A run with a folder saves itself as it goes; `resume` goes on with it bit for bit.
"""

import dataclasses
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any, Literal

import jax
import numpy as np
from jax.sharding import Mesh

from jaxrl.algorithm import Algorithm
from jaxrl.engine.checkpoints import Saved
from jaxrl.engine.compilation import compiler_options, deterministic, disk_cache
from jaxrl.engine.evaluator import Evaluator
from jaxrl.engine.evolution import PBT
from jaxrl.engine.host_loop import Watch, prepare, train_with_reports
from jaxrl.engine.hosts import held_by_all, is_first, losses_told, on_first
from jaxrl.engine.interrupts import Interrupted
from jaxrl.engine.load import load_policy as load_policy
from jaxrl.engine.options import Options, check_options
from jaxrl.engine.parallel import alone, device_mesh, hardware_of, num_columns, over_data
from jaxrl.engine.plan import Plan, make_plan
from jaxrl.engine.population import Population
from jaxrl.engine.programs import Programs
from jaxrl.engine.record import Run as Run
from jaxrl.engine.record import Space, Timing, agents_of, label_of
from jaxrl.engine.replay_memory import replays_in_words
from jaxrl.engine.reporting.report import Report
from jaxrl.engine.reporting.stretches import reporting
from jaxrl.engine.saving import NOTHING_SAVED, Saver, put_back, read_saved, saved_layout, saving
from jaxrl.engine.searching import search_step
from jaxrl.engine.waves import Wave, as_wave, diverged_in, episodes_of, metrics_of, stopped_in
from jaxrl.memory import peak_bytes


def run(  # noqa: PLR0913  # the options of the one public door, each by name
    algorithm: Algorithm[Any],
    *,
    seeds: int = 1,
    seed: int | jax.Array = 0,
    prng: Literal["threefry2x32", "rbg", "unsafe_rbg"] | None = None,
    deterministic: bool = False,
    devices: int | None = None,
    devices_per_agent: int | None = None,
    max_memory: float | None = None,
    directory: str | os.PathLike[str] | None = None,
    num_reports: int = 100,
    eval_episodes: int = 128,
    eval_every: int | None = None,
    target_return: float | None = None,
    progress: bool = True,
    log: str | Sequence[str] = (),
    log_seeds: bool = False,
    profile: bool = False,
    checkpoint_every: float | None = 60.0,
    keep_checkpoints: int = 2,
    checkpoint_replay: bool = True,
) -> Run:
    """Train `seeds` agents at once, evaluate them, and leave a folder behind.

    Agent k is the one that `train(algorithm, jax.random.split(jax.random.key(seed), seeds)[k])` gives, up to rounding.

    Args:
        algorithm: any `Algorithm`.
        seeds: how many agents, trained in one program.
        seed: a number, or a JAX key in place of `jax.random.key(seed)`.
        prng: the `impl` of that key; None for JAX's default, threefry2x32. rbg draws faster on TPUs and large GPUs, but
            what an agent draws then depends on the agents beside it (ARCHITECTURE.md).
        deterministic: compile for the same bits in every run on a GPU, where XLA otherwise takes faster sums whose
            order differs. On a CPU it changes nothing: its sums have one order.
        devices: how many devices to use; None for all that JAX has, as far as there are agents for them. Agents are
            dealt out over the devices, and a single agent is spread over them with its environments.
        devices_per_agent: how many devices share the environments of one agent, and average what they learn; None for
            one, or for a single agent all of `devices`.
        max_memory: GiB to use of each device's memory (of CPUs, of the one that they share); None for nine tenths of
            what is free. Agents that do not fit together are trained one wave after another.
        directory: a new folder for settings.yaml, metrics.csv, evaluation.csv, policies.npz, learning_curve.png,
            summary.txt and checkpoints; None keeps everything in memory.
        num_reports: how many rows each metric gets, lowered to the number of iterations.
        eval_episodes: greedy episodes per agent at the end; 0 for none.
        eval_every: play them also after every so many reports, as the metric `evaluation_return`; None for the end
            alone.
        target_return: a seed whose evaluation (without `eval_every`: whose episodes while training) has this mean
            return trains no further; the run ends when no seed does. None for no target.
        progress: show on stderr how far the run is.
        log: where the metrics go besides metrics.csv: some of "jsonl", "tensorboard", "wandb".
        log_seeds: give TensorBoard and Weights & Biases a stream for each seed, besides that of their mean.
        profile: trace the second stretch between two reports into profile/, for TensorBoard or Perfetto.
        checkpoint_every: seconds between two checkpoints at the least, for a run with a directory; None for none. They
            are written while the training goes on, and rarer where they would take more than a twentieth of its time.
        keep_checkpoints: how many of the newest are kept.
        checkpoint_replay: False leaves the replay out of the checkpoints: they are small, and a resumed run plays anew
            what the replay holds, so that it goes on approximately and not bit for bit.

    Raises:
        TypeError, ValueError, ImportError, OSError: one sentence, before anything is compiled.
        Interrupted: Ctrl-C or SIGTERM came, and the run with a directory has saved where it was.
    """
    given = dict(locals())
    del given["algorithm"]
    options = Options(**given)
    check_options(algorithm, options)
    return carry_out([algorithm], options, is_resumed=False)


def carry_out(
    settings: Sequence[Algorithm[Any]], options: Options, *, is_resumed: bool, has_folder: bool = False
) -> Run:
    """Train, save, evaluate and write down what `options` say, from the beginning or from the newest checkpoint.

    One that begins makes its folder, unless it has been made for it.
    """
    is_whole = isinstance(options.search, PBT)  # any agent may go on from any other
    mesh = device_mesh(options.devices, options.devices_per_agent, options.seeds * len(settings), even=is_whole)
    options = options if is_first() else dataclasses.replace(options, progress=False)
    with losses_told(options.folder), disk_cache(), compiler_options(deterministic(options.deterministic)):
        keys = jax.random.split(options.key, options.seeds)
        settings_here = tuple(map(over_data, settings) if num_columns(mesh) > 1 else settings)
        population = Population(settings_here, keys, options.search)
        if options.progress:
            replays = replays_in_words(settings[0], options.folder is None or options.checkpoint_replay)
            who = f"{label_of(settings[0])} for {agents_of(population)}"
            print(f"Compiling {who}{replays} ...", file=sys.stderr, flush=True)
        before = saved_layout(options) if is_resumed else None
        plan, programs = make_plan(population, mesh, options.max_memory, before)
        if options.progress and len(population) > plan.chunk:
            print(f"Memory: {plan}.", file=sys.stderr, flush=True)
        work = Work(population, mesh, plan, programs, Evaluator(population, mesh, options.eval_episodes))
        if options.folder is None:
            return _carried_out(work, options, NOTHING_SAVED)[0]
        from jaxrl.engine.results import open_folder, write_results  # files and pictures for those who want them

        if not (is_resumed or has_folder):
            on_first(lambda: open_folder(options.directory, settings, options.as_settings()))
        with held_by_all(options.folder):
            here = programs if before == plan.layout else None
            saved = read_saved(population, options, before or plan.layout, here) if is_resumed else NOTHING_SAVED
            finished, signal_number = _carried_out(work, options, saved)
            write_results(options.folder, finished)
    if signal_number is not None:
        raise Interrupted(f"the run had come to its end, and is in '{options.folder}'.", signal_number)
    return finished


@dataclasses.dataclass(frozen=True)
class Work:
    """Whom to train, where, and with what."""

    population: Population
    mesh: Mesh | None
    plan: Plan
    programs: Programs
    evaluator: Evaluator


def _carried_out(work: Work, options: Options, saved: Saved) -> tuple[Run, int | None]:
    """Train and evaluate everyone, from where `saved` is; and the signal that came when no more was to be stopped."""
    with (
        reporting(work.population, options, saved.reports) as on_report,
        saving(work.population, options, work.plan.layout, len(work.plan.waves), saved.seconds_saving) as saver,
    ):
        waves, seconds = _train_waves(work, options, saved, saver, on_report)
    return _finished(work, waves, seconds, saver, options), saver.signal_number


def _train_waves(
    work: Work, options: Options, saved: Saved, saver: Saver, on_report: Callable[[Report], None]
) -> tuple[list[Wave], float]:
    """What every wave came to, and the seconds that it took; `saved` is where the first of those left is to go on."""
    population, evaluator = work.population, work.evaluator
    waves = [as_wave(population, arrays) for arrays in saved.finished]
    seconds = saved.seconds_training
    search_key = jax.random.split(options.key, options.seeds + 1)[-1]  # those before are the seeds' own
    watch = Watch(
        on_report=on_report,
        after=saver.after,
        evaluate=evaluator.means if options.eval_every else None,
        eval_every=options.eval_every or 1,
        target_return=options.target_return,
        search=search_step(options.search, search_key, options.num_reports),
    )
    for members in work.plan.waves[len(waves) :]:
        saver.finished = [wave.as_arrays() for wave in waves]
        prepared = prepare(population, members, work.plan.chunk, work.mesh, work.programs)
        if saved.reports:
            put_back(prepared, saved, options)
        if options.eval_every:
            evaluator.compile(prepared.chunks[0])
        trained = train_with_reports(prepared, options.num_reports, watch, reports=saved.reports, seconds=seconds)
        seconds, saved = trained.seconds, NOTHING_SAVED
        if saver.stopped_at is not None:
            break
        wave = Wave(trained.chunks, trained.reports, evaluator.final(trained.chunks))
        waves.append(wave if len(work.plan.waves) == 1 else wave.on_host(population))
    return waves, seconds


def _finished(work: Work, waves: list[Wave], seconds: float, saver: Saver, options: Options) -> Run:
    """What was trained, evaluated, with what it cost."""
    longest = max((wave.reports for wave in waves), key=len)
    return Run(
        population=dataclasses.replace(work.population, settings=tuple(map(alone, work.population.settings))),
        chunks=tuple(dataclasses.replace(chunk, agents=alone(chunk.agents)) for wave in waves for chunk in wave.chunks),
        iteration=longest[-1].iteration,
        steps=np.asarray([report.steps for report in longest], np.int64),
        metrics=metrics_of(waves),
        diverged=diverged_in(waves),
        stopped=stopped_in(waves),
        stopped_as=longest[-1].stopped_as,
        evaluation=episodes_of(waves),
        directory=options.folder,
        hardware=hardware_of(work.mesh),
        timing=Timing(
            compiling=work.programs.seconds + work.evaluator.seconds_compiling,
            training=seconds,
            evaluating=work.evaluator.seconds,
            saving=saver.seconds,
        ),
        space=Space(
            state=work.plan.state,
            working=work.plan.working,
            planned=work.plan.planned,
            peak=peak_bytes(),
            checkpoints=saver.bytes_on_disk,
        ),
    )
