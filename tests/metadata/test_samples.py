"""Cells scored sample by sample: the numbers of each sample alone, in the order of the input."""

import json
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import cytotrace2_lite as ct2
from cytotrace2_lite.cli.main import main
from cytotrace2_lite.metadata.samples import samples_of

DATA = Path(__file__).parents[1] / "data"
ARRAYS = (
    "score",
    "relative",
    "preknn_score",
    "raw_score",
    "probabilities",
    "potency_index",
    "preknn_potency_index",
)
pytestmark = pytest.mark.filterwarnings("ignore::cytotrace2_lite.errors.CytoTRACE2Warning")


@pytest.fixture(scope="module")
def human():
    """Genes x cells of the human example, one cell without counts."""
    frame = pd.read_csv(DATA / "palantir_300.txt.gz", sep="\t", index_col=0)
    frame.iloc[:, 7] = 0
    return frame


@pytest.fixture(scope="module")
def labels():
    """Samples of 160, 110, 28, 1 and 1 cells, in no order; the 8th cell is in the first."""
    names = np.repeat(["b", "a", "small", "lone", "empty"], [160, 110, 28, 1, 1])
    order = np.random.RandomState(3).permutation(300)
    names = names[order]
    # The cell without counts is a sample of its own.
    i = int(np.flatnonzero(names == "empty")[0])
    names[[7, i]] = names[[i, 7]]
    return names


def score(frame, ensembles, **options):
    return ct2.run(
        frame.to_numpy().T,
        genes=list(frame.index),
        cells=list(frame.columns),
        species="human",
        model=ensembles["1.1.0"],
        **options,
    )


class TestNumbers:
    @pytest.mark.parametrize("options", [{}, {"smooth_batch_size": 50, "seed": 3, "max_cores": 2}])
    def test_each_sample_as_if_alone(self, human, labels, ensembles, options):
        joined = score(human, ensembles, batches=labels, **options)
        assert joined.cells == list(human.columns)
        for name in ("b", "a", "small", "lone"):
            of_sample = np.flatnonzero(labels == name)
            alone = score(human.iloc[:, of_sample], ensembles, **options)
            for array in ARRAYS:
                ours, theirs = getattr(joined, array)[of_sample], getattr(alone, array)
                assert ours.tobytes() == theirs.tobytes(), (name, array)
        # Alone, it is refused: no cell has a count.
        assert np.isnan(joined.score[7])
        assert joined.potency[7] == ""

    def test_samples_large_enough_to_be_split(self, ensembles):
        random = np.random.RandomState(0)
        names = ct2.genes.features()[:300]
        frame = pd.DataFrame(random.poisson(0.3, (300, 2300)), index=names)
        frame.columns = frame.columns.astype(str)
        labels = np.where(np.arange(2300) % 2, "odd", "even")
        options = {"batch_size": 400, "smooth_batch_size": 100, "species": "mouse"}

        def scores(part, **more):
            return ct2.run(
                part.to_numpy().T,
                genes=list(part.index),
                model=ensembles["1.1.0"],
                **options,
                **more,
            )

        joined = scores(frame, batches=labels)
        assert [batch["sample"] for batch in joined.info["quality"]["batches"]] == (
            ["even"] * 3 + ["odd"] * 3
        )
        for i, name in enumerate(("even", "odd")):
            alone = scores(frame.iloc[:, i::2])
            for array in ARRAYS:
                assert getattr(joined, array)[i::2].tobytes() == getattr(alone, array).tobytes()
            assert joined.relative[labels == name].min() == 0
            assert joined.relative[labels == name].max() == 1

    def test_a_lone_cell(self, human, labels, ensembles):
        result = score(human, ensembles, batches=labels)
        (cell,) = np.flatnonzero(labels == "lone")
        assert result.relative[cell] == 0
        assert result.score[cell] == result.potency_index[cell] / 6 + 1e-8

    def test_one_sample_is_the_same_as_none(self, human, ensembles):
        one = score(human, ensembles, batches=["x"] * 300)
        none = score(human, ensembles)
        for array in ARRAYS:
            assert getattr(one, array).tobytes() == getattr(none, array).tobytes()
        (warning,) = [w for w in one.warnings if isinstance(w, ct2.SampleWarning)]
        assert str(warning) == (
            "all cells are of one sample: 'x' 300 cells. The scores are the same as without "
            "samples. Check that these are the labels you mean."
        )

    def test_report_and_findings(self, human, labels, ensembles):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            info = score(human, ensembles, batches=labels).info
        sizes = {name: int((labels == name).sum()) for name in dict.fromkeys(labels.tolist())}
        assert json.loads(json.dumps(info["samples"])) == {"key": "", "n_cells": sizes}
        found = {finding["code"]: finding["what"] for finding in info["findings"]}
        listed = ", ".join(f"{name!r} {n}" for name, n in sizes.items())
        assert found["samples"] == f"5 samples are scored one by one: {listed} cells"
        first = [name for name in sizes if name in {"small", "lone"}]
        assert found["few_cells"] == (
            "29 of 299 cells are scored together with fewer than 100, in samples "
            f"{first[0]!r}, {first[1]!r}"
        )

    def test_progress_counts_the_cells_of_the_whole_run(self, human, labels, ensembles):
        events = []
        score(human, ensembles, batches=labels, progress=events.append)
        last = {event.stage: event for event in events if event.stage != "read"}
        assert {stage: event.done for stage, event in last.items()} == {
            "preprocess": 299,
            "predict": 299,
            "diffuse": 299,
            "components": 270,
            "neighbors": 270,
        }
        assert all(event.done == event.total for event in last.values())


class TestLabels:
    def test_order_and_kinds(self):
        samples = samples_of(pd.Categorical(["y", "x", "y"]), list("abc"))
        assert (samples.names, samples.of_cell.tolist()) == (["y", "x"], [0, 1, 0])
        assert samples.sizes == {"y": 2, "x": 1}
        assert samples_of(np.array([3, 1, 3]), list("abc")).names == ["3", "1"]
        assert samples_of(pd.Series(["p", "p"], index=[5, 0]), list("ab")).names == ["p"]

    @pytest.mark.parametrize(
        "missing",
        [None, np.nan, "", " ", "NA", "nan", pd.NA, pd.NaT, np.datetime64("NaT")],
        ids=repr,
    )
    def test_missing(self, missing):
        with pytest.raises(ct2.InputError) as caught:
            samples_of(["x", missing, "x"], ["c1", "c2", "c3"], "donor")
        assert str(caught.value) == (
            "1 of 3 cells have no sample in 'donor': 'c2'. Give each a label, or leave them out of "
            "the table."
        )

    @pytest.mark.parametrize(
        ("labels", "shape"), [(["x", "y"], "2"), ([["x"]] * 3, "3 x 1"), (5, "no row of")]
    )
    def test_not_one_per_cell(self, labels, shape):
        with pytest.raises(ct2.UsageError) as caught:
            samples_of(labels, ["c1", "c2", "c3"])
        assert str(caught.value) == (
            f"batches has {shape} labels; there must be one for each of the 3 cells."
        )

    def test_every_cell_by_itself(self):
        with pytest.raises(ct2.InputError) as caught:
            samples_of(["x", "y", "z"], ["c1", "c2", "c3"], "barcode")
        assert str(caught.value) == (
            "every cell has a sample of its own in 'barcode' ('x', 'y', 'z'), so that there is "
            "nothing to compare it with. Give labels that cells share."
        )
        assert samples_of(["x"], ["c1"]).names == ["x"]

    def test_column_of_obs(self, human, labels, ensembles):
        class Matrix(np.ndarray):
            """A matrix with the obs of an AnnData."""

        data = human.to_numpy().T.view(Matrix)
        data.obs = pd.DataFrame({"donor": labels})
        options = {"genes": list(human.index), "species": "human", "model": ensembles["1.1.0"]}
        result = ct2.run(data, batches="donor", **options)
        np.testing.assert_array_equal(result.score, score(human, ensembles, batches=labels).score)
        assert result.info["samples"]["key"] == "donor"
        with pytest.raises(ct2.UsageError) as caught:
            ct2.run(data, batches="patient", **options)
        assert str(caught.value) == "obs has no column 'patient'. Its columns are 'donor'."
        with pytest.raises(ct2.UsageError, match="the name of a column of an AnnData's obs"):
            ct2.run(human.to_numpy().T, batches="donor", **options)


class TestCommand:
    @pytest.fixture
    def run(self, capsys, model_files, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)

        def run(*arguments, command="run"):
            options = ["-dpl"] if command == "run" else []
            with pytest.raises(SystemExit) as caught:
                main([command, "-m", str(model_files["1.1.0"]), *options, *map(str, arguments)])
            output = capsys.readouterr()
            return caught.value.code, output.out, output.err

        return run

    def test_as_each_sample_alone(self, run, human, labels, tmp_path):
        human.to_csv("all.txt", sep="\t")
        donors = pd.DataFrame({"label": "x", "donor": labels}, index=human.columns)
        donors.iloc[::-1].to_csv("annotation.txt", sep="\t")
        code, _, err = run(
            *("all.txt", "-sp", "human", "-a", "annotation.txt", "--batch-key", "donor"),
            *("-o", "joined"),
        )
        assert code == 0
        assert "in samples 'small', 'lone'" in err or "in samples 'lone', 'small'" in err
        header, *lines = (tmp_path / "joined/cytotrace2_results.txt").read_text().splitlines()
        assert [line.split("\t")[0] for line in lines] == list(human.columns)
        for name in ("a", "small", "lone"):
            human.loc[:, labels == name].to_csv("alone.txt", sep="\t")
            assert run("alone.txt", "-sp", "human", "-o", "alone")[0] == 0
            alone = (tmp_path / "alone/cytotrace2_results.txt").read_text().splitlines()
            ours = [line for line, label in zip(lines, labels, strict=True) if label == name]
            assert [header, *ours] == alone
        report = json.loads((tmp_path / "joined/run.json").read_text())
        assert report["samples"]["key"] == "donor"
        assert report["samples"]["n_cells"]["small"] == 28
        assert report["annotation"]["n_cells"] == 300

    @pytest.mark.parametrize("command", ["run", "check"])
    @pytest.mark.parametrize(
        ("annotation", "key", "code", "message"),
        [
            (
                None,
                "donor",
                2,
                (
                    "--batch-key names a column of the annotation: give the file, too "
                    "(-a/--annotation-path). Only AnnData, MuData, Loom and R objects have some."
                ),
            ),
            (
                "id\tlabel\nc1\tx\nc2\tx\n",
                "donor",
                2,
                "a.txt: no column is called 'donor'. Its columns after the ids are 'label'.",
            ),
            (
                "id\tlabel\nc1\tx\n",
                "label",
                3,
                (
                    "1 of 2 cells have no sample in 'label': 'c2'. Give each a label, or leave "
                    "them out of the table."
                ),
            ),
        ],
    )
    def test_errors(self, run, tiny_table, tmp_path, command, annotation, key, code, message):
        arguments = [tiny_table(), "--batch-key", key, "-q"]
        if annotation is not None:
            (tmp_path / "a.txt").write_text(annotation)
            arguments += ["-a", "a.txt"]
        assert run(*arguments, command=command) == (code, "", f"Error: {message}\n")
        assert not (tmp_path / "cytotrace2_results").exists()


def test_labels_of_the_wrong_kind_are_seen_before_the_work(human, ensembles):
    stages = []
    with pytest.raises(ct2.UsageError):
        score(human, ensembles, batches=["x"], progress=lambda e: stages.append(e.stage))
    assert set(stages) == {"read"}
