"""`--strict`: warnings are errors, with exit codes of their own."""

import gzip
import json
from pathlib import Path

import pytest

import cytotrace2_lite as ct2
from cytotrace2_lite.cli.main import main

DATA = Path(__file__).parents[1] / "data"
SOUND = DATA / "enteric_300.txt.gz"


@pytest.fixture
def few(tmp_path):
    """A table that is warned of: 20 cells."""
    path = tmp_path / "few.txt"
    lines = gzip.decompress(SOUND.read_bytes()).decode().splitlines()
    path.write_text("".join("\t".join(line.split("\t")[:21]) + "\n" for line in lines))
    return path


@pytest.fixture
def ct2_lite(capsys, model_files):
    def call(command, *arguments):
        with pytest.raises(SystemExit) as caught:
            main([command, *map(str, arguments), "-m", str(model_files["1.1.0"])])
        output = capsys.readouterr()
        return caught.value.code, output.out, output.err

    return call


def test_run(ct2_lite, few, tmp_path):
    out = tmp_path / "out"
    code, _, err = ct2_lite("run", few, "-o", out, "-dpl", "-q", "--strict")
    assert code == 3
    assert not out.exists()
    warning, error = err.splitlines()
    sentence = warning.removeprefix("Warning: ")
    assert sentence.startswith("20 of 20 cells are scored together with fewer than 100.")
    assert error == (
        f"Error: nothing is scored, as warnings are errors (--strict; strict=True): {sentence}"
    )
    assert ct2_lite("run", SOUND, "-o", out, "-dpl", "-q", "--strict")[0] == 0


def test_check(ct2_lite, few):
    code, out, _ = ct2_lite("check", few, "--strict", "-q")
    assert code == 6
    assert out.endswith("few.txt: can be scored, 1 warning\n")
    code, out, _ = ct2_lite("check", few, "--strict", "-q", "--json")
    assert code == 6
    assert "few_cells" in {finding["code"] for finding in json.loads(out)["findings"]}
    assert ct2_lite("check", few, "-q")[0] == 0
    assert ct2_lite("check", SOUND, "--strict", "-q")[0] == 0
    code, _, err = ct2_lite("check", "--strict")
    assert code == 2
    assert "--strict goes with a table" in err


def test_python(few, ensembles):
    with pytest.raises(ct2.InputError, match=r"^nothing is scored, as warnings are errors"):
        ct2.run(few, model=ensembles["1.1.0"], strict=True)


class TestRequirePlots:
    def test_a_package_is_missing(self, ct2_lite, tmp_path, monkeypatch):
        monkeypatch.setattr("cytotrace2_lite.plots.missing_packages", lambda **_: ["matplotlib"])
        code, _, err = ct2_lite("run", SOUND, "-o", tmp_path / "out", "-q", "--require-plots")
        assert (code, not (tmp_path / "out").exists()) == (1, True)
        assert err == (
            "Error: No plots: they need matplotlib. Install with: "
            "pip install 'cytotrace2-lite[plot]'\n"
        )

    def test_a_plot_is_missing(self, ct2_lite, tmp_path, monkeypatch):
        def fail(*_, **__):
            raise RuntimeError("no")

        monkeypatch.setattr("cytotrace2_lite.plots.umap.compute_umap", fail)
        out = tmp_path / "out"
        code, _, err = ct2_lite("run", SOUND, "-o", out, "-q", "--require-plots")
        assert code == 1
        assert err.splitlines()[-1] == (
            f"Error: {out}: the results are complete, but not all plots are there "
            "(--require-plots)."
        )
        assert (out / "cytotrace2_results.txt").is_file()
        assert ct2_lite("run", SOUND, "-o", out, "-q")[0] == 0

    def test_all_are_there(self, ct2_lite, tmp_path):
        embedding = tmp_path / "xy.csv"
        cells = gzip.decompress(SOUND.read_bytes()).decode().splitlines()[0].split("\t")[1:]
        embedding.write_text("".join(f"{cell},{i},{i % 7}\n" for i, cell in enumerate(cells)))
        out = tmp_path / "out"
        options = ("-o", out, "-q", "--require-plots", "--embedding", embedding)
        assert ct2_lite("run", SOUND, *options)[0] == 0

    @pytest.mark.parametrize("other", [("-dpl",), ("-o", "-")])
    def test_no_plots_are_asked_for(self, ct2_lite, other):
        code, _, err = ct2_lite("run", SOUND, "--require-plots", *other)
        assert code == 2
        assert "--require-plots goes neither with -dpl nor with -o -" in err
