"""The package's list of official files, and how a file is known."""

from pathlib import Path

import pytest
from helpers.repository import NEW, OLD, RESOURCES

from cytotrace2_lite.models.install import official
from cytotrace2_lite.models.install.official import git_blob_id, official_ensembles

REFERENCE = Path(__file__).resolve().parents[4] / "shared/reference/official_models.tsv"


def test_the_list_of_official_files():
    ensembles = official_ensembles()
    assert [len(one.members) for one in ensembles.values()] == [19, 17]
    assert [one.version for one in ensembles.values()] == ["1.1.0", "1.0.0"]
    assert ensembles[NEW].background.path == f"{RESOURCES}/background.pt"
    assert ensembles[OLD].background is None
    for one in ensembles.values():
        assert {len(file.blob_id) for file in one.files} == {40}
        assert len({file.commit for file in one.files}) == 1
        assert len({file.blob_id for file in one.files}) == len(one.files)


def test_git_blob_id(tmp_path):
    (tmp_path / "file").write_bytes(b"hello\n")
    assert git_blob_id(tmp_path / "file") == "ce013625030ba8dba906f756967f9e9ca394464a"


@pytest.mark.skipif(not REFERENCE.is_file(), reason="../shared/reference is not there")
def test_the_list_is_that_of_the_reference():
    assert official._MANIFEST.read_text() == REFERENCE.read_text()
