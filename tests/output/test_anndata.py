"""Results in an AnnData, and in copies of .h5ad files."""

import json
import os
import re
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import cytotrace2_lite as ct2
from cytotrace2_lite.base.options import RunOptions
from cytotrace2_lite.base.potency import POTENCY_COLORS
from cytotrace2_lite.cli.main import main
from cytotrace2_lite.directory import score_to_directory
from cytotrace2_lite.metadata.coordinates import Embedding
from cytotrace2_lite.output import tables
from cytotrace2_lite.output.anndata import annotate, scores_of
from cytotrace2_lite.output.tables import COLUMNS, EXTRA_COLUMNS
from cytotrace2_lite.read.anndata import is_anndata

DATA = Path(__file__).parents[1] / "data"
FILES = [DATA / f"anndata_{version}.h5ad" for version in ("0.7.8", "0.12.19")]
CELLS = ["c1", "c2", "c3", "c4"]
GENES = ["Actb", "Gapdh", "Sox17", "Pou5f1", "Nanog"]
VALUES = np.array([[5, 0, 30, 1, 0], [1, 2, 0, 0, 9], [0, 0, 0, 0, 0], [40, 3, 1, 0, 2]])
POTENCY = "CytoTRACE2_Potency"
pytestmark = [
    pytest.mark.filterwarnings("ignore::cytotrace2_lite.errors.CytoTRACE2Warning"),
    pytest.mark.filterwarnings("ignore:.*(infer_string|chained_assignment)"),  # of anndata
]


class FakeAnnData:
    """What of an AnnData is used."""

    def __init__(self, cells=CELLS):
        self.obs = pd.DataFrame({"batch": list("xyxy")[: len(cells)]}, index=cells)
        self.var = pd.DataFrame(index=GENES)
        self.uns = {"mine": 1}
        self.layers = {}
        self.obsm = {"X_umap": np.arange(3.0 * len(cells)).reshape(len(cells), 3)}

    obs_names = property(lambda self: self.obs.index)

    @property
    def X(self):  # noqa: N802 (anndata's name)
        raise AssertionError("costly to make")


class FullAnnData(FakeAnnData):
    X = VALUES


@pytest.fixture(scope="module")
def result(ensembles):
    return ct2.run(VALUES, genes=GENES, cells=CELLS, model=ensembles["1.1.0"])


@pytest.fixture
def h5py():
    return pytest.importorskip("h5py")


def real(anndata):
    """An AnnData in memory."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of anndata with a newer pandas
        return anndata.AnnData(
            VALUES.astype(float), pd.DataFrame(index=CELLS), pd.DataFrame(index=GENES)
        )


def text(value):
    return value.decode() if isinstance(value, bytes) else value


class TestAnnotate:
    def test_a_view_of_a_file_is_refused_before_the_work(self, ensembles):
        class View(FakeAnnData):
            is_view = isbacked = True

        with pytest.raises(ct2.UsageError) as caught:
            ct2.run(View(), model=ensembles["1.1.0"])  # its X would raise
        assert str(caught.value) == (
            "the AnnData is a view of one that is backed by a file, so that nothing can be written "
            "into its obs: pass adata.to_memory(), or inplace=False."
        )

    def test_all_columns_and_what_made_them(self, result):
        adata = FakeAnnData()
        annotate(adata, result)
        assert list(adata.obs) == ["batch", *COLUMNS, *EXTRA_COLUMNS]
        assert adata.obs[POTENCY].cat.ordered
        assert list(adata.obs[POTENCY].cat.categories) == list(ct2.POTENCIES)
        assert adata.obs["CytoTRACE2_Status"].tolist() == [
            *("scored (few genes)", "scored (few genes)", "no counts", "scored (few genes)")
        ]
        np.testing.assert_array_equal(adata.obs["CytoTRACE2_Score"], result.score)
        assert adata.obs.loc["c3", [*COLUMNS]].isna().all()
        colors = ["CytoTRACE2_Potency_colors", "preKNN_CytoTRACE2_Potency_colors"]
        assert set(adata.uns) == {"mine", "cytotrace2", *colors}
        for name in colors:
            assert adata.uns[name] == list(POTENCY_COLORS)
        made_by = adata.uns["cytotrace2"]
        assert made_by["version"] == ct2.__version__
        assert made_by["model"]["sha256"] == result.info["model"]["sha256"]
        assert "path" not in made_by["model"]
        assert made_by["parameters"]["seed"] == 14

    def test_once_more_replaces(self, result):
        adata = FakeAnnData()
        annotate(adata, result)
        before = adata.obs.copy()
        annotate(adata, result)
        pd.testing.assert_frame_equal(adata.obs, before)

    def test_other_cells(self, result):
        with pytest.raises(ct2.UsageError) as caught:
            annotate(FakeAnnData(["c1", "c2", "c4", "c3"]), result)
        assert str(caught.value) == (
            "the AnnData: these are not the cells that were scored (cell 3 is 'c4', in the "
            "results 'c3'). Run it again."
        )
        with pytest.raises(ct2.UsageError, match=r"it has 3 cells, the results 4"):
            annotate(FakeAnnData(["c1", "c2", "c3"]), result)

    @pytest.mark.parametrize("options", [{}, {"inplace": True}, {"inplace": False}])
    def test_run_annotates_unless_told_not_to(self, result, ensembles, options):
        adata = FullAnnData()
        found = ct2.run(adata, model=ensembles["1.1.0"], **options)
        np.testing.assert_array_equal(found.score, result.score)
        assert found.cells == CELLS
        expected = options.get("inplace", True)
        assert (POTENCY in adata.obs) == ("cytotrace2" in adata.uns) == expected

    def test_what_is_no_anndata(self, result, monkeypatch):
        for data in (VALUES, pd.DataFrame(VALUES), "file.h5ad", None):
            assert not is_anndata(data)
        assert is_anndata(FakeAnnData())

    def test_another_key_takes_the_place_of_the_word(self, result):
        adata = FakeAnnData()
        annotate(adata, result)
        annotate(
            adata, result, key_added="donors", columns=["preKNN_CytoTRACE2_Potency", COLUMNS[0]]
        )
        assert list(adata.obs)[-2:] == ["donors_Score", "preKNN_donors_Potency"]
        assert set(adata.uns) - {"mine"} == {
            *("cytotrace2", "CytoTRACE2_Potency_colors", "preKNN_CytoTRACE2_Potency_colors"),
            *("donors", "preKNN_donors_Potency_colors"),
        }
        assert POTENCY in adata.obs

    def test_a_umap_goes_into_obsm_and_goes_with_the_run(self, result):
        adata, layout = FakeAnnData(), Embedding(np.arange(8.0).reshape(4, 2))
        annotate(adata, result, umap=layout)
        annotate(adata, result, umap=layout, key_added="donors")
        np.testing.assert_array_equal(adata.obsm["X_cytotrace2_umap"], layout.coordinates)
        annotate(adata, result)
        assert set(adata.obsm) == {"X_umap", "X_donors_umap"}

    def test_no_column_of_an_earlier_run_stays(self, result):
        adata = FakeAnnData()
        adata.obs["CytoTRACE2_Relative"] = 7.0  # from elsewhere: there is no record of a run
        annotate(adata, result, columns=POTENCY)
        assert list(adata.obs) == ["batch", "CytoTRACE2_Relative", POTENCY]
        annotate(adata, result, columns=COLUMNS[0])
        assert list(adata.obs) == ["batch", COLUMNS[0]]
        assert set(adata.uns) == {"mine", "cytotrace2"}

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"key_added": "a/b"}, "key_added is 'a/b'; it must be a name without '/'."),
            ({"key_added": ""}, "key_added is ''; it must be a name without '/'."),
            ({"key_added": None}, "key_added is 'None'; it must be a name without '/'."),
            (
                {"key_added": "CytoTRACE2"},
                "key_added is 'CytoTRACE2', which differs from the usual 'cytotrace2' in the case",
            ),
            (
                {"key_added": "mine"},
                "uns['mine'] is there already, not by this package: choose another key_added.",
            ),
            (
                {"columns": []},
                "columns is empty: name at least one column, or pass inplace=False.",
            ),
            (
                {"columns": ["x", "CytoTRACE2_Score"]},
                "columns: there is no column 'x'. The results have 'CytoTRACE2_Score', ",
            ),
            (
                {"key_added": "x", "inplace": False},
                "key_added and columns say what is written into an AnnData, and nothing is (inpl",
            ),
        ],
    )
    def test_wrong_key_or_columns_are_refused_before_the_work(self, ensembles, options, message):
        adata = FakeAnnData()  # its X would raise
        with pytest.raises(ct2.UsageError) as caught:
            ct2.run(adata, model=ensembles["1.1.0"], **options)
        assert str(caught.value).startswith(message)
        assert list(adata.obs) == ["batch"]

    def test_key_and_columns_are_for_anndata(self, ensembles):
        with pytest.raises(ct2.UsageError) as caught:
            ct2.run(VALUES, genes=GENES, model=ensembles["1.1.0"], columns=POTENCY)
        assert str(caught.value) == (
            "key_added and columns say what is written into an AnnData, and nothing is (the data "
            "are a ndarray)."
        )

    def test_scores_are_read_back(self, result):
        adata = FakeAnnData()
        annotate(adata, result)
        found = scores_of(adata, COLUMNS)
        for name, values in tables.columns(result, extra_columns=True).items():
            if name != "CytoTRACE2_Status":
                again = tables.columns(found, extra_columns=True)[name]
                np.testing.assert_array_equal(again, values)
        assert found.model_label == result.model_label
        adata.obs[POTENCY] = ["Totipotent", "Unipotent", "other", None]  # as from a text table
        assert scores_of(adata, [POTENCY]).potency_index.tolist() == [5, 1, -1, -1]
        with pytest.raises(ct2.UsageError, match=r"^obs has no column 'k_Score': run ct2\.tl"):
            scores_of(adata, ["CytoTRACE2_Score"], "k")
        adata.obs["CytoTRACE2_Score"] = list("abcd")
        with pytest.raises(ct2.UsageError, match=r"^the column 'CytoTRACE2_Score' of obs holds"):
            scores_of(adata, [])

    def test_parameters_of_any_type_can_be_stored(self, result):
        adata = FakeAnnData()
        info = result.info | {
            "parameters": {"a": None, "b": ["x", 1], "c": {"d": 1.5}, "e": Path()}
        }
        annotate(adata, ct2.Result(**{**vars(result), "info": info}))
        stored = adata.uns["cytotrace2"]["parameters"]
        assert stored["b"].tolist() == ["x", "1"]
        assert (stored["c"], stored["e"]) == ({"d": 1.5}, ".")
        assert "a" not in stored


class TestWriteH5ad:
    @pytest.mark.parametrize("source", FILES, ids=lambda path: path.stem)
    def test_columns_on_disk(self, result, h5py, source, tmp_path):
        before = source.read_bytes()
        result.write_h5ad(source, tmp_path / "out.h5ad")
        assert source.read_bytes() == before
        assert [path.name for path in tmp_path.iterdir()] == ["out.h5ad"]
        with h5py.File(tmp_path / "out.h5ad") as file, h5py.File(source) as original:
            obs = file["obs"]
            names = [text(name) for name in obs.attrs["column-order"]]
            assert names == ["batch", "depth", *COLUMNS, *EXTRA_COLUMNS]
            assert set(names) <= set(obs)
            for name, values in result.columns(extra_columns=True).items():
                stored = obs[name]["codes"] if isinstance(obs[name], h5py.Group) else obs[name]
                np.testing.assert_array_equal(stored[:], values)
            np.testing.assert_array_equal(file["X"][:], original["X"][:])
            assert file["uns/made_by/anndata"][()] == original["uns/made_by/anndata"][()]
            assert text(file["uns/cytotrace2/version"][()]) == ct2.__version__
            colors = file["uns/CytoTRACE2_Potency_colors"].asstr()[:].tolist()
            assert colors == list(POTENCY_COLORS)
            assert file["uns/cytotrace2/parameters/seed"][()] == 14

    def test_encoding_of_labels(self, result, h5py, tmp_path):
        for source in FILES:
            result.write_h5ad(source, tmp_path / source.name)
        with h5py.File(tmp_path / FILES[1].name) as file:
            labels = file["obs"][POTENCY]
            assert dict(labels.attrs) == {
                "encoding-type": "categorical",
                "encoding-version": "0.2.0",
                "ordered": True,
            }
            assert labels["categories"].asstr()[:].tolist() == list(ct2.POTENCIES)
            assert not file["obs/CytoTRACE2_Status"].attrs["ordered"]
        with h5py.File(tmp_path / FILES[0].name) as file:
            categories = file[file["obs"][POTENCY].attrs["categories"]]
            assert categories.name == f"/obs/__categories/{POTENCY}"
            assert categories.asstr()[:].tolist() == list(ct2.POTENCIES)
            assert categories.attrs["ordered"]

    @pytest.mark.parametrize("source", FILES, ids=lambda path: path.stem)
    def test_once_more_replaces(self, result, h5py, source, tmp_path):
        result.write_h5ad(source, tmp_path / "one.h5ad")
        result.write_h5ad(tmp_path / "one.h5ad", tmp_path / "two.h5ad")
        with h5py.File(tmp_path / "one.h5ad") as one, h5py.File(tmp_path / "two.h5ad") as two:
            assert list(one["obs"]) == list(two["obs"])
            assert list(one["obs"].attrs["column-order"]) == list(two["obs"].attrs["column-order"])

    @pytest.mark.parametrize("source", FILES, ids=lambda path: path.stem)
    @pytest.mark.filterwarnings("default")
    def test_read_by_anndata(self, result, h5py, source, tmp_path):
        anndata = pytest.importorskip("anndata")
        result.write_h5ad(source, tmp_path / "out.h5ad")
        expected = FakeAnnData()
        annotate(expected, result)
        adata = anndata.read_h5ad(tmp_path / "out.h5ad")
        assert adata.obs_names.tolist() == CELLS
        for name in (*COLUMNS, *EXTRA_COLUMNS):
            one, other = adata.obs[name], expected.obs[name]
            if other.dtype == "category":
                assert one.cat.ordered == other.cat.ordered
                assert one.cat.categories.tolist() == other.cat.categories.tolist()
                one, other = one.cat.codes, other.cat.codes
            np.testing.assert_array_equal(one, other)
        assert adata.obs["batch"].tolist() == list("xyxy")
        made_by = adata.uns["cytotrace2"]
        assert made_by["model"] == expected.uns["cytotrace2"]["model"]
        assert made_by["parameters"] == expected.uns["cytotrace2"]["parameters"]

    @pytest.mark.filterwarnings("default")
    def test_real_anndata_in_memory(self, result, tmp_path):
        anndata = pytest.importorskip("anndata")
        adata = anndata.read_h5ad(FILES[1])
        assert is_anndata(adata)
        annotate(adata, result)
        adata.write_h5ad(tmp_path / "out.h5ad")
        again = anndata.read_h5ad(tmp_path / "out.h5ad")
        assert again.obs[POTENCY].cat.ordered
        assert again.uns["cytotrace2"]["parameters"]["species"] == "mouse"
        assert list(again.uns[f"{POTENCY}_colors"]) == list(POTENCY_COLORS)

    def test_a_view_gives_no_warning(self, result):
        anndata = pytest.importorskip("anndata")
        whole = real(anndata)
        view = whole[:, :2]
        with warnings.catch_warnings():
            warnings.filterwarnings("error", category=UserWarning)  # anndata's own among them
            annotate(view, result)
        assert not view.is_view
        assert view.shape == (4, 2)
        assert POTENCY in view.obs
        assert POTENCY not in whole.obs
        # A subset keeps the colours of the categories that are left.
        some = view[view.obs[POTENCY].notna()].copy()
        left = some.obs[POTENCY].cat.categories
        expected = [POTENCY_COLORS[ct2.POTENCIES.index(name)] for name in left]
        assert list(some.uns[f"{POTENCY}_colors"]) == expected

    def test_cells_stored_in_other_ways(self, result, h5py, tmp_path):
        names = np.array(CELLS, dtype=object)

        def categorical(obs):
            group = obs.create_group("names")
            group["codes"] = np.array([0, 1, 2, 3], dtype=np.int8)
            group.create_dataset("categories", data=names, dtype=h5py.string_dtype())

        def nullable(obs):
            group = obs.create_group("names")
            group.create_dataset("values", data=names, dtype=h5py.string_dtype())
            group["mask"] = np.zeros(4, dtype=bool)

        def fixed(obs):
            obs["names"] = names.astype("S")

        for number, store in enumerate((categorical, nullable, fixed)):
            source = tmp_path / f"source{number}.h5ad"
            source.write_bytes(FILES[1].read_bytes())
            with h5py.File(source, "r+") as file:
                store(file["obs"])
                file["obs"].attrs["_index"] = "names"
            result.write_h5ad(source, tmp_path / "out.h5ad")

    def refused(self, error, message, tmp_path, call):
        before = sorted(path.name for path in tmp_path.rglob("*"))
        with pytest.raises(error) as caught:
            call()
        assert str(caught.value) == message
        assert sorted(path.name for path in tmp_path.rglob("*")) == before

    def test_other_cells(self, ensembles, h5py, tmp_path):
        other = ct2.run(VALUES, genes=GENES, cells=list("abcd"), model=ensembles["1.1.0"])
        (tmp_path / "out.h5ad").write_text("earlier")
        self.refused(
            ct2.InputError,
            f"{FILES[1]}: these are not the cells that were scored (cell 1 is 'c1', in the "
            "results 'a'). Run it again.",
            tmp_path,
            lambda: other.write_h5ad(FILES[1], tmp_path / "out.h5ad"),
        )
        assert (tmp_path / "out.h5ad").read_text() == "earlier"

    def test_input_is_never_changed(self, result, h5py, tmp_path):
        source = tmp_path / "in.h5ad"
        source.write_bytes(FILES[1].read_bytes())
        os.link(source, tmp_path / "link.h5ad")
        for name in ("in.h5ad", "link.h5ad", "../" + tmp_path.name + "/in.h5ad"):
            target = tmp_path / name
            self.refused(
                ct2.UsageError,
                f"{target}: this is the input, which is never changed. Give the file of "
                "--write-h5ad another name.",
                tmp_path,
                lambda target=target: result.write_h5ad(source, target),
            )

    def test_read_only_input(self, result, h5py, tmp_path):
        source = tmp_path / "in.h5ad"
        source.write_bytes(FILES[1].read_bytes())
        source.chmod(0o444)
        result.write_h5ad(source, tmp_path / "out.h5ad")
        assert (tmp_path / "out.h5ad").stat().st_mode & 0o200

    def test_input_that_is_no_h5ad(self, result, h5py, tmp_path):
        (tmp_path / "expr.txt").write_text("\tc1\nActb\t1\n")
        with h5py.File(tmp_path / "tenx.h5", "w") as file:
            file.create_group("matrix")
        for name in ("expr.txt", "tenx.h5", ""):
            source = tmp_path / name
            self.refused(
                ct2.UsageError,
                f"{source}: this is not an .h5ad file, and --write-h5ad adds the scores to a copy "
                "of one. Leave it out (the results file has the scores), or give an .h5ad file as "
                "input.",
                tmp_path,
                lambda source=source: result.write_h5ad(source, tmp_path / "out.h5ad"),
            )

    def test_obs_of_anndata_before_0_7(self, result, h5py, tmp_path):
        with h5py.File(tmp_path / "old.h5ad", "w") as file:
            file["obs"] = np.array([(b"c1", 1.0)], dtype=[("index", "S2"), ("depth", "f8")])
            file["var"] = np.array([(b"Actb",)], dtype=[("index", "S4")])
        self.refused(
            ct2.InputError,
            f"{tmp_path / 'old.h5ad'}: its obs is not stored as anndata 0.7 or newer does "
            "(encoding None None). Read it with a current anndata and write it again.",
            tmp_path,
            lambda: result.write_h5ad(tmp_path / "old.h5ad", tmp_path / "out.h5ad"),
        )

    def test_index_that_is_not_there(self, result, h5py, tmp_path):
        source = tmp_path / "in.h5ad"
        source.write_bytes(FILES[1].read_bytes())
        with h5py.File(source, "r+") as file:
            file["obs"].attrs["_index"] = "none"
        with pytest.raises(ct2.InputError, match=r"in\.h5ad: /obs has no names of its rows"):
            result.write_h5ad(source, tmp_path / "out.h5ad")
        assert [path.name for path in tmp_path.iterdir()] == ["in.h5ad"]

    def test_links_out_of_the_file(self, result, h5py, tmp_path):
        for name in ("obs", "uns"):
            source = tmp_path / f"{name}.h5ad"
            source.write_bytes(FILES[1].read_bytes())
            with h5py.File(source, "r+") as file:
                del file[name]
                file[name] = h5py.ExternalLink(str(FILES[1]), name)
            before = FILES[1].read_bytes()
            with pytest.raises(ct2.InputError, match=f"/{name} is a link or lies in another file"):
                result.write_h5ad(source, tmp_path / "out.h5ad")
            assert FILES[1].read_bytes() == before
            assert not (tmp_path / "out.h5ad").exists()

    def test_names_and_places(self, result, h5py, tmp_path):
        for name in ("out.txt", "out"):
            target = tmp_path / name
            self.refused(
                ct2.UsageError,
                f"{target}: the file of --write-h5ad must have a name that ends in .h5ad.",
                tmp_path,
                lambda target=target: result.write_h5ad(FILES[1], target),
            )
        self.refused(
            ct2.OutputError,
            f"{tmp_path / 'none'}: cannot write results here (No such file or directory). "
            "Choose another directory (--write-h5ad).",
            tmp_path,
            lambda: result.write_h5ad(FILES[1], tmp_path / "none/out.h5ad"),
        )

    def test_file_cut_short(self, result, h5py, tmp_path):
        (tmp_path / "in.h5ad").write_bytes(FILES[1].read_bytes()[:5000])
        with pytest.raises(ct2.InputError, match=r"in\.h5ad: the HDF5 file cannot be read \("):
            result.write_h5ad(tmp_path / "in.h5ad", tmp_path / "out.h5ad")
        assert not (tmp_path / "out.h5ad").exists()

    def test_without_h5py(self, result, monkeypatch, tmp_path):
        monkeypatch.setitem(sys.modules, "h5py", None)
        self.refused(
            ct2.CytoTRACE2Error,
            f"{FILES[1]}: HDF5 files need the package h5py: pip install 'cytotrace2-lite[h5ad]'.",
            tmp_path,
            lambda: result.write_h5ad(FILES[1], tmp_path / "out.h5ad"),
        )


class TestCommandLine:
    @pytest.fixture
    def ct2_lite(self, capsys, model_files, tmp_path, monkeypatch, h5py):
        """Function that runs the command line without plots."""
        monkeypatch.chdir(tmp_path)

        def run(*arguments):
            with pytest.raises(SystemExit) as caught:
                main(["run", "-dpl", "-m", str(model_files["1.1.0"]), *map(str, arguments)])
            output = capsys.readouterr()
            return caught.value.code, output.out, output.err

        return run

    def test_copy_beside_the_results(self, ct2_lite, tmp_path):
        code, out, err = ct2_lite(FILES[1], "-o", "out", "--write-h5ad", "out/copy.h5ad")
        assert (code, out) == (0, "")
        assert "Copy of the input with the results: out/copy.h5ad\n" in err
        assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
            "copy.h5ad",
            "cytotrace2_composition.tsv",
            "cytotrace2_results.txt",
            "cytotrace2_score_summary.tsv",
            "run.json",
        ]

    def test_copy_and_standard_output(self, ct2_lite, tmp_path):
        code, out, _ = ct2_lite(FILES[1], "-o", "-", "--write-h5ad", "copy.h5ad")
        assert code == 0
        assert [line.partition("\t")[0] for line in out.splitlines()] == ["", *CELLS]
        assert [path.name for path in tmp_path.iterdir()] == ["copy.h5ad"]

    def test_all_or_none(self, ct2_lite, tmp_path, monkeypatch):
        (tmp_path / "copy.h5ad").write_text("earlier")
        assert ct2_lite(FILES[1], "-o", "out", "--write-h5ad", tmp_path / "x.h5ad")[0] == 0
        before = (tmp_path / "out/run.json").read_bytes()

        def broken(source, target):
            Path(target).write_bytes(b"half")
            raise OSError(28, "No space left on device")

        monkeypatch.setattr("cytotrace2_lite.read.Input.copy_to", broken)
        for folder in ("out", "new"):
            code, _, err = ct2_lite(FILES[1], "-o", folder, "--write-h5ad", "copy.h5ad")
            assert code == 1
            assert err.endswith(
                "Error: copy.h5ad: cannot write the file (No space left on device). "
                "Choose another place for it.\n"
            )
        assert (tmp_path / "copy.h5ad").read_text() == "earlier"
        assert (tmp_path / "out/run.json").read_bytes() == before
        assert sorted(path.name for path in tmp_path.iterdir()) == ["copy.h5ad", "out", "x.h5ad"]

    def test_refused_before_anything_is_done(self, ct2_lite, tmp_path):
        (tmp_path / "expr.txt").write_text("\tc1\nActb\t1\n")
        code, _, err = ct2_lite("expr.txt", "-o", "out", "--write-h5ad", "copy.h5ad")
        assert code == 2
        assert "Error: expr.txt: this is not an .h5ad file, and --write-h5ad" in err
        assert [path.name for path in tmp_path.iterdir()] == ["expr.txt"]


class TestSamples:
    """Samples by a column of obs, of the object or the file."""

    @pytest.mark.parametrize("file", FILES, ids=lambda path: path.stem)
    def test_as_labels(self, ensembles, h5py, file):
        expected = ct2.run(
            *(VALUES,), genes=GENES, cells=CELLS, batches=list("xyxy"), model=ensembles["1.1.0"]
        )
        for data in (FullAnnData(), str(file)):
            found = ct2.run(data, batches="batch", model=ensembles["1.1.0"])
            assert found.info["samples"] == expected.info["samples"] | {"key": "batch"}
            np.testing.assert_array_equal(found.score, expected.score)

    def test_numbers_and_missing_labels(self, ensembles, h5py, tmp_path):
        path = tmp_path / "in.h5ad"
        path.write_bytes(FILES[1].read_bytes())
        with h5py.File(path, "r+") as file:
            file["obs/donor"] = np.array([1, 2, 1, 2])
            file["obs/batch/codes"][1] = -1
        found = ct2.run(path, batches="donor", model=ensembles["1.1.0"])
        assert found.info["samples"]["n_cells"] == {"1": 2, "2": 2}
        with pytest.raises(ct2.InputError, match=r"^1 of 4 cells have no sample in 'batch': 'c2'"):
            ct2.run(path, batches="batch", model=ensembles["1.1.0"])

    def test_no_such_column(self, ensembles, h5py):
        message = f"{FILES[1]}: obs has no column 'donor' of labels. Its columns are "
        with pytest.raises(ct2.UsageError, match=f"^{re.escape(message)}'batch', 'depth'.$"):
            ct2.run(FILES[1], batches="donor", model=ensembles["1.1.0"])

    def test_command_line(self, capsys, h5py, model_files, tmp_path):
        words = [FILES[1], "--batch-key", "batch", "-m", model_files["1.1.0"]]
        for command in (["run", "-dpl", "-o", tmp_path / "out"], ["check"]):
            with pytest.raises(SystemExit) as caught:
                main(list(map(str, [*command, *words])))
            assert caught.value.code == 0
        assert "2 samples of 'batch' are scored one by one: 'x' 2, 'y' 2 cells" in (
            " ".join(capsys.readouterr().out.split())
        )
        assert json.loads((tmp_path / "out/run.json").read_text())["samples"]["key"] == "batch"


class TestEmbedding:
    """Coordinates in obsm, of the object or the file."""

    def test_of_the_object(self, ensembles):
        found = ct2.run(FullAnnData(), embedding="X_umap", model=ensembles["1.1.0"]).embedding
        np.testing.assert_array_equal(found.coordinates, FullAnnData().obsm["X_umap"][:, :2])
        assert found.axes == ("UMAP 1", "UMAP 2")
        with pytest.raises(
            ct2.UsageError, match=r"^obsm has no array 'x'\. Its arrays are 'X_umap'"
        ):
            ct2.run(FullAnnData(), embedding="x", model=ensembles["1.1.0"])
        with pytest.raises(
            ct2.UsageError, match=r"the name of an array of AnnData's obsm, but the"
        ):
            ct2.run(VALUES, genes=GENES, embedding="x", model=ensembles["1.1.0"])

    def test_of_the_file(self, ensembles, h5py, tmp_path):
        path = tmp_path / "in.h5ad"
        path.write_bytes(FILES[1].read_bytes())
        with h5py.File(path, "r+") as file:
            file["obsm/X_umap"] = FullAnnData().obsm["X_umap"]
            file["obsm/X_one"] = np.ones((4, 1))
        found = ct2.run(path, embedding="X_umap", model=ensembles["1.1.0"]).embedding
        np.testing.assert_array_equal(found.coordinates, FullAnnData().obsm["X_umap"][:, :2])
        scored = score_to_directory(
            path, tmp_path / "out", RunOptions(model=ensembles["1.1.0"]), embedding="X_umap"
        )
        np.testing.assert_array_equal(scored.result.embedding.coordinates, found.coordinates)
        assert scored.result.info["embedding"] == "X_umap"
        for name, message in (
            ("none", f"{path}: obsm has no array 'none'. There is 'X_one', 'X_umap'."),
            ("X_one", "obsm['X_one'] has the shape (4, 1); two columns are needed."),
        ):
            with pytest.raises(ct2.UsageError) as caught:
                ct2.run(path, embedding=name, model=ensembles["1.1.0"])
            assert str(caught.value) == message


def test_nothing_of_anndata_is_imported():
    code = (
        "import sys; import cytotrace2_lite.api, cytotrace2_lite.output.h5ad, cytotrace2_lite.tl\n"
        "print({'anndata', 'h5py', 'pandas'} & set(sys.modules))"
    )
    process = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert process.stdout == "set()\n"
