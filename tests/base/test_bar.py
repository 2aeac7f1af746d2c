"""What `progress=True` shows."""

import sys

import pytest

import cytotrace2_lite as ct2
from cytotrace2_lite.base import bar
from cytotrace2_lite.base.bar import reporting
from cytotrace2_lite.base.progress import Progress

EVENTS = [
    Progress("read", 10, 0, "bytes"),
    Progress("predict", 64, 128),
    Progress("diffuse", 64, 128),
    Progress("predict", 128, 128),
    Progress("diffuse", 128, 128),
    Progress("write", 1, 1),
]


def test_what_is_given_is_told():
    told = []
    for given, expected in ((told.append, told.append), (None, None), (False, None)):
        with reporting(given) as report:
            assert report == expected


def test_lines_without_tqdm(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "tqdm.auto", None)
    with reporting(True) as report:
        for event in EVENTS:
            report(event)
    lines = capsys.readouterr().err.splitlines()
    assert [line.partition(":")[0] for line in lines] == [
        "Reading and checking",
        "Predicting potency",
        "Smoothing by diffusion",
    ]
    assert all(line.endswith(" s") for line in lines)


def test_a_stage_that_lasts_is_told_of(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "tqdm.auto", None)
    monkeypatch.setattr(bar, "_LINE_SECONDS", 0)
    with reporting(True) as report:
        report(Progress("predict", 64, 128))  # and then comes an error
    assert capsys.readouterr().err == "Predicting potency: 64 of 128 cells\n"


def test_one_bar_with_tqdm(capsys):
    pytest.importorskip("tqdm", reason="tqdm is not installed")
    with reporting(True) as report:
        for event in EVENTS:
            report(event)
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "Smoothing by diffusion: 100%" in shown.err.split("\r")[-1]
    assert "128/128" in shown.err
    with reporting(True) as report:
        for event in (*EVENTS[1:2], Progress("embed", 3, 0, "seconds")):
            report(event)
    shown = capsys.readouterr().err.split("\r")[-1]
    assert "UMAP: 3.00 seconds" in shown


@pytest.mark.filterwarnings("ignore::cytotrace2_lite.errors.CytoTRACE2Warning")
def test_all_functions_take_it(tiny_table, ensembles, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "tqdm.auto", None)
    for function in (ct2.run, ct2.check, ct2.explain):
        function(tiny_table(), model=ensembles["1.1.0"], progress=True)
        captured = capsys.readouterr()
        assert captured.out == ""
        assert captured.err.startswith("Reading and checking: ")
        function(tiny_table(), model=ensembles["1.1.0"], progress=False)
        assert capsys.readouterr().err == ""
