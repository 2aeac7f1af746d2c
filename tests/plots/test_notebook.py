"""Plots show themselves in notebooks, each once; a notebook is executed for it."""

import json
import subprocess
import sys
from importlib.util import find_spec

import pytest

pytest.importorskip("matplotlib", reason="the extra plot is not installed")
needs_jupyter = pytest.mark.skipif(
    find_spec("nbclient") is None or find_spec("ipykernel") is None,
    reason="nbclient and ipykernel are not installed",
)

SETUP = """
import matplotlib
import numpy as np
import cytotrace2_lite as ct2
from cytotrace2_lite.output.scores import Scores
from cytotrace2_lite.plots import Plots, write_plots
one = np.linspace(0.1, 0.9, 40)
index = np.full(40, 2, dtype=np.int8)
table = dict(
    cells=[f"c{i}" for i in range(40)], score=one, relative=one, preknn_score=one, raw_score=one,
    probabilities=np.ones((40, 6)) / 6, potency_index=index, preknn_potency_index=index,
    n_genes=np.full(40, 600), info={"model": {"name": "<script>alert(1)</script>"}},
)
result = ct2.Result(**table)
labels = ["a", "b"] * 20
layout = np.random.RandomState(0).normal(size=(40, 2))
"""
# Each cell, and how many pictures it must show.
CELLS = [
    (SETUP, 0),
    ("result.plot.potency_by_phenotype(labels)", 1),
    ("result.plot.potency_by_phenotype(labels).figure", 1),
    ("ax = result.plot.potency_score(embedding=layout)\nax.set_title('mine');", 1),
    ("for _ in range(2):\n    result.plot.potency_by_phenotype(labels)\nNone", 2),
    ("ax", 1),
    (
        "write_plots(result, None, dict(zip(result.cells, labels)), '.')[0]",
        0,
    ),
    # A failure of the cell does not keep what was drawn for the next one.
    ("result.plot.potency_by_phenotype(labels)\n1 / 0", 1),
    ("1", 0),
    ("import matplotlib.pyplot as plt\nresult.plot.potency_by_phenotype(labels).figure", 1),
    ("result.plot.potency_by_phenotype(labels)", 1),
    ("figure, ax = plt.subplots()\nresult.plot.potency_by_phenotype(labels, ax=ax)\nNone", 1),
    ("result.plot.samples(labels)", 1),
    ("result.plot.panel(labels, embedding=layout)\nNone", 1),
    ("result", 0),
]
# In a process of its own: Jupyter's warnings are not ours.
PROGRAM = """
import json, sys
import nbformat
from nbclient import NotebookClient
cells = [nbformat.v4.new_code_cell(text) for text in json.load(sys.stdin)]
notebook = nbformat.v4.new_notebook(cells=cells)
NotebookClient(notebook, kernel_name="python3", allow_errors=True, timeout=120).execute()
print("NOTEBOOK" + json.dumps([cell["outputs"] for cell in notebook.cells]))
"""


@needs_jupyter
def test_each_plot_is_shown_once(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        cwd=tmp_path,
        input=json.dumps([text for text, _ in CELLS]),
        capture_output=True,
        text=True,
        check=True,
    )
    outputs = json.loads(done.stdout.partition("NOTEBOOK")[2])
    shown = [sum("image/png" in o.get("data", {}) for o in cell) for cell in outputs]
    errors = [o for cell in outputs for o in cell if o["output_type"] == "error"]
    assert [error["ename"] for error in errors] == ["ZeroDivisionError"]
    assert shown == [n_pictures for _, n_pictures in CELLS]
    bundle = outputs[-1][0]["data"]
    assert "40 cells" in bundle["text/html"]
    assert "<script>" not in bundle["text/html"]


def test_nothing_is_shown_outside_of_notebooks(tmp_path):
    program = f"""{SETUP}
result.plot.potency_by_phenotype(labels)
import sys
print({{'IPython', 'matplotlib.pyplot'}} & set(sys.modules))
"""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout == "set()\n"
