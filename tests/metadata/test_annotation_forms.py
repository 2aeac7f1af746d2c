"""Labels of cells, in whatever form people have them: the same labels and samples from each."""

import gzip
import json
from pathlib import Path

import pytest

import cytotrace2_lite as ct2
from cytotrace2_lite.base.options import RunOptions
from cytotrace2_lite.directory import check_file, score_to_directory
from cytotrace2_lite.metadata.annotation import check_annotation, read_annotation

DATA = Path(__file__).parents[1] / "data"
CELLS = ["c1", "c2", "c'3"]
LABELS = {"c1": "B cell", "c2": "T, naïve", "c'3": "NK"}
HEADED = "id\tlabel\tdonor\nc1\tB cell\td1\nc2\tT, naïve\td1\nc'3\tNK\td2\n"


def quoted(text, delimiter="\t"):
    return "\n".join(
        delimiter.join(f'"{field}"' for field in line.split("\t")) for line in text.splitlines()
    )


FORMS = {
    "plain": HEADED.encode(),
    "crlf": HEADED.replace("\n", "\r\n").encode(),
    "cr": HEADED.replace("\n", "\r").encode(),
    "bom": HEADED.encode("utf-8-sig"),
    "utf-16": HEADED.encode("utf-16"),
    "gzip": gzip.compress(HEADED.encode()),
    "R": quoted(HEADED.replace("id\t", "", 1)).encode(),
    "csv": quoted(HEADED, ",").encode(),
    "excel": b"sep=;\r\n" + quoted(HEADED, ";").replace("\n", "\r\n").encode(),
}


@pytest.mark.parametrize("form", FORMS)
def test_forms(tmp_path, form):
    path = tmp_path / "a"
    path.write_bytes(FORMS[form])
    annotation = read_annotation(path).matched(CELLS)
    assert annotation.labels == LABELS
    assert annotation.column("donor", CELLS) == ["d1", "d1", "d2"]
    assert check_annotation(annotation, CELLS) == []


class TestWithoutAHeader:
    TEXT = HEADED.partition("\n")[2]

    def test_the_first_line_is_a_cell(self, tmp_path):
        path = tmp_path / "a"
        path.write_text(self.TEXT)
        annotation = read_annotation(path).matched(CELLS)
        assert annotation.labels == LABELS
        assert list(annotation.fields) == CELLS
        assert annotation.header == ["", "label", "column 3"]
        assert len(annotation.fields) == 3

    def test_one_cell(self, tmp_path):
        path = tmp_path / "a"
        path.write_text("c1\tx\n")
        assert read_annotation(path).matched(["c1"]).labels == {"c1": "x"}
        with pytest.raises(ct2.InputError, match="no cell below its header line"):
            read_annotation(path).matched(["c2"])

    def test_without_a_label(self, tmp_path):
        path = tmp_path / "a"
        path.write_text("c1")
        message = (
            r"a: the first line has no label: it needs a cell id and a label separated by a tab"
        )
        with pytest.raises(ct2.InputError, match=message):
            read_annotation(path).matched(["c1"])

    def test_named_twice(self, tmp_path):
        path = tmp_path / "a"
        path.write_text("c1\tx\nc2\ty\nc1\tz\n")
        with pytest.raises(ct2.InputError, match=r"cell 'c1' appears twice \(first time on the fi"):
            read_annotation(path).matched(["c1", "c2"])

    def test_of_a_run(self, tmp_path, ensembles):
        table = DATA / "enteric_300.txt.gz"
        whole = (DATA / "enteric_300_annotation.txt").read_text()
        path = tmp_path / "a.txt"
        path.write_text(whole.partition("\n")[2])
        scored = score_to_directory(
            table, tmp_path / "out", RunOptions(model=ensembles["1.1.0"]), annotation_path=path
        )
        assert len(scored.labels) == 300
        assert json.loads((tmp_path / "out/run.json").read_text())["annotation"]["n_cells"] == 300
        assert "annotation" not in {finding["code"] for finding in scored.result.info["findings"]}


class TestColumnOfObs:
    PATH = DATA / "anndata_0.12.19.h5ad"

    def test_labels(self, tmp_path, ensembles):
        options = RunOptions(model=ensembles["1.1.0"])
        out = tmp_path / "out"
        scored = score_to_directory(self.PATH, out, options, annotation_path="batch")
        assert set(scored.labels.values()) == {"x", "y"}
        report = json.loads((out / "run.json").read_text())
        assert report["annotation"] == {"path": f"{self.PATH}: obs['batch']", "n_cells": 4}
        samples = score_to_directory(
            self.PATH, out, options, annotation_path="batch", batch_key="batch"
        )
        assert samples.result.info["samples"]["n_cells"] == {"x": 2, "y": 2}

    def test_no_such_column(self, ensembles):
        options = RunOptions(model=ensembles["1.1.0"])
        with pytest.raises(ct2.UsageError, match="obs has no column 'cluster' of labels"):
            check_file(self.PATH, options, annotation_path="cluster")

    def test_a_file_goes_first(self, tmp_path, monkeypatch, ensembles):
        monkeypatch.chdir(tmp_path)
        Path("batch").write_text("id\tl\nc1\tmine\n")
        found = check_file(self.PATH, RunOptions(model=ensembles["1.1.0"]), annotation_path="batch")
        assert any("3 of 4 cells of the table have no label" in str(finding) for finding in found)
