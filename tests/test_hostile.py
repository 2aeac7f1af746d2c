"""Hostile files and names: they must do no harm in messages, results, time or memory."""

import csv
import gzip
import io
import json
import re
import time
import warnings
import xml.etree.ElementTree as ET
import zipfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
from helpers import formats, torch_format
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyarrow import ipc
from scipy.sparse import csr_array

import cytotrace2_lite as ct2
from cytotrace2_lite.cli.main import main
from cytotrace2_lite.errors import CytoTRACE2Error
from cytotrace2_lite.genes import features
from cytotrace2_lite.genes.orthologs import read_orthologs
from cytotrace2_lite.metadata.annotation import read_annotation
from cytotrace2_lite.metadata.coordinates import Embedding, read_embedding
from cytotrace2_lite.models import onnx_file
from cytotrace2_lite.models.catalog import describe
from cytotrace2_lite.models.ensemble import Ensemble
from cytotrace2_lite.models.fold.torch_file import TorchFile
from cytotrace2_lite.models.installed import bundled_model
from cytotrace2_lite.models.sealed import read_model, seal
from cytotrace2_lite.output.tables import COLUMNS
from cytotrace2_lite.read import read_expression
from cytotrace2_lite.read._about import about_genes_or_cells
from cytotrace2_lite.text import contained, printable, shown

MEGABYTE = "x" * (1 << 20)
NAMES = (
    *("=1+1", "+1", "-1", "@SUM(A1)", "=cmd|' /C calc'!A0"),
    *("../../etc/passwd", "/etc/passwd", "..\\x", "con", ".", "%s%n", "{0.__class__}", "$HOME"),
    *("a\nb", "a\r\nb", "a\rb", "\r", "tab\tx", 'quo"te', '"quoted"', "'", "\u2028"),
    *("\x1b[31mred\x1b[2J", "\x1b]0;title\x07", "\x9b31m", "\b\b\b", "\x7f"),
    *("\u202egnp.exe", "\u2066x\u2069", "\u200b", "\ufeffbom"),
    *("$x^2$", "$\\frac{1}{0}$", "<script>", "]]>", "-->", "&amp;"),
    MEGABYTE,
)


@pytest.fixture(scope="module")
def result(ensembles):
    """Results of cells with such names; the last cell has no counts."""
    random = np.random.RandomState(0)
    counts = random.poisson(2.0, (len(NAMES) + 1, 50))
    counts[-1] = 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return ct2.run(
            counts, genes=features()[:50], cells=[*NAMES, "\x1b[0m\n"], model=ensembles["1.1.0"]
        )


def only_printable(text):
    return all(line.isprintable() for line in text.split("\n"))


class TestNames:
    def test_every_results_file_gives_them_back(self, result, tmp_path):
        for kind in ("txt", "parquet", "arrow"):
            result.write(tmp_path, file_format=kind, extra_columns=True)
        assert sorted(path.name for path in tmp_path.iterdir()) == [
            *(f"cytotrace2_results.{kind}" for kind in ("arrow", "parquet", "txt")),
            "run.json",
        ]
        text = (tmp_path / "cytotrace2_results.txt").read_bytes().decode()
        limit = csv.field_size_limit(2 << 20)
        rows = list(csv.reader(io.StringIO(text, newline=""), delimiter="\t", strict=True))
        csv.field_size_limit(limit)
        assert {len(row) for row in rows} == {16}
        assert [row[0] for row in rows[1:]] == result.cells
        table = pyarrow.parquet.read_table(tmp_path / "cytotrace2_results.parquet")
        assert table["cell"].to_pylist() == result.cells
        table = ipc.open_file(tmp_path / "cytotrace2_results.arrow").read_all()
        assert table["cell"].to_pylist() == result.cells
        for kind in ("parquet", "arrow"):
            assert ct2.compare(result, tmp_path / f"cytotrace2_results.{kind}").within
        with pytest.raises(ct2.InputError, match="field larger than field limit"):
            ct2.compare(result, tmp_path / "cytotrace2_results.txt")

    def test_the_report_is_plain(self, result, tmp_path):
        result.write(tmp_path)
        text = (tmp_path / "run.json").read_text()
        assert text.isascii()
        assert only_printable(text)
        assert json.loads(text)["quality"]["cells_without_counts"] == ["\x1b[0m\n"]

    def test_h5ad(self, result, tmp_path):
        h5py = pytest.importorskip("h5py")
        counts = csr_array(np.ones((len(result.cells), 2)))
        source = formats.h5ad(
            formats.Dataset(counts, result.cells, ("A", "B")), tmp_path / "a.h5ad"
        )
        result.write_h5ad(source, tmp_path / "b.h5ad")
        with h5py.File(tmp_path / "b.h5ad") as file:
            assert file["obs/names"].asstr()[:].tolist() == result.cells
            assert set(file) == {"X", "layers", "obs", "uns", "var"}

    def test_warnings_and_findings(self, result):
        assert any("\\x1b[0m\\n" in str(warning) for warning in result.warnings)
        for text in [*map(str, result.warnings), *result.info["warnings"]]:
            assert text.isprintable()
            assert len(text) < 2100

    @pytest.mark.parametrize("command", ["check", "run", "annotated", "compare"])
    def test_the_command_line(self, model_files, tmp_path, monkeypatch, capsys, command):
        """Names of genes and cells on standard output and standard error."""
        monkeypatch.chdir(tmp_path)
        for library in ("OPENBLAS", "MKL", "OMP", "VECLIB_MAXIMUM"):
            monkeypatch.setenv(f"{library}_NUM_THREADS", "1")
        cells = [name for name in NAMES if "\n" not in name]
        quoted = ["\t".join('"' + name.replace('"', '""') + '"' for name in cells)]
        genes = ["Actb", "\x1b[31m", "1-Mar", MEGABYTE[:-1]]
        lines = [f'""\t{quoted[0]}']
        lines += ["\t".join([f'"{gene}"', *["1"] * (len(cells) - 1), "0"]) for gene in genes]
        table = tmp_path / "\x1b[31m\ntable"
        table.write_text("\n".join(lines) + "\n", newline="")
        (tmp_path / "a").write_text(f'id\tl\n"\x1b[2J"\t1\n"{MEGABYTE}"\t2\n'[:100_000] + '"\t2\n')
        words = ["-m", str(model_files["1.1.0"]), table.name]
        if command == "run":
            words = ["run", *words, "-dpl", "-o", "out"]
        elif command == "check":
            words = ["check", *words]
        elif command == "annotated":
            words = ["check", *words, "-a", "a"]
        else:
            row = "\t0.5\tMultipotent\t1.0\t0.5\tMultipotent\n"
            names = "\t".join(["", *COLUMNS])
            for name, cell in (("one", "\x1b[2J"), ("other", MEGABYTE[:1000])):
                lines = names + "\n" + f"{cell}{row}" + f"both{row.replace('0.5', str(len(name)))}"
                (tmp_path / name).write_text(lines)
            words = ["compare", "one", "other"]
        # As on a terminal: elsewhere click removes escape sequences.
        monkeypatch.setattr("click.utils.should_strip_ansi", lambda *_, **__: False)
        with pytest.raises(SystemExit):
            main(words)
        said = capsys.readouterr()
        text = said.out + said.err
        assert only_printable(text), text[:500]
        if command == "check":
            assert "\n\\x1b[31m\\ntable: can be scored, 5 warnings\n" in said.out
        assert max(map(len, text.split("\n"))) <= 2200

    def test_plots(self, result):
        pytest.importorskip("matplotlib")
        embedding = np.random.RandomState(0).normal(size=(len(result.cells), 2))
        layout = Embedding(embedding, (MEGABYTE, "\x1b[31m$x$\n"))
        # Labels of thousands of digits are not sorted as numbers, and are cut.
        labels = ["" if name == "." else name for name in (*NAMES, "9" * 5000)]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # of a font that lacks letters
            figure = result.plot.phenotype(labels, embedding=layout).figure
            picture = io.BytesIO()
            figure.savefig(picture, format="svg")
        text = picture.getvalue().decode()
        ET.fromstring(text)  # noqa: S314 (our own)
        assert only_printable(text.replace("\t", " "))
        assert len(text) < 2_000_000

    @settings(
        max_examples=100,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture],
    )
    @given(
        names=st.lists(
            st.text(st.characters(exclude_categories=["Cs"]), min_size=1),
            min_size=1,
            max_size=5,
            unique=True,
        )
    )
    def test_any_name_comes_back_from_a_table_and_from_results(self, tmp_path, names):
        cells = [name.replace("\0", "0") for name in names]
        if len(set(cells)) < len(cells) or about_genes_or_cells(cells):
            return
        n_cells = len(cells)
        some = np.full(n_cells, 0.5)
        index = np.zeros(n_cells, np.int8)
        made_up = ct2.Result(
            *(cells, some, some, some, some, np.zeros((n_cells, 6)), index, index),
            np.ones(n_cells, np.int64),
        )
        path = made_up.write(tmp_path)
        assert ct2.compare(made_up, path).within
        # A line break ends a line of a table, also inside quotes.
        plain = [re.sub(r"[\n\r]", "_", name) for name in cells]
        if len(set(plain)) < n_cells or about_genes_or_cells(plain):
            return
        columns = "\t".join('"' + name.replace('"', '""') + '"' for name in plain)
        table = tmp_path / "table.txt"
        table.write_bytes(f'""\t{columns}\nActb{chr(9)}{chr(9).join("1" * n_cells)}\n'.encode())
        assert read_expression(table)[0].cells == plain


class TestMessages:
    def test_helpers(self):
        assert shown("a\nb\x1b") == r"'a\nb\x1b'"
        assert shown(b"\xff") == "'�'"
        assert len(shown(MEGABYTE)) == 83
        assert printable("a\tb\nc", keep="\n") == "a\\tb\nc"
        assert contained("fine.") == "fine."
        text = contained("\x1b" * 10_000 + " Remedy.")
        assert len(text) <= 2000
        assert text.isprintable()
        assert text.endswith(" Remedy.")

    @pytest.mark.parametrize("kind", [CytoTRACE2Error, ct2.InputError, ct2.errors.PlotWarning])
    def test_of_every_kind(self, kind):
        text = str(kind(f"\x1b[2J{MEGABYTE}\n\u202e"))
        assert text.isprintable()
        assert len(text) == 2000


class TestReaders:
    """Inputs that fuzzing found, and inputs that claim more than there is."""

    def refused(self, path, message, **options):
        with pytest.raises(ct2.InputError, match=message):
            read_expression(path, **options)

    @pytest.mark.parametrize("kind", ["arrow", "stream", "parquet", "feather"])
    @pytest.mark.parametrize("which", ["row", "column"])
    def test_names_that_are_no_text(self, tmp_path, kind, which):
        table = pa.table({"names": ["NAME?"] if which == "row" else ["x"], "CELL?": [1]})
        path = tmp_path / "t"
        if kind == "parquet":
            pyarrow.parquet.write_table(
                table, path, use_dictionary=False, compression="none", write_statistics=False
            )
        elif kind == "feather":
            pyarrow.feather.write_feather(table, path, compression="uncompressed")
        else:
            formats_of = {"arrow": ipc.new_file, "stream": ipc.new_stream}
            with pa.OSFile(str(path), "wb") as sink, formats_of[kind](sink, table.schema) as writer:
                writer.write_table(table)
        old = b"NAME?" if which == "row" else b"CELL?"
        path.write_bytes(path.read_bytes().replace(old, old[:-1] + b"\xff"))
        self.refused(path, "^.*t: the file cannot be read ")

    @pytest.mark.parametrize(
        "metadata", ["[" * 100_000, '{"index_columns": 3}', '{"index_columns": null}', "[]", "\x00"]
    )
    def test_metadata_of_pandas_that_is_none(self, tmp_path, metadata):
        table = pa.table({"names": ["Actb"], "c1": [1]}).replace_schema_metadata(
            {"pandas": metadata}
        )
        pyarrow.parquet.write_table(table, tmp_path / "t")
        assert read_expression(tmp_path / "t")[0].cells == ["Actb"]

    def test_a_line_without_end(self, tmp_path):
        path = tmp_path / "t.gz"
        path.write_bytes(gzip.compress(b"a\t" * (33 << 20), 1))
        self.refused(path, r"t\.gz: a line has more than 64 MiB\. Is this a table\?")

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            # Each took hours when every step looked at all of the rest again.
            (b"\tc\nActb\t" + b"1" * (1 << 20) + b"x\n", "is not a number"),
            (
                b"\tc\nActb\t" + b" " * (1 << 22) + b"1" + b" " * (1 << 22) + b"x\n",
                "is not a number",
            ),
            (b'"' + b"\t" * (1 << 20) + b'"\tc\nActb\tx\n', "is not a number"),
            (b'\tc\n"' + b"\t" * (1 << 20) + b'"\tx\n', "is not a number"),
            (b"\tc\nActb\t1" + b"\r\n" * (1 << 26) + b"Actb\tx", "line 3 is empty"),
        ],
        ids=["digits", "blanks", "quoted header", "quoted name", "empty lines"],
    )
    def test_time_grows_with_the_size(self, tmp_path, text, message):
        path = tmp_path / "t"
        path.write_bytes(text)
        started = time.process_time()
        self.refused(path, message)
        assert time.process_time() - started < 20

    @pytest.mark.parametrize("n_blanks", [1, 2, 7, 8, 9, 100])
    def test_blanks_around_numbers(self, tmp_path, n_blanks):
        path = tmp_path / "t"
        blanks = " " * n_blanks
        path.write_text(f'\ta\tb\tc\nActb\t{blanks}1.5\t2.5{blanks}\t{blanks}"{blanks}3.5 "\n')
        assert read_expression(path)[0].values.toarray().ravel().tolist() == [1.5, 2.5, 3.5]
        path.write_text(f"\ta\nActb\t{blanks}\n")
        self.refused(path, "the value is missing")

    def test_names_without_end(self, tmp_path, monkeypatch):
        monkeypatch.setattr("cytotrace2_lite.read._companions._LARGEST", 1 << 23)
        data = formats.Dataset(csr_array(np.ones((2, 2), int)), ("c1", "c2"), ("A", "B"))
        folder = formats.directory_v2(data, tmp_path / "d")
        (folder / "barcodes.tsv").write_bytes(b"c\n" * (5 << 20))
        self.refused(folder, "barcodes.tsv: the file has more than 8 MiB, too many for a list")

    def test_rows_without_end(self, tmp_path, monkeypatch):
        monkeypatch.setattr("cytotrace2_lite.read.arrow.available_memory", lambda: 1000)
        pyarrow.parquet.write_table(
            pa.table({"n": list("abcdefghijk"), "c": [1] * 11}), tmp_path / "t"
        )
        self.refused(tmp_path / "t", "the names of its 11 rows do not fit into memory")

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"shape": (10**12,), "chunks": (1 << 20,)}, "claims 1,000,000,000,000 values"),
            ({"shape": (10**6,), "chunks": (1,)}, "has 1,000,000 chunks of 1 values"),
            (
                {"shape": (3,), "chunks": (1 << 28,), "maxshape": (None,)},
                "chunks of more than 1 GiB",
            ),
        ],
    )
    def test_hdf5_that_claims_much(self, tmp_path, options, message):
        h5py = pytest.importorskip("h5py")
        data = formats.Dataset(csr_array(np.ones((2, 2), int)), ("c1", "c2"), ("A", "B"))
        path = formats.tenx_v3(data, tmp_path / "t.h5")
        with h5py.File(path, "r+") as file:
            del file["matrix/indptr"]
            file.create_dataset("matrix/indptr", dtype="i8", **options)
        self.refused(path, message)

    def test_hdf5_names_beyond_memory(self, tmp_path, monkeypatch):
        pytest.importorskip("h5py")
        monkeypatch.setattr("cytotrace2_lite.read.hdf5.available_memory", lambda: 1000)
        monkeypatch.setattr("cytotrace2_lite.read.hdf5._ANYWAY", 500)
        cells = [f"c{i}" for i in range(100)]
        data = formats.Dataset(csr_array(np.ones((100, 2), int)), cells, ("A", "B"))
        path = formats.h5ad(data, tmp_path / "t.h5ad")
        self.refused(path, "its 100 names or labels do not fit into memory")


class TestModels:
    """Files with a correct seal (anybody can make one) that are made to do harm."""

    def described(self, **changes):
        """Metadata of a valid model, as protocol-buffer fields, some of them changed."""
        entries = onnx_file.metadata(bundled_model().read_bytes())
        entries.pop("cytotrace2_lite.sha256")
        return entries | changes

    def inputs(self):
        """Names of the inputs of a valid model."""
        import onnx

        model = onnx.load(bundled_model())
        return [(tensor.name, tensor.type.tensor_type.elem_type) for tensor in model.graph.input]

    def sealed(self, path, nodes=(), inputs=None, output=1, **changes):
        from onnx import helper

        graph = helper.make_graph(
            [helper.make_node(*node[:3], **(node[3] if len(node) > 3 else {})) for node in nodes],
            "model",
            [
                helper.make_tensor_value_info(name, kind, [f"{name}_n", f"{name}_m"])
                for name, kind in inputs or self.inputs()
            ],
            [helper.make_tensor_value_info("probabilities", output, None)],
        )
        opset = [helper.make_opsetid("", onnx_file.OPSET)]
        model = helper.make_model(graph, opset_imports=opset, ir_version=9)
        helper.set_model_props(model, self.described(**changes))
        path.write_bytes(seal(model.SerializeToString()))
        return path

    @pytest.mark.parametrize(
        "changes",
        [
            {"name": "\x1b[2J"},
            {"name": "open\nResults: elsewhere"},
            {"licence": "MIT" * 100},
            {"architecture": "\u202e1.1.0"},
            {"official": "\r1.1.0"},
            {"sources": "[" * 100_000},
            {"sources": '[{"file": ' + "[" * 500 + "]" * 500 + "}]"},
            {"sources": '["file"]'},
            {"sources": '[[["file", "digest", 1]]]'},
            {"sources": "5"},
            {"check_scores": "[" * 100_000},
            {"n_members": "9" * 5000},
            {"thresholds": "[" * 100_000},
            {"thresholds": "[NaN]"},
            {"thresholds": str([1e9] * 96)},
            {"thresholds": str([0] * 96)},
        ],
        ids=lambda changes: next(iter(changes)),
    )
    def test_what_it_says_of_itself(self, tmp_path, changes):
        path = self.sealed(tmp_path / "m.onnx", [("Relu", ["under"], ["probabilities"])], **changes)
        with pytest.raises(ct2.ModelError, match="the model does not describe itself as this"):
            Ensemble.load(path)
        if {"sources", "check_scores", "thresholds"}.isdisjoint(changes) and "name" not in changes:
            assert "does not describe itself" in describe(path).problem

    @pytest.mark.parametrize(
        ("nodes", "message"),
        [
            # As many numbers per cell as there are genes.
            ([("Relu", ["under"], ["probabilities"])], "the model does not give 6 potencies"),
            # One number for all cells.
            (
                [("ReduceMean", ["under"], ["probabilities"])],
                "the model does not give a number per",
            ),
            # Not a number.
            (
                [
                    ("Less", ["under", "under"], ["never"]),
                    ("Cast", ["never"], ["zero"], {"to": 1}),
                    ("Div", ["zero", "zero"], ["probabilities"]),
                ],
                "the model does not give a number per cell",
            ),
            # Shapes that do not fit.
            (
                [("MatMul", ["under", "under"], ["probabilities"])],
                "onnxruntime cannot run the model",
            ),
        ],
    )
    def test_what_it_computes(self, tmp_path, capfd, nodes, message):
        path = self.sealed(tmp_path / "m.onnx", nodes)
        ensemble = Ensemble.load(path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with pytest.raises(ct2.ModelError, match=message) as caught:
                ct2.run(np.ones((3, 70)), genes=features()[:70], model=ensemble)
        assert str(caught.value).isprintable()
        assert capfd.readouterr().err == ""

    @pytest.mark.parametrize("to", [8, 7, 9], ids=["string", "int64", "bool"])
    def test_output_that_is_no_number(self, tmp_path, to):
        node = ("Cast", ["under"], ["probabilities"], {"to": to})
        path = self.sealed(tmp_path / "m.onnx", [node], output=to)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with pytest.raises(ct2.ModelError) as caught:
                ct2.run(np.ones((3, 70)), genes=features()[:70], model=path)
        assert str(caught.value) == f"{path}: the model does not give a number per cell."

    def test_inputs_it_does_not_get(self, tmp_path):
        inputs = [("x", 1)]
        path = self.sealed(tmp_path / "m.onnx", [("Relu", ["x"], ["probabilities"])], inputs)
        ensemble = Ensemble.load(path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with pytest.raises(ct2.ModelError, match="onnxruntime cannot run the model"):
                ct2.run(np.ones((3, 70)), genes=features()[:70], model=ensemble)

    def test_a_name_in_a_pytorch_file_that_is_no_text(self, tmp_path):
        path = torch_format.save(tmp_path / "m.pt", {"a": np.zeros(2, "f4")})
        content = path.read_bytes()
        with zipfile.ZipFile(path) as archive:
            where = archive.getinfo("archive/data.pkl").header_offset
        # The name is stored twice; the one before the data now claims to be UTF-8 and is not.
        changed = bytearray(content)
        changed[where + 7] |= 8
        changed[where + 30] = 0xFF
        path.write_bytes(changed)
        with pytest.raises(ct2.ModelError, match=r"data\.pkl is damaged"), TorchFile(path):
            pass


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="there is no such device")
def test_a_device_that_never_ends(tmp_path, monkeypatch):
    monkeypatch.setattr("cytotrace2_lite.system.files._LARGEST", 1 << 20)
    monkeypatch.setattr("cytotrace2_lite.system.small_tables._LARGEST", 1 << 20)
    monkeypatch.setattr("cytotrace2_lite.models.sealed._LARGEST", 1 << 20)
    for read in (read_annotation, read_embedding, read_orthologs, ct2.compare):
        with pytest.raises(ct2.InputError, match=r"^/dev/zero: the file has more than 1 MiB"):
            read(*["/dev/zero"] * (2 if read is ct2.compare else 1))
    with pytest.raises(ct2.ModelError, match=r"^/dev/zero: not a cytotrace2_lite model"):
        read_model(Path("/dev/zero"))
    with pytest.raises(ct2.InputError, match=r"^/dev/zero: this is not a text table"):
        read_expression("/dev/zero")
