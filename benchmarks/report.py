"""What every results file of this folder says of where and with what it was made, and how it is written."""

import datetime
import json
import os
import platform
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jax

RESULTS = Path(__file__).resolve().parent / "results"


def circumstances() -> dict[str, str]:
    """Date, versions, device, and what else kept the machine busy."""
    import jaxrl

    packages = [f"jaxrl {jaxrl.__version__}", f"Python {platform.python_version()}"]
    packages += [f"{name} {version(name)}" for name in ("jax", "flax", "optax", "gymnax")]
    devices = jax.devices()
    device = _processor() if devices[0].platform == "cpu" else devices[0].device_kind
    return {
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "versions": ", ".join(packages),
        "device": f"{device}, {os.cpu_count()} cores" if devices[0].platform == "cpu" else f"{len(devices)} x {device}",
        "load": f"{os.getloadavg()[0]:.1f}",
    }


def facts(circumstances: dict[str, dict[str, str]]) -> str:
    """A list with one entry for all that was made alike, and how busy the machine was for each."""
    groups: dict[str, list[str]] = {}
    for name, each in circumstances.items():
        made = "; ".join(value for key, value in each.items() if key != "load")
        groups.setdefault(made, []).append(f"{name} {each['load']}")
    lines = [f"- {made}. Processes that wanted a core at the start: {', '.join(who)}." for made, who in groups.items()]
    return "\n".join([*lines, ""])


def read(name: str) -> Any:
    """What results/<name>.json holds; None where there is none."""
    path = RESULTS / f"{name}.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None


def write(name: str, markdown: str, data: Any) -> None:
    """results/<name>.md for people, results/<name>.json with every number."""
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.md").write_text(markdown, encoding="utf-8")
    (RESULTS / f"{name}.json").write_text(json.dumps(data) + "\n", encoding="utf-8")


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _processor() -> str:
    """The model of the processor, where the system tells it."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text(encoding="utf-8").splitlines() if cpuinfo.is_file() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor() or platform.machine()
