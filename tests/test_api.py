"""The Python interface: files and matrices, warnings, threads, upstream's signature."""

import errno
import inspect
import json
import os
import subprocess
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import coo_array, csc_array, csr_matrix

import cytotrace2_lite as ct2
from cytotrace2_lite.base.finding import Finding
from cytotrace2_lite.genes import features
from cytotrace2_lite.output.tables import COLUMNS

DATA = Path(__file__).parent / "data"
pytestmark = pytest.mark.filterwarnings("ignore::cytotrace2_lite.errors.CytoTRACE2Warning")


@pytest.fixture(scope="module")
def mouse():
    """Genes, cells, and values (cells x genes) of some example cells."""
    frame = pd.read_csv(DATA / "enteric_300.txt.gz", sep="\t", index_col=0).iloc[:, :120]
    values = np.ascontiguousarray(frame.to_numpy(dtype=float).T)
    values.flags.writeable = False
    return list(frame.index), list(frame.columns), values


@pytest.fixture(scope="module")
def scored(mouse, ensembles):
    genes, cells, values = mouse
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return ct2.run(values, genes=genes, cells=cells, model=ensembles["1.1.0"])


def same(one, other):
    for name in ("score", "relative", "preknn_score", "raw_score", "probabilities"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    np.testing.assert_array_equal(one.potency, other.potency)
    np.testing.assert_array_equal(one.preknn_potency, other.preknn_potency)


class TestResult:
    def test_ranges_and_types(self, scored):
        assert scored.score.dtype == scored.relative.dtype == np.float64
        assert scored.probabilities.shape == (120, 6)
        assert scored.relative.min() == 0
        assert scored.relative.max() == 1
        assert ((scored.score >= 0) & (scored.score <= 1)).all()
        assert set(scored.potency) <= set(ct2.POTENCIES)
        expected = np.array(ct2.POTENCIES)[scored.probabilities.argmax(axis=1)]
        np.testing.assert_array_equal(scored.preknn_potency, expected)

    def test_arrow(self, scored):
        table = scored.to_arrow()
        assert table.column_names == ["cell", *COLUMNS]
        assert table["cell"].to_pylist() == scored.cells
        np.testing.assert_array_equal(table["CytoTRACE2_Score"], scored.score)

    def test_pandas(self, scored):
        frame = scored.to_pandas()
        assert list(frame.columns) == list(COLUMNS)
        assert list(frame.index) == scored.cells
        assert list(frame["CytoTRACE2_Potency"]) == list(scored.potency)
        assert frame["CytoTRACE2_Potency"].cat.ordered

    def test_file_is_as_pandas_would_write_it(self, scored, tmp_path):
        path = scored.write(tmp_path)
        scored.to_pandas().to_csv(tmp_path / "pandas.txt", sep="\t", lineterminator="\n")
        assert path.read_bytes() == (tmp_path / "pandas.txt").read_bytes()

    def test_strange_cell_names_stay_in_their_field(self, mouse, ensembles, tmp_path):
        genes, _, values = mouse
        cells = ["a\tb", 'a"b', "a\nb", "=1+1", "../x", " "]
        result = ct2.run(values[:6], genes=genes, cells=cells, model=ensembles["1.1.0"])
        frame = pd.read_csv(result.write(tmp_path), sep="\t", index_col=0)
        assert list(frame.index) == cells

    def test_cells_without_counts(self, mouse, ensembles, tmp_path):
        genes, cells, values = mouse
        values = values.copy()
        values[[0, 50]] = 0
        result = ct2.run(values, genes=genes, cells=cells, model=ensembles["1.1.0"])
        assert np.flatnonzero(np.isnan(result.score)).tolist() == [0, 50]
        assert np.flatnonzero(result.potency == "").tolist() == [0, 50]
        assert np.isnan(result.probabilities[[0, 50]]).all()
        frame = result.to_pandas()
        assert frame.iloc[50].isna().all()
        assert result.to_arrow()["CytoTRACE2_Potency"][0].as_py() is None
        result.write(tmp_path)
        frame.to_csv(tmp_path / "pandas.txt", sep="\t", lineterminator="\n")
        written = (tmp_path / "cytotrace2_results.txt").read_bytes()
        assert written == (tmp_path / "pandas.txt").read_bytes()
        assert result.info["quality"]["cells_without_counts"] == [cells[0], cells[50]]

    def test_equal_scores_have_relative_zero(self, mouse, ensembles):
        genes, _, values = mouse
        result = ct2.run(values[:1], genes=genes, model=ensembles["1.1.0"])
        np.testing.assert_array_equal(result.relative, [0.0])
        assert result.cells == ["0"]

    def test_report_is_json(self, scored):
        assert json.loads(json.dumps(scored.info, allow_nan=False))["input"]["n_cells"] == 120


class TestWriting:
    def test_both_files_or_none(self, scored, tmp_path):
        (tmp_path / "run.json").mkdir()
        with pytest.raises(ct2.OutputError) as caught:
            scored.write(tmp_path)
        assert str(caught.value) == (
            f"{tmp_path / 'run.json'}: cannot write the file (Is a directory). "
            "Choose another place for it."
        )
        assert [path.name for path in tmp_path.iterdir()] == ["run.json"]
        (tmp_path / "run.json").rmdir()
        (tmp_path / "run.json").write_text("earlier")
        (tmp_path / "cytotrace2_results.txt").mkdir()
        with pytest.raises(ct2.OutputError, match=r"cytotrace2_results\.txt: cannot write"):
            scored.write(tmp_path)
        assert (tmp_path / "run.json").read_text() == "earlier"
        assert len(list(tmp_path.iterdir())) == 2

    def test_full_disk(self, scored, tmp_path, monkeypatch):
        scored.write(tmp_path)
        before = (tmp_path / "cytotrace2_results.txt").read_bytes()

        def full(_):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        monkeypatch.setattr("cytotrace2_lite.system.files.os.fsync", full)
        with pytest.raises(ct2.OutputError, match="No space left on device"):
            scored.write(tmp_path)
        assert (tmp_path / "cytotrace2_results.txt").read_bytes() == before
        assert len(list(tmp_path.iterdir())) == 2


class TestMatrix:
    @pytest.mark.parametrize("kind", [csr_matrix, csc_array, coo_array, np.asfortranarray, list])
    def test_any_kind_gives_the_same(self, mouse, scored, ensembles, kind):
        genes, cells, values = mouse
        same(ct2.run(kind(values), genes=genes, cells=cells, model=ensembles["1.1.0"]), scored)

    def test_same_as_the_file(self, mouse, ensembles, tmp_path):
        genes, cells, values = mouse
        path = tmp_path / "expr.txt"
        frame = pd.DataFrame(values.T.astype(int), index=genes, columns=cells)
        frame.to_csv(path, sep="\t")
        from_file = ct2.run(path, model=ensembles["1.1.0"])
        same(from_file, ct2.run(values, genes=genes, cells=cells, model=ensembles["1.1.0"]))
        assert from_file.info["input"]["path"] == str(path)

    def test_order_of_the_genes_does_not_matter(self, mouse, scored, ensembles):
        genes, cells, values = mouse
        order = np.random.RandomState(0).permutation(len(genes))
        shuffled = ct2.run(
            values[:, order],
            genes=[genes[i] for i in order],
            cells=cells,
            model=ensembles["1.1.0"],
        )
        same(shuffled, scored)

    def test_the_matrix_is_left_alone(self, mouse, ensembles):
        genes, _, values = mouse
        matrix = csr_matrix(values)
        matrix.data[3] = 0  # a stored zero
        before = matrix.copy()
        ct2.run(matrix, genes=genes, model=ensembles["1.1.0"])
        assert matrix.nnz == before.nnz
        np.testing.assert_array_equal(matrix.data, before.data)

    @pytest.mark.parametrize(
        ("values", "genes", "cells", "error", "message"),
        [
            (
                [[1.0, -2.0]],
                ["Actb", "Gapdh"],
                ["c"],
                ct2.InputError,
                (
                    "gene 'Gapdh', cell 'c': the value -2 is negative. Give raw counts, CPM or "
                    "TPM, and 0 where nothing was counted."
                ),
            ),
            (
                [[1.0, 0.0], [0.0, np.nan]],
                ["Actb", "Gapdh"],
                None,
                ct2.InputError,
                (
                    "gene 'Gapdh', cell '1': the value nan is not a finite number. Give raw "
                    "counts, CPM or TPM, and 0 where nothing was counted."
                ),
            ),
            (
                [[1.0, 2.0]],
                ["Actb", "Actb"],
                None,
                ct2.InputError,
                (
                    "gene 'Actb' appears twice (genes 1 and 2). Sum or drop one, or pass "
                    '--duplicate-genes sum or first (duplicate_genes="sum" in Python).'
                ),
            ),
            (
                [[1.0], [2.0]],
                ["Actb"],
                ["c", "c"],
                ct2.InputError,
                "cell 'c' appears twice (cells 1 and 2). Rename or drop one.",
            ),
            (
                None,
                None,
                None,
                ct2.UsageError,
                "data is None: pass the path of a table, a matrix, a table or an AnnData.",
            ),
            (
                [[1.0, 2.0]],
                None,
                None,
                ct2.UsageError,
                "a matrix needs the names of its genes: pass genes=[...].",
            ),
            (
                [[1.0], [2.0]],
                ["Actb", "Gapdh"],
                None,
                ct2.UsageError,
                (
                    "the matrix has 2 rows (cells) and 1 columns (genes), but 2 names of genes are "
                    "given. Is it transposed?"
                ),
            ),
            (
                [["x"]],
                ["Actb"],
                None,
                ct2.InputError,
                "gene 'Actb', cell '0': the value is the text 'x', not a number.",
            ),
            (
                np.array([[1 + 2j]]),
                ["Actb"],
                None,
                ct2.InputError,
                "the matrix holds complex128, not real numbers.",
            ),
            (
                np.array([["1", "y"]], dtype=object),
                ["Actb", "Gapdh"],
                None,
                ct2.InputError,
                "gene 'Actb', cell '0': the value is the text '1', not a number.",
            ),
            (
                np.zeros((2, 2, 2)),
                ["Actb", "Gapdh"],
                None,
                ct2.UsageError,
                "the matrix has 3 dimensions; it must be cells x genes.",
            ),
            (
                [[1.0]],
                ["Actb"],
                ["\udce9"],
                ct2.InputError,
                "the name '\\udce9' of cell 1 is not valid text. Rename it.",
            ),
            (
                [[1.0, 2.0], [1e304, 5.0]],
                ["Actb", "Gapdh"],
                ["a", "b"],
                ct2.InputError,
                (
                    "cell 'b': its values add up to 1e+304 (the largest, 1e+304, is of gene "
                    "'Actb'). These are no counts, CPM or TPM."
                ),
            ),
            (
                [[1e308, 1e308]],
                ["Actb", "Gapdh"],
                ["a"],
                ct2.InputError,
                (
                    "cell 'a': its values add up to inf (the largest, 1e+308, is of gene "
                    "'Actb'). These are no counts, CPM or TPM."
                ),
            ),
            (
                np.zeros((0, 1)),
                ["Actb"],
                None,
                ct2.InputError,
                "the matrix has no cells.",
            ),
        ],
    )
    def test_unusable(self, ensembles, values, genes, cells, error, message):
        with pytest.raises(error) as caught:
            ct2.run(values, genes=genes, cells=cells, model=ensembles["1.1.0"])
        assert str(caught.value) == message

    def test_names_with_a_file(self, ensembles):
        with pytest.raises(ct2.UsageError, match="a file has its own names"):
            ct2.run("expr.txt", genes=["Actb"], model=ensembles["1.1.0"])


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"species": "rat"}, "species is 'rat'; it must be 'mouse' or 'human'."),
        ({"batch_size": 0}, "batch_size is 0; it must be at least 1."),
        ({"smooth_batch_size": -1}, "smooth_batch_size is -1; it must be at least 1."),
        ({"max_cores": 0}, "max_cores is 0; it must be at least 1."),
        ({"batch_size": 500.5}, "batch_size is 500.5; it must be a whole number."),
        ({"seed": None}, "seed is None; it must be a whole number."),
        ({"seed": 2**32}, "seed is 4294967296; it must be from 0 to 4294967295."),
    ],
)
def test_arguments_out_of_range(ensembles, option, message):
    with pytest.raises(ct2.UsageError) as caught:
        ct2.run("none.txt", model=ensembles["1.1.0"], **option)
    assert str(caught.value) == message


def test_numpy_integers_are_integers(mouse, ensembles, tmp_path):
    genes, cells, values = mouse
    result = ct2.run(
        values,
        genes=genes,
        cells=cells,
        model=ensembles["1.1.0"],
        seed=np.int64(14),
        batch_size=np.int32(500),
        max_cores=np.uint8(1),
    )
    result.write(tmp_path)
    assert json.loads((tmp_path / "run.json").read_text())["parameters"]["seed"] == 14


@pytest.mark.parametrize("factor", [1e-300, 1e-6, 3.0, 1e290])
def test_scaling_a_cell_changes_nothing(mouse, scored, ensembles, factor):
    genes, cells, values = mouse
    result = ct2.run(values * factor, genes=genes, cells=cells, model=ensembles["1.1.0"])
    np.testing.assert_allclose(result.raw_score, scored.raw_score, rtol=0, atol=1e-6)
    np.testing.assert_allclose(result.score, scored.score, rtol=0, atol=1e-4)


def test_warnings_point_at_the_caller(ensembles, tmp_path, monkeypatch):
    late = Finding("unlike_training", "warning", "made up")  # told while the cells are scored
    monkeypatch.setattr("cytotrace2_lite.job.unlike_training", lambda *_: [late])
    annotation = tmp_path / "annotation.txt"
    annotation.write_text("id\tlabel\nnone\tx\n")
    for call in (
        lambda: ct2.run(np.ones((3, 1)), genes=["Actb"], model=ensembles["1.1.0"]),
        lambda: ct2.cytotrace2(
            *(DATA / "palantir_300.txt.gz", annotation, "human"),
            output_dir=tmp_path,
            disable_plotting=True,
        ),
    ):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            call()
        assert {Path(warning.filename).name for warning in caught} == {"test_api.py"}
        assert sum("made up" in str(warning.message) for warning in caught) == 1


def test_warnings_are_given(ensembles):
    values = np.full((3, 2), 1.5)
    with pytest.warns(ct2.LowGeneOverlapWarning), pytest.warns(ct2.LogTransformedWarning):
        result = ct2.run(values, genes=["Actb", "Gapdh"], model=ensembles["1.1.0"])
    kinds = {type(warning) for warning in result.warnings}
    assert kinds == {
        ct2.LowGeneOverlapWarning,
        ct2.LogTransformedWarning,
        ct2.LowGeneCountWarning,
        ct2.FewCellsWarning,
    }
    with pytest.warns(ct2.SpeciesWarning, match="human"):
        ct2.run(
            np.full((3, 12), 30.0),
            genes=[*(f"GENE{i}" for i in range(11)), "Actb"],
            model=ensembles["1.1.0"],
        )


def test_progress(mouse, ensembles):
    genes, cells, values = mouse
    events = []
    ct2.run(values, genes=genes, cells=cells, model=ensembles["1.1.0"], progress=events.append)
    stages = list(dict.fromkeys(event.stage for event in events))
    assert stages == ["read", "preprocess", "predict", "diffuse", "components", "neighbors"]
    for stage in stages:
        done = [event.done for event in events if event.stage == stage]
        assert done == sorted(done)
        n_values = values.size if stage == "read" else 120
        assert done[-1] == n_values
        assert {event.total for event in events if event.stage == stage} == {n_values}


def test_many_threads_share_one_ensemble(mouse, scored, ensembles):
    genes, cells, values = mouse

    def work(_):
        return ct2.run(values, genes=genes, cells=cells, model=ensembles["1.1.0"], max_cores=2)

    with ThreadPoolExecutor(4) as pool:
        for result in pool.map(work, range(8)):
            same(result, scored)


class TestUpstreamSignature:
    def test_is_upstreams(self):
        parameters = inspect.signature(ct2.cytotrace2).parameters
        assert {name: parameter.default for name, parameter in parameters.items()} == {
            "input_path": inspect.Parameter.empty,
            "annotation_path": "",
            "species": "mouse",
            "batch_size": 20_000,
            "smooth_batch_size": 1000,
            "disable_parallelization": False,
            "max_cores": None,
            "seed": 14,
            "output_dir": "cytotrace2_results",
            "disable_plotting": False,
            "disable_verbose": False,
        }

    def test_returns_what_it_writes(self, tmp_path, capfd):
        frame = ct2.cytotrace2(
            DATA / "palantir_300.txt.gz",
            annotation_path=str(DATA / "palantir_300_annotation.txt"),
            species="human",
            output_dir=tmp_path / "new/out",
            disable_plotting=True,
        )
        assert capfd.readouterr() == ("", "")
        assert frame.shape == (300, 5)
        frame.to_csv(tmp_path / "pandas.txt", sep="\t", lineterminator="\n")
        written = (tmp_path / "new/out/cytotrace2_results.txt").read_bytes()
        assert written == (tmp_path / "pandas.txt").read_bytes()

    def test_needs_pandas(self, monkeypatch, tmp_path):
        monkeypatch.setitem(sys.modules, "pandas", None)
        with pytest.raises(ct2.CytoTRACE2Error, match="pip install pandas"):
            ct2.cytotrace2(DATA / "palantir_300.txt.gz", output_dir=tmp_path / "out")
        assert not (tmp_path / "out").exists()


def test_no_file_is_touched_for_a_matrix(model_files):
    code = f"""
import sys, warnings
import numpy as np, cytotrace2_lite as ct2
warnings.simplefilter("ignore")
ensemble = ct2.Ensemble.load({str(model_files["1.1.0"])!r})
values = np.random.RandomState(0).poisson(1.0, (120, 3))
ct2.run(values, genes=["Actb", "Gapdh", "Sox17"], model=ensemble)  # imports and tables
written = []
sys.addaudithook(
    lambda event, arguments: written.append(arguments[:2])
    if event == "open" and arguments[1] is not None and arguments[1] != "r"
    and arguments[1] != "rb" else None
)
ct2.run(values, genes=["Actb", "Gapdh", "Sox17"], model=ensemble)
assert not written, written
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_importing_is_light():
    code = (
        "import sys, cytotrace2_lite\n"
        "heavy = {'numpy', 'scipy', 'pyarrow', 'onnxruntime', 'numba', 'pandas', 'click'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_plain_table_of_counts_needs_no_other_library(model_files, tmp_path):
    values = np.random.default_rng(0).poisson(2.0, (300, 120))
    values[0], values[1] = 12_345, 10**15 - 1
    table = pd.DataFrame(values, features()[:300], range(120))
    table.to_csv(tmp_path / "counts.txt", sep="\t")
    code = (
        "import sys, warnings, cytotrace2_lite as ct2\n"
        "warnings.simplefilter('ignore')\n"
        "ct2.run(sys.argv[1], model=sys.argv[2]).write(sys.argv[3])\n"
        "heavy = {'pyarrow', 'pandas', 'sklearn', 'numba', 'matplotlib', 'h5py'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
    )
    paths = [tmp_path / "counts.txt", model_files["1.1.0"], tmp_path / "out"]
    subprocess.run([sys.executable, "-c", code, *map(str, paths)], check=True)


def test_everything_named_can_be_imported():
    for name in ct2.__all__:
        assert getattr(ct2, name) is not None
    assert dir(ct2) == sorted(ct2.__all__)
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = ct2.nothing
    assert set(ct2.errors.__all__) <= set(ct2.__all__)
