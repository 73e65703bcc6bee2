"""Training for people: a host loop over one compiled program, with progress, a folder, evaluations and a summary.

A run with a folder saves itself as it goes; `resume` goes on with it bit for bit.
"""

import contextlib
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import numpy as np

from jaxrl.algorithm import Algorithm, num_iterations
from jaxrl.engine import run_folder
from jaxrl.engine.compilation import disk_cache
from jaxrl.engine.evaluator import Evaluator
from jaxrl.engine.host_loop import Prepared, Trained, Watch, prepare, train_with_reports
from jaxrl.engine.interrupts import Interrupted
from jaxrl.engine.load import load_policy as load_policy
from jaxrl.engine.options import Options, check_options
from jaxrl.engine.parallel import place_seeds, seed_mesh
from jaxrl.engine.profiling import profiled
from jaxrl.engine.record import Run as Run
from jaxrl.engine.record import Space, Timing, count, label_of
from jaxrl.engine.replay_memory import replay_bytes
from jaxrl.engine.reporting.logs import logs
from jaxrl.engine.reporting.progress import progress as show_progress
from jaxrl.engine.reporting.report import Report
from jaxrl.engine.saving import NOTHING_SAVED, Saver, restored, saving
from jaxrl.memory import peak_bytes, program_bytes, size, tree_bytes


def run(  # noqa: PLR0913  # the options of the one public door, each by name
    algorithm: Algorithm[Any],
    *,
    seeds: int = 1,
    seed: int | jax.Array = 0,
    devices: int | None = None,
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
        devices: over how many devices the seeds are spread; None for the default device alone.
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
    if options.folder is not None:
        from jaxrl.engine.results import open_folder  # pictures and files only for those who want them

        open_folder(options.folder, algorithm, options.as_settings())
    return carry_out(algorithm, options, is_resumed=False)


def carry_out(algorithm: Algorithm[Any], options: Options, *, is_resumed: bool) -> Run:
    """Train, save, evaluate and write down what `options` say, from the beginning or from the newest checkpoint."""
    mesh = seed_mesh(options.devices, options.seeds)
    with disk_cache(), run_folder.held(options.folder):
        keys = place_seeds(jax.random.split(options.key, options.seeds), mesh)
        if options.progress:
            print(_announcement(algorithm, options), file=sys.stderr, flush=True)
        prepared, saved = prepare(algorithm, keys, mesh), NOTHING_SAVED
        if is_resumed:
            prepared, saved = restored(prepared, options, mesh)
        evaluator = Evaluator(algorithm, keys, mesh, options.eval_episodes)
        if options.eval_every:
            evaluator.compile(prepared.states)
        with (
            _reporting(algorithm, options, saved.reports) as on_report,
            saving(algorithm, options, saved.seconds_saving) as saver,
        ):
            watch = Watch(
                on_report=on_report,
                after=saver.after,
                evaluate=evaluator.means if options.eval_every else None,
                eval_every=options.eval_every or 1,
                target_return=options.target_return,
            )
            trained = train_with_reports(
                prepared, options.num_reports, watch, reports=saved.reports, seconds=saved.seconds_training
            )
        finished = _finished(prepared, trained, evaluator, saver, options)
        if options.folder is not None:
            from jaxrl.engine.results import write_results

            write_results(options.folder, finished)
    if saver.signal_number is not None:
        raise Interrupted(f"the run had come to its end, and is in '{options.folder}'.", saver.signal_number)
    return finished


def _finished(prepared: Prepared, trained: Trained, evaluator: Evaluator, saver: Saver, options: Options) -> Run:
    """What was trained, evaluated, with what it cost."""
    evaluation = evaluator.final(trained.states)
    return Run(
        algorithm=prepared.algorithm,
        state=trained.states,
        iteration=trained.reports[-1].iteration,
        steps=np.asarray([report.steps for report in trained.reports], np.int64),
        metrics=trained.metrics,
        diverged=trained.diverged,
        stopped=trained.stopped,
        evaluation=evaluation,
        directory=options.folder,
        timing=Timing(
            compiling=prepared.seconds + evaluator.seconds_compiling,
            training=trained.seconds,
            evaluating=evaluator.seconds,
            saving=saver.seconds,
        ),
        space=Space(
            state=tree_bytes(trained.states),
            program=program_bytes(prepared.program),
            peak=peak_bytes(),
            checkpoints=saver.bytes_on_disk,
        ),
    )


def _announcement(algorithm: Algorithm[Any], options: Options) -> str:
    replay = replay_bytes(algorithm)
    memory = f", each with a replay of {size(replay)}" if replay else ""
    if replay and options.folder is not None and not options.checkpoint_replay:
        memory += ", which checkpoints leave out, so that a resumed run goes on approximately"
    return f"Compiling {label_of(algorithm)} for {count(options.seeds, 'seed')}{memory} ..."


@contextlib.contextmanager
def _reporting(
    algorithm: Algorithm[Any], options: Options, reports: Sequence[Report]
) -> Iterator[Callable[[Report], None]]:
    """What is to happen after each stretch: a sign of life, and rows on the disk."""
    total_steps, label = num_iterations(algorithm) * algorithm.steps_per_iteration, label_of(algorithm)
    done = reports[-1].steps if reports else 0
    with (
        show_progress(total_steps, options.seeds, label, show=options.progress, done=done) as show,
        logs(options, label, done) as log,
    ):

        def on_report(report: Report) -> None:
            log(report)
            show(report)

        with profiled(options.folder if options.profile else None, on_report) as traced:
            yield traced
