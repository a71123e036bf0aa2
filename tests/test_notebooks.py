"""The notebooks: committed without outputs, and run from top to bottom without an error."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[1] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
SECONDS = 300  # for one cell, on a machine that is busy with other tests

each_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def test_notebooks_were_found():
    stories = {"01_quickstart", "02_how_the_planner_decides", "03_recommender"}
    assert stories <= {path.stem for path in NOTEBOOKS}


@each_notebook
def test_committed_without_outputs(path):
    notebook = json.loads(path.read_text(encoding="utf-8"))
    assert (notebook["nbformat"], notebook["nbformat_minor"]) == (4, 5)
    assert set(notebook["metadata"]) <= {"kernelspec", "language_info"}
    assert set(notebook["metadata"].get("language_info", ())) <= {"name"}, (
        "a version would change with each machine"
    )
    for number, cell in enumerate(notebook["cells"]):
        assert cell["metadata"] == {}, f"cell {number} has metadata"
        if cell["cell_type"] == "code":
            assert cell["outputs"] == [], f"cell {number} has outputs"
            assert cell["execution_count"] is None, f"cell {number} has a count"


@each_notebook
def test_runs_without_an_error(path, tmp_path, monkeypatch):
    """Also without a network: what is not in the data folder is generated."""
    for needed in ("nbclient", "ipykernel", "matplotlib"):
        pytest.importorskip(needed, reason=f"{needed} runs notebooks: pip install deepgemm[notebooks]")
    import nbformat
    from nbclient import NotebookClient

    monkeypatch.setenv("MPLBACKEND", "module://matplotlib_inline.backend_inline")
    monkeypatch.setenv("DEEPGEMM_CACHE_DIR", str(tmp_path / "cache"))
    for name in ("http_proxy", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
        monkeypatch.setenv(name.upper(), "http://127.0.0.1:9")
    for name in [name for name in os.environ if name in ("DEEPGEMM_KERNEL", "DEEPGEMM_VERBOSE")]:
        monkeypatch.delenv(name)
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    # Away from the repository, whose folders would stand in the way of what is installed.
    client = NotebookClient(
        notebook, timeout=SECONDS, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}
    )
    client.execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    assert not [output for output in outputs if output.output_type == "error"]
    shown = [output.data for output in outputs if "data" in output]
    assert any("image/png" in data for data in shown), "a story has pictures"
