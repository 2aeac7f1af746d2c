"""Files that R wrote (`data/make_r_data.R`): what is read of them, and what is said of others."""

import gzip
import json
import shutil
import struct
import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from helpers.readers import is_known, message

import cytotrace2_lite as ct2
from cytotrace2_lite.base.options import RunOptions
from cytotrace2_lite.directory import explain_to_directory, score_to_directory
from cytotrace2_lite.explanation.files import ExplainOptions
from cytotrace2_lite.read import ReadOptions, open_input, read_expression
from cytotrace2_lite.read._bytes import ByteStream
from cytotrace2_lite.read._file import InputFile
from cytotrace2_lite.read._rstream import RStream
from cytotrace2_lite.read._rvectors import r_number

DATA = Path(__file__).parents[1] / "data"
pytestmark = pytest.mark.filterwarnings("ignore::cytotrace2_lite.errors.CytoTRACE2Warning")

# What comes before the object.
HEAD = b"X\n" + struct.pack(">iiii", 3, 0x40200, 0x30500, 5) + b"UTF-8"


def words(*numbers):
    return struct.pack(f">{len(numbers)}i", *numbers)


def read(name, **options):
    return read_expression(DATA / "r" / name, is_known, **options)


@pytest.fixture(scope="module")
def frame():
    """The cells and genes that are in all of these files."""
    table = pd.read_csv(DATA / "enteric_300.txt.gz", sep="\t", index_col=0)
    return table.iloc[::250, :20]


@pytest.fixture(scope="module")
def example(frame):
    return read_expression(frame, is_known, orientation="genes-x-cells")[0]


def same(expression, other):
    assert expression.cells == other.cells
    assert expression.genes == other.genes
    assert expression.max_value == other.max_value
    assert expression.values.dtype == other.values.dtype
    assert (expression.values != other.values).nnz == 0


ROWS = "the row names"
# File, `--layer`; then what `Source` says: format, compression, matrix, others, names.
FILES = [
    ("dgcmatrix.rds", None, ("rds", "gzip", None, (), ROWS)),
    ("dgtmatrix.rds", None, ("rds", "bz2", None, (), ROWS)),
    ("dgrmatrix.rds", None, ("rds", "xz", None, (), ROWS)),
    ("dgematrix.rds", None, ("rds", "gzip", None, (), ROWS)),
    ("matrix.rds", None, ("rds", "gzip", None, (), ROWS)),
    ("data_frame.rds", None, ("rds", "gzip", None, (), ROWS)),
    ("names_in_a_column.rds", None, ("rds", "gzip", None, (), "the first column")),
    ("cells_in_rows.rds", None, ("rds", "gzip", None, (), "the column names")),
    (
        "seurat_v4.rds",
        None,
        (
            "rds",
            "gzip",
            "RNA/counts",
            ("RNA/data", "RNA/scale.data", "SCT/counts", "SCT/data"),
            ROWS,
        ),
    ),
    ("seurat_v5.rds", None, ("rds", "gzip", "RNA/counts", ("RNA/data",), ROWS)),
    ("seurat_v5.rds", "counts", ("rds", "gzip", "RNA/counts", ("RNA/data",), ROWS)),
    (
        "seurat_v5_split.rds",
        None,
        ("rds", "gzip", "RNA/counts", ("RNA/counts.1", "RNA/counts.2"), ROWS),
    ),
    ("sce.rds", None, ("rds", "gzip", "counts", ("logcounts",), ROWS)),
    ("sce_of_ids.rds", None, ("rds", "gzip", "counts", (), "rowData['Symbol']")),
    ("summarized.rds", None, ("rds", None, "counts", (), ROWS)),
    ("one.RData", None, ("RData", "gzip", "counts", (), ROWS)),
    ("several.RData", "counts", ("RData", "xz", "counts", (), ROWS)),
    (
        "several.RData",
        "seurat/RNA/counts",
        (
            "RData",
            "xz",
            "seurat/RNA/counts",
            (
                "seurat/RNA/data",
                "seurat/RNA/scale.data",
                "seurat/SCT/counts",
                "seurat/SCT/data",
            ),
            ROWS,
        ),
    ),
]


@pytest.mark.parametrize(("name", "layer", "said"), FILES)
def test_every_object_is_the_same_expression(name, layer, said, example):
    expression, source = read(name, layer=layer)
    same(expression, example)
    found = (source.format, source.compression, source.matrix, source.other_matrices)
    assert (*found, source.gene_names) == said
    assert source.n_bytes == (DATA / "r" / name).stat().st_size
    by_cell = name == "cells_in_rows.rds"
    assert source.orientation == ("cells x genes" if by_cell else "genes x cells")


@pytest.mark.parametrize(
    ("name", "layer", "factor"),
    [
        ("seurat_v4.rds", "SCT", 2),
        ("seurat_v4.rds", "SCT/counts", 2),
        ("several.RData", "seurat/SCT", 2),
        ("several.RData", "seurat", 1),
    ],
)
def test_an_assay_is_chosen(name, layer, factor, example):
    values = read(name, layer=layer)[0].values
    np.testing.assert_array_equal(values.toarray(), factor * example.values.toarray())


def test_other_layers(frame, example):
    logged = np.log1p(example.values.toarray().astype(float))
    for name in ("seurat_v4.rds", "seurat_v5.rds"):
        for layer in ("data", "RNA/data"):
            found = read(name, layer=layer)[0].values.toarray()
            np.testing.assert_allclose(found, logged, rtol=1e-15)
    logged = read("sce.rds", layer="logcounts")[0].values.toarray()
    np.testing.assert_allclose(logged, np.log1p(example.values.toarray().astype(float)), 1e-15)
    half, source = read("seurat_v5_split.rds", layer="counts.1")
    assert half.cells == list(frame.columns[::2])
    np.testing.assert_array_equal(half.values.toarray(), example.values.toarray()[::2])
    assert source.matrix == "RNA/counts.1"
    scaled = read("seurat_v4.rds", layer="scale.data")[0]
    assert scaled.genes == list(frame.index[:5])


def test_values_and_names_in_all_their_forms(frame, example):
    ones = (example.values.toarray() > 0).astype(float)
    for name in ("logical.rds", "pattern.rds"):
        np.testing.assert_array_equal(read(name)[0].values.toarray(), ones)
    expression = read_expression(DATA / "r/sequences.rds")[0]
    assert expression.cells == ["up", "down", "kept"]
    expected = [np.arange(1, 69), np.arange(68, 0, -1), frame.iloc[:, 0]]
    np.testing.assert_array_equal(expression.values.toarray(), expected)
    assert read("deferred_names.rds")[0].cells == ["1", "2", "3"]
    assert read("encodings.rds")[0].cells == ["naïve", "café", "細胞"]
    assert expression.genes == list(frame.index)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        *((1, "1"), (-(2**31), None), (0.1, "0.1"), (100000.0, "1e+05"), (123456.0, "123456")),
        *((1 / 3, "0.333333333333333"), (1e-5, "1e-05"), (0.0001, "1e-04"), (-2.5, "-2.5")),
        *((0.0, "0"), (float("nan"), None), (float("-inf"), "-Inf"), (1e300, "1e+300")),
        *((1234567890123456.0, "1234567890123456"), (0.00012, "0.00012"), (1e15, "1e+15")),
    ],
)
def test_numbers_as_text(value, text):
    assert r_number(value) == text


class TestCells:
    """What is known about the cells besides expression."""

    def test_columns_of_seurat(self):
        with open_input(DATA / "r/seurat_v4.rds") as source:
            assert source.frame_name == "meta.data"
            columns = {
                "type": ["neuron", "glia", "neuron", "glia"],
                "ident": ["neuron", "glia", "neuron", "glia"],
                "donor": ["d1"] * 4,
                "cluster": ["0", "1", "2", "3"],
                "fraction": ["0.1", "1e+05", "0.333333333333333", ""],
                "kept": ["TRUE", "FALSE", "", "TRUE"],
                "nCount_RNA": ["67", "44", "35", "46"],
            }
            for column, labels in columns.items():
                assert source.obs_column(column)[:4] == labels
                assert len(source.obs_column(column)) == 20
            with pytest.raises(ct2.UsageError) as caught:
                source.obs_column("nix")
            assert str(caught.value) == (
                f"{DATA / 'r/seurat_v4.rds'}: meta.data has no column 'nix' of labels. Its columns "
                "are 'orig.ident', 'nCount_RNA', 'nFeature_RNA', 'type', 'donor', 'cluster', "
                "'fraction', 'kept', 'nCount_SCT', 'nFeature_SCT', 'ident'."
            )

    def test_columns_of_an_experiment(self):
        with open_input(DATA / "r/sce.rds") as source:
            assert source.frame_name == "colData"
            assert source.obs_column("type")[:2] == ["neuron", "glia"]
            assert source.obs_column("donor") == ["d1"] * 10 + ["d2"] * 10

    def test_labels_of_the_cells_of_a_layer(self):
        with open_input(DATA / "r/seurat_v5_split.rds", layer="counts.2") as source:
            assert source.obs_column("type") == ["glia"] * 10
            np.testing.assert_array_equal(source.obsm("umap")[:, 0], np.arange(2, 21, 2))

    @pytest.mark.parametrize("name", ["seurat_v4.rds", "seurat_v5.rds", "sce.rds"])
    def test_reductions(self, name):
        """Those of version 5 are in another order."""
        expected = np.arange(1.0, 41).reshape(2, 20).T
        with open_input(DATA / "r" / name) as source:
            for key in ("umap", "UMAP", "X_umap"):
                np.testing.assert_array_equal(source.obsm(key), expected)
            with pytest.raises(ct2.UsageError, match="there is no reduction 'tsne'"):
                source.obsm("tsne")

    def test_a_matrix_has_none(self):
        with open_input(DATA / "r/matrix.rds") as source:
            assert source.frame_name == ""


def test_a_run_uses_labels_samples_and_coordinates(tmp_path, ensembles):
    path = DATA / "r/several.RData"
    options = RunOptions(model=ensembles["1.1.0"], layer="seurat")
    scored = score_to_directory(path, tmp_path, options, annotation_path="type", batch_key="donor")
    assert set(scored.labels.values()) == {"neuron", "glia"}
    assert scored.result.embedding.axes == ("UMAP 1", "UMAP 2")
    report = json.loads((tmp_path / "run.json").read_text())
    assert report["samples"]["n_cells"] == {"d1": 10, "d2": 10}
    assert report["annotation"]["path"] == f"{path}: meta.data['type']"
    assert report["embedding"] == "umap"
    notes = [finding["what"] for finding in report["findings"]]
    assert "plots are drawn at the reduction 'umap' of the input" in notes


@pytest.mark.parametrize(
    "name", ["dgtmatrix.rds", "data_frame.rds", "seurat_v4.rds", "seurat_v5_split.rds", "sce.rds"]
)
def test_the_results_are_those_of_the_text_table(frame, tmp_path, ensembles, name):
    options = RunOptions(model=ensembles["1.1.0"])
    frame.to_csv(tmp_path / "t.txt", sep="\t")
    paths = {"text": tmp_path / "t.txt", "r": DATA / "r" / name}
    for folder, path in paths.items():
        score_to_directory(path, tmp_path / folder, options, keep_counts=False)
    text, r = (tmp_path / folder / "cytotrace2_results.txt" for folder in paths)
    assert text.read_bytes() == r.read_bytes()


def test_groups_of_an_explanation(tmp_path, ensembles):
    explain = ExplainOptions(by="type")
    explanation = explain_to_directory(
        DATA / "r/sce.rds", tmp_path, RunOptions(model=ensembles["1.1.0"]), explain
    )
    assert set(explanation.groups) == {"neuron", "glia"}


def test_in_python(ensembles, frame):
    path, model = DATA / "r/seurat_v4.rds", ensembles["1.1.0"]
    result = ct2.run(path, model=model, batches="donor", embedding="X_umap")
    expected = ct2.run(frame, model=model, batches=["d1"] * 10 + ["d2"] * 10)
    np.testing.assert_array_equal(result.score, expected.score)
    np.testing.assert_array_equal(result.embedding.coordinates[:, 0], np.arange(1, 21))
    groups = ct2.explain(path, model=model, groups="type").groups
    assert set(groups) == {"neuron", "glia"}


def test_from_a_pipe(example):
    content = (DATA / "r/dgcmatrix.rds").read_bytes()
    command = ["sh", "-c", "cat"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as pipe:
        pipe.stdin.write(content)
        pipe.stdin.close()
        expression, source = read_expression(f"/dev/fd/{pipe.stdout.fileno()}", is_known)
    same(expression, example)
    assert source.format == "rds"


class TestRefused:
    @pytest.fixture(autouse=True)
    def folder(self, monkeypatch):
        monkeypatch.chdir(DATA / "r")

    @pytest.mark.parametrize(
        ("name", "layer", "said"),
        [
            (
                "several.RData",
                None,
                (
                    "several objects have expression: 'seurat' (Seurat), 'counts' ('dgCMatrix'). "
                    'Choose one with --layer NAME (layer="NAME" in Python); --layer '
                    "NAME/ASSAY/LAYER "
                    "also chooses its matrix."
                ),
            ),
            (
                "seurat_without_counts.rds",
                None,
                (
                    "the assay 'RNA' of this Seurat object has no counts. There is 'RNA/data'; "
                    "--layer NAME (layer= in Python) reads one all the same."
                ),
            ),
            (
                "seurat_v5.rds",
                "SCT",
                "there is no layer 'SCT'. There is 'RNA/counts', 'RNA/data'.",
            ),
            (
                "matrix.rds",
                "counts",
                "there is no layer 'counts'. This matrix has no layers: leave the option out.",
            ),
        ],
    )
    def test_the_choice(self, name, layer, said):
        assert message(name, error=ct2.UsageError, layer=layer) == f"{name}: {said}"

    @pytest.mark.parametrize(
        ("name", "said"),
        [
            (
                "none.RData",
                (
                    "it holds 'numbers' (integer), which has no expression that is read. Give a "
                    "Seurat object of version 3 or newer, a SingleCellExperiment, a "
                    "SummarizedExperiment, a matrix or a data frame."
                ),
            ),
            (
                "lm.rds",
                (
                    "it holds an object of the kind 'lm', which has no expression that is read. "
                    "Give a Seurat object of version 3 or newer, a SingleCellExperiment, a "
                    "SummarizedExperiment, a matrix or a data frame."
                ),
            ),
            (
                "missing.rds",
                (
                    "gene 'Ptpn4', cell 'CTTAGGACATCCTTGC-1': the value nan is not a finite "
                    "number. Give raw counts, CPM or TPM, and 0 where nothing was counted."
                ),
            ),
            (
                "symmetric.rds",
                (
                    "this is of the kind 'dsCMatrix', a half of a matrix. In R, as(x, "
                    '"generalMatrix") makes the whole of it.'
                ),
            ),
            (
                "without_names.rds",
                "the genes have no names. In R, set rownames and colnames, and save it again.",
            ),
            (
                "seurat_v5_transposed.rds",
                (
                    "RNA/counts: this assay is an Assay5T, whose layers are cells x genes, which "
                    "is not read. In R, save the matrix of the counts alone, genes x cells, with "
                    "saveRDS."
                ),
            ),
            ("bytes.rds", "the name 'caf\\udce9' of cell 1 is not valid text. Rename it."),
            (
                "text.rds",
                (
                    "these R data are written as text or in the order of bytes of one machine. In "
                    "R, saveRDS(object, file) writes them as they are read here."
                ),
            ),
        ],
    )
    def test_the_object(self, name, said):
        assert message(name) == f"{name}: {said}"

    def test_options_without_a_meaning(self):
        assert message("seurat_v4.rds", error=ct2.UsageError, use_raw=True) == (
            "seurat_v4.rds: an R object has no raw: leave the option out."
        )
        assert message("sce.rds", error=ct2.UsageError, orientation="cells-x-genes") == (
            "sce.rds: the rows of a SingleCellExperiment are genes: leave the orientation out."
        )


class TestMadeUp:
    """Files that no R wrote."""

    @staticmethod
    def refusal(tmp_path, content, error=ct2.InputError, **options):
        path = tmp_path / "t.rds"
        path.write_bytes(gzip.compress(content))
        with pytest.raises(error) as caught, open_input(path) as source:
            source.read(ReadOptions(**options))
        return str(caught.value).removeprefix(f"{path}: ")

    @pytest.mark.parametrize(
        "content",
        [
            HEAD + words(14, 2**31 - 1),
            HEAD + words(19, 2**31 - 1),
            HEAD + words(16, 2**31 - 1),
            HEAD + words(14, 5) + bytes(39),
            HEAD[:-3],
        ],
        ids=["doubles", "list", "strings", "cut", "head"],
    )
    def test_cut_short(self, tmp_path, content):
        said = self.refusal(tmp_path, content)
        assert said == (
            "the R data end in the middle of an object. Copy or download the file again."
        )

    @pytest.mark.parametrize(
        "content",
        [
            words(14, -1, 2**31 - 1, -1),
            words(19, -7),
            words(16, 1, 14, 0),
            words(16, 1, 9, -2),
            words(0x1FF),
            words(99),
            words(249, 1),
            words(238, 254, 254, 254),
        ],
        ids=["length", "negative", "no string", "bad string", "reference", "kind", "name", "alt"],
    )
    def test_damaged(self, tmp_path, content):
        said = self.refusal(tmp_path, HEAD + content)
        assert said.startswith(("the R data are damaged.", "it holds an object of the kind"))

    def test_nested_deeply(self, tmp_path):
        said = self.refusal(tmp_path, HEAD + words(19, 1) * 100_000)
        assert said == (
            "the R data are nested more than 10,000 levels deep. In R, save the counts alone."
        )
        said = self.refusal(tmp_path, HEAD + words(19, 1) * 5_000 + words(254))
        assert said.startswith("it holds an object of the kind list, which has no expression")

    def test_more_than_fits_into_memory(self, tmp_path):
        """Told before the memory is taken, whatever the file really has."""
        said = self.refusal(
            tmp_path, HEAD + words(14, 2**30), error=ct2.UsageError, max_memory=10**9
        )
        assert said == (
            "an R object is read whole, and this one takes more memory than the 1 GB that may be "
            "taken. Raise --max-memory (max_memory) if there is more, or, in R, write the counts "
            "as a 10x directory, which is read in parts."
        )

    def test_a_sequence_is_not_made_where_it_is_too_long(self, tmp_path):
        name = words(1, 9, 14) + b"compact_intseq"
        info = words(2) + name + words(254)
        state = words(14, 3) + struct.pack(">ddd", 2**31 - 1, 1, 1)
        said = self.refusal(
            tmp_path,
            HEAD + words(238) + info + state + words(254),
            error=ct2.UsageError,
            max_memory=10**9,
        )
        assert said.startswith("an R object is read whole")


def test_of_other_parts_only_the_kind_is_kept(monkeypatch):
    """Nothing of code, environments and large matrices that are not asked for."""
    held = []

    def take(self, n_bytes):
        held.append(n_bytes)

    monkeypatch.setattr(RStream, "_take", take)
    path = DATA / "r/seurat_v4.rds"
    with InputFile(path) as file:
        everything = RStream(ByteStream(file), None, lambda *_: False).read()
    n_bytes = sum(held)
    held.clear()
    kinds = {item.kind for item in everything.attributes["misc"].value[0].value}
    assert {"closure", "environment", "call"} <= kinds
    read(path.name)
    assert sum(held) < 0.9 * n_bytes


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("Rscript") is None, reason="R is not installed")
def test_the_files_are_what_r_writes(tmp_path):
    """The script that made them still runs, and what it writes is read alike."""
    needed = "c('Matrix', 'SeuratObject', 'SingleCellExperiment')"
    has = f"quit(status = !all(sapply({needed}, requireNamespace, quietly = TRUE)))"
    if subprocess.run(["Rscript", "-e", has], capture_output=True, check=False).returncode:
        pytest.skip("a package of R is not installed")
    shutil.copy(DATA / "make_r_data.R", tmp_path)
    shutil.copy(DATA / "enteric_300.txt.gz", tmp_path)
    subprocess.run(
        ["Rscript", "make_r_data.R"], cwd=tmp_path, check=True, capture_output=True, timeout=300
    )
    assert {p.name for p in (tmp_path / "r").iterdir()} == {p.name for p in (DATA / "r").iterdir()}
    for name, layer, _ in FILES:
        made = read_expression(tmp_path / "r" / name, is_known, layer=layer)[0]
        same(made, read(name, layer=layer)[0])
