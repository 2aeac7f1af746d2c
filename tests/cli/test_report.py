"""`ct2-lite report` and `run --report`."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("bokeh")

import cytotrace2_lite as ct2
from cytotrace2_lite.cli import main as cli
from cytotrace2_lite.plots import umap
from cytotrace2_lite.report import library

REPORT = Path("out/cytotrace2_report.html")


@pytest.fixture
def run(capsys, model_files, tmp_path, monkeypatch):
    """Function that runs a command in a directory with a table of 40 made-up cells."""
    monkeypatch.chdir(tmp_path)
    for name in ("OPENBLAS", "MKL", "OMP", "VECLIB_MAXIMUM"):
        monkeypatch.setenv(f"{name}_NUM_THREADS", "1")
    values = np.random.RandomState(0).poisson(1.0, (301, 40))
    lines = ["\t".join(["", *(f"c{i}" for i in range(40))])]
    names = [*ct2.genes.features()[:300], "my_gene"]
    lines += ["\t".join([g, *map(str, row)]) for g, row in zip(names, values, strict=True)]
    Path("expr.txt").write_text("\n".join(lines) + "\n")
    rows = [f"c{i}\tk{i % 3}\td{i % 2}\n" for i in range(40)]
    Path("labels.txt").write_text("id\tlabel\tdonor\n" + "".join(rows))
    Path("xy.csv").write_text("".join(f"c{i},{i},{i * i}\n" for i in range(40)))

    def call(command, *arguments):
        with_model = [*arguments, "-m", str(model_files["1.1.0"]), "-o", "out"]
        with pytest.raises(SystemExit) as caught:
            cli.main([command, *(with_model if command == "run" else arguments)])
        return caught.value.code, capsys.readouterr().err

    return call


def data():
    return json.loads(re.search(r'id="data">(.*?)</script>', REPORT.read_text(), re.DOTALL)[1])


def names(kind):
    return [entry["name"] for entry in data()[kind]]


def test_with_a_run_and_later(run):
    shown = ("-a", "labels.txt", "--batch-key", "donor", "--embedding", "xy.csv")
    code, err = run("run", "expr.txt", *shown, "-dpl", "--report-genes", "my_gene")
    assert code == 0
    assert f"Report: {REPORT}" in err
    assert names("categories") == ["CytoTRACE2_Potency", "Label", "Sample"]
    assert names("genes") == ["my_gene"]
    assert "CytoTRACE2_Raw_Score" in names("numbers")
    first = data()
    code, err = run("report", "out", *shown, "--input", "expr.txt", "--genes", "my_gene")
    assert code == 0, err
    later = data()
    assert later["genes"] == first["genes"]
    assert later["map"]["x"] == first["map"]["x"]
    assert later["numbers"][0] == first["numbers"][0]
    assert "CytoTRACE2_Raw_Score" not in names("numbers")
    # It would not show the results that are there now.
    assert run("run", "expr.txt", "-dpl")[0] == 0
    assert not REPORT.exists()


@pytest.mark.skipif(not umap.is_installed(), reason="no package for a UMAP is installed")
def test_the_umap_is_computed_once(run, monkeypatch):
    """By the report where there are no plots, and kept for the next one."""
    assert run("run", "expr.txt", "-dpl", "--report")[0] == 0
    x = data()["map"]["x"]
    monkeypatch.setattr(umap, "compute_umap", None)
    assert run("report", "out")[0] == 0
    assert data()["map"]["x"] == x


def test_no_umap_can_be_computed(run, monkeypatch):
    monkeypatch.setattr(umap, "find_spec", lambda _: None)
    code, err = run("run", "expr.txt", "-dpl", "--report", "-q")
    assert code == 0
    assert "Report: " not in err
    assert data()["map"] is None
    assert "No map: A UMAP needs" in REPORT.read_text()


def test_bokeh_is_missing(run, monkeypatch):
    monkeypatch.setattr(library, "find_spec", lambda _: None)
    code, err = run("run", "expr.txt", "-dpl", "--report")
    assert code == 1
    assert "pip install 'cytotrace2-lite[report]'" in err
    assert not Path("out").exists()
    assert run("report", "out")[0] == 1


def test_a_gene_is_not_there(run):
    code, err = run("run", "expr.txt", "-dpl", "--embedding", "xy.csv", "--report-genes", "nope")
    assert code == 1
    assert "no report (the results are complete): expr.txt: there is no gene 'nope'" in err
    assert Path("out/cytotrace2_results.txt").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["run", "-", "--report-genes", "a"], "reads EXPR a second time"),
        (["run", "expr.txt", "--report", "--skip-done"], "does not look for reports"),
        (["report", "out", "--batch-key", "x"], "--batch-key names a column of the annotation"),
        (["report", "out", "--genes", "x"], "--genes and --input go together"),
        (["report", "out", "--input", "x"], "--genes and --input go together"),
    ],
)
def test_options_that_do_not_go_together(run, words, message):
    code, err = run(*words)
    assert code == 2
    assert message in " ".join(err.split())
