"""What people write: "~/x.txt", "Human"."""

import shutil
from pathlib import Path

import pytest

import cytotrace2_lite as ct2
from cytotrace2_lite.base.options import RunOptions
from cytotrace2_lite.directory import score_to_directory
from cytotrace2_lite.system.paths import expanded

DATA = Path(__file__).parent / "data"


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    return tmp_path


def test_home(home, ensembles):
    shutil.copy(DATA / "enteric_300.txt.gz", home / "x.gz")
    shutil.copy(DATA / "enteric_300_annotation.txt", home / "a.txt")
    model = ensembles["1.1.0"]
    result = ct2.run("~/x.gz", model=model)
    assert ct2.check(Path("~/x.gz"), model=model)
    result.write("~/one")
    scored = score_to_directory(
        "~/x.gz", "~/two", RunOptions(model=model), annotation_path="~/a.txt"
    )
    assert len(scored.labels) == 300
    assert (home / "one/cytotrace2_results.txt").read_bytes() == (
        home / "two/cytotrace2_results.txt"
    ).read_bytes()
    assert result.info["input"]["path"] == str(home / "x.gz")


def test_a_file_of_that_name_goes_first(home, monkeypatch):
    monkeypatch.chdir(home)
    Path("~").mkdir()
    assert expanded("~") == "~"
    assert expanded("~/x") == str(home / "x")
    assert expanded("~nobody-of-this-name/x") == "~nobody-of-this-name/x"
    assert expanded(b"~") == b"~"
    assert expanded(None) is None


@pytest.mark.parametrize("species", ["Human", "HUMAN", " human "])
def test_species(species, ensembles):
    result = ct2.run(DATA / "palantir_300.txt.gz", species=species, model=ensembles["1.1.0"])
    assert result.info["parameters"]["species"] == "human"


@pytest.mark.parametrize("species", ["rat", "", None, 3, ["human"]])
def test_another_species(species, ensembles):
    with pytest.raises(ct2.UsageError, match=r"it must be 'mouse' or 'human'\."):
        ct2.run(DATA / "palantir_300.txt.gz", species=species, model=ensembles["1.1.0"])
