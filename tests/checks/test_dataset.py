"""What is said about a dataset before anything is computed."""

import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from helpers.counts import as_counts
from helpers.findings import by_code
from scipy.sparse import csr_array

import cytotrace2_lite as ct2
from cytotrace2_lite.checks import dataset as checks
from cytotrace2_lite.genes import features, map_genes, recognised
from cytotrace2_lite.metadata.samples import samples_of
from cytotrace2_lite.read import Source

DATA = Path(__file__).parents[1] / "data"


@pytest.fixture(scope="module")
def enteric():
    """Genes x cells of the mouse example."""
    return pd.read_csv(DATA / "enteric_300.txt.gz", sep="\t", index_col=0)


def look_at(frame, ensembles, **options):
    return by_code(
        ct2.check(
            frame.to_numpy(dtype=float).T,
            genes=list(frame.index),
            cells=list(frame.columns),
            model=ensembles["1.1.0"],
            **options,
        )
    )


class TestGenes:
    def test_names_are_counted_by_species_and_kind(self):
        names = ["Actb", "Gapdh", "ENSMUSG00000029580.2", "TP53", "ENSG00000075624", "foo"]
        assert recognised(names) == {"mouse": (2, 1), "human": (1, 1)}

    def test_note(self, enteric, ensembles):
        found = look_at(enteric, ensembles)
        assert {code: f.severity for code, f in found.items()} == dict.fromkeys(
            ("input", "genes", "superseded", "cells", "estimate"), "note"
        )
        assert found["genes"].what == (
            "of 16,934 gene names, 12,544 are mouse symbols and 6 are human symbols that the model "
            "knows; 12,526 of its 14,271 genes are in the input as mouse genes"
        )
        assert found["superseded"].what == (
            "18 gene names are left out, as a better name of the same gene is in the input: "
            "'Ggta1 (for Gal)', 'Scn7a (for Nav2)', 'Noct (for Ccr4)', ..."
        )
        assert found["cells"].what == (
            "300 cells; a cell has 9,970 (median; 3,671 to 34,842) counts and 2,930 (median; 1,474 "
            "to 5,743) genes of the model; 0.0% of cells have fewer than 500 genes"
        )

    @pytest.mark.parametrize(("n", "codes"), [(8_999, {"few_genes"}), (9_000, set())])
    def test_few_genes(self, n, codes):
        # the last genes of the model hold fewer ribosomal ones than the first
        ubiquitous = [name for name in features() if name.startswith(("Rp", "Psm", "Nduf", "Cox"))]
        others = [name for name in features() if name not in set(ubiquitous)]
        names = (ubiquitous + others)[:n]
        found = by_code(checks.check_genes(names, map_genes(names, "mouse")))
        assert set(found) == {"genes"} | codes
        if codes:
            assert str(found["few_genes"]) == (
                "only 8,999 of the 14,271 genes of the model are in the input (9,000 or more are "
                "expected). That makes the scores less reliable. Check that the species is mouse, "
                "and give all genes measured."
            )

    def test_variable_genes_only(self, enteric, ensembles):
        cpm = np.log2(enteric / enteric.sum() * 1e6 + 1)
        variable = (cpm.var(axis=1) / cpm.mean(axis=1).clip(1e-9)).sort_values().index[-2000:]
        message = str(look_at(enteric.loc[variable], ensembles)["selected_genes"])
        assert message.startswith(
            "only 1,115 of the 14,271 genes of the model are in the input, and 2% "
        )
        assert message.endswith(
            "of those that all cells express (ribosome, proteasome, respiration): it looks cut "
            "down to variable or otherwise selected genes. A cell's genes are ranked among all "
            "genes, so scores from a selection are unreliable. Give the table with all genes "
            "measured."
        )

    def test_rare_genes_left_out_is_not_taken_for_variable_genes_only(self, enteric, ensembles):
        often = (enteric > 0).sum(axis=1).sort_values().index[-8000:]
        found = look_at(enteric.loc[often], ensembles)
        assert "few_genes" in found
        assert "selected_genes" not in found

    def test_species_of_most_known_names(self):
        mouse, human = features()[:10], [name.upper() for name in features()[100:140]]
        lower = [f"unknown{i}" for i in range(10)]
        names = [*mouse, *human, *lower]
        found = by_code(checks.check_genes(names, map_genes(names, "mouse")))
        n_human = recognised(names)["human"].symbols
        assert str(found["species"]) == (
            f"{n_human} of the 60 gene names are known human genes and 10 known mouse ones, but "
            "the species is mouse. Genes of the other species are found by chance or not at all. "
            'If the cells are human, pass --species human (species="human" in Python).'
        )
        assert "species" not in by_code(checks.check_genes(names, map_genes(names, "human")))

    def test_dates(self):
        names = ["Actb", "1-Mar", "2-Sep"]
        found = by_code(checks.check_genes(names, map_genes(names, "mouse")))["dates"]
        assert isinstance(found.warning, ct2.GeneNameWarning)
        assert str(found) == (
            "2 gene names are dates: '1-Mar', '2-Sep'. A spreadsheet program has changed names "
            "such as March1 or Sept2, and these genes are lost. Use the table as it was before."
        )

    def test_orthologs(self, enteric, ensembles, tmp_path):
        table = tmp_path / "orthologs.tsv"
        table.write_text("".join(f"rat_{name}\t{name}\n" for name in enteric.index))
        rat = enteric.rename(index=lambda name: f"rat_{name}")
        found = look_at(rat, ensembles, orthologs=table)
        assert found["genes"].what == (
            "of 16,934 gene names, 12,544 have a mouse ortholog that the model knows; 12,526 of "
            "its 14,271 genes are in the input as orthologs"
        )
        assert isinstance(found["species"].warning, ct2.SpeciesWarning)
        assert str(found["species"]) == (
            "the genes are mapped to mouse by a table of orthologs. CytoTRACE 2 was made for mouse "
            "and human cells, and its scores for other species are untested."
        )
        assert "orthologs" not in found


class TestValues:
    def test_logged(self, enteric, ensembles):
        logged = np.log1p(enteric / enteric.sum() * 1e4)
        known = map_genes(list(enteric.index), "mouse").feature >= 0
        largest = logged.to_numpy()[known].max()
        assert str(look_at(logged, ensembles)["log_transformed"]) == (
            f"the largest value of the model's genes is {largest:g}, and not all are whole "
            "numbers: it looks log-transformed. Cells are normalised and logged here; done twice, "
            "that changes the scores. Give raw counts, CPM or TPM."
        )

    @pytest.mark.parametrize("n_odd", [1, 4])
    def test_a_row_or_column_of_other_numbers_does_not_hide_it(self, enteric, ensembles, n_odd):
        logged = np.log1p(enteric / enteric.sum() * 1e4).iloc[:, :120]
        row = logged.copy()
        row.loc["nCount_RNA"] = 5000.0
        assert "log_transformed" in look_at(row, ensembles)
        column = logged.copy()
        for i in range(n_odd):
            column.insert(i, f"odd{i}", np.arange(len(logged)) + 1000.0)
        found = look_at(column, ensembles)["log_transformed"].what
        named = ", ".join(f"'odd{i}'" for i in range(min(n_odd, 3))) + ", ..." * (n_odd > 3)
        assert f" but for {n_odd} cell{'s' * (n_odd > 1)} ({named}), and not all" in found
        some = enteric.iloc[:, :8] / enteric.iloc[:, :8].sum() * 1e6
        some.iloc[:, :5] /= 1e6
        assert "log_transformed" not in look_at(some, ensembles)

    def test_other_matrices_are_named(self):
        hint = Source("h5ad", matrix="X", other_matrices=("layers['counts']",)).hint()
        (found,) = checks.check_values(as_counts(csr_array(np.array([[0.5]]))), ["c1"], hint)
        assert found.remedy == (
            "Give raw counts, CPM or TPM. It was X; there is also layers['counts'] (--layer, "
            "--use-raw; layer=, use_raw= in Python)."
        )

    def test_small_counts_are_not_logged(self, enteric, ensembles):
        found = look_at(enteric.clip(upper=15), ensembles)
        assert "log_transformed" not in found
        assert " counts and " in found["cells"].what

    def test_cpm_is_not_logged(self, enteric, ensembles):
        found = look_at(enteric / enteric.sum() * 1e6, ensembles)
        assert "log_transformed" not in found
        assert " in all and " in found["cells"].what


class TestCells:
    counts = as_counts(
        csr_array(np.array([[1] * 600, [1] * 600, [1] * 600, [1] * 400 + [0] * 200, [0] * 600]))
    )

    def test_empty_and_poor(self):
        found = by_code(checks.check_cells(self.counts, list("abcde")))
        assert str(found["empty_cells"]) == (
            "1 of 5 cells have no count over the model's genes and get no score: 'e'. "
            "They take no part in any step. Leave them out, or expect empty fields."
        )
        assert str(found["few_genes_per_cell"]) == (
            "25.0% of the cells express fewer than 500 of the model's genes. Scores are best with "
            "500 to 1,000 genes a cell or more. Consider leaving such cells out."
        )

    @pytest.mark.parametrize(
        ("n_droplets", "n_genes_of_cells", "n_genes_of_others", "warned"),
        [
            (1000, 500, 99, True),
            (999, 500, 99, False),
            (1000, 499, 99, False),  # a panel of genes
            (1000, 500, 100, False),
        ],
    )
    def test_empty_droplets(self, n_droplets, n_genes_of_cells, n_genes_of_others, warned):
        """The raw matrix of Cell Ranger, in place of the filtered one."""
        n_genes = np.full(n_droplets, n_genes_of_others)
        n_genes[: n_droplets // 20] = n_genes_of_cells
        counts = as_counts(np.arange(600) < n_genes[:, None])
        found = by_code(checks.check_cells(counts, [str(i) for i in range(n_droplets)]))
        assert ("empty_droplets" in found) == warned
        if warned:
            assert str(found["empty_droplets"]) == (
                "95.0% of 1,000 cells have fewer than 100 of the model's genes: this looks like "
                "all droplets of an experiment, and most of them are empty. The scores of the "
                "cells depend on what they are scored with. Give the filtered matrix, of cells "
                "only: filtered_feature_bc_matrix instead of raw_feature_bc_matrix of Cell "
                "Ranger, filtered/ instead of raw/ of STARsolo."
            )

    @pytest.mark.parametrize(("n_poor", "warned"), [(20, True), (19, False)])
    def test_a_fifth_of_poor_cells(self, n_poor, warned):
        values = np.ones((100, 600), dtype=int)
        values[:n_poor, 499:] = 0
        found = by_code(
            checks.check_cells(as_counts(csr_array(values)), [f"c{i}" for i in range(100)])
        )
        assert ("few_genes_per_cell" in found) == warned

    def test_poor_cells_of_a_sample(self):
        samples = samples_of(list("xxyyy"), list("abcde"))
        found = by_code(checks.check_cells(self.counts, list("abcde"), samples))
        assert found["few_genes_per_cell"].what == (
            "50.0% of the cells of samples 'y' express fewer than 500 of the model's genes"
        )

    def test_small_batches(self):
        assert checks.check_samples(None, [("", 100), ("", 100)]) == []
        (finding,) = checks.check_samples(None, [("", 99), ("", 100)])
        assert str(finding) == (
            "99 of 199 cells are scored together with fewer than 100. Their scores are not "
            "smoothed over neighbours and mostly rank the cells within their potency; a cell alone "
            "gets the lowest score of its potency. Look at the raw scores, too."
        )
        assert isinstance(finding.warning, ct2.FewCellsWarning)

    def test_messages_name_the_numbers_that_count(self, monkeypatch):
        monkeypatch.setattr(checks, "MIN_CELLS_FOR_NEIGHBORS", 50)
        assert checks.check_samples(None, [("", 50)]) == []
        (finding,) = checks.check_samples(None, [("", 49)])
        assert finding.what == "49 of 49 cells are scored together with fewer than 50"


class TestRunGivesTheSame:
    def test_findings_are_in_the_report(self, enteric, ensembles, tmp_path):
        frame = enteric.iloc[:, :20]
        options = {"genes": list(frame.index), "model": ensembles["1.1.0"], "batches": ["x"] * 20}
        values = frame.to_numpy().T
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            result = ct2.run(values, **options)
        findings = ct2.check(values, **options)
        # Memory that was held already is more by then.
        told = [f for f in result.info["findings"] if f["code"] != "estimate"]
        assert told == [vars(finding) for finding in findings if finding.code != "estimate"]
        assert [str(w) for w in result.warnings] == [
            str(finding) for finding in findings if finding.severity == "warning"
        ]
        assert {type(w) for w in result.warnings} == {ct2.SampleWarning, ct2.FewCellsWarning}
        assert result.info["warnings"] == [f"{type(w).__name__}: {w}" for w in result.warnings]

    def test_a_warning_made_an_error_stops_before_the_work(self, enteric, ensembles):
        stages = []
        frame = enteric.iloc[:, :20]
        with warnings.catch_warnings():
            warnings.simplefilter("error", ct2.FewCellsWarning)
            with pytest.raises(ct2.FewCellsWarning):
                ct2.run(
                    frame.to_numpy().T,
                    genes=list(frame.index),
                    model=ensembles["1.1.0"],
                    progress=lambda event: stages.append(event.stage),
                )
        assert set(stages) == {"read"}
