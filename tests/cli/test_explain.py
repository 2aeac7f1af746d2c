"""`ct2-lite explain`, `run --explain` and `models genes`: files, messages, exit codes."""

import csv
import json
import sys
from pathlib import Path

import numpy as np
import pytest

import cytotrace2_lite as ct2
from cytotrace2_lite.cli.explain import explain as explain_command
from cytotrace2_lite.cli.main import main

DATA = Path(__file__).parents[1] / "data"
MARROW = str(DATA / "palantir_300.txt.gz")
LABELS = str(DATA / "palantir_300_annotation.txt")
TABLES = {"cytotrace2_genes.tsv", "cytotrace2_gene_sets.tsv", "explain.json"}
PICTURES = {"cytotrace2_genes_top", "cytotrace2_genes_dots"}


@pytest.fixture
def call(capsys, tmp_path, monkeypatch):
    """Function that runs the command line; returns exit code, standard output and error."""
    monkeypatch.chdir(tmp_path)
    for library in ("OPENBLAS", "MKL", "OMP", "VECLIB_MAXIMUM"):
        monkeypatch.setenv(f"{library}_NUM_THREADS", "1")

    def run(*arguments):
        with pytest.raises(SystemExit) as caught:
            main([*map(str, arguments)])
        output = capsys.readouterr()
        return caught.value.code, output.out, output.err

    return run


@pytest.fixture
def explain(call):
    return lambda *arguments: call("explain", "-dpl", "-m", "open", *arguments)


def rows_of(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file, delimiter="\t"))


def files_in(folder):
    return {path.name for path in folder.iterdir()}


def test_writes_genes_with_the_names_of_the_input(explain, tmp_path):
    sets = tmp_path / "own.gmt"
    sets.write_text("mine\tof me\tCRHBP\tHOPX\n")
    code, out, err = explain(
        *(MARROW, "-sp", "human", "-a", LABELS, "-o", "out", "--top", "3"),
        *("--contrast", "HSC_MPP", "Mono", "--without", "CRHBP, HOPX", "--without", "Spink2"),
        *("--gene-sets", sets),
    )
    assert (code, out) == (0, "")
    folder = tmp_path / "out"
    assert files_in(folder) == TABLES | {"cytotrace2_contrast.tsv", "cytotrace2_without.tsv"}
    genes = rows_of(folder / "cytotrace2_genes.tsv")
    assert len(genes) == 7 * 6
    first = genes[0]
    assert (first["group"], first["gene"], first["mouse_symbol"]) == ("HSC_MPP", "CRHBP", "Crhbp")
    assert float(first["mean_share"]) > 0 > float(genes[3]["mean_share"])
    assert "HSC_MPP (0.517): up CRHBP HOPX NRIP1" in err
    assert "Genes: " in err
    record = json.loads((folder / "explain.json").read_text())
    assert record["reference"]["n_cells"] == 300
    assert record["groups"][0]["name"] == "HSC_MPP"
    assert record["sums_off_by"] < 1e-6
    contrast = rows_of(folder / "cytotrace2_contrast.tsv")
    means = {group["name"]: group["mean"] for group in record["groups"]}
    total = sum(float(row["difference"]) for row in contrast)
    assert total == pytest.approx(means["HSC_MPP"] - means["Mono"], abs=1e-4)
    without = rows_of(folder / "cytotrace2_without.tsv")
    assert [row["group"] for row in without] == [group["name"] for group in record["groups"]]
    assert float(without[0]["change"]) < -0.01
    assert {row["set"] for row in rows_of(folder / "cytotrace2_gene_sets.tsv")} == {"mine"}


def test_by_potency_and_of_a_probability(explain, tmp_path):
    code, _, _ = explain(
        *(MARROW, "-sp", "human", "-a", LABELS, "--by", "potency", "--of", "unipotent", "-q"),
        *("--reference", "Unipotent", "--top", "all"),
    )
    assert code == 0
    folder = tmp_path / "cytotrace2_results"
    record = json.loads((folder / "explain.json").read_text())
    assert record["of"] == "Unipotent"
    assert record["reference"]["name"] == "Unipotent"
    assert {group["name"] for group in record["groups"]} <= set(ct2.POTENCIES)
    genes = rows_of(folder / "cytotrace2_genes.tsv")
    assert len(genes) == len(record["groups"]) * len({row["gene"] for row in genes})
    sums = dict.fromkeys((group["name"] for group in record["groups"]), 0.0)
    for row in genes:
        sums[row["group"]] += float(row["mean_share"])
    for group in record["groups"]:
        total = sums[group["name"]] + record["reference"]["value"]
        assert total == pytest.approx(group["mean"], abs=1e-4)


def test_shares_of_every_cell_are_a_file_that_anndata_reads(explain, tmp_path):
    h5py = pytest.importorskip("h5py")
    code, _, _ = explain(MARROW, "-sp", "human", "-a", LABELS, "-o", "out", "--cells", "-q")
    assert code == 0
    with h5py.File(tmp_path / "out/cytotrace2_gene_shares.h5ad") as file:
        shares = file["X"][:]
        raw = file["obs/raw_score"][:]
        reference = file["uns/reference_value"][()]
        names = [name.decode() for name in file["var/_index"][:]]
        assert dict(file["obs"].attrs)["encoding-type"] == "dataframe"
    assert shares.shape == (300, len(names))
    np.testing.assert_allclose(shares.sum(axis=1) + reference, raw, rtol=0, atol=1e-6)
    assert "CRHBP" in names
    # The reader of this package reads it as the counts of a dataset would be read.
    anndata = pytest.importorskip("anndata", reason="anndata is not installed")
    read = anndata.read_h5ad(tmp_path / "out/cytotrace2_gene_shares.h5ad")
    assert read.obs["group"].nunique() == 7


def test_a_column_of_obs_is_a_grouping(explain, tmp_path):
    h5py = pytest.importorskip("h5py")
    h5ad = DATA / "anndata_0.12.19.h5ad"
    code, _, err = explain(h5ad, "-o", "out", "-a", "no_such_column")
    assert code == 2
    assert "no_such_column" in err
    with h5py.File(h5ad) as file:
        columns = [str(name) for name in file["obs"].attrs["column-order"]]
    code, _, err = explain(h5ad, "-o", "out", "--by", columns[0])
    assert code == 0, err
    by_option = (tmp_path / "out/cytotrace2_genes.tsv").read_bytes()
    assert explain(h5ad, "-o", "out", "-a", columns[0])[0] == 0
    assert (tmp_path / "out/cytotrace2_genes.tsv").read_bytes() == by_option


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--reference", "Nobody"], 2, "there is no group 'Nobody'. The groups are 'CLP', "),
        (["--contrast", "HSC_MPP", "X"], 2, "there is no group 'X'"),
        (["--without", "NOPE"], 2, "gene 'NOPE' is neither a gene of the input"),
        (["--by", "age"], 2, "no column is called 'age'"),
        (["--top", "none"], 2, "'none' is neither a whole number from 1 on nor 'all'"),
        (["--top", "0"], 2, "'0' is neither a whole number from 1 on nor 'all'"),
        (["--of", "stemness"], 2, "'stemness' is not one of"),
        (["--gene-sets", "missing.gmt"], 3, "cannot read the gene sets"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_written(
    explain, tmp_path, arguments, code, message
):
    found = explain(MARROW, "-sp", "human", "-a", LABELS, "-o", "out", *arguments)
    assert found[0] == code
    assert message in found[2]
    assert not (tmp_path / "out").exists()


def test_every_potency_can_be_explained():
    (option,) = [param for param in explain_command.params if param.name == "of"]
    assert list(option.type.choices) == ["score", *ct2.POTENCIES]


def test_by_needs_an_annotation(explain):
    code, _, err = explain(MARROW, "-sp", "human", "--by", "label", "-o", "out")
    assert code == 2
    assert "--by names a column of the annotation" in err


def test_what_is_not_installed_is_said_before_anything_is_computed(explain, monkeypatch):
    for option, package in (("--cells", "h5py"), ("--enrich", "gseapy")):
        with monkeypatch.context() as patch:
            patch.setitem(sys.modules, package, None)
            code, _, err = explain(MARROW, "-sp", "human", option, "-o", "out")
            assert code == 1
            assert f"the package {package}" in err
            assert "Predicting" not in err


def test_pictures_are_drawn(call, tmp_path):
    pytest.importorskip("matplotlib")
    for plot_format in ("png", "svg"):
        code, _, err = call(
            *("explain", MARROW, "-sp", "human", "-m", "open", "-a", LABELS, "-o", "out"),
            *("--plot-format", plot_format),
        )
        assert code == 0
        assert f"Pictures of the genes: .{plot_format} files in out" in err
        names = {f"{name}.{plot_format}" for name in PICTURES}
        assert names <= files_in(tmp_path / "out")
    svg = (tmp_path / "out/cytotrace2_genes_top.svg").read_text()
    assert svg.startswith("<?xml")


SIDE = {"cytotrace2_composition.tsv", "cytotrace2_score_summary.tsv"}


def test_run_writes_results_and_genes_at_once(call, tmp_path):
    table = DATA / "enteric_300.txt.gz"
    arguments = ("-m", "open", "-dpl", "-q")
    assert call("run", table, *arguments, "-o", "both", "--explain")[0] == 0
    assert call("run", table, *arguments, "-o", "results")[0] == 0
    assert call("explain", table, *arguments, "-o", "genes")[0] == 0
    results = "cytotrace2_results.txt"
    assert files_in(tmp_path / "both") == TABLES | SIDE | {results, "run.json"}
    assert files_in(tmp_path / "genes") == TABLES
    for name, folder in ((results, "results"), *((name, "genes") for name in TABLES)):
        assert (tmp_path / "both" / name).read_bytes() == (tmp_path / folder / name).read_bytes()


def test_what_an_earlier_explanation_has_left_is_removed(call, tmp_path):
    folder = tmp_path / "out"
    folder.mkdir()
    names = ("cytotrace2_contrast.tsv", "cytotrace2_genes_dots.svg", "cytotrace2_gene_shares.h5ad")
    for name in (*names, "mine.txt"):
        (folder / name).touch()
    table = DATA / "enteric_300.txt.gz"
    assert call("explain", table, "-m", "open", "-dpl", "-q", "-o", "out")[0] == 0
    assert files_in(folder) == TABLES | {"mine.txt"}


def test_run_explains_into_a_directory_only(call):
    code, _, err = call("run", MARROW, "-sp", "human", "-o", "-", "--explain")
    assert code == 2
    assert "--explain writes files" in err


def test_genes_of_a_model(call):
    code, out, err = call("models", "genes", "open", "--top", "2", "-sp", "human")
    assert (code, err) == (0, "")
    rows = list(csv.DictReader(out.splitlines(), delimiter="\t"))
    assert len(rows) == 7 * 4
    assert rows[0]["potency"] == "score"
    assert rows[0]["gene"] == "UTF1"
    assert rows[0]["members_up"] == "16"
    assert float(rows[0]["weight"]) > 0 > float(rows[3]["weight"])
    code, _, err = call("models", "genes", "no-such-model")
    assert code == 5
    assert "no-such-model" in err
