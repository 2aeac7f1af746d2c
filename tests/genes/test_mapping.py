"""Gene names of an input to features.

Compared with `goldens/gene_mapping.json`, which cytotrace2-py answered.
"""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from helpers.genes import answers, one_by_one, read_pairs, shuffled

from cytotrace2_lite.base.parameters import SPECIES
from cytotrace2_lite.checks.dataset import check_genes
from cytotrace2_lite.errors import InputError, NoUsableGenesError
from cytotrace2_lite.genes import N_FEATURES, MappingReport, Superseded, features, map_genes

GOLDEN = json.loads(
    (Path(__file__).parents[1] / "goldens" / "gene_mapping.json").read_text(encoding="utf-8")
)


@pytest.mark.parametrize("species", ["mouse", "human"])
def test_every_name_has_the_feature_cytotrace2_py_gives_it(species):
    pairs = one_by_one(species)
    lines = sorted(f"{k}\t{v}\n" for k, v in pairs.items() if v != "Krtap1-5")
    digest = hashlib.sha256("".join(lines).encode()).hexdigest()
    assert len(pairs) == GOLDEN["n_names"][species]
    assert digest == GOLDEN["sha256_without_krtap1_5"][species]


@pytest.mark.parametrize(
    "case", GOLDEN["inputs"], ids=lambda case: f"{case['species']}: {case['title']}"
)
def test_golden_inputs(case):
    names, species = list(case["genes"]), case["species"]
    assert answers(names, species) == list(case["genes"].values())
    names = shuffled(names)
    assert dict(zip(names, answers(names, species), strict=True)) == case["genes"]


def test_goldens_are_not_vacuous():
    pairs = [pair for case in GOLDEN["inputs"] for pair in case["genes"].items()]
    assert sum(feature is None for _, feature in pairs) > 200
    assert (
        sum(feature is not None and name.upper() != feature.upper() for name, feature in pairs)
        > 150
    )


def test_mouse_symbol_and_alias():
    # Prxl2c is the present symbol of the feature Aaed1
    assert answers(["Actb", "Prxl2c", "Nonsense"], "mouse") == ["Actb", "Aaed1", None]
    mapping = map_genes(["Prxl2c", "Actb", "Aaed1"], "mouse")
    assert [features()[i] for i in mapping.feature if i >= 0] == ["Actb", "Aaed1"]
    assert mapping.report.superseded == (Superseded("Prxl2c", "Aaed1", "Aaed1"),)


def test_human_ortholog_uppercase_name_and_alias():
    # AAED1: no ortholog reaches Aaed1. AARS: the former symbol of AARS1.
    names = ["TP53", "ZNF770", "AAED1", "AARS", "LINC01128"]
    assert answers(names, "human") == ["Trp53", "Zfp770", "Aaed1", "Aars", None]
    report = map_genes(names, "human").report
    assert (report.symbol, report.ortholog, report.uppercase, report.alias) == (0, 2, 1, 1)
    mapping = map_genes(["AARS", "AARS1"], "human")
    assert mapping.feature.tolist() == [-1, features().index("Aars")]
    assert mapping.report.superseded == (Superseded("AARS", "Aars", "AARS1"),)


def test_krtap1_5_comes_from_the_last_of_equals():
    assert answers(["KRTAP1-1", "KRTAP1-3"], "human") == [None, "Krtap1-5"]


def test_a_mouse_symbol_is_no_human_gene():
    assert answers(["Actb", "ACTB"], "human") == [None, "Actb"]


def test_unknown_human_names_without_an_alias():
    # preprocess of cytotrace2-py raises AttributeError: 'float' object has no attribute 'upper'
    assert answers(["LINC01128", "ACTB", "LINC00115"], "human") == [None, "Actb", None]


def test_ensembl_ids_come_after_symbols_and_aliases():
    ids = {symbol: name for name, symbol in read_pairs("mouse_ensembl.tsv").items()}
    # Cenps is an alias of Apitd1; both names and the id of Cenps reach it
    assert answers([ids["Cenps"]], "mouse") == ["Apitd1"]
    for names in (["Cenps", ids["Cenps"]], [ids["Cenps"], "Cenps"]):
        report = map_genes(names, "mouse").report
        assert report.superseded == (Superseded(ids["Cenps"], "Apitd1", "Cenps"),)
        assert (report.alias, report.ensembl) == (1, 0)
    report = map_genes([ids["Cenps"], "Cenps", "Apitd1"], "mouse").report
    assert {s.winner for s in report.superseded} == {"Apitd1"}
    assert (report.n_mapped, report.symbol, report.alias, report.ensembl) == (1, 1, 0, 0)


def test_of_two_ensembl_ids_the_official_symbol_wins_then_the_first_id():
    human = read_pairs("human_ensembl.tsv")
    aliases = read_pairs("human_aliases.tsv")
    symbols = read_pairs("human_orthologs.tsv") | read_pairs("human_uppercase.tsv")
    ids = {}
    for name, symbol in human.items():
        ids.setdefault(symbol, []).append(name)
    several = [names for names in ids.values() if len(names) > 1][:50]
    by_alias = [
        (name, of_official)
        for name, symbol in human.items()
        if symbol in aliases
        for official, feature in symbols.items()
        if feature == aliases[symbol]
        for of_official in ids.get(official, [])
    ]
    assert len(several) == 50
    assert by_alias
    for names, winner in [(n, min(n)) for n in several] + [(p, p[1]) for p in by_alias]:
        for ordered in (sorted(names), sorted(names, reverse=True)):
            report = map_genes(ordered, "human").report
            assert {s.winner for s in report.superseded} == {winner}


@pytest.mark.parametrize("species", ["mouse", "human"])
def test_mapping_does_not_depend_on_the_order_of_the_genes(species):
    names = [*one_by_one(species), *read_pairs(f"{species}_ensembl.tsv"), "unknown"]
    expected = dict(zip(names, answers(names, species), strict=True))
    names = shuffled(names)
    mapping = map_genes(names, species)
    assert dict(zip(names, answers(names, species), strict=True)) == expected

    used = mapping.feature[mapping.feature >= 0]
    assert used.size == np.unique(used).size == N_FEATURES
    # an official symbol is there for each, so nothing else is used
    report = mapping.report
    assert report.n_mapped == report.symbol + report.ortholog + report.uppercase
    assert (report.alias, report.ensembl) == (0, 0)
    assert len(report.superseded) == len(names) - N_FEATURES - 1
    assert [s.name for s in report.superseded] == [
        name for name in names if expected[name] is None and name != "unknown"
    ]


def test_result_types():
    mapping = map_genes(("Actb", "Zz1"), "mouse")
    assert mapping.feature.dtype == np.int32
    assert mapping.feature.shape == (2,)
    assert mapping.report == MappingReport(
        species="mouse",
        n_genes=2,
        n_mapped=1,
        symbol=1,
        ortholog=0,
        uppercase=0,
        alias=0,
        ensembl=0,
        superseded=(),
        upper_case_share=0.0,
        likely_species="mouse",
        dates=(),
        n_features=14_271,
    )
    assert type(mapping.report.n_mapped) is int


def test_nothing_usable_but_for_the_other_species():
    names = ["ACTB", "GAPDH", "TP53", "NANOG", "LINC01128"]
    with pytest.raises(NoUsableGenesError) as error:
        map_genes(names, "mouse")
    assert str(error.value) == (
        "none of the gene names of the input (5: 'ACTB', 'GAPDH', 'TP53', ...) is a known mouse "
        'gene, but 4 are known human genes: pass --species human (species="human" in Python).'
    )
    with pytest.raises(NoUsableGenesError, match=r"1: 'ENSMUSG00000000001'\) .* --species mouse "):
        map_genes(["ENSMUSG00000000001"], "human")


def test_nothing_usable_at_all():
    cells = [f"AAAC{i}-1" for i in range(1000)]
    expected = (
        "none of the gene names of the input (1,000: 'AAAC0-1', 'AAAC1-1', 'AAAC2-1', ...) is a "
        "known mouse gene: names must be mouse symbols with species mouse, human symbols with "
        "species human, or Ensembl gene ids (ENSMUSG..., ENSG...). If these are the cells, check "
        "the species or pass --orientation; for other species pass --orthologs."
    )
    with pytest.raises(NoUsableGenesError) as error:
        map_genes(cells, "mouse")
    assert str(error.value) == expected
    # a chance hit in the other species does not change the remedy
    with pytest.raises(NoUsableGenesError, match="If these are the cells"):
        map_genes([*cells, "ACTB"], "mouse")
    with pytest.raises(NoUsableGenesError, match="the input has no genes"):
        map_genes([], "mouse")


def test_repeated_name():
    with pytest.raises(InputError, match=r"gene 'Sox2' appears twice \(genes 2 and 4\)"):
        map_genes(["Actb", "Sox2", "Nanog", "Sox2"], "mouse")


@pytest.mark.parametrize(
    ("form", "remedy"),
    [
        ("{1}|{0}", "'|', so keep only the last part of each ('Actb', 'Gapdh', 'Nanog')."),
        ("{0}_{1}", "'_', so keep only the first part of each ('Actb', 'Gapdh', 'Nanog')."),
    ],
)
def test_joined_names(form, remedy):
    names = [form.format(name, f"X{i}") for i, name in enumerate(["Actb", "Gapdh", "Nanog"])]
    with pytest.raises(NoUsableGenesError) as error:
        map_genes(names, "mouse")
    shown = ", ".join(map(repr, names))
    assert str(error.value) == (
        f"none of the gene names of the input (3: {shown}) is a known mouse gene: they are joined "
        f"by {remedy}"
    )


def test_dates():
    dates = ("1-Mar", "2-SEP", "Dec-01", "2023-03-01", "2023-09-02 00:00:00")
    names = ["Actb", "H2-D1", "1-Mart", "Nkx2-1", "9-30", *dates]
    assert map_genes(names, "mouse").report.dates == dates
    assert map_genes(names[:5], "mouse").report.dates == ()


def species_warnings(names, species):
    found = check_genes(names, map_genes(names, species))
    return [str(finding) for finding in found if finding.code == "species"]


@pytest.mark.parametrize(
    ("n_upper", "n_lower", "likely"),
    [(91, 9, "human"), (90, 10, None), (50, 50, None), (10, 90, None), (9, 91, "mouse")],
)
def test_species_warning(n_upper, n_lower, likely):
    names = [f"UPPER{i}" for i in range(n_upper - 1)] + [f"Lower{i}" for i in range(n_lower - 1)]
    names += ["ACTB", "Actb"]
    for species in SPECIES:
        report = map_genes(names, species).report
        assert report.upper_case_share == n_upper / 100
        assert report.likely_species == likely
        assert len(species_warnings(names, species)) == (likely not in {None, species})


def test_species_warning_message():
    (message,) = species_warnings(["Actb", *(f"UPPER{i}" for i in range(19))], "mouse")
    assert message == (
        "95.0% of the 20 gene names are written like human ones (upper-case symbols, ENSG ids), "
        "but the species is mouse. Genes of the other species are found by chance or not at all. "
        "If the cells are human, pass --species human "
        '(species="human" in Python).'
    )
    (message,) = species_warnings(["ACTB", *(f"lower{i}" for i in range(19))], "human")
    assert message == (
        "95.0% of the 20 gene names are written like mouse ones (symbols not all upper-case, "
        "ENSMUSG ids), but the species is human. Genes of the other species are found by chance or "
        "not at all. If the cells are mouse, pass --species mouse "
        '(species="mouse" in Python).'
    )


def test_species_of_ensembl_ids_is_told_by_their_prefix():
    # cytotrace2-py would take both for human: they are upper-case
    human = ["ENSG00000000003", "ENSG00000000005"]
    mouse = ["ENSMUSG00000000001", "ENSMUSG00000000028"]
    assert map_genes(human, "human").report.likely_species == "human"
    assert map_genes(mouse, "mouse").report.likely_species == "mouse"
    assert species_warnings(human, "human") == species_warnings(mouse, "mouse") == []
