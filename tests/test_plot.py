"""Plots: what is on them, that nothing is cut off or covered, and that they never cost a result."""

import itertools
import os
import re
import signal
import subprocess
import sys
import warnings
import zlib
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("matplotlib")
if find_spec("umap") is None:  # importing it takes seconds
    pytest.skip("umap-learn is not installed", allow_module_level=True)

import matplotlib as mpl
from helpers.counts import as_counts, random_counts
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure
from matplotlib.text import Text
from scipy.sparse import csr_array, vstack

import cytotrace2_lite as ct2
from cytotrace2_lite.base.potency import potency_of
from cytotrace2_lite.cli import main as cli
from cytotrace2_lite.metadata.coordinates import Embedding, match_cells, read_embedding
from cytotrace2_lite.plots import plot
from cytotrace2_lite.plots import umap as embedding
from cytotrace2_lite.result import Result
from cytotrace2_lite.stages import components as pca
from cytotrace2_lite.stages import neighbors as knn
from cytotrace2_lite.stages import preprocess
from cytotrace2_lite.stages.standardised import standardise

DATA = Path(__file__).parent / "data"
ON_CELLS = [
    "cytotrace2_potency_category_UMAP",
    "cytotrace2_potency_score_UMAP",
    "cytotrace2_relative_order_UMAP",
]
BY_LABEL = ["cytotrace2_potency_score_by_phenotype", "phenotype_UMAP"]
LONG = [
    f"{kind} of the {organ}, {state}"
    for kind, organ, state in itertools.product(
        ["microvascular endothelial cell", "CD4-positive, alpha-beta T cell", "fibroblast"],
        ["lung", "small intestine", "visceral pleura", "Distal_Airway_Epithelium_Branch_No_2", "x"],
        ["proliferating", "quiescent (G0)"],
    )
]


def made_up(n_cells, n_missing=0, seed=0):
    """Result whose score grows along the first of two made-up coordinates."""
    random = np.random.RandomState(seed)
    coordinates = random.normal(size=(n_cells, 2))
    score = random.permutation(np.linspace(0, 1, n_cells))
    coordinates[:, 0] += 5 * score
    score[random.choice(n_cells, n_missing, replace=False)] = np.nan
    potency = np.full(n_cells, -1, dtype=np.int8)
    potency[~np.isnan(score)] = potency_of(score[~np.isnan(score)])
    return Result(
        cells=[f"c{i}" for i in range(n_cells)],
        score=score,
        relative=score,
        preknn_score=score,
        raw_score=score,
        probabilities=np.zeros((n_cells, 6)),
        potency_index=potency,
        preknn_potency_index=potency,
        n_genes=np.full(n_cells, 1000),
        info={"parameters": {"max_cores": 1}},
        embedding=Embedding(coordinates, ("UMAP 1", "UMAP 2")),
    )


def made_up_without_embedding(n_cells):
    return replace(made_up(n_cells), embedding=None)


def labelled(result, names):
    return [names[i % len(names)] for i in range(len(result.cells))]


def legend_texts(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


def texts_of(figure):
    """Visible texts of a figure with their boxes in pixels."""
    renderer = FigureCanvasAgg(figure).get_renderer()
    figure.draw(renderer)
    texts = [text for text in figure.findobj(Text) if text.get_visible() and text.get_text()]
    boxes = [(text.get_text(), text.get_window_extent(renderer)) for text in texts]
    return [(text, box) for text, box in boxes if box.width]


def all_axes(result, names):
    labels = labelled(result, names)
    return {
        "category": result.plot.potency_category(),
        "score": result.plot.potency_score(),
        "relative": result.plot.relative_order(),
        "phenotype": result.plot.phenotype(labels),
        "boxes": result.plot.potency_by_phenotype(labels),
    }


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

    def test_categories(self):
        result = made_up(300, n_missing=9)
        ax = result.plot.potency_category()
        assert (ax.get_xlabel(), ax.get_ylabel()) == ("UMAP 1", "UMAP 2")
        assert ax.get_title() == "CytoTRACE 2"
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
        expected = np.array([mpl.colors.to_rgba(c) for c in plot.POTENCY_COLORS])
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
        colormap = plot.potency_colormap()
        for k, color in enumerate(plot.POTENCY_COLORS):
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
        np.testing.assert_allclose(box.get_facecolor(), plot.potency_colormap()(quartiles[1]))
        (points,) = (c for c in ax.collections if isinstance(c, PathCollection))
        assert points.get_rasterized()
        assert len(points.get_offsets()) == 379

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
            f"sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
            "import test_plot\n"
            "mpl.rcParams['font.size'] = 17\n"
            # To look at the back end is to choose one, and to import pyplot.
            "names = set(mpl.rcParams) - {'backend'}\n"
            "before = [mpl.rcParams[name] for name in names]\n"
            "result = test_plot.made_up(50)\n"
            "test_plot.all_axes(result, ['a', 'b'])\n"
            "paths, _ = test_plot.plot.write_plots(result, None, {'c1': 'a'}, sys.argv[1])\n"
            "assert len(paths) == 5\n"
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


class TestFiles:
    def write(self, directory, **options):
        result = made_up(3000, n_missing=30)
        labels = dict(zip(result.cells, labelled(result, LONG), strict=True))
        return plot.write_plots(result, None, labels, directory, **options)

    @pytest.mark.parametrize("plot_format", plot.FORMATS)
    def test_names_and_same_bytes_every_time(self, tmp_path, plot_format):
        contents = []
        for _ in range(2):
            paths, problems = self.write(tmp_path, plot_format=plot_format)
            assert problems == []
            assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
                f"{name}.{plot_format}" for name in ON_CELLS + BY_LABEL
            )
            contents.append({path: path.read_bytes() for path in paths})
        assert contents[0] == contents[1]

    def test_no_labels_no_plots_by_label(self, tmp_path):
        paths, problems = plot.write_plots(made_up(50), None, None, tmp_path)
        assert problems == []
        assert sorted(path.stem for path in paths) == ON_CELLS

    def test_vector_formats_hold_few_objects(self, tmp_path):
        for path in self.write(tmp_path, plot_format="svg")[0]:
            text = path.read_text()
            assert text.count("<image ") >= 1  # the points
            assert text.count("<use ") < 2900  # characters: points would be 3,000 more
            assert len(text) < 3_000_000
        for path in self.write(tmp_path, plot_format="pdf")[0]:
            content = path.read_bytes()
            assert b"/Subtype /Image" in content
            assert b"/FontFile2" in content  # text is text
            streams = re.findall(rb"stream\r?\n(.*?)\r?\nendstream", content, re.DOTALL)
            pages = []
            for stream in streams:
                try:
                    pages.append(zlib.decompress(stream))
                except zlib.error:
                    continue
            page = next(text for text in pages if b" Tf" in text)
            assert len(page) < 200_000  # 3,000 points drawn one by one are more

    def test_one_failure_leaves_the_others(self, tmp_path, monkeypatch):
        def fail(*_):
            raise RuntimeError("no\nluck")

        monkeypatch.setattr(plot.Plots, "relative_order", fail)
        paths, problems = self.write(tmp_path)
        assert len(paths) == 4
        assert [str(problem) for problem in problems] == [
            (
                "plots not drawn (the results are complete): cytotrace2_relative_order_UMAP: "
                "RuntimeError: no luck"
            )
        ]

    def test_too_few_cells_for_a_umap(self, tmp_path):
        labels = dict.fromkeys(made_up(20).cells, "a")
        paths, problems = plot.write_plots(
            made_up_without_embedding(20), as_counts(random_counts(20, 50)), labels, tmp_path
        )
        assert [path.name for path in paths] == ["cytotrace2_potency_score_by_phenotype.png"]
        assert [str(problem) for problem in problems] == [
            (
                "plots not drawn (the results are complete): cytotrace2_potency_category_UMAP, "
                "cytotrace2_potency_score_UMAP, cytotrace2_relative_order_UMAP, phenotype_UMAP: a "
                "UMAP needs 31 cells with counts at least, here are 20. Give coordinates of your "
                "own (--embedding)."
            )
        ]

    def test_not_all_cells_get_a_umap(self, tmp_path, monkeypatch):
        monkeypatch.setattr(embedding, "MAX_CELLS", 50)
        monkeypatch.setattr(plot, "MAX_CELLS", 50)
        result, counts = made_up_without_embedding(120), random_counts(120, 300)
        paths, problems = plot.write_plots(result, as_counts(counts), None, tmp_path)
        assert len(paths) == 3
        assert [str(problem) for problem in problems] == [
            "a random 50 of the 120 cells are in the UMAP plots; --embedding can show all."
        ]

    def test_a_directory_that_cannot_be_written(self, tmp_path):
        paths, problems = plot.write_plots(made_up(50), None, None, tmp_path / "gone")
        assert paths == []
        assert len(problems) == 1
        assert "cannot write the file (No such file or directory)" in str(problems[0])

    def test_characters_the_font_lacks(self, tmp_path):
        result = made_up(50)
        labels = dict.fromkeys(result.cells, "\u5e72\u7d30\u80de")
        paths, problems = plot.write_plots(result, None, labels, tmp_path)
        assert len(paths) == 5
        assert len(problems) == 1
        assert str(problems[0]).startswith("plots may not look right: Glyph ")


class TestUmap:
    def test_the_same_for_any_number_of_threads(self):
        counts = random_counts(200, 300)
        one, two = embedding.umap(as_counts(counts)), embedding.umap(as_counts(counts), threads=2)
        np.testing.assert_array_equal(one.coordinates, two.coordinates)
        assert one.axes == ("UMAP 1", "UMAP 2")
        assert np.isfinite(one.coordinates).all()

    def test_cells_without_counts_and_beyond_the_limit(self, monkeypatch):
        counts = random_counts(120, 300)
        counts.data[counts.indptr[7] : counts.indptr[8]] = 0
        counts.eliminate_zeros()
        coordinates = embedding.umap(as_counts(counts)).coordinates
        assert np.flatnonzero(np.isnan(coordinates).any(axis=1)).tolist() == [7]
        monkeypatch.setattr(embedding, "MAX_CELLS", 50)
        coordinates = embedding.umap(as_counts(counts)).coordinates
        assert np.isfinite(coordinates).all(axis=1).sum() == 50
        assert np.isnan(coordinates[7]).all()

    def test_projection_on_the_components_of_a_sample(self, monkeypatch):
        counts = random_counts(130, 300)
        cells = np.arange(130)
        monkeypatch.setattr(embedding, "_CELLS_PER_STEP", 60)
        projected = embedding._principal_components(counts, cells, 1)
        sample = np.sort(np.random.RandomState(14).choice(cells, 60, replace=False))
        expected = pca.principal_components(standardise(counts[sample]), 30)
        np.testing.assert_allclose(projected[sample], expected, atol=1e-9 * np.abs(expected).max())
        # All others by the dense algebra.
        dense = preprocess.log2_cpm(counts).toarray()
        z = (dense - dense.mean(axis=1, keepdims=True)) / dense.std(axis=1, keepdims=True)
        z -= z[sample].mean(axis=0)
        loadings = z[sample].T @ expected / (expected**2).sum(axis=0)
        np.testing.assert_allclose(projected, z @ loadings, atol=1e-8 * np.abs(expected).max())

    def test_groups_far_apart_need_no_warning(self):
        random = np.random.RandomState(0)
        # Nobody's nearest 15 are in another group; a warning would be an error here.
        components = np.vstack([random.normal(i * 1000, 1, (40, 30)) for i in range(8)])
        neighbors, distances = knn.nearest_neighbors(components)
        layout = embedding._layout(components, neighbors[:, :15], distances[:, :15])
        assert np.isfinite(layout).all()

    def test_keeps_like_cells_together(self):
        first, second = random_counts(60, 300, seed=1), random_counts(60, 300, seed=1)
        second = second[:, ::-1]
        counts = csr_array(vstack([first + first[[0] * 60], second + second[[0] * 60]]))
        counts.sort_indices()
        coordinates = embedding.umap(as_counts(counts)).coordinates
        centres = coordinates[:60].mean(axis=0), coordinates[60:].mean(axis=0)
        distance = [np.linalg.norm(coordinates - centre, axis=1) for centre in centres]
        assert ((distance[0] < distance[1]) == (np.arange(120) < 60)).all()

    def test_without_the_package(self, monkeypatch):
        monkeypatch.setattr(embedding, "find_spec", lambda _: None)
        with pytest.raises(ct2.CytoTRACE2Error, match=r"^A UMAP needs the package umap-learn: pip"):
            ct2.run(np.ones((3, 1)), genes=["Actb"], embedding="umap")


def test_name_of_labels_is_no_labels():
    message = (
        "labels is 'cluster', one name: pass the labels themselves, such as adata.obs['cluster']."
    )
    with pytest.raises(ct2.UsageError, match=f"^{re.escape(message)}$"):
        made_up(10).plot.potency_by_phenotype("cluster")


class TestEmbeddingFile:
    @pytest.mark.parametrize(
        ("text", "axes"),
        [
            ("c1,1,2\nc2,3,-4e0\n", ("Embedding 1", "Embedding 2")),
            (
                "\ufeffcell\tUMAP_1\tUMAP_2\tmore\r\nc1\t1\t2\tx\r\nc2\t3\t-4\ty\r\n",
                ("UMAP_1",) * 2,
            ),
            ('"","tSNE 1","tSNE 2"\n"c1",1,2\n"c2",3,-4\n', ("tSNE 1", "tSNE 2")),
            (",0,1\nc1,1,2\nc2,3,-4\n", ("Embedding 1", "Embedding 2")),
            ("UMAP_1\tUMAP_2\nc1\t1\t2\n\nc2\t3\t-4\n", ("UMAP_1", "UMAP_2")),
        ],
        ids=["plain", "tabs", "quotes", "pandas", "R"],
    )
    def test_formats(self, tmp_path, text, axes):
        path = tmp_path / "umap.csv"
        path.write_text(text, encoding="utf-8", newline="")
        coordinates, names = read_embedding(path)
        assert coordinates == {"c1": (1.0, 2.0), "c2": (3.0, -4.0)}
        assert names[0] == axes[0]

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("", "the embedding holds no cell: it needs a line per cell with its id and two"),
            ("cell,x,y\n", "the embedding holds no cell: it needs a line per cell with its id"),
            ("cell,x,y\nc1,1\n", "line 2 has 2 fields: it needs a cell id and two coordinates."),
            (
                "cell,x,y\nc1,1,NA\n",
                "line 2, cell 'c1': 'NA' is not a finite number. Leave the line out where a cell",
            ),
            ("c1,1,2\nc1,1,2\n", "line 2: cell 'c1' appears twice. Keep one of its lines."),
            ("c1,1,2\n\x00\xff", "the embedding is no plain text. Unpack it, or save the sheet"),
        ],
    )
    def test_errors(self, tmp_path, text, message):
        path = tmp_path / "umap.csv"
        path.write_bytes(text.encode("latin-1"))
        with pytest.raises(ct2.InputError, match=re.escape(f"{path}: {message}")):
            read_embedding(path)

    def test_a_pipe(self):
        read, write = os.pipe()
        with os.fdopen(write, "w") as file:
            file.write("c1,1,2\n")
        assert read_embedding(f"/dev/fd/{read}")[0] == {"c1": (1.0, 2.0)}
        os.close(read)

    def test_no_file(self, tmp_path):
        path = tmp_path / "none.csv"
        message = (
            f"{path}: no such file with an embedding. The name of an array in obsm needs an .h5ad "
            "input."
        )
        with pytest.raises(ct2.InputError, match=f"^{re.escape(message)}$"):
            read_embedding(path)

    def test_ids_are_checked(self):
        found, problems = match_cells(
            {"c1": (1.0, 2.0), "z": (0.0, 0.0)}, ("x", "y"), ["c0", "c1", "c2"], "e.csv"
        )
        np.testing.assert_array_equal(found.coordinates, [[np.nan] * 2, [1, 2], [np.nan] * 2])
        assert [str(problem.warning) for problem in problems] == [
            (
                "e.csv: 2 of 3 cells of the table have no coordinates: 'c0', 'c2'. They are not in "
                "the UMAP plots; the scores are not touched by it. Check that the ids are written "
                "alike."
            )
        ]
        assert isinstance(problems[0].warning, ct2.PlotWarning)
        message = (
            "e.csv: none of the 2 cells of the table has coordinates: the table has 'a', 'b', the "
            "embedding 'c1'. Write the ids alike."
        )
        with pytest.raises(ct2.InputError, match=f"^{re.escape(message)}$"):
            match_cells({"c1": (1.0, 2.0)}, ("x", "y"), ["a", "b"], "e.csv")


@pytest.fixture
def run(capsys, model_files, tmp_path, monkeypatch):
    """Function that runs `ct2-lite run` on 40 made-up cells; returns exit code and messages."""
    monkeypatch.chdir(tmp_path)
    for library in ("OPENBLAS", "MKL", "OMP", "VECLIB_MAXIMUM"):
        monkeypatch.setenv(f"{library}_NUM_THREADS", "1")
    values = np.random.RandomState(0).poisson(1.0, (300, 40))
    lines = ["\t".join(["", *(f"c{i}" for i in range(40))])]
    names = ct2.genes.features()[:300]
    lines += ["\t".join([g, *map(str, row)]) for g, row in zip(names, values, strict=True)]
    Path("expr.txt").write_text("\n".join(lines) + "\n")
    Path("labels.txt").write_text("id\tlabel\n" + "".join(f"c{i}\tk{i % 3}\n" for i in range(40)))
    Path("xy.csv").write_text("".join(f"c{i},{i},{i * i}\n" for i in range(40)))

    def call(*arguments):
        with pytest.raises(SystemExit) as caught:
            cli.main(["run", "expr.txt", "-o", "out", "-m", str(model_files["1.1.0"]), *arguments])
        return caught.value.code, capsys.readouterr().err

    return call


def plots_in(folder):
    return sorted(path.name for path in Path(folder).iterdir() if "UMAP" in path.name)


class TestCommandLine:
    def test_plots_of_a_umap(self, run):
        code, err = run("-a", "labels.txt")
        assert code == 0
        assert sorted(path.name for path in Path("out").iterdir()) == sorted(
            ["cytotrace2_results.txt", "run.json", *(f"{name}.png" for name in ON_CELLS + BY_LABEL)]
        )
        assert "UMAP: " in err
        assert err.endswith("Plots: 5 .png files in out\n")

    def test_plots_at_given_coordinates(self, run, monkeypatch):
        monkeypatch.setattr(plot, "umap", None)
        code, err = run("--embedding", "xy.csv", "--plot-format", "svg", "-dv")
        assert code == 0
        assert "Plots" not in err
        assert plots_in("out") == [f"{name}.svg" for name in ON_CELLS]
        assert "Embedding 1" in Path("out", plots_in("out")[0]).read_text()  # a comment

    def test_an_embedding_that_cannot_be_looked_at(self, run):
        code, err = run("--embedding", "x" * 300)  # as a file where that is not allowed
        assert code == 3
        assert err.endswith(
            f"Error: {'x' * 300}: cannot read the embedding (File name too long).\n"
        )
        assert not Path("out").exists()

    def test_an_embedding_of_other_cells_stops_before_the_work(self, run):
        Path("xy.csv").write_text("d1,0,0\n")
        code, err = run("--embedding", "xy.csv")
        assert code == 3
        assert err.splitlines()[-1] == (
            "Error: xy.csv: none of the 40 cells of the table has coordinates: the table has 'c0', "
            "'c1', 'c2', ..., the embedding 'd1'. Write the ids alike."
        )
        assert not Path("out").exists()

    def test_disabled(self, run):
        code, err = run("-dpl", "--embedding", "none.csv")
        assert code == 0
        assert "lot" not in err.replace("expr", "")
        assert plots_in("out") == []

    def test_without_the_extra(self, run, monkeypatch):
        monkeypatch.setattr(plot, "find_spec", lambda _: None)
        code, err = run()
        assert code == 0
        assert err.splitlines()[-1] == (
            "No plots: they need matplotlib and umap-learn. Install with: "
            "pip install 'cytotrace2-lite[plot]' (-dpl hides this line)"
        )
        assert "No plots" not in run("-dv")[1]

    def test_plots_of_an_earlier_run_do_not_stay(self, run):
        run("--embedding", "xy.csv", "-a", "labels.txt")
        assert len(plots_in("out")) == 4
        Path("out/my_UMAP.png").write_text("mine")
        run("-dpl")
        assert plots_in("out") == ["my_UMAP.png"]

    def test_a_failure_costs_no_results(self, run, monkeypatch):
        def fail(*_, **__):
            raise MemoryError

        monkeypatch.setattr(plot, "umap", fail)
        code, err = run()
        assert code == 0
        assert err.splitlines()[-1].startswith(
            "Warning: plots not drawn (the results are complete): cytotrace2_potency_category_UMAP"
        )
        assert err.endswith(": MemoryError\n")
        assert Path("out/cytotrace2_results.txt").is_file()

    @pytest.mark.parametrize("swallowed", [False, True])
    @pytest.mark.parametrize("handler", [signal.default_int_handler, signal.SIG_IGN])
    def test_interrupt(self, run, monkeypatch, swallowed, handler):
        def interrupt(*_, **__):
            cli._interrupt.number = signal.SIGINT
            raise ImportError("NumPy") if swallowed else KeyboardInterrupt

        monkeypatch.setattr(plot, "umap", interrupt)
        before = signal.signal(signal.SIGINT, handler)  # one that a job in the background has
        try:
            code, err = run("-a", "labels.txt")
        finally:
            signal.signal(signal.SIGINT, before)
        assert code == 130
        assert err.splitlines()[-1] == "Interrupted while plotting: the results are complete."
        assert len(Path("out/cytotrace2_results.txt").read_text().splitlines()) == 41
        assert plots_in("out") == []


def test_upstreams_function_draws_too(tmp_path, monkeypatch):
    monkeypatch.setattr("cytotrace2_lite.api.missing_packages", lambda: ["umap-learn"])
    with pytest.warns(ct2.PlotWarning, match=r"^No plots: they need umap-learn\. Install with: "):
        ct2.cytotrace2(DATA / "palantir_300.txt.gz", species="human", output_dir=tmp_path)
    monkeypatch.undo()
    ct2.cytotrace2(DATA / "palantir_300.txt.gz", species="human", output_dir=tmp_path)
    assert plots_in(tmp_path) == [f"{name}.png" for name in ON_CELLS]
