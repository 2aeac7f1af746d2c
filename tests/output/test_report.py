"""The record of a run: every key of run.json and of `Result.info`, in its order."""

import hashlib
import json
import re
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

import cytotrace2_lite as ct2
from cytotrace2_lite.base.finding import Finding
from cytotrace2_lite.base.options import RunOptions
from cytotrace2_lite.base.parameters import Parameters
from cytotrace2_lite.cohort import options_report
from cytotrace2_lite.directory import score_to_directory
from cytotrace2_lite.genes import MappingReport
from cytotrace2_lite.genes.mapping import Superseded
from cytotrace2_lite.models.info import ModelInfo
from cytotrace2_lite.output import keys, report
from cytotrace2_lite.pipeline import prepare, score_cells
from cytotrace2_lite.read import Source, read_expression

FORMATS = Path(__file__).parents[2] / "docs" / "formats.md"
pytestmark = pytest.mark.filterwarnings("ignore::cytotrace2_lite.errors.CytoTRACE2Warning")

FIRST = ["cytotrace2_lite", "model", "pipeline", "parameters", "input", "genes"]
THEN = ["quality", "potencies", "findings", "warnings", "seconds"]
RESULTS = ["results", "results_sha256"]
MODEL = [
    *("name", "licence", "architecture", "n_members", "sha256", "path", "sources", "official"),
]
PARAMETERS = ["species", "batch_size", "smooth_batch_size", "seed", "max_cores", "max_memory"]
SOURCE = [
    *("format", "path", "compression", "n_bytes", "sha256", "matrix", "other_matrices"),
    *("orientation", "gene_names", "duplicate_genes", "n_duplicates", "companions"),
    "instead_of",
]
SIZE = ["n_cells", "n_genes", "max_value"]
GENES = [
    *("species", "n_genes", "n_mapped", "symbol", "ortholog", "uppercase", "alias", "ensembl"),
    *("superseded", "upper_case_share", "likely_species", "dates", "n_features"),
]
BATCH = [
    *("n_cells", "median_genes_per_cell", "share_of_cells_under_500_genes"),
    "smoothed_over_neighbors",
]
FINDING = ["code", "severity", "what", "why", "remedy"]
SECONDS = ["read", "preprocess", "predict", "diffuse", "total"]


@pytest.fixture
def score(ensembles, tmp_path, monkeypatch):
    """Function that scores three genes of four cells in a file; returns run.json and the result."""
    monkeypatch.chdir(tmp_path)
    Path("expr.txt").write_text(
        "gene\tc1\tc2\tc3\tc4\nActb\t5\t0\t1\t2\nGapdh\t1\t2\t3\t4\nSox17\t0\t7\t0\t1\n"
    )
    Path("a.txt").write_text("id\tlabel\nc1\tx\nc2\ty\nc3\tx\nc4\ty\n")
    Path("xy.csv").write_text("c1,1,2\nc2,3,4\nc3,5,6\nc4,7,8\n")
    Path("o.tsv").write_text("Actb\tActb\nGapdh\tGapdh\nSox17\t\n")

    def score(orthologs=None, **options):
        scored = score_to_directory(
            "expr.txt",
            "out",
            RunOptions(model=ensembles["1.1.0"], orthologs=orthologs, max_cores=1),
            **options,
        )
        return json.loads(Path("out/run.json").read_text()), scored.result

    return score


class TestKeys:
    def test_plain_run(self, score):
        written, result = score()
        assert list(written) == [*FIRST, *THEN, "peak_memory_bytes", *RESULTS]
        assert list(result.info) == [*FIRST, *THEN, "peak_memory_bytes"]
        assert list(written["model"]) == MODEL
        assert list(written["parameters"]) == PARAMETERS
        assert list(written["input"]) == [*SOURCE, *SIZE]
        assert list(written["genes"]) == GENES
        assert list(written["quality"]) == ["cells_without_counts", "batches"]
        assert [list(batch) for batch in written["quality"]["batches"]] == [BATCH]
        assert list(written["potencies"]) == list(ct2.POTENCIES)
        assert {tuple(finding) for finding in written["findings"]} == {tuple(FINDING)}
        assert list(written["seconds"]) == SECONDS

    def test_samples(self, score):
        written, result = score(annotation_path="a.txt", batch_key="label")
        assert list(written) == [
            *(*FIRST, "samples", *THEN, "annotation", "peak_memory_bytes", *RESULTS)
        ]
        assert list(written["samples"].items()) == [
            ("key", "label"),
            ("n_cells", {"x": 2, "y": 2}),
        ]
        assert [list(batch) for batch in written["quality"]["batches"]] == [["sample", *BATCH]] * 2
        assert list(result.info) == list(written)[:-2]

    def test_orthologs(self, score):
        written, _ = score(orthologs="o.tsv")
        assert list(written) == [*FIRST, *THEN, "orthologs", "peak_memory_bytes", *RESULTS]
        assert list(written["orthologs"].items()) == [
            ("path", "o.tsv"),
            ("sha256", hashlib.sha256(Path("o.tsv").read_bytes()).hexdigest()),
            ("n_pairs", 2),
            ("n_without", 1),
            ("n_unknown", 0),
        ]

    def test_annotation(self, score):
        written, _ = score(annotation_path="a.txt")
        assert list(written) == [*FIRST, *THEN, "annotation", "peak_memory_bytes", *RESULTS]
        assert list(written["annotation"].items()) == [("path", "a.txt"), ("n_cells", 4)]

    def test_embedding(self, score):
        written, _ = score(embedding="xy.csv")
        assert list(written) == [*FIRST, *THEN, "peak_memory_bytes", "embedding", *RESULTS]
        assert written["embedding"] == "xy.csv"

    def test_all_of_them(self, score):
        options = {"annotation_path": "a.txt", "batch_key": "label"}
        record = options_report(
            RunOptions(orthologs="o.tsv"),
            **options,
            extra_columns=False,
            explain=False,
            condition=None,
            plot_format=None,
            embedding="xy.csv",
        )
        assert list(record) == list(keys.OptionsReport.__annotations__)
        written, _ = score("o.tsv", **options, embedding="xy.csv", record=record)
        assert written["options"] == record
        assert record["orthologs"] == written["orthologs"]["sha256"]
        # tests/test_cluster.py has the key that only a cluster adds.
        assert list(written) == [key for key in keys.RunReport.__annotations__ if key != "cluster"]

    def test_in_memory(self, ensembles):
        info = ct2.run(
            np.ones((3, 2)), genes=["Actb", "Gapdh"], model=ensembles["1.1.0"], batches=list("xxy")
        ).info
        assert list(info) == [*FIRST, "samples", *THEN, "peak_memory_bytes"]
        assert list(info["input"]) == [*SOURCE, *SIZE]
        assert info["input"]["path"] is None

    def test_counts_of_the_caller(self, ensembles):
        """Who calls the pipeline itself has no file, no time of reading, and no time in all."""
        expression, _ = read_expression(np.ones((3, 2)), genes=["Actb", "Gapdh"])
        scores = score_cells(prepare(expression, "mouse"), ensembles["1.1.0"], Parameters())
        assert list(scores.info) == [*FIRST, *THEN]
        assert list(scores.info["input"]) == SIZE
        assert list(scores.info["seconds"]) == SECONDS[1:-1]

    def test_files_beside_the_values(self, ensembles, tmp_path):
        (tmp_path / "matrix.mtx").write_text(
            "%%MatrixMarket matrix coordinate integer general\n2 2 3\n1 1 5\n2 1 1\n2 2 4\n"
        )
        (tmp_path / "genes.tsv").write_text("g1\tActb\ng2\tGapdh\n")
        (tmp_path / "barcodes.tsv").write_text("c1\nc2\n")
        info = ct2.run(tmp_path, model=ensembles["1.1.0"]).info
        assert [list(file) for file in info["input"]["companions"]] == [
            ["path", "n_bytes", "sha256"]
        ] * 2


class TestTypes:
    """The types have the fields of what they are made from, in their order."""

    @pytest.mark.parametrize(
        ("typed", "source"),
        [
            (keys.ModelReport, ModelInfo),
            (keys.ParametersReport, Parameters),
            (keys.GenesReport, MappingReport),
            (keys.FindingReport, Finding),
        ],
    )
    def test_fields(self, typed, source):
        names = [field.name for field in fields(source)]
        if source is ModelInfo:
            names.remove("spread_limit")  # the warning says it
        assert list(typed.__annotations__) == names

    def test_source(self):
        # A finding tells of chunks that are missing.
        assert [field.name for field in fields(Source)] == [*SOURCE, "n_missing_chunks"]
        assert list(keys.InputReport.__annotations__) == [*SOURCE, *SIZE]
        assert list(keys.SupersededReport.__annotations__) == list(Superseded._fields)


def test_every_key_is_explained():
    section = FORMATS.read_text().partition("### run.json\n")[2].partition("\n### ")[0]
    listed = re.findall(r"^\| `(\w+)` \|(.*)\|$", section, re.MULTILINE)
    assert [key for key, _ in listed] == list(keys.RunReport.__annotations__)
    explained = dict(listed)
    for key, typed in (
        ("model", keys.ModelReport),
        ("parameters", keys.ParametersReport),
        ("input", keys.InputReport),
        ("genes", keys.GenesReport),
        ("samples", keys.SamplesReport),
        ("quality", keys.QualityReport),
        ("quality", keys.BatchQuality),
        ("findings", keys.FindingReport),
        ("orthologs", keys.OrthologsReport),
        ("annotation", keys.AnnotationReport),
        ("cluster", keys.ClusterReport),
        ("options", keys.OptionsReport),
    ):
        for inner in typed.__annotations__:
            assert f"`{inner}`" in explained[key], (key, inner)


def test_values_can_be_written_and_are_those_of_the_run(score):
    written, result = score(annotation_path="a.txt", batch_key="label")
    of_file = {key: written.pop(key) for key in RESULTS}
    assert json.loads(json.dumps(result.info)) == written
    content = Path("out/cytotrace2_results.txt").read_bytes()
    assert of_file == {
        "results": "cytotrace2_results.txt",
        "results_sha256": hashlib.sha256(content).hexdigest(),
    }
    assert written["cytotrace2_lite"] == ct2.__version__
    assert written["pipeline"] == report.PIPELINE
    assert sum(written["potencies"].values()) == 4
    assert written["quality"]["batches"][0] == {
        "sample": "x",
        "n_cells": 2,
        "median_genes_per_cell": 2.0,
        "share_of_cells_under_500_genes": 1.0,
        "smoothed_over_neighbors": False,
    }
