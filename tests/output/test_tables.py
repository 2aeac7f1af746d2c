"""Columns of the results, and the kinds of results files."""

import gzip
import hashlib
import json
import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from pyarrow import parquet

import cytotrace2_lite as ct2
from cytotrace2_lite.output.tables import COLUMNS, EXTRA_COLUMNS, LABELS

DATA = Path(__file__).parents[1] / "data"
pytestmark = pytest.mark.filterwarnings("ignore::cytotrace2_lite.errors.CytoTRACE2Warning")


@pytest.fixture(scope="module")
def scored(ensembles):
    """Results of 120 cells: the eighth has no counts, the ninth few genes."""
    frame = pd.read_csv(DATA / "enteric_300.txt.gz", sep="\t", index_col=0).iloc[:, :120]
    values = frame.to_numpy(dtype=float).T.copy()
    values[7] = 0
    values[8, 1900:] = 0
    return ct2.run(values, genes=frame.index, cells=frame.columns, model=ensembles["1.1.0"])


def test_a_result_shows_itself_in_one_line(scored):
    assert repr(scored) == f"<Result: 120 cells, model {scored.info['model']['name']!r}>"


class TestColumns:
    def test_extra_columns(self, scored):
        columns = scored.columns(extra_columns=True)
        assert list(columns) == [*COLUMNS, *EXTRA_COLUMNS]
        assert list(scored.columns()) == list(COLUMNS)
        assert EXTRA_COLUMNS == (
            "CytoTRACE2_Raw_Score",
            "CytoTRACE2_Probability_Differentiated",
            "CytoTRACE2_Probability_Unipotent",
            "CytoTRACE2_Probability_Oligopotent",
            "CytoTRACE2_Probability_Multipotent",
            "CytoTRACE2_Probability_Pluripotent",
            "CytoTRACE2_Probability_Totipotent",
            "CytoTRACE2_Pseudotime",
            "CytoTRACE2_Status",
            "CytoTRACE2_Score_SD",
        )
        np.testing.assert_array_equal(columns["CytoTRACE2_Raw_Score"], scored.raw_score)
        np.testing.assert_array_equal(columns["CytoTRACE2_Pseudotime"], 1 - scored.score)
        probabilities = [columns[name] for name in EXTRA_COLUMNS[1:7]]
        np.testing.assert_array_equal(np.transpose(probabilities), scored.probabilities)

    def test_spread_of_the_members(self, scored):
        spread = scored.columns(extra_columns=True)["CytoTRACE2_Score_SD"]
        assert spread is scored.score_sd
        assert spread.dtype == np.float64
        known = np.delete(spread, 7)  # cell 7 has no counts
        assert np.isnan(spread[7])
        assert ((known > 0) & (known <= 0.5)).all()
        copy = pickle.loads(pickle.dumps(scored))  # noqa: S301
        np.testing.assert_array_equal(copy.score_sd, spread)

    def test_scores_without_a_spread(self, scored):
        spread = replace(scored, score_sd=None).columns(extra_columns=True)["CytoTRACE2_Score_SD"]
        assert np.isnan(spread).all()

    def test_status(self, scored):
        assert scored.n_genes[7] == 0
        assert 0 < scored.n_genes[8] < 500
        assert scored.status[7] == "no counts"
        assert scored.status[8] == "scored (few genes)"
        few = scored.n_genes < 500
        assert few.sum() < 100
        assert (scored.status[~few] == "scored").all()
        assert np.isnan(scored.pseudotime[7])

    def test_tables_are_the_same(self, scored, tmp_path):
        for extra in (False, True):
            path = scored.write(tmp_path, extra_columns=extra)
            text = pd.read_csv(path, sep="\t", index_col=0, dtype=str)
            frame = scored.to_pandas(extra_columns=extra)
            table = scored.to_arrow(extra_columns=extra)
            assert table.column_names == ["cell", *text.columns]
            assert list(frame.columns) == list(text.columns)
            for name in text.columns:
                if name in LABELS:
                    expected = [None if pd.isna(label) else label for label in text[name]]
                    assert table[name].to_pylist() == expected
                    assert [None if pd.isna(label) else label for label in frame[name]] == expected
                    assert list(frame[name].cat.categories) == list(LABELS[name])
                    ordered = name != "CytoTRACE2_Status"
                    assert frame[name].cat.ordered == table[name].type.ordered == ordered
                else:
                    numbers = [float(field) for field in text[name]]  # "" is read as NaN
                    np.testing.assert_array_equal(numbers, frame[name])
                    np.testing.assert_array_equal(numbers, table[name].to_numpy())
                    assert table[name].null_count == 1


class TestFormats:
    def test_extra_columns_are_appended(self, scored, tmp_path):
        plain = scored.write(tmp_path / "plain").read_text().splitlines()
        extra = scored.write(tmp_path / "extra", extra_columns=True).read_text().splitlines()
        for line, longer in zip(plain, extra, strict=True):
            fields = longer.split("\t")
            assert "\t".join(fields[:6]) == line
            assert len(fields) == 16
        assert extra[8].split("\t")[1:] == [""] * 13 + ["no counts", ""]

    @pytest.mark.parametrize("extra", [False, True])
    def test_compressed_text(self, scored, tmp_path, extra):
        plain = scored.write(tmp_path, extra_columns=extra).read_bytes()
        path = scored.write(tmp_path, extra_columns=extra, file_format="txt.gz")
        assert path == tmp_path / "cytotrace2_results.txt.gz"
        packed = path.read_bytes()
        assert gzip.decompress(packed) == plain
        assert packed.startswith(b"\x1f\x8b\x08\x00" + bytes(4))  # no name, no time
        report = json.loads((tmp_path / "run.json").read_text())
        assert report["results"] == path.name
        assert report["results_sha256"] == hashlib.sha256(packed).hexdigest()

    @pytest.mark.parametrize("extra", [False, True])
    def test_parquet_and_arrow(self, scored, tmp_path, extra):
        path = scored.write(tmp_path, extra_columns=extra, file_format="parquet")
        assert path == tmp_path / "cytotrace2_results.parquet"
        table = scored.to_arrow(extra_columns=extra)
        assert parquet.ParquetFile(path).read().to_pydict() == table.to_pydict()
        potency = pd.read_parquet(path)["CytoTRACE2_Potency"]
        assert potency.cat.ordered
        assert list(potency.cat.categories) == list(ct2.POTENCIES)
        path = scored.write(tmp_path, extra_columns=extra, file_format="arrow")
        assert path == tmp_path / "cytotrace2_results.arrow"
        with pa.OSFile(str(path)) as file:
            assert pa.ipc.open_file(file).read_all().equals(table)
        assert json.loads((tmp_path / "run.json").read_text())["results"] == path.name

    def test_the_same_results_are_the_same_bytes(self, scored):
        for file_format in ("txt", "txt.gz", "parquet", "arrow"):
            one, two = (scored.to_bytes(file_format=file_format) for _ in range(2))
            assert one == two

    def test_no_such_format(self, scored, tmp_path):
        with pytest.raises(ct2.UsageError) as caught:
            scored.write(tmp_path / "new", file_format="csv")
        assert str(caught.value) == (
            "file_format is 'csv'; it must be one of ('txt', 'txt.gz', 'parquet', 'arrow')."
        )
        assert not (tmp_path / "new").exists()
