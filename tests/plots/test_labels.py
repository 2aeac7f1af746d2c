"""Labels of cells, for plots by phenotype."""

import re

import numpy as np
import pandas as pd
import pytest
from helpers.results import made_up

import cytotrace2_lite as ct2
from cytotrace2_lite.plots.labels import sort_labels


def test_name_of_labels_is_no_labels():
    message = (
        "labels is 'cluster', one name: pass the labels themselves, such as adata.obs['cluster']."
    )
    with pytest.raises(ct2.UsageError, match=f"^{re.escape(message)}$"):
        made_up(10).plot.potency_by_phenotype("cluster")


MISSING = [None, float("nan"), np.nan, pd.NA, pd.NaT, np.datetime64("NaT"), ""]


class TestSortLabels:
    def test_natural_order(self):
        names, index = sort_labels(["c10", "C2", "b", "c1"], list("wxyz"))
        assert names == ["b", "c1", "C2", "c10"]
        assert index.tolist() == [3, 2, 0, 1]
        assert sort_labels([10, 9], ["x", "y"])[0] == ["9", "10"]

    @pytest.mark.parametrize("missing", MISSING, ids=repr)
    def test_missing(self, missing):
        expected = (["a", "b"], [1, -1, 0])
        for labels in (
            ["b", missing, "a"],
            {"x": "b", "y": missing, "z": "a"},
            {"x": "b", "z": "a"},
            np.array(["b", missing, "a"], dtype=object),
            pd.Series(["b", missing, "a"], dtype=object),
        ):
            names, index = sort_labels(labels, list("xyz"))
            assert (names, index.tolist()) == expected
        with pytest.raises(ct2.UsageError, match=r"^no cell has a label\.$"):
            sort_labels([missing] * 3, list("xyz"))

    @pytest.mark.parametrize("dtype", ["string", "category", "Int64", "Float64"])
    def test_columns_of_pandas(self, dtype):
        values = ["2", None, "1"] if dtype in {"string", "category"} else [2, None, 1]
        column = pd.Series(values, dtype=dtype)
        names, index = sort_labels(column, list("xyz"))
        assert [name.removesuffix(".0") for name in names] == ["1", "2"]
        assert index.tolist() == [1, -1, 0]


@pytest.mark.parametrize("missing", MISSING, ids=repr)
def test_plots_of_cells_without_a_label(missing):
    pytest.importorskip("matplotlib")
    result = made_up(20)
    labels = ["a", missing] * 10
    ax = result.plot.phenotype(labels)
    texts = [text.get_text() for text in ax.get_legend().get_texts()]
    assert texts == ["a (10)", "no label (10)"]
    boxes = result.plot.potency_by_phenotype(labels)
    assert [text.get_text() for text in boxes.get_yticklabels()] == ["a"]
