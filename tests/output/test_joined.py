"""Tables, figure and files for MultiQC over several samples, from the files of each."""

import csv
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from helpers.results import made_up

from cytotrace2_lite.base.potency import POTENCIES
from cytotrace2_lite.metadata.samples import samples_of
from cytotrace2_lite.output import multiqc
from cytotrace2_lite.output.composition import side_by_side
from cytotrace2_lite.output.joined import joined_tables, read_dataset

INFO = {"findings": [], "model": {"name": "open", "official": ""}}


def written(folder, name, result, labels=None, samples=None, findings=()):
    """Files of a sample, as a run writes them."""
    results = f"{name}_cytotrace2_results.txt"
    (folder / results).write_bytes(result.to_bytes())
    info = INFO | {"results": results, "findings": list(findings)}
    (folder / f"{name}_run.json").write_text(json.dumps(info))
    for file, content in side_by_side(result, labels, samples).items():
        (folder / f"{name}_{file}").write_bytes(content)
    return read_dataset(name, folder, f"{name}_")


def rows(content):
    return list(csv.DictReader(content.decode().splitlines(), delimiter="\t"))


@pytest.fixture
def datasets(tmp_path):
    labels = np.array(['a\t"b"', "c", ""])[np.arange(90) % 3].tolist()
    one = made_up(90, n_missing=4, seed=1)
    samples = samples_of(np.arange(90) % 2, one.cells)
    return [
        written(tmp_path, "one", one, labels, samples),
        written(tmp_path, "two", made_up(60, seed=2), ["c"] * 60),
        written(tmp_path, "none", made_up(5, n_missing=5)),
    ]


class TestTables:
    def test_composition(self, datasets):
        found = rows(joined_tables(datasets)["cytotrace2_composition.tsv"])
        number = {
            (row["sample"], row["label"], row["potency"]): int(row["n_cells"]) for row in found
        }
        assert list(dict.fromkeys(row["sample"] for row in found)) == ["", "one", "two", "none"]
        for potency in POTENCIES:
            for label in ("", "c"):
                assert number["", label, potency] == sum(
                    number.get((name, label, potency), 0) for name in ("one", "two", "none")
                )
        assert number["", "", "no score"] == 9
        assert (
            sum(n for (sample, label, _), n in number.items() if (sample, label) == ("", "")) == 155
        )
        assert sum(float(row["fraction"] or 0) for row in found[:7]) == pytest.approx(1, abs=1e-5)

    def test_summary(self, datasets):
        found = rows(joined_tables(datasets)["cytotrace2_score_summary.tsv"])
        every = np.concatenate([one.scores for one in datasets])
        assert (found[0]["sample"], found[0]["n_cells"]) == ("", "146")
        assert float(found[0]["median"]) == pytest.approx(np.median(every), abs=1e-5)
        keys = [(row["sample"], row["label"]) for row in found]
        assert ("one", 'a\t"b"') in keys
        assert ("", "c") not in keys  # quartiles of all cannot be told from those of each
        assert found[-1] == {"sample": "none", "label": "", "n_cells": "0"} | dict.fromkeys(
            ("mean", "lower_quartile", "median", "upper_quartile"), ""
        )

    def test_conditions(self, tmp_path):
        names = [f"s{i}" for i in range(6)]
        datasets = [written(tmp_path, name, made_up(40, seed=i)) for i, name in enumerate(names)]
        condition_of = {name: "old" if i < 3 else "young" for i, name in enumerate(names)}
        (row,) = rows(joined_tables(datasets, condition_of)["cytotrace2_conditions.tsv"])
        assert (row["condition"], row["other"]) == ("old", "young")
        assert (row["n_samples"], row["n_samples_other"]) == ("3", "3")
        means = [one.scores.mean() for one in datasets]
        assert float(row["mean"]) == pytest.approx(np.mean(means[:3]), abs=1e-5)
        # A sample that failed is left out.
        (row,) = rows(joined_tables(datasets[1:], condition_of)["cytotrace2_conditions.tsv"])
        assert (row["n_samples"], row["n_samples_other"]) == ("2", "3")


WARNING = {"severity": "warning", "code": "few_cells", "what": "<b>few & bad</b>"}


def contents(files):
    return {re.sub("cytotrace2_|_mqc.json", "", name): json.loads(files[name]) for name in files}


class TestMultiQC:
    def test_of_a_run(self):
        result = made_up(30, n_missing=3)
        result.info.update(findings=[WARNING])
        found = contents(multiqc.quality_files(result, "S<1>"))
        assert list(found) == ["composition", "general_stats", "warnings"]
        bars = found["composition"]
        assert bars["plot_type"] == "bargraph"
        assert (
            list(bars["categories"]) == list(bars["data"]["S&lt;1&gt;"]) == [*POTENCIES, "no score"]
        )
        assert sum(bars["data"]["S&lt;1&gt;"].values()) == 30
        (row,) = found["general_stats"]["data"].values()
        assert row["cytotrace2_cells"] == 27
        assert row["cytotrace2_median"] == pytest.approx(np.nanmedian(result.score), abs=1e-6)
        assert row["cytotrace2_warnings"] == 1
        # MultiQC puts texts on its page as they are.
        assert found["warnings"]["data"] == {
            "S&lt;1&gt;": {"few_cells": "&lt;b&gt;few &amp; bad&lt;/b&gt;"}
        }

    def test_of_samples_in_a_run(self):
        result = made_up(30, n_missing=30)
        result.info.update(findings=[])
        samples = samples_of(["x", "y"] * 15, result.cells)
        found = contents(multiqc.quality_files(result, "all", samples))
        assert list(found) == ["composition", "general_stats"]
        assert found["general_stats"]["data"] == {
            "x": {"cytotrace2_cells": 0},
            "y": {"cytotrace2_cells": 0},
        }

    def test_multiqc_itself(self, tmp_path):
        program = shutil.which("multiqc", path=f"{Path(sys.executable).parent}") or shutil.which(
            "multiqc"
        )
        if program is None:
            pytest.skip("MultiQC is not installed")
        for name in ("one", "two"):
            result = made_up(30)
            result.info.update(findings=[WARNING])
            for file, content in multiqc.quality_files(result, name).items():
                (tmp_path / f"{name}_{file}").write_bytes(content)
        subprocess.run(
            [program, "--strict", "--no-version-check", "-o", "report", "."],
            cwd=tmp_path,
            check=True,
            capture_output=True,
        )
        data = tmp_path / "report/multiqc_data"
        for name in ("cytotrace2_composition_plot", "general_stats", "cytotrace2_warnings_table"):
            lines = (data / f"multiqc_{name}.txt").read_text().splitlines()
            assert [line.split("\t")[0] for line in lines] == ["Sample", "one", "two"]
        page = (tmp_path / "report/multiqc_report.html").read_text()
        assert "<b>few" not in page
