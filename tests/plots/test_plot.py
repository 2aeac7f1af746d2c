"""Plots: what is on them, and that nothing is cut off or covered."""

import itertools
import re
import subprocess
import sys
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("matplotlib")

import matplotlib as mpl
from helpers.results import LONG, all_axes, labelled, made_up, made_up_without_embedding
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import PathCollection, PolyCollection
from matplotlib.figure import Figure
from matplotlib.text import Text

import cytotrace2_lite as ct2
from cytotrace2_lite.plots import _style

TESTS = Path(__file__).parents[1]


def legend_texts(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


def texts_of(figure):
    """Visible texts of a figure with their boxes in pixels."""
    renderer = FigureCanvasAgg(figure).get_renderer()
    figure.draw(renderer)
    texts = [text for text in figure.findobj(Text) if text.get_visible() and text.get_text()]
    boxes = [(text.get_text(), text.get_window_extent(renderer)) for text in texts]
    return [(text, box) for text, box in boxes if box.width]


class TestLooks:
    @pytest.mark.parametrize("n_cells", [1, 300, 3000])
    @pytest.mark.parametrize("names", [["a", "b", "c"], LONG], ids=["3", "30"])
    def test_nothing_is_cut_off(self, n_cells, names):
        for name, ax in all_axes(made_up(n_cells), names).items():
            width, height = ax.figure.canvas.get_width_height()
            for text, box in texts_of(ax.figure):
                inside = box.x0 >= 0 and box.y0 >= 0 and box.x1 <= width and box.y1 <= height
                assert inside, (name, text)

    def test_thirty_long_labels_do_not_overlap(self):
        result = made_up(3000)
        for ax in (
            result.plot.phenotype(labelled(result, LONG)),
            result.plot.potency_by_phenotype(labelled(result, LONG)),
        ):
            texts_of(ax.figure)  # draws it
            legend = ax.get_legend()
            texts = legend.get_texts() if legend else ax.get_yticklabels()
            assert len(texts) == 30
            boxes = [text.get_window_extent() for text in texts]
            for one, other in itertools.combinations(boxes, 2):
                assert not one.overlaps(other)
            axes = ax.get_window_extent()
            assert not any(box.overlaps(axes) for box in boxes)

    @pytest.mark.parametrize(
        ("info", "title"),
        [
            ({"model": {"name": "cytotrace2-1.1", "official": "1.1.0"}}, "CytoTRACE 2 v1.1"),
            ({"model": {"name": "mine", "official": "1.0.0"}}, "CytoTRACE 2 v1.0"),
            ({"model": {"name": "open", "official": ""}}, "open model"),
            ({"model": {"name": "a$b\n", "official": ""}}, "a$b model"),
            ({}, ""),
        ],
    )
    def test_the_title_names_the_model(self, info, title):
        """Only the official models give the scores of CytoTRACE 2."""
        result = replace(made_up(30), info=info)
        named = f" ({title})" if title else ""
        for name in ("potency_category", "potency_score", "relative_order"):
            shown = name.replace("_", " ").capitalize()
            assert getattr(result.plot, name)().get_title() == shown + named
        for name, shown in (
            ("potency_by_phenotype", "Developmental potential by phenotype"),
            ("violins_by_phenotype", "Developmental potential by phenotype"),
            ("composition", "Potency by phenotype"),
        ):
            assert getattr(result.plot, name)(["a", "b"] * 15).get_title() == shown + named
        bars, violins = result.plot.samples(["a", "b"] * 15).axes
        assert bars.get_title() == "Potency by sample" + named
        assert violins.get_title() == "Developmental potential by sample" + named

    def test_categories(self):
        result = made_up(300, n_missing=9)
        ax = result.plot.potency_category()
        assert (ax.get_xlabel(), ax.get_ylabel()) == ("UMAP 1", "UMAP 2")
        assert ax.get_title() == "Potency category (open model)"
        assert ax.get_legend().get_title().get_text() == "Potency category"
        counts = np.bincount(result.potency_index[result.potency_index >= 0], minlength=6)
        expected = [f"{name} ({n})" for name, n in zip(ct2.POTENCIES, counts, strict=True)]
        assert legend_texts(ax) == [*expected[::-1], "no score (9)"]
        handles = ax.get_legend().legend_handles
        assert len({handle.get_marker() for handle in handles[:6]}) == 6
        assert [mpl.colors.to_hex(handle.get_color()).upper() for handle in handles[5::-1]] == [
            *("#5E4FA2", "#66C2A5", "#E6F598", "#FEE08B", "#F46D43", "#9E0142")
        ]
        assert {text.get_text() for text in ax.texts} == set(ct2.POTENCIES)  # on the cells

    def test_points(self):
        result = made_up(300, n_missing=9)
        ax = result.plot.potency_category()
        missing, outline, points = (c for c in ax.collections if isinstance(c, PathCollection))
        assert all(collection.get_rasterized() for collection in (missing, outline, points))
        assert len(missing.get_offsets()) == 9
        np.testing.assert_allclose(missing.get_facecolor()[0, :3], 0xD9 / 0xFF)
        order = [
            int(np.flatnonzero((result.embedding.coordinates == offset).all(axis=1))[0])
            for offset in points.get_offsets()
        ]
        assert sorted(order) == np.flatnonzero(result.potency_index >= 0).tolist()
        # In random order: neither that of the cells nor class by class.
        assert np.abs(np.corrcoef(order, np.arange(291))[0, 1]) < 0.2
        assert (np.diff(result.potency_index[order]) != 0).mean() > 0.7
        expected = np.array([mpl.colors.to_rgba(c) for c in _style.POTENCY_COLORS])
        np.testing.assert_allclose(points.get_facecolor(), expected[result.potency_index[order]])

    def test_points_are_smaller_where_there_are_more(self):
        sizes = [
            made_up(n).plot.potency_score().collections[-1].get_sizes()[0]
            for n in (10, 300, 3000, 30_000, 300_000)
        ]
        assert sizes[0] == sizes[1] > sizes[2] > sizes[3] > sizes[4] > 0

    def test_scores(self):
        result = made_up(300)
        ax = result.plot.potency_score()
        (bar,) = ax.child_axes
        assert bar.get_title(loc="left") == "Potency score"
        assert [text.get_text() for text in bar.get_yticklabels()] == list(ct2.POTENCIES)
        np.testing.assert_allclose(bar.get_yticks(), (np.arange(6) + 0.5) / 6)
        assert bar.get_ylim() == (0, 1)
        (bounds,) = bar.child_axes
        np.testing.assert_allclose(bounds.get_yticks(), np.arange(7) / 6)
        colormap = _style.potency_colormap()
        for k, color in enumerate(_style.POTENCY_COLORS):
            np.testing.assert_allclose(
                colormap((k + 0.5) / 6)[:3], mpl.colors.to_rgb(color), atol=0.01
            )
        np.testing.assert_allclose(colormap(0.0), colormap(1 / 12), atol=0.01)

    def test_relative_order(self):
        ax = made_up(300).plot.relative_order()
        (bar,) = ax.child_axes
        assert bar.get_title(loc="left") == "Relative order"
        assert [text.get_text() for text in bar.get_yticklabels()] == [
            *("0.0 (more diff.)", "0.2", "0.4", "0.6", "0.8", "1.0 (less diff.)")
        ]

    def test_phenotypes(self):
        result = made_up(300)
        labels = [f"cluster{i % 11}" for i in range(290)] + [None] * 5 + ["", np.nan] + [""] * 3
        ax = result.plot.phenotype(labels)
        assert ax.get_title() == "Phenotype"
        texts = legend_texts(ax)
        assert texts[:3] == ["1  cluster0 (27)", "2  cluster1 (27)", "3  cluster2 (27)"]
        assert texts[9:] == ["10  cluster9 (26)", "11  cluster10 (26)", "no label (10)"]
        handles = ax.get_legend().legend_handles[:11]
        looks = {(handle.get_color(), handle.get_marker()) for handle in handles}
        assert len(looks) == 11
        assert {text.get_text() for text in ax.texts} == {str(i) for i in range(1, 12)}

    def test_short_labels_are_written_on_the_cells(self):
        result = made_up(300)
        ax = result.plot.phenotype([str(i % 4) for i in range(300)])
        assert legend_texts(ax) == ["0 (75)", "1 (75)", "2 (75)", "3 (75)"]
        assert {text.get_text() for text in ax.texts} == set("0123")

    def test_labels_are_shown_as_they_are(self):
        result = made_up(40)
        names = ["$x^2$ $", "_hidden", "a\tb\n c", "Á" * 200]
        ax = result.plot.phenotype(labelled(result, names))
        boxes = result.plot.potency_by_phenotype(labelled(result, names))
        shown = {re.sub(r"^\d  | \(\d+\)$", "", text) for text in legend_texts(ax)}
        assert shown > {"$x^2$ $", "_hidden", "a b c"}
        assert {text.get_text() for text in boxes.get_yticklabels()} > {"$x^2$ $", "_hidden"}
        texts_of(ax.figure)  # can be drawn

    def test_boxes_are_in_order_of_their_median(self):
        result = made_up(400, n_missing=20)
        order = np.argsort(result.score)  # cells without score last
        labels = np.empty(400, dtype=object)
        labels[order[:100]], labels[order[100:300]], labels[order[300:380]] = "low", "mid", "top"
        labels[order[380:]] = "unscored"
        labels[order[0]] = None
        ax = result.plot.potency_by_phenotype(dict(zip(result.cells, labels, strict=True)))
        assert [text.get_text() for text in ax.get_yticklabels()] == ["top", "mid", "low"]
        assert np.all(np.diff(ax.get_yticks()) > 0)
        assert ax.yaxis_inverted()
        assert ax.get_xlim() == (0, 1)
        assert ax.get_xlabel() == "Potency score"
        assert [text.get_text() for text in ax.texts] == ["80", "200", "99", "cells"]
        (names,) = ax.child_axes
        assert [text.get_text() for text in names.get_xticklabels()] == list(ct2.POTENCIES)
        box = ax.patches[1]
        quartiles = np.percentile(result.score[order[100:300]], [25, 50, 75])
        np.testing.assert_allclose([box.get_x(), box.get_x() + box.get_width()], quartiles[[0, 2]])
        np.testing.assert_allclose(box.get_facecolor(), _style.potency_colormap()(quartiles[1]))
        (points,) = (c for c in ax.collections if isinstance(c, PathCollection))
        assert points.get_rasterized()
        assert len(points.get_offsets()) == 379

    def test_violins_and_bars_are_in_the_order_of_the_boxes(self):
        result = made_up(400, n_missing=20)
        labels = labelled(result, ["a", "b", "c", "d"])
        labels[:9] = ["few"] * 9
        rows = [
            [text.get_text() for text in draw(labels).get_yticklabels()]
            for draw in (
                result.plot.potency_by_phenotype,
                result.plot.violins_by_phenotype,
                result.plot.composition,
            )
        ]
        assert rows[0] == rows[1] == rows[2]
        violins = result.plot.violins_by_phenotype(labels)
        outlines = [c for c in violins.collections if isinstance(c, PolyCollection)]
        assert len([c for c in outlines if not isinstance(c, PathCollection)]) == 4  # not of "few"

    def test_bars_are_the_composition(self):
        result = made_up(400, n_missing=20)
        labels = labelled(result, ["a", "b", "c"])
        ax = result.plot.composition(labels)
        table = result.composition(labels).to_pandas().set_index(["label", "potency"])["fraction"]
        names = [text.get_text() for text in ax.get_yticklabels()]
        widths = np.array([patch.get_width() for patch in ax.patches]).reshape(3, 6)
        for name, row in zip(names, widths, strict=True):
            np.testing.assert_allclose(row, table.loc[name].loc[list(ct2.POTENCIES)])
        assert legend_texts(ax) == list(ct2.POTENCIES)[::-1]

    def test_numbers_of_cells_end_at_one_line(self):
        result = made_up(3000)
        labels = ["many"] * 2990 + ["few"] * 10
        for ax in (result.plot.potency_by_phenotype(labels), result.plot.composition(labels)):
            boxes = dict(texts_of(ax.figure))
            ends = [boxes[text].x1 for text in ("2,990", "10", "cells")]
            assert np.ptp(ends) < 2  # pixels

    @pytest.mark.parametrize("n_cells", [300, 3000])
    def test_maps_are_of_one_size_and_titles_in_the_middle(self, n_cells):
        for name, ax in all_axes(made_up(n_cells), ["HSC", "B"]).items():
            width = ax.figure.get_size_inches()[0]
            title = dict(texts_of(ax.figure))[ax.get_title()]
            middle = (title.x0 + title.x1) / 2 / ax.figure.dpi
            assert middle == pytest.approx(width / 2, abs=0.05)
            if name in {"category", "score", "relative", "phenotype"}:
                assert width == pytest.approx(7.4)
                left = ax.get_window_extent().x0 / ax.figure.dpi
                assert left == pytest.approx(0.29, abs=0.03)

    def test_many_cells_are_circles(self):
        for n_cells, n_shapes in ((300, 6), (3000, 1)):
            handles = made_up(n_cells).plot.potency_category().get_legend().legend_handles
            assert len({handle.get_marker() for handle in handles}) == n_shapes
        result = made_up(3000)
        handles = result.plot.phenotype(labelled(result, LONG)).get_legend().legend_handles
        assert len({handle.get_color() for handle in handles}) >= 18

    def test_few_short_names_are_on_the_map_and_not_on_the_cells(self):
        result = made_up(300)
        centres = np.array([[0, 0], [10, 0], [0, 10]])
        layout = centres[np.arange(300) % 3] + np.random.RandomState(0).normal(size=(300, 2))
        ax = result.plot.phenotype(labelled(result, ["B cell", "HSC", "x"]), embedding=layout)
        boxes = dict(texts_of(ax.figure))
        points = ax.transData.transform(layout)
        for name in ("B cell", "HSC", "x"):
            box = boxes[name]
            inside = ((points > [box.x0, box.y0]) & (points < [box.x1, box.y1])).all(axis=1)
            assert inside.sum() <= 1
        ax = result.plot.phenotype(labelled(result, ["a name too long for the map", "x"]))
        assert {text.get_text() for text in ax.texts} == {"1", "2"}

    def test_samples(self):
        result = made_up(60, n_missing=20)
        names = np.where(np.isnan(result.score), "none", ["s10", "s9", "s1"] * 20)
        bars, violins = result.plot.samples(names).axes
        for ax in (bars, violins):
            assert {text.get_text() for text in ax.get_yticklabels()} == {"s10", "s9", "s1"}
        with pytest.raises(ct2.UsageError, match="there are 101 samples; the plot can show at"):
            made_up(101).plot.samples([f"s{i}" for i in range(101)])
        with pytest.raises(ct2.UsageError, match="no cell has both a sample and a score"):
            made_up(5, n_missing=5).plot.samples(["a"] * 5)

    def test_panel(self):
        result = made_up(200)
        figure = result.plot.panel(labelled(result, ["a", "b"]))
        width, height = figure.canvas.get_width_height()
        for text, box in texts_of(figure):
            inside = box.x0 >= 0 and box.y0 >= 0 and box.x1 <= width and box.y1 <= height
            assert inside, text
        boxes = [ax.get_tightbbox() for ax in figure.axes]
        assert len(boxes) == 7
        for one, other in itertools.combinations(boxes, 2):
            assert not one.overlaps(other)

    def test_cells_without_coordinates_are_not_drawn(self):
        result = made_up(50)
        coordinates = result.embedding.coordinates.copy()
        coordinates[:20] = np.nan
        ax = result.plot.potency_score(embedding=coordinates)
        assert ax.get_xlabel() == "Embedding 1"
        assert len(ax.collections[-1].get_offsets()) == 30

    def test_no_cell_with_a_score(self):
        result = made_up(20, n_missing=20)
        for ax in (result.plot.potency_category(), result.plot.potency_score()):
            texts_of(ax.figure)
        assert legend_texts(result.plot.potency_category())[-1] == "no score (20)"


class TestInPython:
    def test_axes_of_the_caller(self):
        result = made_up(200)
        figure = Figure(figsize=(12, 5))
        axes = figure.subplots(1, 2)
        assert result.plot.potency_category(axes[0]) is axes[0]
        assert result.plot.potency_by_phenotype(["a"] * 200, ax=axes[1]) is axes[1]
        assert figure.get_size_inches().tolist() == [12, 5]

    def test_nothing_of_the_host_changes(self, tmp_path):
        code = (
            "import sys, matplotlib as mpl\n"
            f"sys.path.insert(0, {str(TESTS)!r})\n"
            "from helpers.results import all_axes, made_up\n"
            "from cytotrace2_lite.plots import write_plots\n"
            "mpl.rcParams['font.size'] = 17\n"
            # To look at the back end is to choose one, and to import pyplot.
            "names = set(mpl.rcParams) - {'backend'}\n"
            "before = [mpl.rcParams[name] for name in names]\n"
            "result = made_up(50)\n"
            "all_axes(result, ['a', 'b'])\n"
            "paths, _ = write_plots(result, None, {'c1': 'a'}, sys.argv[1])\n"
            "assert len(paths) == 8\n"
            "assert [mpl.rcParams[name] for name in names] == before\n"
            "assert 'matplotlib.pyplot' not in sys.modules\n"
        )
        subprocess.run([sys.executable, "-c", code, tmp_path], check=True)

    def test_refusals(self):
        result = made_up(20)
        with pytest.raises(ct2.CytoTRACE2Error, match=r"^this result has no coordinates to draw "):
            made_up_without_embedding(20).plot.potency_score()
        for wrong, message in (
            (
                np.zeros((19, 2)),
                "embedding has the shape (19, 2); it must be (20, 2), a row per cell.",
            ),
            (np.full((20, 2), np.nan), "embedding has no finite coordinates for any cell."),
        ):
            with pytest.raises(ct2.UsageError, match=f"^{re.escape(message)}$"):
                result.plot.relative_order(embedding=wrong)
        with pytest.raises(ct2.UsageError, match="holds something that is not a number"):
            result.plot.relative_order(embedding=[["a", "b"]] * 20)
        for labels, message in (
            (["a"] * 19, "labels holds 19 labels for 20 cells."),
            ([None] * 20, "no cell has a label."),
        ):
            with pytest.raises(ct2.UsageError, match=f"^{message}$"):
                result.plot.phenotype(labels)
        many = made_up(101)
        with pytest.raises(ct2.UsageError, match=r"^there are 101 different labels; plots by phen"):
            many.plot.potency_by_phenotype(many.cells)

    def test_without_matplotlib(self, monkeypatch):
        monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
        message = r"^Plots need the package matplotlib: pip install 'cytotrace2-lite\[plot\]'\.$"
        with pytest.raises(ct2.CytoTRACE2Error, match=message):
            made_up(20).plot.potency_score()

    def test_run_with_coordinates(self, ensembles):
        values = np.random.RandomState(0).poisson(1.0, (5, 3))
        options = {"genes": ["Actb", "Gapdh", "Sox17"], "model": ensembles["1.1.0"]}
        with pytest.raises(ct2.UsageError, match="it must be"):
            ct2.run(values, embedding=np.zeros((4, 2)), **options)
        with pytest.raises(ct2.UsageError, match=r"^embedding is 'X_umap', the name of an array"):
            ct2.run(values, embedding="X_umap", **options)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ct2.CytoTRACE2Warning)
            assert ct2.run(values, **options).embedding is None
            result = ct2.run(values, embedding=np.eye(5)[:, :2], **options)
        np.testing.assert_array_equal(result.embedding.coordinates, np.eye(5)[:, :2])
        assert len(result.plot.potency_score().collections) >= 1
