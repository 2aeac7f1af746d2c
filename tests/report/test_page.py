"""The page of the report: what is in it, and that names in it are nothing but names."""

import base64
import hashlib
import html.parser
import json
import re

import numpy as np
import pytest
from helpers.made_up_result import made_up_labels, made_up_result

from cytotrace2_lite.errors import CytoTRACE2Error, UsageError
from cytotrace2_lite.output.table import Table
from cytotrace2_lite.report import REPORT_FILE, contents_of, library, page, report_bytes
from cytotrace2_lite.report.contents import groups_of

pytest.importorskip("bokeh")

EVIL = (
    "<script>window.evil=1</script>",
    "</script><script>window.evil=2</script>",
    '"><img src=x onerror="window.evil=3">',
    "'-alert(1)-'",
    "$$\\href{javascript:window.evil=4}{x}$$",
    "\u202eright to left\u202c",
    "a\u2028b\u2029c\x00d",
    "<!--<script>",
    "&lt;b&gt;${title}",
    "=cmd|' /C calc'!A0",
    "x" * 1_000_000,
    "\ud800",
)


class Page(html.parser.HTMLParser):
    """The elements of a page, and what its scripts hold."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.attributes, self.scripts = [], [], []
        self._in_script = False
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [name for name, _ in attrs]
        self._in_script = tag == "script"
        if self._in_script:
            self.scripts.append("")

    def handle_endtag(self, tag):
        self._in_script = False

    def handle_data(self, data):
        if self._in_script:
            self.scripts[-1] += data


def made(**more):
    result = made_up_result()
    given = {"labels": made_up_labels(), "embedding": result.embedding} | more
    return report_bytes(contents_of(result, **given)).decode()


def data_of(text):
    return json.loads(re.search(r'id="data">(.*?)</script>', text, re.DOTALL)[1])


class TestContent:
    def test_the_data_are_those_of_the_result(self):
        result = made_up_result()
        data = data_of(made(genes={"Sox10": np.arange(120.0)}))
        assert data["cells"] == result.cells
        stored = np.frombuffer(base64.b64decode(data["numbers"][0]["values"]), "<f4")
        np.testing.assert_array_equal(stored, result.score.astype(np.float32))
        assert [entry["name"] for entry in data["categories"]] == ["CytoTRACE2_Potency", "Label"]
        codes = np.frombuffer(base64.b64decode(data["categories"][0]["codes"]), np.uint8)
        assert codes[-1] == 255
        np.testing.assert_array_equal(codes[:-1], result.potency_index[:-1])
        (gene,) = data["genes"]
        steps = np.frombuffer(base64.b64decode(gene["values"]), "<u2")
        np.testing.assert_allclose(steps / 65534 * gene["high"], np.arange(120.0), atol=1e-3)

    def test_the_tables(self):
        text = made(
            gene_table=[
                ["group", "gene", "mean_share", "expressing"],
                ["stem", "Sox2", "0.012345", "0.5"],
                ["stem", "Actb", "-0.01", "1"],
            ]
        )
        for part in (
            *("8,000 of 14,271 genes", "Check the species", "25.0 %", "made-up", "0" * 64),
            *("1.5 s", "123 MB", "Sox2", "0.0123", "50.0 %", "1 warning<", "stem"),
        ):
            assert part in text, part

    def test_without_anything_but_scores(self):
        result = made_up_result()
        object.__setattr__(result, "info", {})
        text = report_bytes(contents_of(result)).decode()
        assert data_of(text)["map"] is None
        assert "No map: this result has no coordinates." in text
        assert "There is no run.json" in text

    def test_the_same_bytes_for_the_same_result(self):
        assert made() == made()

    @pytest.mark.parametrize(("n_cells", "most"), [(3000, 2_000_000), (100_000, 8_000_000)])
    def test_size(self, n_cells, most):
        cells = [f"{k:016}-1" for k in range(n_cells)]
        result = made_up_result(n_cells, cells)
        labels = made_up_labels(n_cells)
        shown = {"labels": labels, "samples": labels, "embedding": result.embedding}
        assert len(report_bytes(contents_of(result, **shown))) < most

    def test_many_groups_become_a_hundred(self):
        cells = [str(k) for k in range(3000)]
        labels = [f"g{min(k, 500)}" for k in range(2990)] + [None] * 10
        groups = groups_of("Label", labels, cells)
        assert len(groups.names) == 100
        assert "g500" in groups.names
        assert groups.names[-1] == "(402 other groups)"
        assert (groups.index[2990:] == -1).all()
        assert groups.index[500] == groups.names.index("g500")
        assert np.bincount(groups.index[:2990])[99] == 402


@pytest.fixture(scope="module")
def text():
    cells = [*EVIL, *(f"c{k}" for k in range(120 - len(EVIL)))]
    finding = {"severity": "<b>", "what": EVIL[0], "why": EVIL[1], "remedy": EVIL[2]}
    result = made_up_result(
        cells=cells,
        findings=[finding],
        model={"name": EVIL[1], "sha256": EVIL[2]},
        input={"path": EVIL[2]},
    )
    labels = [EVIL[k % len(EVIL)] for k in range(120)]
    rows = [["group", "gene", "mean_share"], [EVIL[0], EVIL[1], "0.5"]]
    genes = {EVIL[1]: np.ones(120)}
    contents = contents_of(
        result,
        labels=labels,
        samples=labels,
        embedding=result.embedding,
        gene_table=rows,
        genes=genes,
    )
    return report_bytes(contents).decode()


class TestHostileNames:
    def test_no_element_comes_from_a_name(self, text):
        page_ = Page(text)
        assert page_.tags.count("script") == 4
        assert "img" not in page_.tags
        assert not [name for name in page_.attributes if name.startswith("on")]
        allowed = set(re.findall(r"'(sha256-[^']+)'", text))
        for script in page_.scripts[1:]:
            digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
            assert f"sha256-{digest}" in allowed

    def test_long_names_are_cut(self, text):
        assert len(text) < 2_000_000
        assert "x" * 300 not in text

    def test_names_in_the_data_are_as_they_were(self, text):
        names = data_of(text)["cells"]
        assert names[:5] == list(EVIL[:5])
        assert names[5] == EVIL[5]
        assert len(names[10]) == 200

    def test_nothing_turns_the_direction_of_writing(self, text):
        assert not set("\u202e\u202c\u2028\u2029\x00") & set(text)

    def test_the_policy_allows_no_request(self, text):
        policy = re.search(r'Content-Security-Policy" content="([^"]+)"', text)[1]
        assert policy.startswith("default-src 'none'; script-src 'sha256-")
        assert "connect-src" not in policy
        assert "eval" not in policy
        assert "http" not in policy


class TestErrors:
    def test_bokeh_is_missing(self, monkeypatch):
        monkeypatch.setattr(library, "find_spec", lambda _: None)
        with pytest.raises(CytoTRACE2Error, match=r"pip install 'cytotrace2-lite\[report\]'"):
            report_bytes(contents_of(made_up_result()))

    def test_bokeh_has_no_javascript(self, monkeypatch, tmp_path):
        class Spec:
            submodule_search_locations = (str(tmp_path),)

        monkeypatch.setattr(library, "find_spec", lambda _: Spec)
        with pytest.raises(CytoTRACE2Error, match="lacks the files of BokehJS"):
            library.require_bokeh()

    def test_bokeh_is_not_fit(self, monkeypatch, tmp_path):
        monkeypatch.setattr(library, "require_bokeh", lambda: tmp_path)
        for name in library._FILES:
            (tmp_path / name).write_text("'</SCRIPT>'")
        with pytest.raises(CytoTRACE2Error, match="cannot be part of a page"):
            library.bokeh_scripts()

    @pytest.mark.parametrize(
        ("genes", "message"),
        [
            ({"A": [1.0]}, r"shape \(1,\); it must be \(120,\)"),
            ({"A": ["x"] * 120}, "not numbers"),
            ({"A": np.full(120, -1.0)}, "negative or infinite"),
            ({f"g{k}": np.ones(120) for k in range(51)}, "51 genes: a report can hold 50"),
        ],
    )
    def test_genes(self, genes, message):
        with pytest.raises(UsageError, match=message):
            contents_of(made_up_result(), genes=genes)

    def test_labels_of_other_cells(self):
        with pytest.raises(UsageError, match="2 labels for 120 cells"):
            contents_of(made_up_result(), labels=["a", "b"])


class TestOfAResult:
    def test_file_or_directory(self, tmp_path):
        result = made_up_result()
        assert result.report(tmp_path) == tmp_path / REPORT_FILE
        other = result.report(tmp_path / "x.html", labels=made_up_labels())
        assert "mature" in other.read_text()

    def test_with_an_explanation(self, tmp_path):
        class Explained:
            def gene_table(self, n):
                names = ["plain", 'quoted "\t"']
                return Table({"group": ["a", "a"], "gene": names, "mean_share": [0.5, -0.25]})

        text = made_up_result().report(tmp_path, explanation=Explained()).read_text()
        assert "quoted &quot;\\t&quot;" in text
        assert "-0.25" in text

    def test_coordinates_of_the_caller(self, tmp_path):
        coordinates = np.ones((120, 2), np.float32)
        path = made_up_result().report(tmp_path, embedding=coordinates)
        x = np.frombuffer(base64.b64decode(data_of(path.read_text())["map"]["x"]), "<f4")
        assert (x == 1).all()


def test_json_cannot_end_an_element():
    text = page._json({"a": "</script>&<!--\u2028"})
    assert not set("<>&\u2028") & set(text)
    assert json.loads(text) == {"a": "</script>&<!--\u2028"}
