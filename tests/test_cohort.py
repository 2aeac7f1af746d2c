"""Several datasets: their names, the sheet that lists them, and what is done already."""

import gzip
import json
import os
import re
from pathlib import Path

import pytest
from helpers import formats, zarr_store
from helpers.wrong_inputs import DATA, TABLE, tenx

import cytotrace2_lite as ct2
from cytotrace2_lite.base.options import RunOptions
from cytotrace2_lite.cohort import done_before, name_samples, options_report, read_sheet
from cytotrace2_lite.directory import score_to_directory
from cytotrace2_lite.read import ReadOptions, open_input


@pytest.mark.parametrize(
    ("path", "name", "file_name"),
    [
        ("data/A.txt.gz", "A", "A"),
        ("A.counts.h5ad", "A.counts", "A.counts"),
        ("A", "A", "A"),
        ("a/b/../S1/", "S1", "S1"),
        ("S1/outs/filtered_feature_bc_matrix", "S1", "S1"),
        ("S1/outs/filtered_feature_bc_matrix.h5", "S1", "S1"),
        ("S1/filtered_gene_bc_matrices/mm10/matrix.mtx", "S1", "S1"),
        ("S1/Solo.out/Gene/filtered/matrix.mtx.gz", "S1", "S1"),
        ("GSM1_matrix.mtx.gz", "GSM1", "GSM1"),
        ("my sample (2).csv", "my sample (2)", "my_sample_2_"),
        ("-x.txt", "-x", "x"),
        (".hidden.txt", ".hidden", "hidden"),
        ("S1;rm -rf \n\x1b.txt", "S1;rm -rf \n\x1b", "S1_rm_-rf_"),
        ("клетки.tsv", "клетки", "клетки"),
        (".txt", ".txt", "txt"),
        ("x" * 300 + ".txt", "x" * 300, "x" * 120),
        ("%%%.txt", "%%%", "_"),
    ],
)
def test_names(path, name, file_name):
    (sample,) = name_samples([path])
    assert (sample.name, sample.file_name, sample.path) == (name, file_name, path)


def test_names_that_are_alike():
    with pytest.raises(ct2.UsageError) as caught:
        name_samples(["a/S.txt", "b/T.txt", "b/s.h5ad"])
    assert str(caught.value) == (
        "a/S.txt and b/s.h5ad: the results of both would be called s_cytotrace2_results.txt. Give "
        "each sample its own name in the column 'sample' of a sheet (--sheet), or rename a file."
    )


class TestSheet:
    def read(self, tmp_path, text):
        path = tmp_path / "sheet.csv"
        path.write_text(text)
        return read_sheet(str(path))

    def test_all_columns(self, tmp_path):
        (tmp_path / "labels").write_text("")
        samples = self.read(
            tmp_path,
            "Sample,path,species,annotation,treatment\n"
            "one,x/a.txt,human,labels,drug\n"
            "\n"
            ",/abs/b.h5ad,,cell_type,\n"
            'three,"c,d.txt",Mouse,none.txt\n',
        )
        assert [sample.name for sample in samples] == ["one", "b", "three"]
        assert [sample.path for sample in samples] == [
            *(f"{tmp_path}/x/a.txt", "/abs/b.h5ad", f"{tmp_path}/c,d.txt")
        ]
        assert [sample.species for sample in samples] == ["human", None, "mouse"]
        # A name of a column of obs is no path, and a missing file is one.
        assert [sample.annotation_path for sample in samples] == [
            *(f"{tmp_path}/labels", "cell_type", f"{tmp_path}/none.txt")
        ]
        assert [sample.conditions["treatment"] for sample in samples] == ["drug", "", ""]

    @pytest.mark.parametrize("delimiter", ["\t", ",", ";"])
    def test_delimiters(self, tmp_path, delimiter):
        (sample,) = self.read(tmp_path, f"\ufeffpath{delimiter}sample\r\na.txt{delimiter}A\r\n")
        assert (sample.name, sample.conditions) == ("A", {})

    def test_one_column(self, tmp_path):
        assert [one.name for one in self.read(tmp_path, "path\na.txt\nb.txt\n")] == ["a", "b"]

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("", "the sheet lists no sample. It needs a header with a column 'path', and "),
            ("path,sample\n", "the sheet lists no sample."),
            ("file,sample\na,b\n", "the sheet has no column 'path' with the inputs; its columns "),
            ("path,path\na,b\n", "two columns of the sheet are called 'path'."),
            ("path,anotation\na,b\n", "a column of the sheet is called 'anotation'. Is it "),
            ("path,samples\na,b\n", "a column of the sheet is called 'samples'. Is it 'sample'? "),
            ("path,cells\na,b\n", "a column of the sheet is called 'cells', as a column of the "),
            ("path,\na,b\n", "a column of the sheet is called '', that is, nothing. Rename or "),
            ("path,sample\na,b,c\n", "line 2 has 3 fields, and the header 2. Look for a "),
            ("path,sample\n,b\n", "line 2 has no path. Give the input of the sample."),
            ("path,species\na,rat\n", "line 2: species 'rat' is neither 'mouse' nor 'human'."),
        ],
    )
    def test_wrong_sheets(self, tmp_path, text, message):
        with pytest.raises(ct2.InputError, match=re.escape(f"sheet.csv: {message}")):
            self.read(tmp_path, text)

    def test_no_sheet(self, tmp_path):
        with pytest.raises(ct2.InputError, match="cannot read the sheet"):
            read_sheet(str(tmp_path / "none"))

    def test_names_that_are_alike(self, tmp_path):
        with pytest.raises(ct2.UsageError, match=r"line 2 and .*line 4: the results of both"):
            self.read(tmp_path, "path,sample\na,A 1\nb,B\nc,A/1\n")

    def test_standard_input(self, tmp_path):
        with pytest.raises(ct2.UsageError, match="line 2: standard input is read alone"):
            self.read(tmp_path, "path\n-\n")


@pytest.mark.parametrize("kind", ["text", "gzip", "h5ad", "zarr", "10x", "pipe"])
def test_the_digest_is_that_of_the_record(tmp_path, kind):
    """By it `--skip-done` knows an input; each kind of reader has its own way to it."""
    path = tmp_path / "expr"
    match kind:
        case "text" | "gzip":
            path.write_bytes(gzip.compress(TABLE) if kind == "gzip" else TABLE)
        case "h5ad":
            pytest.importorskip("h5py")
            formats.h5ad(DATA, path)
        case "zarr":
            pytest.importorskip("zarr")
            zarr_store.zarr(DATA, path)
        case "10x":
            for name, content in tenx().items():
                path.mkdir(exist_ok=True)
                file = path / Path(name).name
                file.write_text(content.decode() if isinstance(content, bytes) else content)
        case "pipe":
            os.mkfifo(path)
            descriptor = os.open(path, os.O_RDWR)
            with open_input(path) as source:
                assert source.digest() is None
            os.close(descriptor)
            return
    with open_input(path) as source:
        digest = source.digest()
        _, origin = source.read(ReadOptions())
        assert digest == origin.sha256 == source.digest()


class TestDone:
    """Results count as done only if nothing differs that could change them."""

    @pytest.fixture
    def find(self, tmp_path, tiny_table, ensembles):
        """Function that scores a table, and one that looks for its results with changes."""
        ensemble = ensembles["1.1.0"]
        labels = tmp_path / "labels.txt"
        labels.write_text("id\tlabel\nc1\tx\nc2\ty\n")
        out = tmp_path / "out"

        def look(*, run=False, file_format="txt", plots=None, sha256=None, path=None, **changes):
            own = {"annotation_path": str(labels), "batch_key": None, "extra_columns": False}
            own |= {"explain": False, "condition": None, "plot_format": "png", "embedding": None}
            own |= {name: changes.pop(name) for name in list(changes) if name in own}
            options = RunOptions(model=ensemble, **changes)
            record = options_report(options, **own)
            path = str(path or tmp_path / "expr.txt")
            if run:
                kept = {name: own[name] for name in ("annotation_path", "extra_columns")}
                score_to_directory(path, out, options, prefix="P_", record=record, **kept)
            return done_before(
                path,
                out,
                options,
                record,
                model_sha256=sha256 or ensemble.info.sha256,
                file_format=file_format,
                prefix="P_",
                plots=plots,
            )

        tiny_table()
        return look

    def test_the_same(self, find, tmp_path):
        assert find() is None
        done = find(run=True)
        assert done.results == "P_cytotrace2_results.txt"
        assert done.figures["cells"] == 2
        assert find(max_cores=1, max_memory=10**9) == done  # which change no result
        moved = (tmp_path / "expr.txt").rename(tmp_path / "moved.txt")
        assert find(path=moved) == done
        assert find() is None  # an input that is not there

    @pytest.mark.parametrize(
        "change",
        [
            *({"species": "human"}, {"batch_size": 7}, {"smooth_batch_size": 7}, {"seed": 7}),
            *({"layer": "X"}, {"use_raw": True}, {"orientation": "genes-x-cells"}),
            *({"duplicate_genes": "sum"}, {"gene_column": "symbols"}, {"strict": True}),
            *({"batch_key": "label"}, {"extra_columns": True}, {"explain": True}),
            *({"plot_format": None}, {"embedding": "X_umap"}, {"annotation_path": ""}),
            *({"file_format": "parquet"}, {"sha256": "0" * 64}, {"plots": True}),
        ],
        ids=str,
    )
    def test_another_option(self, find, change):
        find(run=True)
        assert find(**change) is None
        assert find() is not None

    def test_changed_files(self, find, tmp_path, monkeypatch):
        find(run=True)
        results, report = (
            tmp_path / "out" / f"P_{name}" for name in ("cytotrace2_results.txt", "run.json")
        )
        for path in (results, report, tmp_path / "labels.txt", tmp_path / "expr.txt"):
            before = path.read_bytes()
            path.write_bytes(before.replace(b"c1", b"c3") + b" ")
            assert find() is None or path == report  # a blank more is the same JSON
            path.write_bytes(before[:-3])
            assert find() is None
            path.write_bytes(before)
            assert find() is not None
        for text in (
            "{}",
            "[]",
            "null",
            json.dumps({**json.loads(report.read_bytes()), "input": 1}),
        ):
            report.write_text(text)
            assert find() is None
        find(run=True)
        monkeypatch.setattr("cytotrace2_lite.cohort.__version__", "9.9")
        assert find() is None

    def test_plots_have_to_be_there(self, find, tmp_path):
        find(run=True)
        names = ("cytotrace2_potency_category_UMAP", "cytotrace2_potency_score_UMAP")
        names += ("cytotrace2_relative_order_UMAP",)
        for name in names:
            assert find(plots=False) is None
            (tmp_path / "out" / f"P_{name}.png").touch()
        assert find(plots=False) is not None
        assert find(plots=True) is None

    def test_files_beside_a_matrix(self, find, tmp_path):
        folder = tmp_path / "tenx"
        folder.mkdir()
        (folder / "matrix.mtx").write_text(
            "%%MatrixMarket matrix coordinate integer general\n3 2 2\n1 1 5\n2 2 7\n"
        )
        (folder / "features.tsv").write_text("A\tActb\nB\tSox17\nC\tGapdh\n")
        (folder / "barcodes.tsv").write_text("c1\nc2\n")
        assert find(path=folder, run=True) is not None
        assert find(path=folder / "matrix.mtx") is not None
        (folder / "barcodes.tsv").write_text("c2\nc1\n")
        assert find(path=folder) is None
