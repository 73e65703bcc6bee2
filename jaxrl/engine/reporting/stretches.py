"""What happens with each report of a run: a sign of life, rows on the disk, a trace."""

import contextlib
from collections.abc import Callable, Iterator, Sequence

from jaxrl.algorithm import num_iterations
from jaxrl.engine.hosts import is_first
from jaxrl.engine.options import Options
from jaxrl.engine.population import Population
from jaxrl.engine.profiling import profiled
from jaxrl.engine.record import label_of
from jaxrl.engine.reporting.logs import logs
from jaxrl.engine.reporting.progress import mean_steps
from jaxrl.engine.reporting.progress import progress as show_progress
from jaxrl.engine.reporting.report import Report


@contextlib.contextmanager
def reporting(
    population: Population, options: Options, reports: Sequence[Report]
) -> Iterator[Callable[[Report], None]]:
    """Yield what is to be called after each stretch; `reports` are those of an earlier process."""
    if not is_first():
        yield lambda report: None
        return
    algorithm, label = population.algorithm, label_of(population.algorithm)
    total_steps = num_iterations(algorithm) * algorithm.steps_per_iteration
    done = mean_steps(reports[-1], total_steps, len(population)) if reports else 0
    with (
        show_progress(total_steps, len(population), label, show=options.progress, done=done) as show,
        logs(options, label) as log,
    ):

        def on_report(report: Report) -> None:
            log(report)
            show(report)

        with profiled(options.folder if options.profile else None, on_report) as traced:
            yield traced
