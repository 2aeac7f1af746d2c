"""The names that are known, and the tables they come from."""

import json

import numpy as np
import pytest
from helpers.genes import DATA, answers, one_by_one, read_pairs

from cytotrace2_lite.errors import UsageError
from cytotrace2_lite.genes import N_FEATURES, features, is_known, map_genes
from cytotrace2_lite.genes.symbols import _ensembl_ids


def test_features():
    assert len(features()) == N_FEATURES == len(set(features()))
    assert (features()[0], features()[-1]) == ("A1bg", "Zzz3")
    assert list(features()) == sorted(features())


@pytest.mark.parametrize("suffix", ["", ".7", ".12", ".5_2"])
def test_ensembl_ids(suffix):
    # TSPAN6; an id whose symbol is an alias; Gnai3
    assert answers([f"ENSG00000000003{suffix}"], "human") == ["Tspan6"]
    assert answers([f"ENSMUSG00000000001{suffix}"], "mouse") == ["Gnai3"]


@pytest.mark.parametrize(
    "name",
    [
        "ENSG00000000003.14_PAR_Y",
        "ENSG00000000003.",
        "ENSG00000000003.x",
        "ENSG99999999999",
        "ENSG",
    ],
)
def test_not_an_ensembl_id(name):
    assert answers([name, "ACTB"], "human") == [None, "Actb"]


def test_ensembl_ids_are_of_their_species():
    human, mouse = "ENSG00000000003", "ENSMUSG00000000001"
    assert answers([human, mouse], "human") == ["Tspan6", None]
    assert answers([human, mouse], "mouse") == [None, "Gnai3"]


@pytest.mark.parametrize(
    ("species", "n_ids", "n_features"), [("mouse", 14_045, 14_002), ("human", 15_478, 13_982)]
)
def test_reach_of_ensembl_ids(species, n_ids, n_features):
    names = list(read_pairs(f"{species}_ensembl.tsv"))
    assert len(names) == n_ids
    assert is_known(names, species).all()
    report = map_genes(names, species).report
    assert report.n_mapped == report.ensembl == n_features
    assert len(report.superseded) == n_ids - n_features


@pytest.mark.parametrize("species", ["mouse", "human"])
def test_known_are_the_names_that_can_be_mapped(species):
    names = [*one_by_one("mouse"), *one_by_one("human"), "ENSG00000000003.1", "ENSMUSG00000000001"]
    names = list(dict.fromkeys([*names, "", "ENSG", "Nonsense", "ERCC-00002"]))
    mapping = map_genes(names, species)
    mapped = mapping.feature >= 0
    superseded = np.isin(names, [s.name for s in mapping.report.superseded])
    found = is_known(names, species)
    assert found.dtype == np.bool_
    np.testing.assert_array_equal(found, mapped | superseded)
    # blocks of names give the same as all at once, and an array of names the same as a list
    blocks = [is_known(names[i : i + 1000], species) for i in range(0, len(names), 1000)]
    np.testing.assert_array_equal(np.concatenate(blocks), found)
    np.testing.assert_array_equal(is_known(np.array(names), species), found)
    assert is_known([], species).shape == (0,)


def test_ensembl_table_is_read_only_for_ensembl_ids():
    _ensembl_ids.cache_clear()
    map_genes(["ACTB", "ENSA", "Actb"], "human")
    assert _ensembl_ids.cache_info().currsize == 0
    map_genes(["ENSG00000000003"], "human")
    assert _ensembl_ids.cache_info().currsize == 1


def test_tables_keep_what_the_mapping_relies_on():
    orthologs, uppercase = read_pairs("human_orthologs.tsv"), read_pairs("human_uppercase.tsv")
    assert len(orthologs) == 13_750
    assert len(uppercase) == 521
    assert not orthologs.keys() & uppercase.keys()
    assert sorted([*orthologs.values(), *uppercase.values()]) == list(features())
    assert all(name == feature.upper() for name, feature in uppercase.items())
    # So no two aliases of one feature ever meet. They would make cytotrace2-py count the feature
    # twice and crash in the model.
    for species, symbols in (("human", {*orthologs, *uppercase}), ("mouse", set(features()))):
        aliases = read_pairs(f"{species}_aliases.tsv")
        assert len(set(aliases.values())) == len(aliases)
        assert set(aliases.values()) <= set(features())
        assert not aliases.keys() & symbols
    provenance = json.loads((DATA / "provenance.json").read_text())
    others = {"provenance.json", "official_models.tsv", "marker_sets.tsv", "cytotrace2_lite.R"}
    assert {*provenance["tables"], *others} == {path.name for path in DATA.iterdir()}


@pytest.mark.parametrize("function", [is_known, map_genes])
def test_unknown_species(function):
    with pytest.raises(UsageError, match="unknown species 'rat': it must be 'mouse' or 'human'"):
        function(["Actb"], "rat")
