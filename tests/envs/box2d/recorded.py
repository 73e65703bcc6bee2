"""The episodes of Gymnasium's that `record_traces.py` and `record_walker_traces.py` stored."""

import functools
from pathlib import Path

import numpy as np

TRACES = Path(__file__).parent / "traces"


@functools.cache
def episodes(file_name, kind):
    """Those of one kind, each a dict of arrays over its steps."""
    with np.load(TRACES / file_name) as file:
        found = {}
        for key in file.files:
            name, index, field = key.split("/")
            if name == kind:
                found.setdefault(int(index), {})[field] = file[key]
    return list(found.values())
