"""The tables that compare whole trainings."""

import statistics
from typing import Any

import report
from workload import Benchmark, Row

HEAD = """\
# {title}

*env steps/s* is of all seeds together, from the median of the repeats, with the least and the greatest run time in
brackets. *jaxrl is* says how many times as fast jaxrl is: {ratio}. *by processor time* is the same of the time of all
threads, which other work on the machine changes less. *state* is what a run carries for each seed, the
replay included; *temporaries* what the compiled program needs besides, for each seed. *return* is that of greedy
episodes after the last run. Many seeds are trained for too few steps to learn the task: those rows are about speed.
"""


def markdown(benchmark: Benchmark, data: dict[str, Any]) -> str:
    """The tables of results/<name>.md."""
    lines, missing, versions = [], [], set()
    for name, each in data["rows"].items():
        row = Row(**each["row"])
        for who, measured in each["measured"].items():
            if "missing" in measured:
                missing.append(f"- {who} is missing from {name}: {measured['missing']}.")
                continue
            versions.add(measured.get("versions"))
            lines.append([name, who, *_cells(benchmark, row, measured, each["measured"])])
    header = ["row", "loop", "seeds", "steps per seed", "env steps/s", "gradient steps/s", "jaxrl is"]
    header += ["by processor time", *_if_run(benchmark, "jaxrl.run is"), "compile s", "state", "temporaries", "return"]
    facts = report.facts({name: each["circumstances"] for name, each in data["rows"].items()})
    peers = f"- Peers: {', '.join(sorted(versions - {None}))}.\n" if versions - {None} else ""
    head = HEAD.format(title=benchmark.title, ratio=benchmark.ratio)
    return "\n".join([head, report.table(header, lines), "", *missing, facts + peers])


def _cells(benchmark: Benchmark, row: Row, measured: dict[str, Any], sides: dict[str, Any]) -> list[str]:
    own = row._replace(total_steps=measured.get("total_steps", row.total_steps))
    steps, gradient_steps = own.total_steps, benchmark.settings_of(own).gradient_steps
    rates = [row.num_seeds * count / statistics.median(measured["wall"]) for count in (steps, gradient_steps)]
    spread = f" [{min(measured['wall']):.2f}, {max(measured['wall']):.2f} s]"
    return [
        str(row.num_seeds),
        f"{steps:,}",
        f"{rates[0]:,.0f}{spread}",
        f"{rates[1]:,.0f}",
        *(_ratio(row, measured, sides["jaxrl"], clock) for clock in ("wall", "processor")),
        *_if_run(benchmark, _ratio(row, measured, sides.get("jaxrl.run", measured), "wall")),
        f"{measured['compiling']:.1f}",
        *(_size(measured.get(key), row.num_seeds) for key in ("state_bytes", "temporary_bytes")),
        f"{measured['return']:.0f}",
    ]


def _if_run(benchmark: Benchmark, cell: str) -> list[str]:
    """A cell of the column that only benchmarks with `jaxrl.run` have."""
    return [cell] if "jaxrl.run" in benchmark.peers else []


def _ratio(row: Row, measured: dict[str, Any], ours: dict[str, Any], clock: str) -> str:
    if ours is measured or clock not in measured or clock not in ours:
        return ""
    if "versions" not in measured:  # it ran in turn with ours
        ratios = [base / own for base, own in zip(measured[clock], ours[clock], strict=True)]
        return f"{statistics.median(ratios):.2f} [{min(ratios):.2f}, {max(ratios):.2f}]"
    per_step = statistics.median(measured[clock]) / measured.get("total_steps", row.total_steps)
    return f"{per_step / (statistics.median(ours[clock]) / row.total_steps):.2f}"


def _size(number: float | None, num_seeds: int) -> str:
    return "" if number is None else f"{number / num_seeds / 1024:,.0f} KiB"
