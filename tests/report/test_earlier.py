"""The report of a directory of results."""

import dataclasses
import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from helpers.made_up_result import made_up_labels, made_up_result

from cytotrace2_lite.base.options import RunOptions
from cytotrace2_lite.errors import CytoTRACE2Error
from cytotrace2_lite.metadata.coordinates import embedding_table
from cytotrace2_lite.read import open_input, read_expression
from cytotrace2_lite.report import Added, contents_of_directory
from cytotrace2_lite.report.earlier import _options
from cytotrace2_lite.report.genes import expression_of

DATA = Path(__file__).parents[1] / "data"


@pytest.fixture
def folder(tmp_path):
    """Results of 120 cells with coordinates of all but one."""
    result = made_up_result()
    result.write(tmp_path / "out")
    result.embedding.coordinates[0] = np.nan
    table = embedding_table(result.cells, result.embedding)
    (tmp_path / "out" / "cytotrace2_umap.tsv").write_bytes(table)
    return tmp_path / "out"


def test_what_is_there(folder):
    result = made_up_result()
    contents = contents_of_directory(folder, Added())
    assert contents.cells == result.cells
    np.testing.assert_array_equal(contents.numbers["CytoTRACE2_Score"], result.score)
    assert list(contents.numbers) == [
        *("CytoTRACE2_Score", "CytoTRACE2_Relative", "preKNN_CytoTRACE2_Score")
    ]
    np.testing.assert_array_equal(contents.potency_index, result.potency_index)
    assert contents.info["results"] == "cytotrace2_results.txt"
    assert contents.why_no_map == "1 of 120 cells have no coordinates and are not on the map."
    assert contents.groups == []
    assert contents.gene_table == []


def test_labels_samples_and_genes_behind_the_scores(folder, tmp_path):
    lines = [f"cell{k}\t{label}\ts{k % 2}" for k, label in enumerate(made_up_labels())]
    (tmp_path / "labels.txt").write_text("\n".join(["id\tlabel\tdonor", *lines]))
    genes = "group\tgene\tmean_share\nstem\tSox2\t0.1\n"
    (folder / "cytotrace2_genes.tsv").write_text(genes)
    added = Added(annotation_path=tmp_path / "labels.txt", batch_key="donor")
    contents = contents_of_directory(folder, added)
    assert [(g.title, g.names) for g in contents.groups] == [
        ("Label", ["mature", "middle", "stem"]),
        ("Sample", ["s0", "s1"]),
    ]
    assert contents.gene_table[1] == ["stem", "Sox2", "0.1"]


def test_genes_of_another_model_are_not_shown(folder):
    table = "group\tgene\tmean_share\nstem\tSox2\t0.1\nstem\tActb\t\n"
    (folder / "cytotrace2_genes.tsv").write_text(table)
    (folder / "explain.json").write_text(json.dumps({"model": {"sha256": "0" * 64}}))
    assert len(contents_of_directory(folder, Added()).gene_table) == 3
    (folder / "explain.json").write_text(json.dumps({"model": {"sha256": "1" * 64}}))
    contents = contents_of_directory(folder, Added())
    assert contents.gene_table == []
    assert "explains the scores of another model" in contents.why_no_genes


def test_results_of_others(folder):
    """Those of cytotrace2-py have neither record nor coordinates."""
    (folder / "run.json").unlink()
    (folder / "cytotrace2_umap.tsv").unlink()
    contents = contents_of_directory(folder, Added())
    assert contents.info == {}
    assert contents.why_no_map.startswith("No map: there is no cytotrace2_umap.tsv")


def test_files_with_a_prefix(folder):
    for path in list(folder.iterdir()):
        path.rename(path.with_name(f"s1_{path.name}"))
    content = (folder / "s1_cytotrace2_results.txt").read_bytes()
    record = json.loads((folder / "s1_run.json").read_text())
    record |= {"results": "s1_cytotrace2_results.txt"}
    record["results_sha256"] = hashlib.sha256(content).hexdigest()
    (folder / "s1_run.json").write_text(json.dumps(record))
    with pytest.raises(CytoTRACE2Error, match=r"begin with 's1' \(--prefix\)"):
        contents_of_directory(folder, Added())
    contents = contents_of_directory(folder, Added(prefix="s1_"))
    assert len(contents.cells) == 120
    assert contents.embedding is not None


def added_to(path):
    path.write_bytes(path.read_bytes() + b"\n")


def write(name, text):
    return lambda folder: (folder / name).write_text(text)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (shutil.rmtree, "this is not a directory. Give the directory with the results"),
        (
            lambda folder: (folder / "cytotrace2_results.txt").unlink(),
            "there is no results file in it",
        ),
        (
            lambda folder: added_to(folder / "cytotrace2_results.txt"),
            "it was changed after run.json was written",
        ),
        (write("run.json", "{"), "the file cannot be read"),
        (write("run.json", "[]"), "this is not the run.json of ct2-lite"),
        (write("run.json", '{"cytotrace2_lite": "1", "results": "../x"}'), "it names '../x'"),
        (write("cytotrace2_umap.tsv", "cell\tx\ty\nother\t1\t2\n"), "none of the 120 cells"),
        (write("cytotrace2_genes.tsv", "a\tb\n1\t2\n"), "this is not the table of genes"),
        (
            write("cytotrace2_genes.tsv", "group\tgene\tmean_share\na\tb\tx\n"),
            "fields that are missing or no numbers",
        ),
        (write("labels.txt", "other\ta\nanother\tb\n"), "none of the 120 cells of the results"),
    ],
)
def test_wrong_files(folder, change, message):
    change(folder)
    labels = folder / "labels.txt"
    added = Added(annotation_path=labels if labels.exists() else "")
    with pytest.raises(CytoTRACE2Error, match=message.replace(".", r"\.")):
        contents_of_directory(folder, added)


@pytest.mark.parametrize(
    ("kind", "matrix", "layer", "use_raw"),
    [
        ("tsv", None, None, False),
        ("h5ad", "X", "X", False),
        ("zarr", "layers['a/b']", "a/b", False),
        ("h5ad", "raw.X", None, True),
        ("h5mu", "X of mod['rna']", "X", False),
        ("h5mu", "layers['counts'] of mod['rna']", "counts", False),
        ("loom", "matrix", None, False),
        ("loom", "layers['spliced']", "spliced", False),
        ("rds", "RNA/data", "RNA/data", False),
        ("RData", "object/counts", "object/counts", False),
        ("h5seurat", "SCT/counts", "SCT/counts", False),
    ],
)
def test_the_matrix_that_was_scored(kind, matrix, layer, use_raw):
    options = _options({"input": {"format": kind, "matrix": matrix}})
    assert (options.layer, options.use_raw) == (layer, use_raw)


def test_genes_of_another_layer_of_an_r_object(tmp_path):
    path = DATA / "r" / "seurat_v5.rds"
    expression, _ = read_expression(path)
    made_up = made_up_result(len(expression.cells))
    values = []
    for layer in ("RNA/counts", "RNA/data"):
        info = made_up.info | {"input": {"format": "rds", "matrix": layer}}
        out = tmp_path / layer
        dataclasses.replace(made_up, cells=expression.cells, info=info).write(out)
        added = Added(input_path=path, genes=expression.genes[:3])
        values.append(np.array(list(contents_of_directory(out, added).genes.values())))
    assert not np.array_equal(*values)


class TestGenes:
    @pytest.fixture
    def source(self, tmp_path):
        text = "gene\tb\ta\nActb\t5\t0\nGapdh\t5\t4\nmy_gene\t0\t3\nSox17\t0\t0\n"
        (tmp_path / "x.txt").write_text(text)
        with open_input(tmp_path / "x.txt") as source:
            yield source

    def test_any_gene_of_the_input(self, source):
        """The sum is that of the genes that the model knows: 10 and 4."""
        found = expression_of(source, ["my_gene", "Actb", "Actb"], ["a", "b"], RunOptions())
        np.testing.assert_allclose(found["my_gene"], [np.log2(1e6 * 3 / 4 + 1), 0])
        np.testing.assert_allclose(found["Actb"], [0, np.log2(1e6 / 2 + 1)])
        assert list(found) == ["my_gene", "Actb"]

    @pytest.mark.parametrize(
        ("genes", "cells", "message"),
        [
            (["ACTB"], ["a"], "there is no gene 'ACTB' in it. Did you mean 'Actb'?"),
            (["Zzz"], ["a"], "there is no gene 'Zzz' in it. Write it as the input does."),
            (["Actb"], ["a", "z"], "1 of 2 cells of the results are not in this input: 'z'"),
        ],
    )
    def test_errors(self, source, genes, cells, message):
        with pytest.raises(CytoTRACE2Error, match=message.replace(".", r"\.").replace("?", r"\?")):
            expression_of(source, genes, cells, RunOptions())
