import numpy as np
import pytest

from cytotrace2_lite.errors import InputError, UsageError
from cytotrace2_lite.explanation.gene_sets import (
    GeneSets,
    collection_of,
    default_collection,
    read_gmt,
)
from cytotrace2_lite.genes import N_FEATURES, features

NONE = [""] * N_FEATURES


def names(positions):
    return [features()[i] for i in positions]


def test_default_collection_is_whole_and_known_to_the_model():
    collection = default_collection()
    assert len(collection) == 373
    assert len(set(collection.names)) == 373
    members = collection.features("mouse", NONE)
    assert [len(some) for some in members] == [len(genes) for genes in collection.genes]
    described = dict(zip(collection.names, collection.descriptions, strict=True))
    assert described["multi_hsc"] == "Multipotent, blood"
    assert described["prog_lysosome"] == "falls with potency"
    assert described["prog_cellcycle_s"] == "rises with potency"


def test_a_gmt_file_is_read(tmp_path):
    path = tmp_path / "a.gmt"
    path.write_bytes(b"\xef\xbb\xbfone\tof one\tActb\tGapdh\tActb\r\n\ntwo\t\tSox17\n")
    collection = read_gmt(path)
    assert collection.names == ("one", "two")
    assert collection.descriptions == ("of one", "")
    assert collection.genes == (("Actb", "Gapdh"), ("Sox17",))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"one\tx\n", "line 1 is no gene set"),
        (b"one\tx\tActb\n\tx\tActb\n", "line 2 is no gene set"),
        (b"one\tx\tActb\none\tx\tGapdh\n", "gene set 'one' appears twice"),
        (b"\n", "the file holds no gene set"),
        (b"\x1f\x8b\xff", "the gene sets are no plain text"),
    ],
)
def test_what_is_no_gmt_file_is_named(tmp_path, content, message):
    path = tmp_path / "a.gmt"
    path.write_bytes(content)
    with pytest.raises(InputError, match=message) as caught:
        read_gmt(path)
    assert str(path) in str(caught.value)


def test_a_file_that_is_not_there():
    with pytest.raises(InputError, match="cannot read the gene sets"):
        collection_of("/nonexistent/a.gmt")


def test_names_are_taken_as_the_input_has_them_then_as_the_species_that_knows_more():
    human = GeneSets(("a", "b"), ("", ""), (("POU5F1", "ACTB", "NOPE"), ("ENSG00000075624",)))
    found = human.features("human", NONE)
    assert names(found[0]) == sorted(["Pou5f1", "Actb"], key=features().index)
    assert names(found[1]) == ["Actb"]
    # A human set is understood for cells of the mouse, too.
    assert names(human.features("mouse", NONE)[0]) == names(found[0])
    own = list(NONE)
    own[features().index("Nanog")] = "gene-17"
    odd = GeneSets(("a",), ("",), (("gene-17", "Actb"),))
    assert set(names(odd.features("other", own)[0])) == {"Nanog", "Actb"}


def test_several_files_make_one_collection(tmp_path):
    paths = [tmp_path / name for name in ("a.gmt", "b.gmt")]
    for path in paths:
        path.write_text(f"{path.stem}\tx\tActb\n")
    assert collection_of(paths).names == ("a", "b")
    paths[1].write_text("a\tx\tActb\n")
    with pytest.raises(InputError, match="gene sets of two files have one name: 'a'"):
        collection_of(paths)


def test_a_mapping_is_a_collection():
    assert collection_of({"a": ["Actb", "Actb"]}).genes == (("Actb",),)
    assert collection_of(collection_of(None)) is default_collection()
    with pytest.raises(UsageError, match="sets must be the path"):
        collection_of(3)


def test_there_is_no_group_of_genes_twice():
    assert all(len(np.unique(genes)) == len(genes) for genes in default_collection().genes)
