"""The tables that compare whole trainings."""

import statistics
from pathlib import Path
from typing import Any

import report
from workload import Benchmark, Row

OURS = {"jaxrl": "tab:blue", "jaxrl.run": "tab:cyan"}
"""Sides that are jaxrl, and the colour of their bars."""

HEAD = """\
# {title}

*env steps/s* is of all seeds together, from the median of the repeats, with the least and the greatest run time in
brackets. *jaxrl is* says how many times as fast jaxrl is: {ratio}. *by processor time* is the same of the time of all
threads, which other work on the machine changes less. *jaxrl.run is* says the same of `jaxrl.run`, with a CPU device
for each core: it spreads its agents over the devices, and of a single agent with 64 environments or more the
environments. *state* is what a run carries for each seed, the replay included; *temporaries* what the compiled program
needs besides, for each seed. *return* is that of greedy episodes after the last run. Many seeds are trained for too few
steps to learn the task: those rows are about speed.
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
    header += ["by processor time", "jaxrl.run is", "compile s", "state", "temporaries", "return"]
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
        _ratio(row, measured, sides.get("jaxrl.run", measured), "wall"),
        f"{measured['compiling']:.1f}",
        *(_size(measured.get(key), row.num_seeds) for key in ("state_bytes", "temporary_bytes")),
        f"{measured['return']:.0f}",
    ]


def _ratio(row: Row, measured: dict[str, Any], ours: dict[str, Any], clock: str) -> str:
    if ours is measured or clock not in measured or clock not in ours:
        return ""
    found = ratios(row, measured, ours, clock)
    median = f"{statistics.median(found):.2f}"
    return median if len(found) == 1 else f"{median} [{min(found):.2f}, {max(found):.2f}]"


def ratios(row: Row, measured: dict[str, Any], ours: dict[str, Any], clock: str = "wall") -> list[float]:
    """How many times as fast ours is: within each turn where both ran in turn, else one of the medians per step."""
    if "versions" not in measured:
        return [base / own for base, own in zip(measured[clock], ours[clock], strict=True)]
    per_step = statistics.median(measured[clock]) / measured.get("total_steps", row.total_steps)
    return [per_step / (statistics.median(ours[clock]) / row.total_steps)]


def draw(benchmark: Benchmark, data: dict[str, Any], path: Path) -> None:
    """A bar for each row and peer: how many times as fast jaxrl is, on one device and, where it was run, on all."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import FixedLocator, NullLocator, ScalarFormatter

    bars = []
    for name, each in data["rows"].items():
        row, sides = Row(**each["row"]), each["measured"]
        for ours in (side for side in OURS if side in sides):
            for who, measured in sides.items():
                if who not in OURS and "missing" not in measured:
                    bars.append(
                        (f"{name}: {ours} / {who}", statistics.median(ratios(row, measured, sides[ours])), ours)
                    )
    figure = Figure(figsize=(8, 1 + 0.24 * len(bars)), layout="constrained")
    axes = figure.add_subplot()
    names, values, colors = [bar[0] for bar in bars], [bar[1] for bar in bars], [OURS[bar[2]] for bar in bars]
    drawn = axes.barh(range(len(bars)), values, color=colors)
    axes.bar_label(drawn, fmt="%.1f", padding=3, fontsize=8)
    axes.set_yticks(range(len(bars)), names, fontsize=8)
    axes.invert_yaxis()
    axes.set_xscale("log")
    axes.set_xlim(0.5, 1.5 * max([2.0, *values]))
    axes.xaxis.set_major_locator(FixedLocator([0.5, 1, 2, 5, 10, 20, 50, 100]))
    axes.xaxis.set_major_formatter(ScalarFormatter())
    axes.xaxis.set_minor_locator(NullLocator())
    axes.axvline(1, color="black", linewidth=0.8)
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_xlabel("times as fast")
    axes.set_title(
        f"{benchmark.title}\n{max(each['circumstances']['date'] for each in data['rows'].values())}", fontsize=9
    )
    figure.savefig(path, dpi=120)


def _size(number: float | None, num_seeds: int) -> str:
    return "" if number is None else f"{number / num_seeds / 1024:,.0f} KiB"
