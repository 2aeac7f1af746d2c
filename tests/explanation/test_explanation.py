"""`explain` from data to tables, on made-up cells and the example tables."""

import sys
from pathlib import Path

import numpy as np
import pytest
from helpers.counts import structured_counts

import cytotrace2_lite as ct2
from cytotrace2_lite.genes import features

DATA = Path(__file__).parents[1] / "data"
pytestmark = pytest.mark.filterwarnings("ignore::cytotrace2_lite.CytoTRACE2Warning")


def matrix():
    """130 cells with all genes of the model, one of them without a count."""
    counts = structured_counts(130, seed=2).tolil()
    counts[7] = 0
    return counts.tocsr()


LABELS = ["a", "b", "c", "a", ""] * 26


@pytest.fixture(scope="module", params=["1.1.0", "1.0.0"])
def made_up(request, ensembles):
    return ct2.explain(
        matrix(), genes=list(features()), groups=LABELS, model=ensembles[request.param]
    )


@pytest.fixture(scope="module")
def marrow():
    """The human example with its labels, by the bundled model."""
    labels = [
        line.split("\t")[1]
        for line in (DATA / "palantir_300_annotation.txt").read_text().splitlines()[1:]
    ]
    return ct2.explain(
        DATA / "palantir_300.txt.gz", species="human", model="open", groups=labels, max_cores=1
    )


def test_scores_are_those_of_run(made_up, ensembles):
    architecture = made_up.scores.info["model"]["architecture"]
    result = ct2.run(matrix(), genes=list(features()), model=ensembles[architecture])
    np.testing.assert_array_equal(made_up.scores.score, result.score)
    np.testing.assert_array_equal(made_up.raw_score, result.raw_score)


def test_shares_of_every_cell_add_up(made_up):
    shares = made_up.shares()
    assert shares.dtype == np.float32
    assert shares.shape == (130, 14271)
    total = shares.sum(axis=1) + made_up.reference.score
    np.testing.assert_allclose(total, made_up.raw_score, rtol=0, atol=1e-6)
    assert np.isnan(made_up.raw_score).sum() == 1
    assert np.isnan(shares[7]).all()


def test_group_means_are_means_of_the_shares(made_up):
    shares = made_up.shares().astype(float)
    labels = np.array(LABELS)
    for position, group in enumerate(made_up.groups):
        own = (labels == group) & ~np.isnan(made_up.value)
        np.testing.assert_allclose(
            made_up.mean_shares[position], shares[own].mean(axis=0), rtol=1e-4, atol=1e-8
        )
        assert made_up.group_values[position] == pytest.approx(made_up.value[own].mean())
        assert made_up.group_sizes[position] == own.sum()
        others = ~own & ~np.isnan(made_up.value)
        table = made_up.gene_table(group=group).columns
        order = [features().index(symbol) for symbol in table["mouse_symbol"]]
        np.testing.assert_allclose(
            table["mean_share_others"], shares[others].mean(axis=0)[order], rtol=1e-4, atol=1e-8
        )
        np.testing.assert_allclose(
            table["difference"], table["mean_share"] - table["mean_share_others"]
        )
    values = made_up.mean_shares.sum(axis=1) + made_up.reference.value
    np.testing.assert_allclose(values, made_up.group_values, rtol=0, atol=1e-6)


def test_expressed_part_is_the_share_less_that_of_cells_that_lack_the_gene(made_up):
    counts = matrix().toarray()
    shares = made_up.shares().astype(float)
    position = made_up.position("a")
    lacking = (counts == 0).all(axis=0)
    assert not made_up.expressed_parts[position][lacking].any()
    # All cells that lack a gene have the share of the reference, taken off.
    gene = int(np.argmax(np.abs(made_up.mean_shares[position]) * (counts == 0).any(axis=0)))
    own = (np.array(LABELS) == "a") & ~np.isnan(made_up.value)
    without = own & (counts[:, gene] == 0)
    rest = made_up.mean_shares[position, gene] - made_up.expressed_parts[position, gene]
    assert np.sign(rest) == np.sign(shares[without, gene].mean()) or not without.any()


def test_expression_of_the_groups(made_up):
    counts = matrix()
    dense = counts.toarray()
    log2 = np.log2(1e6 * dense / np.maximum(dense.sum(axis=1, keepdims=True), 1) + 1)
    own = (np.array(LABELS) == "b") & (dense.sum(axis=1) > 0)
    position = made_up.position("b")
    np.testing.assert_allclose(made_up.expressing[position], (dense[own] > 0).mean(axis=0))
    np.testing.assert_allclose(made_up.mean_log2_cpm[position], log2[own].mean(axis=0))


def test_some_cells_are_asked_for(made_up):
    every = made_up.shares()
    names = [made_up.cells[i] for i in (3, 1)]
    mask = np.zeros(130, dtype=bool)
    mask[[1, 3]] = True
    for cells, rows in ((names, [3, 1]), (mask, [1, 3]), (slice(5, 9), [5, 6, 7, 8]), (4, [4])):
        np.testing.assert_allclose(made_up.shares(cells), every[rows], atol=1e-6)
    with pytest.raises(ct2.UsageError, match="there is no cell 'nobody'"):
        made_up.shares(["nobody"])
    with pytest.raises(ct2.UsageError, match="cells: "):
        made_up.shares([1000])


def test_result_does_not_depend_on_threads_and_steps(made_up, ensembles, monkeypatch):
    architecture = made_up.scores.info["model"]["architecture"]
    again = ct2.explain(
        matrix(),
        genes=list(features()),
        groups=LABELS,
        model=ensembles[architecture],
        max_cores=3,
    )
    np.testing.assert_array_equal(again.mean_shares, made_up.mean_shares)
    np.testing.assert_array_equal(again.correlation, made_up.correlation)
    monkeypatch.setattr("cytotrace2_lite.explanation.measure.CELLS_PER_STEP", 50)
    other = ct2.explain(
        matrix(), genes=list(features()), groups=LABELS, model=ensembles[architecture]
    )
    np.testing.assert_allclose(other.mean_shares, made_up.mean_shares, rtol=0, atol=1e-7)


def test_values_may_lie_in_a_file(made_up, ensembles, monkeypatch):
    monkeypatch.setattr("cytotrace2_lite.job.MAX_BYTES", 1000)
    again = ct2.explain(
        matrix(),
        genes=list(features()),
        groups=LABELS,
        model=ensembles[made_up.scores.info["model"]["architecture"]],
    )
    np.testing.assert_array_equal(again.mean_shares, made_up.mean_shares)
    np.testing.assert_array_equal(again.correlation, made_up.correlation)
    np.testing.assert_array_equal(again.shares([5]), made_up.shares([5]))


@pytest.mark.parametrize("of", ["Pluripotent", "differentiated"])
def test_a_probability_is_explained(of, ensembles):
    explanation = ct2.explain(
        matrix(), genes=list(features()), of=of, model=ensembles["1.1.0"], max_cores=2
    )
    assert explanation.of == of.capitalize()
    position = ct2.POTENCIES.index(explanation.of)
    np.testing.assert_allclose(
        explanation.value, explanation.scores.probabilities[:, position], rtol=0, atol=1e-12
    )
    total = explanation.shares().sum(axis=1) + explanation.reference.value
    np.testing.assert_allclose(total, explanation.value, rtol=0, atol=1e-6)
    assert explanation.reference.value != explanation.reference.score


def test_a_group_as_reference(ensembles, made_up):
    explanation = ct2.explain(
        matrix(),
        genes=list(features()),
        groups=LABELS,
        reference="b",
        model=ensembles[made_up.scores.info["model"]["architecture"]],
    )
    assert explanation.reference.name == "b"
    assert explanation.reference.n_cells == 26 - (LABELS[7] == "b")
    total = explanation.shares().sum(axis=1) + explanation.reference.score
    np.testing.assert_allclose(total, explanation.raw_score, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"of": "stemness"}, "of is 'stemness'; it must be 'score' or a potency"),
        ({"reference": "z"}, "there is no group 'z'. The groups are "),
        ({"groups": ["a"]}, "groups has 1 labels"),
        ({"groups": "cluster"}, "the name of a column of an AnnData's obs"),
    ],
)
def test_what_cannot_be_explained_is_named(arguments, message, ensembles):
    with pytest.raises(ct2.UsageError) as caught:
        ct2.explain(matrix(), genes=list(features()), model=ensembles["1.1.0"], **arguments)
    assert message in str(caught.value)


def test_tables(marrow):
    pytest.importorskip("pandas")
    table = marrow.by_group()
    n_genes = sum(name != "" for name in marrow.genes)
    assert len(table) == n_genes * len(marrow.groups)
    assert list(table.columns) == [
        *("group", "gene", "mouse_symbol", "mean_share", "mean_share_others", "difference"),
        *(
            "expressed_part",
            "expressing",
            "expressing_others",
            "mean_log2_cpm",
            "mean_log2_cpm_others",
        ),
        *("correlation", "correlation_adjusted_p"),
    ]
    one = table[table.group == marrow.groups[0]]
    assert (np.diff(one.mean_share) <= 0).all()
    assert one.mean_share.sum() + marrow.reference.value == pytest.approx(
        marrow.group_values[0], abs=1e-6
    )
    top = marrow.top(3, marrow.groups[0])
    assert top.gene.tolist() == [*one.gene[:3], *one.gene[::-1][:3]]
    assert len(marrow.top(3)) == 6 * len(marrow.groups)
    assert marrow.gene_table(3).to_arrow().num_rows == 6 * len(marrow.groups)


def test_genes_of_stem_cells_are_found_in_the_marrow(marrow):
    # Named as the human input does. Of Pellin et al. 2019 and Velten et al. 2017 for CRHBP, HOPX,
    # SPINK2, MLLT3 and MSI2.
    top = marrow.gene_table(8, "HSC_MPP").columns["gene"].tolist()[:8]
    assert {"CRHBP", "HOPX", "SPINK2"} < set(top)
    assert marrow.groups[0] == "HSC_MPP"


def test_contrast_adds_up(marrow):
    pytest.importorskip("pandas")
    table = marrow.contrast("HSC_MPP", "Mono")
    values = dict(zip(marrow.groups, marrow.group_values, strict=True))
    assert table.difference.sum() == pytest.approx(values["HSC_MPP"] - values["Mono"], abs=1e-6)
    assert (np.diff(table.difference) <= 0).all()
    with pytest.raises(ct2.UsageError, match="there is no group 'B'"):
        marrow.contrast("HSC_MPP", "B")


def test_gene_sets_are_sums_of_shares(marrow):
    pytest.importorskip("pandas")
    sets = {"mine": ["HOPX", "CRHBP", "NO_SUCH_GENE"], "mouse": ["Hopx"], "none": ["X1"]}
    table = marrow.gene_sets(sets).set_index(["group", "set"])
    genes = marrow.by_group().set_index(["group", "gene"]).mean_share
    row = table.loc[("Mono", "mine")]
    assert row.n_genes == 3
    assert row.n_in_input == 2
    assert row.share == pytest.approx(genes["Mono", "HOPX"] + genes["Mono", "CRHBP"])
    assert table.loc[("Mono", "none")].share == 0
    default = marrow.gene_sets()
    first = default[default.group == "HSC_MPP"].iloc[0]
    assert (first["set"], first.description) == ("multi_hsc", "Multipotent, blood")
    assert first.top_genes.split()[0] == "CRHBP"


def test_without_a_gene_the_score_is_that_of_cells_that_lack_it(marrow, ensembles):
    pytest.importorskip("pandas")
    counts = matrix()
    explanation = ct2.explain(
        counts, genes=list(features()), groups=LABELS, model=ensembles["1.1.0"]
    )
    shares = explanation.shares(slice(0, 5))
    names = [features()[i] for i in np.argsort(-shares[0])[:2]]
    without = explanation.without(names)
    lacking = counts.tolil()
    lacking[:, [features().index(name) for name in names]] = 0
    again = ct2.run(lacking.tocsr(), genes=list(features()), model=ensembles["1.1.0"])
    np.testing.assert_allclose(without.after, again.raw_score, rtol=0, atol=1e-12)
    table = without.by_group()
    assert table.change.tolist() == (table.after - table.before).tolist()
    assert table.n_cells.sum() == np.isin(LABELS, ["a", "b", "c"]).sum() - (LABELS[7] != "")
    with pytest.raises(ct2.UsageError, match="gene 'Nope' is neither"):
        explanation.without("Nope")


def test_removing_top_genes_moves_the_score_as_the_shares_say(marrow):
    genes = marrow.gene_table(20, "HSC_MPP").columns
    up = [gene for gene, share in zip(genes["gene"], genes["mean_share"], strict=True) if share > 0]
    position = marrow.position("HSC_MPP")
    change = marrow.without(up).table().columns["change"][position]
    assert change < -0.05


def test_nothing_is_left_where_no_other_gene_is_expressed(tiny_table):
    table = tiny_table("gene\tc1\tc2\nActb\t5\t0\nGapdh\t1\t2\nNanog\t0\t7\n")
    explanation = ct2.explain(table, model="open")
    without = explanation.without(["Actb", "Gapdh"])
    assert np.isnan(without.after).tolist() == [True, False]
    assert without.table().columns["n_cells"].sum() == 1


def test_gene_sets_that_stand_together_are_found(marrow):
    pytest.importorskip("gseapy", reason="the extra enrich is not installed")
    random = np.random.RandomState(0)
    genes = [marrow.genes[i] for i in marrow.in_input]
    sets = {f"random {k}": list(random.choice(genes, 40, replace=False)) for k in range(20)}
    sets["top"] = list(marrow.gene_table(30, "HSC_MPP").columns["gene"][:30])
    sets["bottom"] = list(marrow.gene_table(30, "HSC_MPP").columns["gene"][30:])
    sets["stem"] = ["CRHBP", "HOPX", "SPINK2", "MLLT3", "HLF", "MSI2", "CD34", "MEIS1", "NRIP1"]
    table = marrow.enrichment(sets, group="HSC_MPP", n_permutations=200).set_index("set")
    assert list(table.index[:2]) == ["top", "stem"] or list(table.index[:2]) == ["stem", "top"]
    assert table.index[-1] == "bottom"
    assert (table.fdr[["top", "stem", "bottom"]] < 0.01).all()
    assert (table.p[[name for name in table.index if name.startswith("random")]] < 0.01).sum() < 3


def test_without_gseapy_there_is_no_test(marrow, monkeypatch):
    monkeypatch.setitem(sys.modules, "gseapy", None)
    with pytest.raises(ct2.CytoTRACE2Error, match=r"pip install 'cytotrace2-lite\[enrich\]'"):
        marrow.enrichment()


class TestModelGenes:
    def test_bundled_model_goes_by_the_genes_of_the_early_embryo(self):
        pytest.importorskip("pandas")
        table = ct2.model_genes("open", n=10, species="human")
        assert table.potency.unique().tolist() == ["score", *ct2.POTENCIES[::-1]]
        score = table[table.potency == "score"]
        assert {"NANOG", "PRDM14", "UTF1"} < set(score.gene[:10])
        assert (score.weight[:10] > 0).all()
        assert (score.members_up[:10] == 16).all()
        np.testing.assert_allclose(table.weight, table.rank_part + table.second_part)

    @pytest.mark.parametrize("version", ["1.1.0", "1.0.0"])
    def test_weights_are_those_of_the_folded_networks(self, version, exported, ensembles):
        pytest.importorskip("pandas")
        folded = exported[version][0]
        gene = 4321
        second = (
            np.log2(1501) if version == "1.1.0" else (folded.threshold > 100) / folded.threshold
        )
        added = folded.rank_weight[gene] * np.maximum(folded.threshold - 100, 0)
        added = (added + folded.second_weight[gene] * second).reshape(-1, 6)
        added = added - added.mean(axis=1, keepdims=True)
        table = ct2.model_genes(ensembles[version])
        row = table[table.mouse_symbol == features()[gene]].set_index("potency")
        for k, potency in enumerate(ct2.POTENCIES):
            assert row.weight[potency] == pytest.approx(added[:, k].mean(), rel=1e-5, abs=1e-9)
            assert row.members_up[potency] == (added[:, k] > 0).sum()
            assert row.members_down[potency] == (added[:, k] < 0).sum()
        score = added @ ((np.arange(6) / 5 - 0.5) / 6)
        assert row.weight["score"] == pytest.approx(score.mean(), rel=1e-5, abs=1e-9)

    def test_species_must_be_known(self):
        with pytest.raises(ct2.UsageError, match="species is 'rat'"):
            ct2.model_genes("open", species="rat")
