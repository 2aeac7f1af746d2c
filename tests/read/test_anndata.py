"""Which matrix of AnnData is read, which names its genes have, and which way round it is."""

from pathlib import Path
from types import SimpleNamespace

import h5py
import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from helpers import formats
from scipy import sparse

import cytotrace2_lite as ct2
from cytotrace2_lite import genes as gene_tables
from cytotrace2_lite.cli.main import cli
from cytotrace2_lite.read import read_expression

pytestmark = pytest.mark.filterwarnings("ignore::cytotrace2_lite.errors.CytoTRACE2Warning")
GENES = ["Actb", "Gapdh", "Nanog", "Xkr4"]
CELLS = ["a", "b", "c"]
COUNTS = np.array([[5.0, 0, 1, 0], [0, 2, 0, 0], [300, 0, 0, 7]])
LOGS = np.log1p(COUNTS)
SCALED = LOGS - LOGS.mean()


def is_known(names):
    return gene_tables.is_known(names, "mouse")


@pytest.fixture(autouse=True)
def working_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


class AnnData:
    """As much of anndata's class as is used."""

    X = None

    def __init__(self, x, layers=None, raw=None, obs=None, var=None):
        self.X = x
        self.layers = layers or {}
        self.obs = pd.DataFrame(index=CELLS) if obs is None else obs
        self.var = pd.DataFrame(index=GENES) if var is None else var
        self.obs_names, self.uns = self.obs.index, {}
        self.raw = None if raw is None else SimpleNamespace(X=raw, var=pd.DataFrame(index=GENES))


def write(path, x, layers=None, raw=None, obs=None, var=None):
    """Write a .h5ad: dense, or sparse where a matrix is."""

    def put(file, name, matrix):
        if not sparse.issparse(matrix):
            file[name] = matrix
            return
        group = file.create_group(name)
        group.attrs["encoding-type"] = f"{matrix.format}_matrix"
        group.attrs["shape"] = matrix.shape
        for part in ("data", "indices", "indptr"):
            group[part] = getattr(matrix, part)

    frames = {
        "obs": pd.DataFrame(index=CELLS) if obs is None else obs,
        "var": pd.DataFrame(index=GENES) if var is None else var,
    }
    with h5py.File(path, "w") as file:
        file.attrs["encoding-type"] = "anndata"
        put(file, "X", x)
        for name, layer in (layers or {}).items():
            put(file, f"layers/{name}", layer)
        if raw is not None:
            put(file, "raw/X", raw)
            frames["raw/var"] = frames["var"]
        for name, frame in frames.items():
            group = file.create_group(name)
            group.attrs["_index"] = frame.index.name or "_index"
            group.attrs.update({"encoding-type": "dataframe", "encoding-version": "0.2.0"})
            group.attrs["column-order"] = list(map(str, frame.columns))
            group[frame.index.name or "_index"] = list(frame.index)
            for column in frame:
                values = [value if isinstance(value, str) else "" for value in frame[column]]
                group[column] = values
    return str(path)


def inputs(*args, **options):
    """Give the same data as an object and as a file."""
    return [AnnData(*args, **options), write(Path("x.h5ad"), *args, **options)]


@pytest.mark.parametrize("form", [np.asarray, sparse.csr_matrix, sparse.csc_matrix])
class TestMatrix:
    """A layer of counts, or .raw, takes the place of an X that is none."""

    def read(self, options, **given):
        for data in inputs(options.pop("x"), **options):
            expression, source = read_expression(data, is_known, **given)
            yield expression.values.toarray().tolist(), source

    @pytest.mark.parametrize("x", [LOGS, SCALED, LOGS.astype(np.float32)])
    @pytest.mark.parametrize("where", ["counts", "raw_counts", "raw"])
    def test_counts_are_taken(self, form, x, where):
        matrix = form(COUNTS.astype(np.float32))
        given = {"raw": matrix} if where == "raw" else {"layers": {where: matrix, "z": form(LOGS)}}
        name = "raw.X" if where == "raw" else f"layers[{where!r}]"
        for values, source in self.read({"x": form(x), **given}):
            assert values == COUNTS.tolist()
            assert (source.matrix, source.instead_of) == (name, "X")
            assert "X" in source.other_matrices
            assert name not in source.other_matrices

    def test_asked_for_x(self, form):
        for values, source in self.read(
            {"x": form(LOGS), "layers": {"counts": form(COUNTS)}}, layer="X"
        ):
            assert values == LOGS.tolist()
            assert (source.matrix, source.instead_of) == ("X", None)

    def test_a_layer_called_x(self, form):
        for values, source in self.read(
            {"x": form(LOGS), "layers": {"X": form(COUNTS)}}, layer="X"
        ):
            assert values == COUNTS.tolist()
            assert source.matrix == "layers['X']"

    @pytest.mark.parametrize(
        ("x", "others"),
        [
            (COUNTS, {"layers": {"counts": 2 * COUNTS}}),
            (LOGS, {"layers": {"counts": COUNTS, "raw_counts": 2 * COUNTS}}),
            (LOGS, {"layers": {"counts": COUNTS}, "raw": COUNTS}),
            (LOGS, {"layers": {"counts": COUNTS + 0.5}}),
            (LOGS, {"layers": {"counts": COUNTS * 0}}),
            (LOGS, {"layers": {"spliced": COUNTS}}),
            (LOGS, {"layers": {"counts": np.where(COUNTS == 2, np.nan, COUNTS)}}),
        ],
    )
    def test_x_where_it_is_not_certain(self, form, x, others):
        made = {
            key: {name: form(layer) for name, layer in value.items()}
            if isinstance(value, dict)
            else form(value)
            for key, value in others.items()
        }
        for values, source in self.read({"x": form(x), **made}):
            assert values == x.tolist()
            assert (source.matrix, source.instead_of) == ("X", None)


@pytest.mark.parametrize("raw", [np.ones((2, 4)), sparse.coo_matrix(COUNTS)])
def test_other_matrices_that_cannot_be_read_do_no_harm(raw):
    """A .raw of other cells, or stored in an unknown way, is not looked at."""
    path = write("x.h5ad", LOGS, raw=raw if isinstance(raw, np.ndarray) else COUNTS)
    if not isinstance(raw, np.ndarray):
        with h5py.File(path, "r+") as file:
            del file["raw/X"]
            file.create_group("raw/X").attrs["encoding-type"] = "coo_matrix"
    expression, source = read_expression(path, is_known)
    assert expression.values.toarray().tolist() == LOGS.tolist()
    assert source.instead_of is None


SENTENCE = (
    "X does not hold whole numbers and layers['counts'] does, so that is read (--layer X, or "
    'layer="X" in Python, takes X all the same).'
)


def test_it_is_said(ensembles):
    for data in inputs(LOGS, {"counts": COUNTS}):
        findings = ct2.check(data, model=ensembles["1.1.0"])
        assert [str(found) for found in findings if found.code == "matrix"] == [SENTENCE]
        assert "log_transformed" not in [found.code for found in findings]
        info = ct2.run(data, model=ensembles["1.1.0"]).info
        assert info["input"]["instead_of"] == "X"
        assert info["input"]["matrix"] == "layers['counts']"
        assert SENTENCE.removesuffix(".") in [found["what"] for found in info["findings"]]
        findings = ct2.check(data, model=ensembles["1.1.0"], layer="X")
        assert [
            found.code for found in findings if found.code in {"matrix", "log_transformed"}
        ] == ["log_transformed"]


def test_the_command_line_says_it():
    write("x.h5ad", LOGS, {"counts": COUNTS})
    done = CliRunner().invoke(cli, ["run", "x.h5ad", "-dpl"])
    assert done.exit_code == 0
    assert f"Note: {SENTENCE}\n" in done.output
    assert "log-transformed" not in done.output
    done = CliRunner().invoke(cli, ["check", "x.h5ad", "--layer", "X"])
    assert "log-transformed" in done.output
    assert SENTENCE not in done.output


def test_same_scores_as_the_counts(ensembles):
    model = ensembles["1.1.0"]
    expected = ct2.run(COUNTS, genes=GENES, cells=CELLS, model=model).to_bytes(extra_columns=True)
    for data in inputs(LOGS, {"counts": COUNTS}):
        assert ct2.run(data, model=model).to_bytes(extra_columns=True) == expected


class TestLayerNone:
    """Newer versions of anndata have X among the layers, as the layer None."""

    def test_is_not_shown(self):
        expression, source = read_expression(AnnData(COUNTS, {None: COUNTS, "z": LOGS}), is_known)
        assert (
            source.describe()
            == "AnnData, X (not layers['z']), cells x genes, gene names from " + ("var_names")
        )
        assert expression.values.toarray().tolist() == COUNTS.tolist()

    @pytest.mark.parametrize("layer", ["None", "y"])
    def test_asked_for(self, layer):
        with pytest.raises(ct2.InputError) as caught:
            read_expression(AnnData(COUNTS, {None: COUNTS}), layer=layer)
        assert str(caught.value) == f"AnnData: there is no layers[{layer!r}]. There is X."


class TestGeneColumns:
    ODD = pd.Index([f"x{i}" for i in range(4)])

    @pytest.mark.parametrize(
        "column",
        ["real_gene_name", "GeneSymbol", "feature_symbol", "Gene Symbol", "gene-name", "anything"],
    )
    def test_columns_of_any_name(self, column):
        for data in inputs(COUNTS, var=pd.DataFrame({"z": "q", column: GENES}, index=self.ODD)):
            expression, source = read_expression(data, is_known)
            assert expression.genes == GENES
            assert source.gene_names == f"var[{column!r}]"

    @pytest.mark.parametrize("missing", [None, ""])
    def test_a_few_empty_entries(self, missing):
        var = pd.DataFrame({"gene_name": [*GENES[:3], missing]}, index=self.ODD)
        for data, index in zip(
            inputs(COUNTS, var=var), ("var_names", "the index of var"), strict=True
        ):
            for options in ({}, {"gene_column": "gene_name"}):
                expression, source = read_expression(data, is_known, **options)
                assert expression.genes == [*GENES[:3], "x3"]
                assert source.gene_names == f"var['gene_name'] (1 name from {index})"

    def test_the_column_that_is_asked_for(self):
        var = pd.DataFrame({"a": list("stuv"), "gene_name": GENES}, index=self.ODD)
        for data in inputs(COUNTS, var=var):
            expression, source = read_expression(data, is_known, gene_column="a")
            assert expression.genes == list("stuv")
            assert source.gene_names == "var['a']"

    def test_no_such_column(self):
        var = pd.DataFrame({"a": list("stuv"), "b": GENES}, index=self.ODD)
        for data, name in zip(inputs(COUNTS, var=var), ("AnnData X", "x.h5ad"), strict=True):
            with pytest.raises(ct2.UsageError) as caught:
                read_expression(data, is_known, gene_column="c")
            assert str(caught.value) == (
                f"{name}: var has no column 'c' of names. Its columns are 'a', 'b'."
            )
        done = CliRunner().invoke(cli, ["check", "x.h5ad", "--gene-column", "b"])
        assert "gene names from var['b']" in done.output

    @pytest.mark.parametrize("write_10x", [formats.tenx_v3, formats.directory_v3])
    @pytest.mark.parametrize("kind", ["symbols", "ids"])
    def test_10x(self, write_10x, kind):
        data = formats.Dataset(sparse.csr_matrix(COUNTS.astype(int)), CELLS, GENES)
        expression, source = read_expression(write_10x(data, Path("v")), gene_column=kind)
        assert expression.genes == (data.ids if kind == "ids" else data.genes)
        assert source.gene_names.startswith(kind)


class TestOrientation:
    @pytest.mark.parametrize("form", [np.asarray, sparse.csr_matrix, sparse.csc_matrix])
    def test_genes_in_obs(self, form):
        obs = pd.DataFrame({"gene_symbols": GENES}, index=list("wxyz"))
        var = pd.DataFrame(index=CELLS)
        given = form(COUNTS.T.copy())
        for data in inputs(given, obs=obs, var=var):
            expression, source = read_expression(data, is_known, orientation="genes-x-cells")
            assert (expression.cells, expression.genes) == (CELLS, GENES)
            assert expression.values.toarray().tolist() == COUNTS.tolist()
            assert (source.orientation, source.gene_names) == (
                "genes x cells",
                "obs['gene_symbols']",
            )

    def test_the_other_one_is_the_default(self):
        for data in inputs(COUNTS):
            for options in ({}, {"orientation": "cells-x-genes"}):
                assert read_expression(data, **options)[0].genes == GENES

    @pytest.mark.parametrize("write_10x", [formats.tenx_v3, formats.directory_v3])
    def test_10x(self, write_10x):
        # Barcodes that are genes, features that are cells.
        data = formats.Dataset(sparse.csr_matrix(COUNTS.T.astype(int)), GENES, CELLS)
        path = write_10x(data, Path("v"))
        if write_10x is formats.directory_v3:
            data = formats.Dataset(sparse.csr_matrix(COUNTS.astype(int)), CELLS, GENES)
            path = write_10x(data, Path("w"))
            with pytest.raises(ct2.InputError, match="These files do not belong together"):
                read_expression(path, orientation="cells-x-genes")
            expression, _ = read_expression(path, orientation="genes-x-cells")
        else:
            expression, source = read_expression(path, orientation="cells-x-genes")
            assert source.gene_names == "barcodes of /matrix"
            assert expression.cells == data.ids
        assert expression.genes == GENES
        assert expression.values.toarray().tolist() == COUNTS.tolist()

    def test_results_have_no_place(self, ensembles):
        given, path = inputs(COUNTS.T, obs=pd.DataFrame(index=GENES), var=pd.DataFrame(index=CELLS))
        model = ensembles["1.1.0"]
        with pytest.raises(ct2.UsageError) as caught:
            ct2.run(given, model=model, orientation="genes-x-cells")
        assert str(caught.value) == (
            "the cells of this AnnData are in var, and results are written into obs: pass adata.T, "
            "or inplace=False."
        )
        result = ct2.run(given, model=model, orientation="genes-x-cells", inplace=False)
        assert result.cells == CELLS
        line = ["run", path, "--orientation", "genes-x-cells", "-dpl"]
        done = CliRunner().invoke(cli, [*line, "--write-h5ad", "y.h5ad"])
        assert isinstance(done.exception, ct2.UsageError)
        assert str(done.exception) == (
            "x.h5ad: its cells are in var, and --write-h5ad writes into obs. Leave --write-h5ad "
            "out (the results file has the scores), or transpose the data first."
        )
        assert CliRunner().invoke(cli, line).exit_code == 0


class TestIndexNamedAsAColumn:
    """The names of cells are never replaced by a column of the results."""

    @pytest.mark.parametrize("name", ["CytoTRACE2_Score", "CytoTRACE2_Potency"])
    def test_refused(self, ensembles, name):
        given, path = inputs(COUNTS, obs=pd.DataFrame(index=pd.Index(CELLS, name=name)))
        with pytest.raises(ct2.UsageError) as caught:
            ct2.run(given, model=ensembles["1.1.0"])
        assert str(caught.value) == (
            f"the index of obs is called '{name}', as a column of the results is: rename it "
            "(adata.obs.index.name = None), or pass inplace=False."
        )
        assert ct2.run(given, model=ensembles["1.1.0"], inplace=False).cells == CELLS
        done = CliRunner().invoke(cli, ["run", path, "-dpl", "--write-h5ad", "y.h5ad"])
        assert isinstance(done.exception, ct2.UsageError)
        assert str(done.exception) == (
            f"x.h5ad: the index of obs is called '{name}', as a column of the results is, which "
            "would take the place of the names of the cells. Rename it (in Python, "
            "adata.obs.index.name = None), or leave --write-h5ad out."
        )
        assert not Path("y.h5ad").exists()


def test_data_frames_that_are_not_in_memory():
    given = AnnData(COUNTS)
    given.var = SimpleNamespace(index=GENES, columns=[])
    with pytest.raises(ct2.InputError) as caught:
        read_expression(given)
    assert str(caught.value) == (
        "AnnData: its obs and var are not in memory. Pass adata.to_memory() instead."
    )
