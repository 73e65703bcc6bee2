"""The peers: each in a virtual environment of its own, made on first use from peers/<environment>.txt, and measured in
a process of its own that takes its settings as JSON and prints one line of JSON.
"""

import json
import os
import subprocess
import sys
import venv
from pathlib import Path
from typing import Any

SCRIPTS = Path(__file__).resolve().parent / "peers"
ENVIRONMENTS = SCRIPTS.parents[1] / ".venv" / "peers"
LIMIT = 900
"""Seconds that a peer may take for one row."""


def measured(script: str, environment: str, settings: dict[str, Any]) -> dict[str, Any]:
    """What peers/<script>.py prints; {"missing": why, in one sentence} where it cannot be had here."""
    try:
        command = [_python(environment), SCRIPTS / f"{script}.py", json.dumps(settings)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT, env=_variables())
    except subprocess.TimeoutExpired:
        return {"missing": f"it took more than {LIMIT} s"}
    except subprocess.CalledProcessError as error:
        return {"missing": f"its environment could not be built ({_last_line(error.stderr)})"}
    if done.returncode != 0:
        return {"missing": f"it failed ({_last_line(done.stderr)})"}
    return json.loads(done.stdout.splitlines()[-1])


def _python(environment: str) -> Path:
    """The interpreter of that environment, installed anew where what is asked for has changed."""
    wanted, folder = SCRIPTS / f"{environment}.txt", ENVIRONMENTS / environment
    python, stamp = folder / "bin" / "python", folder / "installed.txt"
    if not stamp.is_file() or stamp.read_text(encoding="utf-8") != wanted.read_text(encoding="utf-8"):
        print(f"Installing {environment} into {folder}, which takes some minutes ...", file=sys.stderr)
        venv.create(folder, with_pip=True, clear=True)
        install = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", wanted]
        subprocess.run(install, check=True, capture_output=True, text=True)
        stamp.write_text(wanted.read_text(encoding="utf-8"), encoding="utf-8")
    return python


def _variables() -> dict[str, str]:
    """Nothing of this process's Python gets into theirs."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}


def _last_line(text: str | None) -> str:
    lines = (text or "").strip().splitlines()
    return lines[-1][:200] if lines else "without a word"
