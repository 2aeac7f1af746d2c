"""A directory of results: what is known to fail is refused before the work."""

from pathlib import Path

import pytest

import cytotrace2_lite as ct2
from cytotrace2_lite.base.options import RunOptions
from cytotrace2_lite.directory import score_to_directory

DATA = Path(__file__).parent / "data"
INPUT = DATA / "enteric_300.txt.gz"
LABELS = DATA / "enteric_300_annotation.txt"


@pytest.fixture(autouse=True)
def no_work(monkeypatch):
    """Nothing is scored where the end is known to fail."""

    def fail(*_, **__):
        raise AssertionError("scored")

    monkeypatch.setattr("cytotrace2_lite.job.score_cells", fail)


@pytest.mark.parametrize("role", ["table", "annotation", "orthologs", "embedding", "model"])
@pytest.mark.parametrize("is_link", [False, True])
def test_an_input_in_the_place_of_the_results(tmp_path, role, is_link):
    target = tmp_path / "cytotrace2_results.txt"
    source = target
    if is_link:
        source = tmp_path / "elsewhere.txt"
        target.symlink_to(source)
    source.write_bytes((INPUT if role == "table" else LABELS).read_bytes())
    if role == "embedding":
        source.write_text("cell\tx\ty\nc1\t1\t2\n")
    before = source.read_bytes()
    table = source if role == "table" else INPUT
    options = RunOptions(
        orthologs=source if role == "orthologs" else None,
        model=source if role == "model" else None,
    )
    with pytest.raises(ct2.UsageError) as caught:
        score_to_directory(
            table,
            tmp_path,
            options,
            annotation_path=source if role == "annotation" else "",
            embedding=source if role == "embedding" else None,
        )
    assert str(caught.value) == (
        f"{target}: this file is an input of the run, and the results would take its place. "
        "Choose another directory (-o/--output-dir) or rename the file."
    )
    assert source.read_bytes() == before
    assert sorted(tmp_path.iterdir()) == sorted({target, source})


@pytest.mark.parametrize("name", ["run.json", "cytotrace2_results.txt"])
def test_a_directory_in_the_place_of_a_file(tmp_path, name):
    (tmp_path / name).mkdir()
    with pytest.raises(ct2.OutputError) as caught:
        score_to_directory(INPUT, tmp_path, RunOptions())
    assert str(caught.value) == (
        f"{tmp_path / name}: cannot write the file (Is a directory). Choose another place for it."
    )


def test_an_unknown_format(tmp_path):
    with pytest.raises(ct2.UsageError, match="file_format is 'xlsx'"):
        score_to_directory(INPUT, tmp_path / "new", RunOptions(), file_format="xlsx")
    assert not (tmp_path / "new").exists()
