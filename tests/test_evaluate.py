"""The evaluation tool on made-up datasets: reading, figures, left-out members and report."""

import importlib
import json
import math
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp
from helpers import synthetic_ensemble, torch_format
from helpers.counts import random_counts
from scipy.stats import spearmanr

import cytotrace2_lite
from cytotrace2_lite.base.potency import POTENCIES
from cytotrace2_lite.errors import InputError, ModelError
from cytotrace2_lite.genes import N_FEATURES, features
from cytotrace2_lite.models.fold.export import export

ROOT = Path(__file__).resolve().parents[1]
sys.path.append(str(ROOT / "tools"))
evaluate = importlib.import_module("evaluate")
evaluation_intervals = importlib.import_module("evaluation_intervals")
evaluation_figures = importlib.import_module("evaluation_figures")
datasets = importlib.import_module("datasets")


def write_dataset(folder, values, genes, cells, *, species="mouse", units="counts"):
    folder.mkdir(parents=True)
    sp.save_npz(folder / "expr.npz", sp.csr_matrix(values))
    (folder / "genes.txt").write_text("\n".join(genes) + "\n")
    (folder / "cells.tsv").write_text("\n".join("\t".join(row) for row in cells) + "\n")
    (folder / "info.txt").write_text(f"species\t{species}\nunits\t{units}\n")
    return folder


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    """Two datasets: `pair` has two potencies and unlabelled cells, `single` one, and ranks only."""
    folder = tmp_path_factory.mktemp("data")
    counts = random_counts(40, 600, seed=1).toarray()
    counts[3] = 0
    counts[3, :150] = 2  # too few genes to be judged
    rows = [["cell_id", "label", "potency", "monocle2_pseudotime"]]
    for i in range(40):
        potency = ("Pluripotent", "Unipotent", "", "Unipotent")[i % 4]
        rows.append([f"c{i}", f"l{i % 4}", potency, "" if i == 1 else str(i / 7)])
    # A repeated name: the second column of the gene must not count.
    extra = np.full((40, 1), 1000.0)
    names = [*features(), features()[5]]
    write_dataset(folder / "pair", np.hstack([counts, extra]), names, rows)
    values = random_counts(12, 500, seed=2)
    values.data = values.data**2 + 0.5
    write_dataset(
        folder / "single",
        values,
        features(),
        [["potency", "label"], *[["Differentiated", "x"]] * 12],
        units="within-cell ranks only are trustworthy",
    )
    return folder


@pytest.fixture(scope="module")
def members_dir(members, tmp_path_factory):
    """Three members: the first and third were trained without `pair`, none without `single`."""
    folder = tmp_path_factory.mktemp("trained") / "mine"
    shutil.copytree(members["1.1.0"], folder)
    write_training(folder, [["pair"], [], ["pair"]])
    return folder


def write_training(folder, left_out, leave_out=()):
    names = sorted({"pair", "single"} - set(leave_out))
    record = {
        "datasets": {name: {} for name in names},
        "settings": {"leave_out": list(leave_out)},
        "members": [{"left_out": names} for names in left_out],
    }
    (folder / "training.json").write_text(json.dumps(record))


def run(*arguments):
    return evaluate.main([str(argument) for argument in arguments])


def report_of(tmp_path, *arguments):
    path = tmp_path / "report.json"
    assert run(*arguments, "--json", path) == 0
    return json.loads(path.read_text())


def scores(data_dir, name, model):
    """What `cytotrace2_lite.run` gives for a dataset."""
    folder = data_dir / name
    values = sp.load_npz(folder / "expr.npz").astype(float)[:, :N_FEATURES]
    if name == "single":
        values.data = np.sqrt(values.data)
    return cytotrace2_lite.run(values, genes=list(features()), model=model)


def test_all_cells_are_read(data_dir):
    pair = datasets.read_cells(data_dir / "pair")
    assert pair.values.shape == (40, N_FEATURES)
    assert pair.values[:, [5]].max() < 1000
    assert pair.potency[:4].tolist() == [4, 1, -1, 1]
    assert pair.columns["cell_id"][7] == "c7"
    single = datasets.read_cells(data_dir / "single")
    squared = sp.load_npz(data_dir / "single" / "expr.npz")
    np.testing.assert_allclose(single.values.toarray() ** 2, squared.toarray())
    assert pair.genes == list(features())


def test_labelled_cells_with_enough_genes_are_trained_on(data_dir):
    pair = datasets.read_dataset(data_dir / "pair", N_FEATURES)
    assert len(pair.potency) == 29  # of 40: 10 have no potency, cell 3 too few genes
    assert pair.label.tolist()[:4] == [0, 1, 0, 1]
    assert pair.values.dtype == np.float32
    assert pair.measured.all()


def test_dataset_without_a_potency_is_not_trained_on(tmp_path):
    cells = [["label", "potency"], ["a", ""]]
    folder = write_dataset(tmp_path / "none", np.ones((1, N_FEATURES)), features(), cells)
    assert datasets.read_dataset(folder, N_FEATURES) is None


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("info.txt", None, "{folder}: info.txt is missing; see --help for the layout."),
        ("info.txt", "units\tcounts\n", "{file}: species is None, not mouse or human."),
        ("info.txt", "species\trat\n", "{file}: species is 'rat', not mouse or human."),
        (
            "cells.tsv",
            "cell\tlabel\nc1\tx\n",
            "{file}: needs columns label and potency, has ['cell', 'label'].",
        ),
        ("cells.tsv", "", "{file}: needs columns label and potency, has []."),
        ("cells.tsv", "label\tpotency\nx\n", "{file}: line 2 has 1 fields, the header 2."),
        (
            "cells.tsv",
            "label\tpotency\nx\tstem\n",
            "{file}: potency 'stem' is none of " + ", ".join(POTENCIES) + ".",
        ),
        (
            "genes.txt",
            "Actb\n",
            "{folder}/expr.npz: shape (2, 3), but cells.tsv has 2 cells and genes.txt 1 genes.",
        ),
        ("genes.txt", b"\xff\n", "{file}: not UTF-8 text."),
        ("expr.npz", "no zip", "{file}: not a SciPy sparse matrix ("),
    ],
)
def test_unusable_datasets(tmp_path, file, content, message):
    cells = [["label", "potency"], ["a", ""], ["b", "Totipotent"]]
    folder = write_dataset(tmp_path / "x", np.ones((2, 3)), ["Actb", "Sox2", "Myc"], cells)
    if content is None:
        (folder / file).unlink()
    else:
        (folder / file).write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(InputError) as caught:
        datasets.read_cells(folder)
    expected = message.format(folder=folder, file=folder / file)
    assert str(caught.value).startswith(expected)
    assert expected.endswith("(") or str(caught.value) == expected


def test_negative_values_are_refused(tmp_path):
    cells = [["label", "potency"], ["a", ""]]
    folder = write_dataset(tmp_path / "x", np.array([[1, -1]]), ["Actb", "Sox2"], cells)
    with pytest.raises(InputError) as caught:
        datasets.read_cells(folder)
    assert str(caught.value) == f"{folder / 'expr.npz'}: holds negative or non-finite values."


def test_figures_by_hand():
    figures = evaluation_figures.compare(
        score=np.array([0.0, 0.3, 0.2, 0.9]),
        category=np.array([0, 2, 1, 5]),
        potency=np.array([0, 1, 3, 4]),
        pseudotime=np.array([9.0, np.nan, 1.0, 3.0]),
    )
    assert figures["spearman"] == pytest.approx(0.8)
    assert figures["kendall"] == pytest.approx(4 / 6)
    assert figures["mean_absolute_error"] == pytest.approx((0 + 0.1 + 0.4 + 0.1) / 4)
    assert figures["exact"] == 0.25
    assert figures["within_one"] == 0.75
    assert list(figures["median"].items()) == [
        ("Pluripotent", 0.9),
        ("Multipotent", 0.2),
        ("Unipotent", 0.3),
        ("Differentiated", 0.0),
    ]
    matrix = np.array(figures["confusion"])
    assert matrix.sum() == 4
    assert matrix[0, 0] == matrix[1, 2] == matrix[3, 1] == matrix[4, 5] == 1
    # The three cells with a pseudotime, late to early: scores 0, 0.9, 0.2.
    assert figures["spearman_pseudotime"] == pytest.approx(0.5)


def test_ties_count_in_kendall_as_tau_b():
    potency = np.array([0, 0, 4, 4])
    figures = evaluation_figures.compare(np.array([0.1, 0.2, 0.7, 0.8]), potency, potency, None)
    assert figures["kendall"] == pytest.approx(4 / math.sqrt(6 * 4))
    assert "spearman_pseudotime" not in figures


def test_correlations_of_one_potency_or_one_score_are_not_defined():
    three = np.array([3, 3, 3])
    figures = evaluation_figures.compare(np.array([0.1, 0.2, 0.3]), three, three, None)
    assert figures["spearman"] is figures["kendall"] is None
    figures = evaluation_figures.compare(np.full(3, 0.5), three, np.array([1, 2, 3]), None)
    assert figures["spearman"] is figures["kendall"] is None


@pytest.mark.parametrize("version", ["1.1.0", "1.0.0"])
@pytest.mark.filterwarnings("ignore::cytotrace2_lite.CytoTRACE2Warning")
def test_a_model_is_judged_by_the_scores_of_the_whole_dataset(
    data_dir, model_files, tmp_path, version
):
    model = model_files[version]
    report = report_of(tmp_path, data_dir, "--model", model)
    assert report["datasets"]["pair"]["cells"] == 29
    assert report["datasets"]["pair"]["cells_in_all"] == 40
    assert report["datasets"]["pair"]["potencies"] == {"Pluripotent": 10, "Unipotent": 19}
    assert report["common"] == ["pair", "single"]
    (label,) = report["models"]
    assert label == "made-up"
    found = report["models"][label]
    for name, cells in {"pair": [i for i in range(40) if i % 4 != 2 and i != 3]}.items():
        result = scores(data_dir, name, model)
        potency = np.array([(4, 1, -1, 1)[i % 4] for i in cells])
        pseudotime = np.array([np.nan if i == 1 else i / 7 for i in cells])
        expected = {
            "raw": evaluation_figures.compare(
                result.raw_score[cells],
                result.probabilities[cells].argmax(axis=1),
                potency,
                pseudotime,
            ),
            "smoothed": evaluation_figures.compare(
                result.score[cells], result.potency_index[cells], potency, pseudotime
            ),
        }
        for score, figures in expected.items():
            assert found["datasets"][name][score] == figures
    result = scores(data_dir, "single", model)
    raw = found["datasets"]["single"]["raw"]
    assert raw["median"] == {"Differentiated": pytest.approx(np.median(result.raw_score))}
    assert raw["mean_absolute_error"] == pytest.approx(result.raw_score.mean())
    pair = found["datasets"]["pair"]["raw"]
    assert found["overall"]["raw"]["spearman"] == pair["spearman"]
    assert found["overall"]["raw"]["exact"] == pytest.approx((pair["exact"] + raw["exact"]) / 2)


def test_a_dataset_is_left_to_the_members_blind_to_it(
    data_dir, members, members_dir, tmp_path, capsys
):
    report = report_of(tmp_path, data_dir, "--members", members_dir)
    found = report["models"]["mine (left out)"]
    assert found["datasets"]["pair"]["members"] == ["model1.pt", "model3.pt"]
    assert found["datasets"]["single"] is None
    assert report["common"] == ["pair"]
    printed = capsys.readouterr()
    assert "single, mine (left out): no member is blind to it\n" in printed.err
    assert "no blind member" in printed.out

    two = tmp_path / "two"
    two.mkdir()
    for number, index in enumerate((0, 2), 1):
        torch_format.save(two / f"model{number}.pt", synthetic_ensemble.member(index))
    _, content = export(two, background=members["1.1.0"] / "background.pt", n_members=2)
    (tmp_path / "two.onnx").write_bytes(content)
    expected = report_of(tmp_path, data_dir, "--model", tmp_path / "two.onnx")
    expected = expected["models"]["two"]["datasets"]["pair"]
    for score in ("raw", "smoothed"):
        assert found["datasets"]["pair"][score] == expected[score]


def test_all_members_are_blind_to_what_training_leaves_out(data_dir, members_dir, tmp_path):
    folder = tmp_path / "mine"
    shutil.copytree(members_dir, folder)
    write_training(folder, [[], [], []], leave_out=["single"])
    report = report_of(tmp_path, data_dir, "--members", folder)
    found = report["models"]["mine (left out)"]["datasets"]
    assert found["pair"] is None
    assert found["single"]["members"] == ["model1.pt", "model2.pt", "model3.pt"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, ": cannot be read (No such file or directory); it says which datasets each member "),
        ("{", ": does not say which datasets each member was trained without."),
        ("[]", ": does not say which datasets each member was trained without."),
    ],
)
def test_training_record_is_needed(members_dir, tmp_path, content, message):
    folder = tmp_path / "mine"
    shutil.copytree(members_dir, folder)
    (folder / "training.json").unlink()
    if content is not None:
        (folder / "training.json").write_text(content)
    with pytest.raises(ModelError) as caught:
        evaluate.BlindMembers(folder, tmp_path)
    assert str(caught.value).startswith(f"{folder / 'training.json'}{message}")


def test_training_record_of_other_members(members_dir, tmp_path):
    folder = tmp_path / "mine"
    shutil.copytree(members_dir, folder)
    write_training(folder, [[], []])
    with pytest.raises(ModelError) as caught:
        evaluate.BlindMembers(folder, tmp_path)
    assert str(caught.value) == f"{folder}: 3 members, but training.json is about 2."


class TestHowSure:
    def cells(self, raw, potency, sd=None, label=None):
        raw, potency = np.array(raw, float), np.array(potency)
        sd = np.zeros(len(raw)) if sd is None else np.array(sd)
        label = np.array(["x"] * len(raw) if label is None else label)
        return evaluation_intervals.JudgedCells(label, potency, raw, 1 - raw, sd)

    def test_spread_by_hand(self):
        cells = self.cells([0.0, 0.3, 0.4, 0.2, 0.5, 1.0], [0, 1, 2, 3, 4, 5], [1, 3, 2, 6, 5, 4])
        found = evaluation_figures.spread(cells)
        assert found["mean"] == 3.5
        assert found["error_low"] == 0.0  # cells 0 and 2
        assert found["error_high"] == pytest.approx((0.4 + 0.3) / 2)  # cells 3 and 4
        assert found["spearman"] == pytest.approx(
            spearmanr(cells.score_sd, [0, 0.1, 0, 0.4, 0.3, 0])[0]
        )
        assert evaluation_figures.spread(self.cells([0.1], [0]))["spearman"] is None

    def test_intervals_hold_the_figure_and_its_difference(self):
        random = np.random.default_rng(0)
        potency = np.repeat([0, 2, 4], 40)
        near = {
            name: self.cells(potency / 5 + random.normal(0, 0.15, 120), potency) for name in "ab"
        }
        far = {name: self.cells(potency / 5 + random.normal(0, 0.4, 120), potency) for name in "ab"}
        found = evaluation_intervals.intervals({"far": far, "near": near}, ["a", "b"])
        raw = found["raw"]["spearman"]
        for label, cells in (("far", far), ("near", near)):
            figure, low, high = raw["models"][label]
            expected = np.mean([spearmanr(c.raw, c.potency)[0] for c in cells.values()])
            assert figure == pytest.approx(expected)
            assert low < figure < high
        figure, low, high = raw["differences"]["near"]
        assert figure == pytest.approx(raw["models"]["near"][0] - raw["models"]["far"][0])
        assert 0 < low < figure < high
        error = found["raw"]["mean_absolute_error"]["differences"]["near"]
        assert error[2] < 0
        assert found == evaluation_intervals.intervals({"far": far, "near": near}, ["a", "b"])

    def test_area_under_the_curve_by_hand(self):
        score = np.array([0.1, 0.5, 0.5, 0.9])
        above, below = np.array([0, 1, 0, 1], bool), np.array([1, 0, 1, 0], bool)
        assert evaluation_intervals.area_under_curve(score, above, below) == 3.5 / 4

    def test_in_the_report(self, data_dir, model_files, tmp_path, capsys):
        words = ["--model", model_files["1.1.0"], "--intervals", "--auc", "pair", "l0", "l[13]"]
        report = report_of(tmp_path, data_dir, *words)
        found = report["models"]["made-up"]["datasets"]["pair"]
        assert report["unseen"]["datasets"] == ["pair"]
        raw = report["unseen"]["raw"]["spearman"]["models"]["made-up"]
        assert raw[0] == pytest.approx(found["raw"]["spearman"])
        printed = capsys.readouterr().out
        assert "Means of 1 datasets that no model was trained on, 95 % intervals\n" in printed
        (area,) = found["areas"]
        assert f"l0 over l[13]: {area['raw']:.2f} / {area['smoothed']:.2f}" in printed
        assert f"{found['spread']['mean']:.3f}, " in printed
        marked = report_of(tmp_path, data_dir, *words[:3], "--in-sample", "pair")
        assert marked["unseen"] is None

    @pytest.mark.parametrize(
        ("patterns", "message"),
        [
            (("l0", "none"), "--auc pair: no judged cell has a label like 'none'."),
            (("(", "l1"), "--auc '(' is no regular expression: "),
        ],
    )
    def test_wrong_patterns(self, data_dir, model_files, capsys, patterns, message):
        code = run(data_dir, "--model", model_files["1.1.0"], "--auc", "pair", *patterns)
        assert code == 2
        assert message in capsys.readouterr().err


def test_samples_have_the_share_of_the_counts_asked_for():
    counts = random_counts(20, 800, seed=3)
    counts.data *= 50
    before = counts.copy()
    sampled = evaluation_figures.sample_down(counts, 0.25, whole=True)
    assert sampled.sum() == pytest.approx(counts.sum() / 4, rel=0.01)
    assert (sampled.data % 1 == 0).all()
    assert sampled.data.min() >= 1
    assert ((before - sampled).data >= 0).all()
    np.testing.assert_array_equal(counts.toarray(), before.toarray())
    again = evaluation_figures.sample_down(counts, 0.25, whole=True)
    np.testing.assert_array_equal(again.toarray(), sampled.toarray())
    counts.data += 0.5
    poisson = evaluation_figures.sample_down(counts, 0.25, whole=False)
    assert poisson.sum() == pytest.approx(counts.sum() / 4, rel=0.01)
    assert (poisson.data % 1 == 0).all()


def test_order_of_down_sampled_cells(data_dir, model_files, tmp_path, capsys):
    model = model_files["1.1.0"]
    report = report_of(tmp_path, data_dir, "--model", model, "--downsample", 0.99, 0.001)
    text = capsys.readouterr().out
    found = report["models"]["made-up"]["datasets"]["pair"]["downsampled"]
    assert found["0.99"]["raw"] > 0.9
    assert found["0.99"]["smoothed"] > 0.8
    assert found["0.99"]["cells"] == 29
    assert found["0.001"]["cells"] < 29  # the others have no count left
    assert report["datasets"]["pair"]["whole_numbers"]
    assert not report["datasets"]["single"]["whole_numbers"]
    assert "\nsingle ~ " in text
    assert text.endswith(
        "~ not whole numbers: down-sampled by Poisson instead of binomial samples.\n"
    )
    assert report_of(tmp_path, data_dir, "--model", model, "--downsample", 0.99, 0.001) == report


def test_report_in_markdown(data_dir, model_files, tmp_path, capsys):
    report = report_of(
        tmp_path,
        data_dir,
        *("--model", model_files["1.1.0"], "--model", model_files["1.0.0"]),
        *("--datasets", "pair", "--markdown", "--in-sample", "pair"),
    )
    first, second = report["models"]
    assert first == f"made-up {report['models'][first]['sha256'][:8]}"
    out = capsys.readouterr().out.split("\n")
    assert out[0] == "### Rank correlation of score and potency, raw / smoothed"
    assert out[2] == (
        f"| dataset | cells | {first} Spearman | {second} Spearman | {first} Kendall | "
        f"{second} Kendall |"
    )
    assert out[3] == "|---|---|---|---|---|---|"
    raw, smoothed = (
        report["models"][first]["datasets"]["pair"][score]["spearman"]
        for score in ("raw", "smoothed")
    )
    assert out[4].startswith(f"| pair | 10 P, 19 U | {raw:.2f} / {smoothed:.2f}* | ")
    assert "* the model was trained on this dataset." in out
    assert not any(line.startswith("Predicted") for line in out)


def test_report_in_text_has_the_confusion_matrices(data_dir, model_files, tmp_path, capsys):
    report = report_of(tmp_path, data_dir, "--model", model_files["1.1.0"])
    figures = report["models"]["made-up"]["datasets"]["pair"]
    out = capsys.readouterr().out.split("\n")
    start = out.index("Predicted potencies of pair, made-up")
    counts = [n for score in ("raw", "smoothed") for n in figures[score]["confusion"][4]]
    assert out[start + 3].split() == ["Pluripotent", *map(str, counts)]
    assert out[start + 4].startswith("Unipotent ")


def test_only_the_models_named_are_marked(data_dir, model_files, members_dir, tmp_path):
    report = report_of(
        tmp_path,
        data_dir,
        *("--model", model_files["1.1.0"], "--members", members_dir),
        *("--datasets", "pair", "--in-sample", "made-up=pair"),
    )
    assert report["models"]["made-up"]["datasets"]["pair"]["in_sample"]
    assert not report["models"]["mine (left out)"]["datasets"]["pair"]["in_sample"]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ((), 2, "nothing to evaluate: give --model or --members."),
        (("--model", "{model}", "--model", "{model}"), 2, "--model: made-up {sha} is given twice."),
        (("--model", "nonesuch"), 5, "nonesuch: "),
        (("--members", "{data}"), 5, "{data}: no ensemble member (.pt file) in this directory."),
        (
            ("--model", "{model}", "--datasets", "pairs"),
            2,
            "--datasets pairs: no such dataset in {data}; it has pair, single.",
        ),
        (
            ("--model", "{model}", "--in-sample", "x"),
            2,
            "--in-sample x: no dataset 'x' among pair, single.",
        ),
        (
            ("--model", "{model}", "--in-sample", "theirs=pair"),
            2,
            "--in-sample theirs=pair: no model 'theirs' among made-up.",
        ),
        (
            ("--model", "{model}", "--downsample", "25"),
            2,
            "--downsample 25: a share must lie between 0 and 1.",
        ),
        (
            ("--model", "{model}", "--json", "{data}/none/x.json"),
            2,
            "{data}/none/x.json: cannot be written: give a file in a folder that exists.",
        ),
        (
            ("--model", "{model}", "--json", "{data}"),
            2,
            "{data}: cannot be written: give a file in a folder that exists.",
        ),
    ],
)
def test_wrong_arguments(data_dir, model_files, capsys, arguments, code, message):
    import hashlib

    model = model_files["1.1.0"]
    sha = hashlib.sha256(model.read_bytes()).hexdigest()[:8]
    known = {"model": model, "data": data_dir, "sha": sha}
    assert run(data_dir, *(argument.format(**known) for argument in arguments)) == code
    printed = capsys.readouterr()
    assert printed.out == ""
    (line,) = printed.err.splitlines()
    expected = "evaluate: " + message.format(**known)
    assert line == expected or (expected.endswith(": ") and line.startswith(expected))


def test_wrong_data_folders(tmp_path, model_files, capsys):
    model = ("--model", model_files["1.1.0"])
    assert run(tmp_path / "none", *model) == 3
    assert run(tmp_path, *model) == 3
    cells = [["label", "potency"], ["a", "Totipotent"]]
    write_dataset(tmp_path / "few", np.ones((1, 100)), features()[:100], cells)
    assert run(tmp_path, *model) == 3
    assert capsys.readouterr().err.splitlines() == [
        f"evaluate: {tmp_path / 'none'}: no such folder of datasets.",
        f"evaluate: {tmp_path}: no dataset (folder with expr.npz) in this folder.",
        "few: no cell to judge",
        f"evaluate: {tmp_path}: no cell has a potency and 200 expressed genes.",
    ]


def test_errors_name_the_dataset(tmp_path, model_files, capsys):
    cells = [["label", "potency"], ["a", "Totipotent"]]
    folder = write_dataset(tmp_path / "other", np.ones((1, 2)), ["foo", "bar"], cells)
    assert run(tmp_path, "--model", model_files["1.1.0"]) == 4
    assert capsys.readouterr().err.startswith(f"evaluate: {folder}: ")


def test_pseudotime_must_be_numbers(tmp_path, model_files, capsys):
    cells = [["label", "potency", "monocle2_pseudotime"], ["a", "Totipotent", "late"]]
    write_dataset(tmp_path / "x", random_counts(1, 300), features(), cells)
    assert run(tmp_path, "--model", model_files["1.1.0"]) == 3
    assert capsys.readouterr().err == (
        "evaluate: x: monocle2_pseudotime holds something that is not a number: could not convert "
        "string to float: 'late'.\n"
    )


def test_plot(data_dir, model_files, members_dir, tmp_path):
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    path = tmp_path / "figure.svg"
    models = ("--model", model_files["1.1.0"], "--members", members_dir)
    assert run(data_dir, *models, "--in-sample", "made-up=pair", "--plot", path) == 0
    assert b"<svg" in path.read_bytes()
    assert run(data_dir, *models, "--datasets", "single", "--plot", path) == 0


def test_plot_names_an_image(data_dir, model_files, capsys):
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    assert run(data_dir, "--model", model_files["1.1.0"], "--plot", "figure.doc") == 2
    assert capsys.readouterr().err.startswith(
        "evaluate: --plot figure.doc: give a name that ends in one of "
    )


def test_plot_without_matplotlib(data_dir, model_files, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    assert run(data_dir, "--model", model_files["1.1.0"], "--plot", "figure.png") == 1
    assert capsys.readouterr().err == (
        "evaluate: --plot needs the package matplotlib, which is not installed: "
        "pip install matplotlib\n"
    )


def test_torch_is_not_imported(data_dir, members_dir, tmp_path):
    (tmp_path / "torch.py").write_text("raise SystemExit('torch was imported')\n")
    done = subprocess.run(
        [
            *(sys.executable, ROOT / "tools/evaluate.py", data_dir, "--members", members_dir),
            *("--datasets", "pair"),
        ],
        env={"PYTHONPATH": f"{tmp_path}:{ROOT}", "PATH": "", "OPENBLAS_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("Rank correlation of score and potency, raw / smoothed\n")
