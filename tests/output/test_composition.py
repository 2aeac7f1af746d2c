"""Samples, labels, potencies and conditions side by side."""

from pathlib import Path

import numpy as np
import pytest
from helpers.results import made_up
from scipy.stats import ttest_ind

import cytotrace2_lite as ct2
from cytotrace2_lite.cli.main import main
from cytotrace2_lite.metadata.samples import samples_of
from cytotrace2_lite.output import composition as tables

DATA = Path(__file__).parents[1] / "data"


@pytest.fixture(scope="module")
def result():
    return made_up(400, n_missing=5)


@pytest.fixture(scope="module")
def drawn():
    random = np.random.RandomState(0)
    return random.choice(["s1", "s2", "s3"], 400), random.choice(["b", "a", ""], 400)


def rows(table):
    return table.to_pandas().set_index(list(table.columns)[:2])


class TestComposition:
    def test_counts_are_those_of_the_cells(self, result, drawn):
        samples, labels = drawn
        frame = result.composition(labels, samples).to_pandas()
        assert list(dict.fromkeys(frame["sample"])) == [
            "",
            *dict.fromkeys(samples),
        ]  # as they occur
        for (sample, label, potency), row in frame.set_index(
            ["sample", "label", "potency"]
        ).iterrows():
            chosen = np.ones(400, bool) if not sample else samples == sample
            chosen = chosen if not label else chosen & (labels == label)
            found = result.potency[chosen]
            if potency == "no score":
                assert row["n_cells"] == (found == "").sum() > 0
                assert np.isnan(row["fraction"])
            else:
                assert row["n_cells"] == (found == potency).sum()
                assert row["fraction"] == pytest.approx(row["n_cells"] / (found != "").sum())
        assert set(frame["label"]) == {"", "a", "b"}

    def test_without_labels_and_samples(self, result):
        frame = result.composition().to_pandas()
        assert frame["potency"].tolist() == [*ct2.POTENCIES, "no score"]
        assert frame["n_cells"].sum() == 400
        assert np.nansum(frame["fraction"]) == pytest.approx(1)

    def test_names_may_hold_anything(self, result):
        table = result.composition(['a\t"b"\n'] * 400)
        assert b'\t"a\t""b""\n"\t' in table.to_bytes()

    @pytest.mark.parametrize("n_labels", [399, 401])
    def test_a_label_for_each_cell(self, result, n_labels):
        with pytest.raises(ct2.UsageError, match=rf"^labels holds {n_labels} labels for 400"):
            result.composition(["a"] * n_labels)

    def test_more_labels_than_a_plot_can_show(self, result):
        frame = result.score_summary([f"l{i // 2}" for i in range(400)]).to_pandas()
        assert len(frame) == 201


class TestSummary:
    def test_is_that_of_the_scores(self, result, drawn):
        samples, labels = drawn
        frame = rows(result.score_summary(labels, samples))
        score = result.score[(samples == "s2") & (labels == "a") & ~np.isnan(result.score)]
        found = frame.loc["s2", "a"]
        assert found["n_cells"] == len(score)
        assert found["mean"] == pytest.approx(score.mean())
        names = ["lower_quartile", "median", "upper_quartile"]
        np.testing.assert_allclose(found[names], np.quantile(score, [0.25, 0.5, 0.75]))

    def test_a_sample_without_scores(self, result):
        samples = np.where(np.isnan(result.score), "without", "with")
        summary = rows(result.score_summary(samples=samples)).loc["without", ""]
        assert summary["n_cells"] == 0
        assert np.isnan(summary["median"])


class TestConditions:
    def test_samples_are_the_units(self, result):
        samples = np.arange(400) % 6
        condition = np.where(samples < 3, "old", "young")
        table = result.compare_conditions(condition, samples)
        means = [np.nanmean(result.score[samples == s]) for s in range(6)]
        row = table.to_pandas().iloc[0]
        assert (row["condition"], row["other"]) == ("old", "young")
        assert (row["n_samples"], row["n_samples_other"]) == (3, 3)
        assert row["difference"] == pytest.approx(np.mean(means[:3]) - np.mean(means[3:]))
        expected = ttest_ind(means[:3], means[3:], equal_var=False).pvalue
        assert row["p"] == pytest.approx(expected)
        assert row["adjusted_p"] == pytest.approx(expected)

    def test_each_label_and_pair_with_adjusted_p(self, result):
        samples = np.arange(400) % 9
        condition = np.array(["x", "y", "z"])[samples % 3]
        labels = np.where(np.arange(400) < 390, "many", "few")  # 10 cells in 9 samples
        frame = result.compare_conditions(condition, samples, labels).to_pandas()
        assert frame["label"].tolist() == [""] * 3 + ["few"] * 3 + ["many"] * 3
        assert frame["p"].isna().tolist() == [False] * 3 + [True] * 3 + [False] * 3
        assert (frame["adjusted_p"].dropna() >= frame["p"].dropna()).all()
        assert (frame.loc[frame["label"] == "few", "n_samples"] == 0).all()

    def test_no_difference_without_scatter(self):
        result = made_up(60)
        same = ct2.Result(**(vars(result) | {"score": np.full(60, 0.5)}))
        samples = np.arange(60) % 6
        table = same.compare_conditions(np.where(samples < 3, "a", "b"), samples)
        assert np.isnan(table.columns["p"][0])
        assert table.columns["difference"][0] == 0

    def test_few_samples_are_told(self, result):
        samples = np.arange(400) % 3
        with pytest.warns(ct2.SampleWarning, match=r"than 3 samples: 'a \(2\)', 'b"):
            table = result.compare_conditions(np.where(samples < 2, "a", "b"), samples)
        assert np.isnan(table.columns["p"][0])

    @pytest.mark.parametrize(
        ("condition", "message"),
        [
            (["a", "b"] * 200, "sample '0' have several conditions: 'a', 'b'. Each sample must"),
            (["a"] * 400, "all samples have the condition 'a', so that there is nothing"),
        ],
    )
    def test_wrong_conditions(self, result, condition, message):
        with pytest.raises(ct2.InputError, match=message):
            result.compare_conditions(condition, np.arange(400) // 200)

    def test_a_sample_without_a_condition(self, result):
        samples = samples_of(np.arange(400) // 200, result.cells)
        with pytest.raises(ct2.UsageError, match="samples without a condition: '1'"):
            tables.conditions(result, samples, {"0": "a"})


class TestCommand:
    @pytest.fixture
    def table(self, tmp_path, monkeypatch):
        """An annotation of the example with samples and conditions."""
        monkeypatch.chdir(tmp_path)
        lines = (DATA / "enteric_300_annotation.txt").read_text().splitlines()
        rows = ["cell\tlabel\tdonor\tage"]
        for i, line in enumerate(lines[1:]):
            cell, label = line.split("\t")[:2]
            rows.append(f"{cell}\t{label}\td{i % 2}\t{'old' if i % 2 else 'young'}")
        Path("cells.tsv").write_text("\n".join(rows) + "\n")
        return Path("cells.tsv")

    def run(self, capsys, *words):
        with pytest.raises(SystemExit) as caught:
            main(["run", str(DATA / "enteric_300.txt.gz"), "-dpl", "-o", "out", *words])
        return caught.value.code, capsys.readouterr().err

    def test_the_files(self, capsys, table):
        words = ("-a", str(table), "--batch-key", "donor")
        code, err = self.run(capsys, *words, "--condition", "age")
        assert code == 0
        assert "conditions with fewer than 3 samples: 'old (1)', 'young (1)'" in err
        found = {path.name: path.read_text() for path in Path("out").iterdir()}
        assert set(found) == {
            *("cytotrace2_composition.tsv", "cytotrace2_conditions.tsv", "cytotrace2_results.txt"),
            *("cytotrace2_score_summary.tsv", "run.json"),
        }
        assert found["cytotrace2_conditions.tsv"].splitlines()[1].startswith("\told\tyoung\t1\t1\t")
        assert "\td0\t" not in found["cytotrace2_composition.tsv"]
        assert "\nd0\tleiden1\tOligopotent\t" in found["cytotrace2_composition.tsv"]
        code, _ = self.run(capsys, *words)
        assert code == 0
        assert not Path("out/cytotrace2_conditions.tsv").exists()

    @pytest.mark.parametrize(
        ("words", "code", "message"),
        [
            (["--condition", "age"], 2, "--condition compares samples: name their column, too"),
            (["--batch-key", "donor", "--condition", "x"], 2, "no column is called 'x'"),
            (["--batch-key", "donor", "--condition", "label"], 3, "have several conditions"),
        ],
    )
    def test_what_is_wrong(self, capsys, table, words, code, message):
        found = self.run(capsys, "-a", str(table), *words)
        assert found[0] == code
        assert message in found[1]
        assert not Path("out").exists()

    def test_not_to_standard_output(self, capsys, table):
        words = ["-a", str(table), "--batch-key", "donor", "--condition", "age", "-o", "-"]
        code, err = self.run(capsys, *words)
        assert code == 2
        assert "--condition writes a file: give a directory" in err
