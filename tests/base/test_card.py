"""What notebooks show of objects: short, escaped, readable in dark mode."""

import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

import cytotrace2_lite as ct2
from cytotrace2_lite.base.card import MOST_ROWS, card
from cytotrace2_lite.base.potency import POTENCY_COLORS

HOSTILE = '<script>alert("1")</script>\'&$x$\u202e\ud800\n' + '"<é中' * 500
GENES = ["Actb", "Gapdh", "Sox17", "Pou5f1", "Nanog"]
VALUES = np.array([[5, 0, 30, 1, 0], [1, 2, 0, 0, 9], [0, 0, 0, 0, 0], [40, 3, 1, 0, 2]])
pytestmark = pytest.mark.filterwarnings("ignore::cytotrace2_lite.errors.CytoTRACE2Warning")


TAGS = {"div", "strong", "br", "table", "thead", "tbody", "tr", "th", "td", "span", "ul", "li"}


class Parser(HTMLParser):
    """Collects tags, attributes and text, and checks that what is opened is closed."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.attributes, self.text, self.open = set(), set(), "", []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        if tag != "br":
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += f"{data}\n"


def checked(text):
    """Parse what a notebook is given; check what is true for all."""
    assert len(text.encode()) < 20_000
    found = Parser(text)
    assert found.tags <= TAGS
    assert found.attributes <= {"class", "style"}
    # Of colours, only those of the potencies: text and background are the notebook's.
    assert set(re.findall(r"background:([^\"]*)", text)) <= {*POTENCY_COLORS, "transparent"}
    assert not re.search(r"[^-]color:", text)
    return found.text.splitlines()


@pytest.fixture(scope="module")
def result(ensembles):
    return ct2.run(VALUES, genes=GENES, model=ensembles["1.1.0"], batches=list("xyxx"))


def test_anything_is_short_and_escaped():
    text = card(
        HOSTILE,
        {f"{k}{HOSTILE}": HOSTILE for k in range(6)},
        [HOSTILE] * 6,
        [[HOSTILE] * 6] * 1000,
        warnings=[HOSTILE] * 1000,
    )
    lines = checked(text)
    assert f"… and {1000 - MOST_ROWS} more" in lines
    assert "… and 995 more" in lines


def test_result(result):
    lines = checked(result._repr_html_())
    assert lines[0] == "Developmental potential of 4 cells"
    assert "Model: made-up model" in lines
    assert "Samples: 2" in lines
    start = lines.index("Totipotent")
    assert lines[start : start + 3] == ["Totipotent", "0", "0.0%"]
    start = lines.index("no score")
    assert lines[start : start + 3] == ["no score", "1", "25.0%"]
    assert "Warnings" in lines
    hostile = replace(result, info={"model": {"name": HOSTILE}, "parameters": {"species": HOSTILE}})
    checked(hostile._repr_html_())
    empty = ct2.Result(**{name: [] for name in ("cells",)}, **dict.fromkeys(
        ("score", "relative", "preknn_score", "raw_score", "n_genes"), np.empty(0)
    ), probabilities=np.empty((0, 6)), potency_index=np.empty(0, np.int8),
        preknn_potency_index=np.empty(0, np.int8))  # fmt: skip
    checked(empty._repr_html_())


def test_ensemble(ensembles):
    ensemble = ensembles["1.1.0"]
    assert repr(ensemble) == f"<Ensemble 'made-up': {ensemble.info.n_members} members>"
    lines = checked(ensemble._repr_html_())
    assert lines[0] == "Model made-up"
    assert f"SHA-256: {ensemble.info.sha256[:12]}" in lines


def test_comparison(result, tmp_path):
    path = result.write(tmp_path, extra_columns=True)
    same = ct2.compare(result, path)
    assert repr(same) == "<Comparison: 4 cells in both, all within the tolerances>"
    lines = checked(same._repr_html_())
    assert lines[0] == "Comparison of 4 cells: all within the tolerances"
    assert "Models: made-up model and not known" in lines
    assert next(line for line in lines if line.startswith("CytoTRACE2_")) == "CytoTRACE2_Score"
    cells = [HOSTILE, *result.cells[1:]]
    other = replace(result, cells=cells, score=result.score + 0.1)
    beyond = ct2.compare(replace(result, cells=[*cells[:3], HOSTILE * 2]), other)
    assert repr(beyond) == "<Comparison: 3 cells in both, 4 beyond the tolerances>"
    assert "Cells only in the first: 1" in checked(beyond._repr_html_())


def test_explanation(ensembles):
    genes = [*GENES[:4], "Nanog"]
    explanation = ct2.explain(
        VALUES, genes=genes, model=ensembles["1.1.0"], groups=[HOSTILE, "b", "b", HOSTILE]
    )
    lines = checked(explanation._repr_html_())
    assert lines[0] == "Why 4 cells have their score"
    assert "Model: made-up model" in lines
    raised = explanation.mean_shares[explanation.groups.index("b")]
    best = explanation.genes[int(raised.argmax())]
    assert any(line.startswith(best) for line in lines[lines.index("b") :])
    many = ct2.explain(
        np.tile(VALUES[:2], (20, 1)),
        genes=genes,
        model=ensembles["1.1.0"],
        groups=[f"group {k}" for k in range(40)],
        of="Pluripotent",
    )
    lines = checked(many._repr_html_())
    assert "Mean probability of Pluripotent" in lines
    assert f"… and {40 - MOST_ROWS} more" in lines
