"""Training of an open ensemble: its marker genes, folds, guide, gene sets and files."""

import importlib
import sys
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.stats import spearmanr

from cytotrace2_lite.base.potency import POTENCIES
from cytotrace2_lite.errors import InputError
from cytotrace2_lite.genes import N_FEATURES, features

ROOT = Path(__file__).resolve().parents[1]
sys.path.append(str(ROOT / "tools"))
datasets = importlib.import_module("datasets")

MARKERS = ROOT / "cytotrace2_lite" / "data" / "marker_sets.tsv"


class TestMarkers:
    def test_shipped_table_covers_every_potency_and_both_programmes(self):
        markers = datasets.read_markers(MARKERS)
        assert {marker.potency for marker in markers} == {*POTENCIES, "+", "-"}
        assert min(len(marker.genes) for marker in markers) >= 10
        names = [line.split("\t")[0] for line in MARKERS.read_text().splitlines()]
        assert len(set(names)) == len(names)

    def test_genes_are_features_each_once(self, tmp_path):
        table = tmp_path / "markers.tsv"
        table.write_text(f"name\tpotency\tgenes\na\t+\t{features()[7]} {features()[3]}\n")
        (marker,) = datasets.read_markers(table)
        assert marker.potency == "+"
        assert marker.genes.tolist() == [3, 7]

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("", "the header must be name, potency, genes, not []."),
            ("name\tgenes\n", "the header must be name, potency, genes, not ['name', 'genes']."),
            ("name\tpotency\tgenes\na\t+\n", "line 2: 2 fields, not 3."),
            ("name\tpotency\tgenes\na\tX\tNanog\n", "line 2: 'X' is none of Differentiated, "),
            ("name\tpotency\tgenes\na\t+\tNANOG\n", "line 2: 'NANOG' is no gene of the model"),
        ],
    )
    def test_what_is_wrong_is_named(self, tmp_path, text, message):
        table = tmp_path / "markers.tsv"
        table.write_text(text)
        with pytest.raises(InputError) as caught:
            datasets.read_markers(table)
        assert str(caught.value).startswith(f"{table}")
        assert message in str(caught.value)


class TestReading:
    def test_labels_that_are_not_wanted(self, tmp_path):
        values = sp.csr_matrix(np.ones((4, 300), np.float32))
        sp.save_npz(tmp_path / "expr.npz", values)
        (tmp_path / "genes.txt").write_text("\n".join(features()[:300]) + "\n")
        rows = ["label\tpotency", "a\tUnipotent", "b\tUnipotent", "c\t", "a\tDifferentiated"]
        (tmp_path / "cells.tsv").write_text("\n".join(rows) + "\n")
        (tmp_path / "info.txt").write_text("species\tmouse\n")
        read = datasets.read_dataset(tmp_path, N_FEATURES)
        assert (read.potency.tolist(), read.label.tolist()) == ([1, 1, 0], [0, 1, 0])
        read = datasets.read_dataset(tmp_path, N_FEATURES, ["b"])
        assert (read.potency.tolist(), read.label.tolist()) == ([1, 0], [0, 0])
        with pytest.raises(InputError, match=r"cells\.tsv: no cell has the label 'd'\.$"):
            datasets.read_dataset(tmp_path, N_FEATURES, ["d"])


@pytest.fixture(scope="module")
def train_open():
    pytest.importorskip("torch", reason="training needs the extra `train`")
    return importlib.import_module("train_open")


def made_up(name, potencies, *, seed, n_cells=40):
    """Cells whose first 40 genes of block k are high in potency k; 3,000 genes measured."""
    rng = np.random.default_rng(seed)
    potency = np.repeat(potencies, n_cells)
    counts = rng.poisson(1.0, (len(potency), 3000)).astype(np.float32)
    for cell, k in enumerate(potency):
        counts[cell, 40 * k : 40 * k + 40] += rng.poisson(20, 40)
    values = sp.lil_matrix((len(potency), N_FEATURES), dtype=np.float32)
    values[:, :3000] = counts
    measured = np.zeros(N_FEATURES, bool)
    measured[:3000] = True
    return datasets.Dataset(name, "mouse", values.tocsr(), potency, potency.copy(), measured)


@pytest.fixture(scope="module")
def made_up_data():
    return [
        made_up("early", [3, 4, 5], seed=1),
        made_up("late", [0, 1, 2], seed=2),
        made_up("both", [0, 1, 2, 3, 4, 5], seed=3),
        made_up("ends", [0, 5], seed=4),
    ]


class TestTraining:
    def test_every_dataset_is_left_out_in_turn_but_the_last_with_a_potency(
        self, train_open, made_up_data
    ):
        assert [train_open.left_out(made_up_data, i) for i in range(5)] == [
            ["early"],
            ["late"],
            ["both"],
            ["ends"],
            ["early"],
        ]
        # Without "both", only the potencies of "ends" are in other datasets, too.
        alone = [d for d in made_up_data if d.name != "both"]
        assert [train_open.left_out(alone, i) for i in range(2)] == [["ends"], ["ends"]]
        assert train_open.left_out(made_up_data[:1], 0) == []

    def test_a_tissue_is_left_out_whole(self, train_open, made_up_data):
        tissue = {"early": "embryo", "ends": "embryo", "late": "blood", "both": "skin"}
        left_out = [train_open.left_out(made_up_data, i, tissue) for i in range(4)]
        assert left_out == [["early", "ends"], ["late"], ["both"], ["early", "ends"]]
        tissue["both"] = "blood"  # without blood, no cell of Unipotent would be left
        assert train_open.left_out(made_up_data, 1, tissue) == ["early", "ends"]

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("a\tskin\n", "no line for the dataset b."),
            ("a\tskin\nb\n", "line 2: 1 fields, not dataset and tissue."),
        ],
    )
    def test_wrong_tissues(self, train_open, tmp_path, text, message):
        table = tmp_path / "tissues.tsv"
        table.write_text(text)
        with pytest.raises(ValueError, match=message) as caught:
            train_open.read_tissues(table, ["a", "b"])
        assert str(caught.value).startswith(str(table))

    def test_guide_starts_from_markers_and_learns_from_data(
        self, train_open, made_up_data, monkeypatch
    ):
        import torch

        torch.manual_seed(0)
        monkeypatch.setattr(train_open, "GUIDE_CELLS", 300)
        controls = sp.csr_matrix((N_FEATURES, N_FEATURES), dtype=np.float32)
        sampler = train_open.Sampler(made_up_data, controls, [], np.random.default_rng(0))
        assert len(sampler.genes) == 3000
        # Marker genes of totipotent cells that do not vary with potency in these data.
        marker = datasets.MarkerSet("zygote", "Totipotent", np.arange(2000, 2040))
        guide = train_open.fit_guide(sampler, [marker], 1000.0)
        assert guide.weight.shape == (3000, 6)
        of_block = torch.stack([guide.weight[40 * k : 40 * k + 40].mean(0) for k in range(6)])
        towards = of_block @ torch.arange(6.0)
        assert (towards.diff() > 0).all()  # the higher the potency, the more its genes raise it
        assert guide.weight[2000:2040].mean(0).argmax() == 5

    def test_half_of_the_cells_get_programmes_of_division_from_cells_of_their_dataset(
        self, train_open, made_up_data
    ):
        controls = sp.csr_matrix((N_FEATURES, N_FEATURES), dtype=np.float32)
        marker = datasets.MarkerSet(train_open.DIVISION[0], "+", np.arange(40))
        random = np.random.default_rng(0)
        sampler = train_open.Sampler(made_up_data, controls, [marker], random)
        cells = sampler.cells(600)
        before, after = (m.toarray() for m in (sampler.values[cells], sampler.exchange(cells)))
        np.testing.assert_array_equal(before[:, 40:], after[:, 40:])
        changed = (before[:, :40] != after[:, :40]).any(1)
        assert 0.4 < changed.mean() < 0.6
        programmes = [
            {(i, row.tobytes()) for i, row in zip(sampler.source[cells], counts, strict=True)}
            for counts in (before[:, :40], after[:, :40])
        ]
        assert programmes[1] <= programmes[0]

    def test_gene_sets_repeat_the_guide(self, train_open):
        import torch

        torch.manual_seed(0)
        weight = torch.zeros(2000, 6)
        weight[:600, 0], weight[600:1200, 0] = 1.0, -1.0
        weight[:, 1:] = torch.randn(2000, 5)
        module = train_open.Module(train_open.Guide(1500.0, weight, torch.zeros(6)), 0, 24)
        sets, n, max_rank = module.sizes()
        assert max_rank.item() == pytest.approx(1500, abs=0.01)
        share = sets.detach().reshape(2000, 12, 2).mean(1)  # of the sets for and against
        assert share[:600, 0].mean() == pytest.approx(500 / 600, abs=0.02)
        assert share[600:, 0].max() == 0
        assert share[600:1200, 1].mean() == pytest.approx(500 / 600, abs=0.02)
        assert share[:600, 1].max() == share[1200:, 1].max() == 0
        module.batchnorm.running_var.fill_(0.25)
        module.take_output()
        per_gene = module.out.weight[0, :24] / 0.25**0.5 / n
        assert (sets @ per_gene)[:600].mean().item() == pytest.approx(1, abs=0.05)
        assert (sets @ per_gene)[600:1200].mean().item() == pytest.approx(-1, abs=0.05)

    def test_same_seed_same_member_in_the_published_format(
        self, train_open, made_up_data, monkeypatch, tmp_path
    ):
        import torch

        from cytotrace2_lite.models.fold.export import fold_members
        from cytotrace2_lite.models.fold.folded import mean_probabilities

        monkeypatch.setattr(train_open, "GUIDE_CELLS", 200)
        monkeypatch.setattr(train_open, "STATISTICS_BATCHES", 2)
        bins = train_open.expression_bins(made_up_data)
        controls = train_open.background(bins, np.random.default_rng(0))
        states = [
            train_open.train_member(made_up_data, controls, [], 3, n_sets=4, n_steps=2)[0]
            for _ in range(2)
        ]
        assert states[0].keys() == states[1].keys()
        assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
        torch.save(states[0], tmp_path / "model1.pt")
        folded = fold_members([tmp_path / "model1.pt"], "1.1.0", sp.csr_array(controls))
        cells = made_up_data[2].values[::7]
        rank = train_open.preprocess.rank_all(sp.csr_array(cells))
        log2 = train_open.preprocess.log2_cpm(sp.csr_array(cells)).toarray()
        score = mean_probabilities(folded.logits(rank, log2)) @ np.arange(6)
        assert spearmanr(score, made_up_data[2].potency[::7])[0] > 0.9
        # A gene that the data do not measure is in no set.
        assert (states[0]["layers.0.weight"][3000:] < 0).all()
