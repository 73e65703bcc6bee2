"""Every notebook runs from its first cell to its last, with the small sizes that it knows for this."""

import os
from pathlib import Path

import nbclient
import nbformat
import pytest

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
PRINTED = {
    "01_first_agent": ("greedy return",),
    "03_scale": ("95 % of the means of five seeds", "fixed: the best agent has", "(2 x cpu)"),
    "02_runs": ("stopped at iteration", "metrics.csv True", "evaluation.csv True", "policies.npz True"),
    "04_worlds": ("here ", "TracerBoolConversionError", "No problems found."),
}
"""What must stand in the outputs of a notebook, beside its pictures."""


def read(path):
    return nbformat.read(path, as_version=4)


def execute(notebook, folder, monkeypatch):
    """Run in a kernel of its own in `folder`, where jaxrl is found whether or not it is installed; the outputs."""
    monkeypatch.setenv("JAXRL_NOTEBOOK_FAST", "1")
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", str(ROOT / ".pytest_cache" / "jax"))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])))
    monkeypatch.setenv("MPLBACKEND", "module://matplotlib_inline.backend_inline")
    resources = {"metadata": {"path": str(folder)}}
    nbclient.NotebookClient(notebook, timeout=300, resources=resources).execute()
    return [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]


# pyzmq and jupyter_client warn of each other, of event loops and of sockets that they close late.
@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_the_notebook_runs(path, tmp_path, monkeypatch):
    outputs = execute(read(path), tmp_path, monkeypatch)
    streams = [output for output in outputs if output.output_type == "stream"]
    errors = [output.text for output in streams if output.name == "stderr"]
    printed = "".join(output.text for output in streams if output.name == "stdout")
    pictures = [output for output in outputs if "image/png" in output.get("data", {})]
    assert not errors  # warnings among them
    assert len(pictures) >= 3
    assert not [text for text in PRINTED[path.stem] if text not in printed]


@pytest.mark.filterwarnings("default")
def test_a_cell_that_fails_is_seen(tmp_path, monkeypatch):
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("import jaxrl\njaxrl.PPO('CartPole')")])
    with pytest.raises(nbclient.exceptions.CellExecutionError, match="did you mean"):
        execute(notebook, tmp_path, monkeypatch)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_the_notebook_is_committed_small_and_in_order(path):
    notebook = read(path)
    nbformat.validate(notebook)
    assert path.stat().st_size < 100_000
    assert not [cell for cell in notebook.cells if cell.cell_type == "code" and (cell.outputs or cell.execution_count)]
    assert notebook.cells[0].source.startswith("# ")


def test_there_is_a_notebook():
    assert NOTEBOOKS
