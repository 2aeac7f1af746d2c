"""Genes of other species by the user's table of orthologs."""

import hashlib
import json

import numpy as np
import pytest

import cytotrace2_lite as ct2
from cytotrace2_lite.cli.main import main
from cytotrace2_lite.genes import features, is_known, map_genes
from cytotrace2_lite.genes.orthologs import read_orthologs
from cytotrace2_lite.output.report import orthologs_report


@pytest.fixture
def write(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def write(text, name="o.tsv"):
        content = text if isinstance(text, bytes) else text.encode()
        (tmp_path / name).write_bytes(content)
        return name

    return write


def test_reading(write):
    text = "Pig gene\tMouse\r\nENSSSCG1\tActb\nP2\tGapdh\n\nP2\tGapdh\nP3\t\n\tNanog\nP4\tNotone\n"
    table = read_orthologs(write(text))
    assert table.symbol_of == {"ENSSSCG1": "Actb", "P2": "Gapdh"}
    assert orthologs_report(table) == {
        "path": "o.tsv",
        "sha256": hashlib.sha256(text.encode()).hexdigest(),
        "n_pairs": 3,
        "n_without": 2,
        "n_unknown": 1,
    }
    assert table.findings() == []
    without_header = read_orthologs(write("P1\tActb\nP2\tGapdh\n"))
    assert without_header.symbol_of == {"P1": "Actb", "P2": "Gapdh"}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            "P1 Actb\n",
            (
                "line 1 has 1 field instead of 2, a gene and its mouse symbol with "
                "a tab or a comma between them."
            ),
        ),
        (
            "a\tb\nP1\tActb\t90\n",
            (
                "line 2 has 3 fields instead of 2, a gene and its mouse symbol with "
                "a tab or a comma between them."
            ),
        ),
        (
            "P1\tActb\nP1\tGapdh\n",
            (
                "gene 'P1' has two mouse symbols, 'Actb' (line 1) and 'Gapdh' (line 2). Keep one "
                "of them."
            ),
        ),
        (
            "a\tb\nP1\tACTB\nP2\tGAPDH\n",
            (
                "none of the 2 mouse symbols is a gene of the model: 'ACTB', 'GAPDH'. The table "
                "needs two columns: genes of the input, mouse symbols."
            ),
        ),
        (
            "",
            (
                "none of the 0 mouse symbols is a gene of the model. The table needs two columns: "
                "genes of the input, mouse symbols."
            ),
        ),
        (
            b"P\xe9\tActb\n",
            (
                "this orthologs file is not plain text. Unpack it, or save the sheet as tab- or "
                "comma-separated text (UTF-8)."
            ),
        ),
    ],
)
def test_unusable(write, text, problem):
    with pytest.raises(ct2.InputError) as caught:
        read_orthologs(write(text))
    assert str(caught.value) == f"o.tsv: {problem}"


def test_no_file(write):
    with pytest.raises(ct2.InputError) as caught:
        read_orthologs("absent.tsv")
    assert str(caught.value) == (
        "absent.tsv: cannot read the orthologs (No such file or directory)."
    )


def test_mostly_unknown_symbols(write):
    table = read_orthologs(write("P0\tActb\nP1\tA\nP2\tB\nP3\tC\nP4\tD\n"))
    (finding,) = table.findings()
    assert type(finding.warning) is ct2.GeneNameWarning
    assert str(finding) == (
        "o.tsv: 4 of the 5 mouse symbols are not genes of the model: 'A', 'B', 'C', ... Genes with "
        "such symbols are not used. Check that the second column has mouse symbols."
    )


def test_mapping():
    orthologs = {"ENSSSCG1": "Actb", "P2": "Prxl2c", "P3": "Actb"}
    names = ["P2", "ENSSSCG1.4", "Gapdh", "P3"]
    assert is_known(names, "other", orthologs).tolist() == [True, True, False, True]
    mapping = map_genes(names, "other", orthologs)
    assert [features()[i] if i >= 0 else None for i in mapping.feature] == [
        "Aaed1",
        "Actb",
        None,
        None,
    ]
    report = mapping.report
    assert (report.species, report.ortholog, report.alias) == ("other", 1, 1)
    assert report.superseded == (("P3", "Actb", "ENSSSCG1.4"),)
    assert report.likely_species is None
    with pytest.raises(ct2.NoUsableGenesError) as caught:
        map_genes(["Actb", "x"], "other", orthologs)
    assert str(caught.value) == (
        "none of the gene names of the input (2: 'Actb', 'x') has a mouse symbol in the table of "
        "orthologs (3: 'ENSSSCG1', 'P2', 'P3'). The table must name genes as the input "
        "does."
    )


@pytest.mark.filterwarnings("ignore::cytotrace2_lite.errors.CytoTRACE2Warning")
def test_run(write, ensembles):
    genes = features()[:600]
    counts = np.random.RandomState(0).poisson(1.0, (30, 600))
    path = write("".join(f"P{i}\t{gene}\n" for i, gene in enumerate(genes)))
    model = ensembles["1.1.0"]
    pig = ct2.run(counts, genes=[f"P{i}" for i in range(600)], orthologs=path, model=model)
    mouse = ct2.run(counts, genes=genes, model=model)
    np.testing.assert_array_equal(pig.score, mouse.score)
    assert pig.info["parameters"]["species"] == pig.info["genes"]["species"] == "other"
    assert pig.info["orthologs"]["n_pairs"] == 600
    assert any(
        str(warning)
        == (
            "the genes are mapped to mouse by a table of orthologs. CytoTRACE 2 was made for "
            "mouse and human cells, and its scores for other species are untested."
        )
        for warning in pig.warnings
    )


def test_species_with_orthologs(ensembles):
    model = ensembles["1.1.0"]
    with pytest.raises(ct2.UsageError) as caught:
        ct2.run("t.txt", species="human", orthologs="o.tsv", model=model)
    assert str(caught.value) == (
        "a table of orthologs maps the genes to mouse, so species 'human' has no meaning: leave it "
        "out."
    )
    with pytest.raises(ct2.UsageError) as caught:
        ct2.run("t.txt", species="other", model=model)
    assert str(caught.value) == "species is 'other', which needs a table of orthologs."


def test_command_line(write, model_files, capsys, tmp_path):
    genes = features()[:600]
    write("".join(f"P{i}\t{gene}\n" for i, gene in enumerate(genes)))
    counts = np.random.RandomState(0).poisson(1.0, (600, 30))
    lines = ["\t".join(["", *(f"c{i}" for i in range(30))])]
    lines += ["\t".join([f"P{i}", *map(str, row)]) for i, row in enumerate(counts.tolist())]
    # a gene twice, and the table transposed on top of it
    columns = zip(*(line.split("\t") for line in [*lines, lines[1]]), strict=True)
    path = write("\n".join(map("\t".join, columns)), "t.txt")
    options = ["--orthologs", "o.tsv", "--orientation", "cells-x-genes"]
    options += ["--duplicate-genes", "sum", "-m", str(model_files["1.1.0"])]
    with pytest.raises(SystemExit) as caught:
        main(["run", path, "-dpl", *options])
    assert caught.value.code == 0
    err = capsys.readouterr().err
    line = "Input read as tsv, cells x genes, gene names from the header, 1 repeated gene added up."
    assert line in err.splitlines()
    report = json.loads((tmp_path / "cytotrace2_results" / "run.json").read_text())
    assert report["input"]["n_duplicates"] == 1
    assert report["orthologs"]["n_unknown"] == 0
