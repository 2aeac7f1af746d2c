"""Files of plots: their names and bytes, and that a failure costs no other plot."""

import inspect
import re
import zlib

import pytest

pytest.importorskip("matplotlib")

from helpers.counts import as_counts, random_counts
from helpers.results import (
    BY_LABEL,
    BY_SAMPLE,
    LONG,
    ON_CELLS,
    labelled,
    made_up,
    made_up_without_embedding,
)

from cytotrace2_lite.metadata.samples import samples_of
from cytotrace2_lite.plots import PLOTS, Plots, files, umap

# Plots that have no point for each cell.
WITHOUT_POINTS = ["cytotrace2_potency_score_violin", "cytotrace2_composition"]


class TestTable:
    def test_a_row_for_each_method(self):
        methods = [name for name in vars(Plots) if not name.startswith("_")]
        assert [spec.method for spec in PLOTS] == methods
        assert sorted(spec.file_name for spec in PLOTS) == sorted(ON_CELLS + BY_LABEL + BY_SAMPLE)

    @pytest.mark.parametrize("spec", PLOTS, ids=lambda spec: spec.method)
    def test_says_what_the_method_takes(self, spec):
        parameters = inspect.signature(getattr(Plots, spec.method)).parameters
        assert ("labels" in parameters) == spec.needs_labels
        assert ("samples" in parameters) == spec.needs_samples
        assert ("embedding" in parameters) == spec.needs_coordinates

    def test_a_panel_shows_what_its_method_draws(self):
        result = made_up(60)
        labels = labelled(result, ["a", "b"])
        (panel,) = (spec for spec in PLOTS if spec.parts)
        others = {spec.method: spec for spec in PLOTS}
        titles = [
            others[method].draw(Plots(result), labels).axes[0].get_title() for method in panel.parts
        ]
        axes = panel.draw(Plots(result), labels).axes
        assert [ax.get_title() for ax in axes if ax.get_title()] == titles


class TestFiles:
    def write(self, directory, **options):
        result = made_up(3000, n_missing=30)
        labels = dict(zip(result.cells, labelled(result, LONG[::10]), strict=True))
        return files.write_plots(result, None, labels, directory, **options)

    @pytest.mark.parametrize("plot_format", files.FORMATS)
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
        paths, problems = files.write_plots(made_up(50), None, None, tmp_path)
        assert problems == []
        assert sorted(path.stem for path in paths) == ON_CELLS

    def test_samples_side_by_side(self, tmp_path):
        result = made_up(50)
        samples = samples_of(["one", "two"] * 25, result.cells)
        paths, problems = files.write_plots(result, None, None, tmp_path, samples=samples)
        assert problems == []
        assert sorted(path.stem for path in paths) == ON_CELLS + BY_SAMPLE
        files.remove_plots(tmp_path)
        assert list(tmp_path.iterdir()) == []

    def test_vector_formats_hold_few_objects(self, tmp_path):
        for path in self.write(tmp_path, plot_format="svg")[0]:
            text = path.read_text()
            n_with_points = 5 * ("panel" in path.stem) or path.stem not in WITHOUT_POINTS
            assert text.count("<image ") >= n_with_points
            # Characters: points would be 3,000 more, and in the panel 15,000.
            assert text.count("<use ") < (12_000 if "panel" in path.stem else 2900)
            assert len(text) < 3_000_000
        for path in self.write(tmp_path, plot_format="pdf")[0]:
            content = path.read_bytes()
            assert (b"/Subtype /Image" in content) == (path.stem not in WITHOUT_POINTS)
            assert b"/FontFile2" in content  # text is text
            streams = re.findall(rb"stream\r?\n(.*?)\r?\nendstream", content, re.DOTALL)
            pages = []
            for stream in streams:
                try:
                    pages.append(zlib.decompress(stream))
                except zlib.error:
                    continue
            page = next(text for text in pages if b" Tf" in text)
            # 3,000 points drawn one by one are more, and 15,000 in the panel.
            assert len(page) < (1_000_000 if "panel" in path.stem else 200_000)

    def test_one_failure_leaves_the_others(self, tmp_path, monkeypatch):
        def fail(*_, **__):
            raise RuntimeError("no\nluck")

        monkeypatch.setattr(Plots, "relative_order", fail)
        paths, problems = self.write(tmp_path)
        assert len(paths) == 6
        assert [str(problem) for problem in problems] == [
            (
                "plots not drawn (the results are complete): cytotrace2_relative_order_UMAP, "
                "cytotrace2_panel: RuntimeError: no luck"
            )
        ]

    def test_too_few_cells_for_a_umap(self, tmp_path):
        labels = dict.fromkeys(made_up(20).cells, "a")
        paths, problems = files.write_plots(
            made_up_without_embedding(20), as_counts(random_counts(20, 50)), labels, tmp_path
        )
        assert [path.stem for path in paths] == [
            *("cytotrace2_potency_score_by_phenotype", "cytotrace2_potency_score_violin"),
            "cytotrace2_composition",
        ]
        assert [str(problem) for problem in problems] == [
            (
                "plots not drawn (the results are complete): cytotrace2_potency_category_UMAP, "
                "cytotrace2_potency_score_UMAP, cytotrace2_relative_order_UMAP, phenotype_UMAP, "
                "cytotrace2_panel: a UMAP needs at least 31 cells with counts; there are 20. Give "
                "coordinates of your own (--embedding)."
            )
        ]

    def test_not_all_cells_get_a_umap(self, tmp_path, monkeypatch):
        monkeypatch.setattr(umap, "MAX_CELLS", 50)
        result, counts = made_up_without_embedding(120), random_counts(120, 300)
        paths, problems = files.write_plots(result, as_counts(counts), None, tmp_path)
        assert len(paths) == 3
        assert [str(problem) for problem in problems] == [
            (
                "a random 50 of the 120 cells are in the UMAP plots; --embedding "
                "(embedding= in Python) can show all."
            )
        ]

    def test_a_directory_that_cannot_be_written(self, tmp_path):
        paths, problems = files.write_plots(made_up(50), None, None, tmp_path / "gone")
        assert paths == []
        assert len(problems) == 1
        assert "cannot write the file (No such file or directory)" in str(problems[0])

    def test_characters_the_font_lacks(self, tmp_path):
        result = made_up(50)
        labels = dict.fromkeys(result.cells, "\u5e72\u7d30\u80de")
        paths, problems = files.write_plots(result, None, labels, tmp_path)
        assert len(paths) == 8
        assert len(problems) == 1
        assert str(problems[0]).startswith("plots may not look right: Glyph ")

    def test_what_cannot_be_written_is_named_once(self, tmp_path, monkeypatch):
        def fail(*_, **__):
            raise RuntimeError("no luck")

        monkeypatch.setattr(Plots, "relative_order", fail)
        paths, problems = files.write_plots(made_up(50), None, None, tmp_path / "gone")
        assert paths == []
        (problem,) = map(str, problems)
        first, second, third = ON_CELLS
        path = tmp_path / "gone" / f"{first}.png"
        assert problem.startswith(
            f"plots not drawn (the results are complete): {third}: RuntimeError: no luck; {first}, "
            f"{second}: {path}: cannot write the file (No such file or directory)"
        )
