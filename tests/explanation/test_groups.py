from types import SimpleNamespace

import numpy as np
import pytest

from cytotrace2_lite.errors import UsageError
from cytotrace2_lite.explanation.groups import groups_of


def scores(raw, potency=None):
    raw = np.array(raw, dtype=float)
    return SimpleNamespace(
        cells=[f"c{i}" for i in range(len(raw))],
        score=raw,
        raw_score=raw,
        potency=np.array(potency if potency is not None else ["Unipotent"] * len(raw)),
    )


def test_groups_go_from_the_highest_mean_score_to_the_lowest():
    found = groups_of(["b", "a", "b", "c"], scores([0.2, 0.9, 0.4, 0.1]), "label")
    assert found.names == ("a", "b", "c")
    assert found.of_cell.tolist() == [1, 0, 1, 2]
    assert found.key == "label"


def test_without_labels_the_potencies_are_the_groups_in_their_order():
    # Smoothing can give the cells of a higher potency the lower raw scores.
    found = groups_of(None, scores([0.5, 0.1, 0.3], ["Unipotent", "Pluripotent", "Differentiated"]))
    assert found.names == ("Pluripotent", "Unipotent", "Differentiated")
    assert found.key == "potency"


def test_cells_without_label_or_score_have_no_group():
    labels = ["a", "", None, np.nan, "NA", "a", "b"]
    found = groups_of(labels, scores([0.5, 0.5, 0.5, 0.5, 0.5, 0.6, np.nan]))
    assert found.names == ("a",)
    assert found.of_cell.tolist() == [0, -1, -1, -1, -1, 0, -1]


def test_numbers_are_labels_too():
    assert groups_of([2, 1, 2], scores([0.1, 0.9, 0.1])).names == ("1", "2")


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (["a"], "groups has 1 labels; there must be one for each of the 600 cells."),
        ([[1, 2]] * 3, "groups has 3 x 2 labels"),
        (["", None] * 300, "no cell with a score has a label."),
        (list(map(str, range(600))), "the labels make 600 groups ('0', '1', '10', ...); at most"),
    ],
)
def test_labels_that_make_no_groups_are_refused(labels, message):
    with pytest.raises(UsageError) as caught:
        groups_of(labels, scores(np.linspace(0, 1, 600)))
    assert message in str(caught.value)
