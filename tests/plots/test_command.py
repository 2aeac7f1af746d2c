"""Plots of `ct2-lite run`, and of upstream's function."""

import signal
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("matplotlib")
if find_spec("scranpy") is None and find_spec("umap") is None:
    pytest.skip("neither scranpy nor umap-learn is installed", allow_module_level=True)

from helpers.results import BY_LABEL, ON_CELLS, plots_in

import cytotrace2_lite as ct2
from cytotrace2_lite.cli import main as cli
from cytotrace2_lite.cli.interrupt import interrupt
from cytotrace2_lite.cli.run import run as run_command
from cytotrace2_lite.plots import FORMATS, files, umap

DATA = Path(__file__).parents[1] / "data"


@pytest.fixture
def run(capsys, model_files, tmp_path, monkeypatch):
    """Function that runs `ct2-lite run` on 40 made-up cells; returns exit code and messages."""
    monkeypatch.chdir(tmp_path)
    for library in ("OPENBLAS", "MKL", "OMP", "VECLIB_MAXIMUM"):
        monkeypatch.setenv(f"{library}_NUM_THREADS", "1")
    values = np.random.RandomState(0).poisson(1.0, (300, 40))
    lines = ["\t".join(["", *(f"c{i}" for i in range(40))])]
    names = ct2.genes.features()[:300]
    lines += ["\t".join([g, *map(str, row)]) for g, row in zip(names, values, strict=True)]
    Path("expr.txt").write_text("\n".join(lines) + "\n")
    Path("labels.txt").write_text("id\tlabel\n" + "".join(f"c{i}\tk{i % 3}\n" for i in range(40)))
    Path("xy.csv").write_text("".join(f"c{i},{i},{i * i}\n" for i in range(40)))

    def call(*arguments):
        with pytest.raises(SystemExit) as caught:
            cli.main(["run", "expr.txt", "-o", "out", "-m", str(model_files["1.1.0"]), *arguments])
        return caught.value.code, capsys.readouterr().err

    return call


class TestCommandLine:
    def test_plots_of_a_umap(self, run):
        code, err = run("-a", "labels.txt")
        assert code == 0
        assert sorted(path.name for path in Path("out").iterdir()) == sorted(
            [
                *("cytotrace2_results.txt", "cytotrace2_umap.tsv", "run.json"),
                *("cytotrace2_composition.tsv", "cytotrace2_score_summary.tsv"),
                *(f"{name}.png" for name in ON_CELLS + BY_LABEL),
            ]
        )
        assert "UMAP: " in err
        # The coordinates can be used again.
        pictures = {name: Path("out", f"{name}.png").read_bytes() for name in ON_CELLS}
        Path("umap.tsv").write_bytes(Path("out/cytotrace2_umap.tsv").read_bytes())
        run("-a", "labels.txt", "--embedding", "umap.tsv")
        assert not Path("out/cytotrace2_umap.tsv").exists()
        assert pictures == {name: Path("out", f"{name}.png").read_bytes() for name in ON_CELLS}
        assert err.endswith("Plots: 8 .png files in out\n")

    def test_plots_at_given_coordinates(self, run, monkeypatch):
        monkeypatch.setattr(umap, "compute_umap", None)
        code, err = run("--embedding", "xy.csv", "--plot-format", "svg", "-dv")
        assert code == 0
        assert "Plots" not in err
        assert plots_in("out") == [f"{name}.svg" for name in ON_CELLS]
        assert "Embedding 1" in Path("out", plots_in("out")[0]).read_text()  # a comment

    def test_an_embedding_that_cannot_be_looked_at(self, run):
        code, err = run("--embedding", "x" * 300)  # as a file where that is not allowed
        assert code == 3
        assert err.endswith(
            f"Error: {'x' * 300}: cannot read the embedding (File name too long).\n"
        )
        assert not Path("out").exists()

    def test_an_embedding_of_other_cells_stops_before_the_work(self, run):
        Path("xy.csv").write_text("d1,0,0\n")
        code, err = run("--embedding", "xy.csv")
        assert code == 3
        assert err.splitlines()[-1] == (
            "Error: xy.csv: none of the 40 cells of the table has coordinates: the table has 'c0', "
            "'c1', 'c2', ..., the embedding 'd1'. Write the ids alike."
        )
        assert not Path("out").exists()

    def test_disabled(self, run):
        code, err = run("-dpl", "--embedding", "none.csv")
        assert code == 0
        assert "lot" not in err.replace("expr", "")
        assert plots_in("out") == []

    def test_without_the_extra(self, run, monkeypatch):
        monkeypatch.setattr(files, "find_spec", lambda _: None)
        monkeypatch.setattr(umap, "find_spec", lambda _: None)
        code, err = run()
        assert code == 0
        assert err.splitlines()[-1] == (
            "No plots: they need matplotlib and scranpy or umap-learn. Install with: "
            "pip install 'cytotrace2-lite[plot]' (-dpl hides this line)"
        )
        assert "No plots" not in run("-dv")[1]

    def test_plots_of_an_earlier_run_do_not_stay(self, run):
        run("--embedding", "xy.csv", "-a", "labels.txt")
        assert len(plots_in("out")) == 4
        Path("out/my_UMAP.png").write_text("mine")
        run("-dpl")
        assert plots_in("out") == ["my_UMAP.png"]

    def test_a_failure_costs_no_results(self, run, monkeypatch):
        def fail(*_, **__):
            raise MemoryError

        monkeypatch.setattr(umap, "compute_umap", fail)
        code, err = run()
        assert code == 0
        assert err.splitlines()[-1].startswith(
            "Warning: plots not drawn (the results are complete): cytotrace2_potency_category_UMAP"
        )
        assert err.endswith(": MemoryError\n")
        assert Path("out/cytotrace2_results.txt").is_file()

    @pytest.mark.parametrize("swallowed", [False, True])
    @pytest.mark.parametrize("handler", [signal.default_int_handler, signal.SIG_IGN])
    def test_interrupt(self, run, monkeypatch, swallowed, handler):
        def stop(*_, **__):
            interrupt.number = signal.SIGINT
            raise ImportError("NumPy") if swallowed else KeyboardInterrupt

        monkeypatch.setattr(umap, "compute_umap", stop)
        before = signal.signal(signal.SIGINT, handler)  # one that a job in the background has
        try:
            code, err = run("-a", "labels.txt")
        finally:
            signal.signal(signal.SIGINT, before)
        assert code == 130
        assert err.splitlines()[-1] == "Interrupted while plotting: the results are complete."
        assert len(Path("out/cytotrace2_results.txt").read_text().splitlines()) == 41
        assert plots_in("out") == []


def test_upstreams_function_draws_too(tmp_path, monkeypatch):
    monkeypatch.setattr("cytotrace2_lite.api.missing_packages", lambda: ["umap-learn"])
    with pytest.warns(ct2.PlotWarning, match=r"^No plots: they need umap-learn\. Install with: "):
        ct2.cytotrace2(DATA / "palantir_300.txt.gz", species="human", output_dir=tmp_path)
    monkeypatch.undo()
    ct2.cytotrace2(DATA / "palantir_300.txt.gz", species="human", output_dir=tmp_path)
    assert plots_in(tmp_path) == [f"{name}.png" for name in ON_CELLS]


def test_formats_of_the_command_line():
    (option,) = (option for option in run_command.params if option.name == "plot_format")
    assert tuple(option.type.choices) == FORMATS
