"""The result of a run: the scores, with plots, tables and files made from them."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cytotrace2_lite.base.card import card
from cytotrace2_lite.base.potency import POTENCIES, POTENCY_COLORS
from cytotrace2_lite.errors import UsageError
from cytotrace2_lite.metadata.samples import Samples, condition_of_samples, samples_of
from cytotrace2_lite.output import report, tables
from cytotrace2_lite.output.composition import (
    composition,
    conditions,
    few_samples,
    score_summary,
)
from cytotrace2_lite.output.scores import Scores
from cytotrace2_lite.plots.labels import sort_labels
from cytotrace2_lite.read import open_input
from cytotrace2_lite.system.files import prepare_directory, write_whole
from cytotrace2_lite.system.paths import expanded

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping, Sequence

    import pandas as pd
    import pyarrow as pa
    from numpy.typing import ArrayLike, NDArray

    from cytotrace2_lite.explanation.explanation import Explanation
    from cytotrace2_lite.metadata.coordinates import Embedding
    from cytotrace2_lite.output.table import Table
    from cytotrace2_lite.plots import Plots

__all__ = ["Result"]


@dataclass(frozen=True, eq=False)
class Result(Scores):
    """Scores of the cells of one run, in input order.

    A cell without a count over the model's genes has no score: NaN in every number, -1 in every
    index, an empty label.

    Attributes
    ----------
    cells
        Names of the cells.
    score
        `CytoTRACE2_Score`, 0 (differentiated) to 1 (totipotent); float64, shape (n_cells,).
    relative
        `CytoTRACE2_Relative`, the score from 0 (lowest of the run) to 1 (highest); float64,
        shape (n_cells,).
    preknn_score
        Score before smoothing over neighbours; float64, shape (n_cells,).
    raw_score
        Score of the ensemble before any smoothing; float64, shape (n_cells,).
    probabilities
        Mean potency probabilities of the ensemble; float64, shape (n_cells, 6), columns as
        `cytotrace2_lite.POTENCIES`.
    potency_index, preknn_potency_index
        Position of the potency in `cytotrace2_lite.POTENCIES`; int8, shape (n_cells,).
    n_genes
        How many of the model's genes have a count in the cell; int64, shape (n_cells,).
    warnings
        What is worth knowing about the scores.
    info
        What `run.json` holds: version, model, parameters, input, genes, quality, seconds.
    embedding
        Where `plot` draws the cells, unless it is told otherwise; None where the run was not asked
        for it.
    components
        Principal components of the cells, over which the scores were smoothed; float64, shape
        (n_cells, 30), NaN for a cell without score. None where the run had several batches, which
        have components of their own, or fewer than 100 cells.
    score_sd
        `CytoTRACE2_Score_SD`, the population standard deviation over the members of their raw
        scores, in [0, 0.5]; float64, shape (n_cells,). None in scores made without it.
    """

    @property
    def plot(self) -> Plots:
        """Plots of this result, such as `result.plot.potency_score()`; matplotlib draws them."""
        from cytotrace2_lite.plots import Plots

        return Plots(self)

    def __repr__(self) -> str:
        """Give a line, not all the arrays: notebooks show what a cell ends with."""
        model = self.info.get("model", {}).get("name")
        return f"<Result: {len(self.cells):,} cells{f', model {model!r}' if model else ''}>"

    def _repr_html_(self) -> str:
        """Give a small table for notebooks: how many cells each potency has."""
        known = ~np.isnan(self.score)
        rows, colors = [], []
        for k in reversed(range(len(POTENCIES))):
            own = self.score[self.potency_index == k]
            median = f"{np.median(own):.3f}" if len(own) else ""
            share = len(own) / max(len(self.cells), 1)
            rows.append((POTENCIES[k], f"{len(own):,}", f"{share:.1%}", median))
            colors.append(POTENCY_COLORS[k])
        if not known.all():
            n_without = len(known) - int(known.sum())
            rows.append(("no score", f"{n_without:,}", f"{n_without / len(known):.1%}", ""))
            colors.append("transparent")
        samples = self.info.get("samples", {"n_cells": (), "key": ""})
        of = f" of {samples['key']}" if samples["key"] else ""
        return card(
            f"Developmental potential of {len(self.cells):,} cells",
            {
                "Model": self.model_label,
                "Species": str(self.info.get("parameters", {}).get("species", "")),
                "Samples": f"{len(samples['n_cells']):,}{of}" if samples["n_cells"] else "",
            },
            ("Potency", "Cells", "Share", "Median score"),
            rows,
            colors=colors,
            warnings=list(map(str, self.warnings)),
        )

    def columns(self, *, extra_columns: bool = False) -> dict[str, NDArray[Any]]:
        """Give the columns of every kind of table, in their order.

        Parameters
        ----------
        extra_columns
            Append raw score, probabilities, pseudotime and status to upstream's five columns.

        Returns
        -------
        dict
            Name to values, shape (n_cells,): numbers float64, of the labels in
            `cytotrace2_lite.output.tables.LABELS` the position, int8, -1 for none.
        """
        return tables.columns(self, extra_columns=extra_columns)

    def to_arrow(self, *, extra_columns: bool = False) -> pa.Table:
        """Give the results as an Arrow table.

        Parameters
        ----------
        extra_columns
            Append raw score, probabilities, pseudotime and status.

        Returns
        -------
        pyarrow.Table
            `cell`, then the columns of `cytotrace2_results.txt`. Labels are dictionaries, those of
            potencies ordered. Missing values are null.
        """
        return tables.to_arrow(self, extra_columns=extra_columns)

    def to_pandas(self, *, extra_columns: bool = False) -> pd.DataFrame:
        """Give the results as a data frame, as upstream returns them.

        Parameters
        ----------
        extra_columns
            Append raw score, probabilities, pseudotime and status.

        Returns
        -------
        pandas.DataFrame
            The columns of `cytotrace2_results.txt`, indexed by cell. Labels are categorical, those
            of potencies ordered.

        Raises
        ------
        CytoTRACE2Error
            pandas is not installed.
        """
        return tables.to_pandas(self, extra_columns=extra_columns)

    def to_bytes(self, *, extra_columns: bool = False, file_format: str = "txt") -> bytes:
        """Give the content of the results file.

        Parameters
        ----------
        extra_columns
            Append raw score, probabilities, pseudotime and status to upstream's five columns.
        file_format
            "txt" (tab-separated, UTF-8, as upstream writes it), "txt.gz" (the same, compressed),
            "parquet" or "arrow" (Arrow IPC file, also known as Feather).

        Returns
        -------
        bytes
            The same for the same results.

        Raises
        ------
        UsageError
            There is no such format.
        """
        return tables.to_bytes(self, extra_columns=extra_columns, file_format=file_format)

    def composition(self, labels: Any = None, samples: Any = None) -> Table:
        """Count the cells of each potency, for each sample and label.

        Parameters
        ----------
        labels
            The label of each cell: a sequence of length n_cells, or a mapping from names of cells;
            None, NaN and "" stand for none.
        samples
            The sample of each cell: a sequence of length n_cells.

        Returns
        -------
        Table
            `sample`, `label` ("" for all), `potency`, `n_cells`, `fraction`, as in
            `cytotrace2_composition.tsv`; `to_pandas()` and `to_arrow()` convert it.

        Raises
        ------
        UsageError
            There is not one label or sample per cell.
        InputError
            A cell has no sample.
        """
        return composition(self, *self._sorted(labels, samples))

    def score_summary(self, labels: Any = None, samples: Any = None) -> Table:
        """Summarise `score` for each sample and label.

        Parameters
        ----------
        labels, samples
            As for `composition`.

        Returns
        -------
        Table
            `sample`, `label` ("" for all), `n_cells`, `mean`, `lower_quartile`, `median`,
            `upper_quartile`, as in `cytotrace2_score_summary.tsv`.

        Raises
        ------
        CytoTRACE2Error
            As `composition` raises.
        """
        return score_summary(self, *self._sorted(labels, samples))

    def compare_conditions(self, condition: Any, samples: Any, labels: Any = None) -> Table:
        """Compare the scores of conditions, with samples as the units, by Welch's t-test.

        Parameters
        ----------
        condition
            The condition of each cell: a sequence of length n_cells.
        samples, labels
            As for `composition`.

        Returns
        -------
        Table
            A row for each pair of conditions and label, as in `cytotrace2_conditions.tsv`.

        Raises
        ------
        InputError
            A sample has no condition or several, or all have the same.
        CytoTRACE2Error
            As `composition` raises.

        Warns
        -----
        CytoTRACE2Warning
            A condition has fewer than three samples.
        """
        sorted_labels, sorted_samples = self._sorted(labels, samples)
        given = samples_of(condition, self.cells, "condition")
        names = np.asarray(given.names, dtype=object)[given.of_cell].tolist()
        if sorted_samples is None:
            raise UsageError("samples is None: pass the sample of each cell.")
        condition_of = condition_of_samples(names, sorted_samples, "condition")
        for finding in few_samples(condition_of):
            warnings.warn(finding.warning, stacklevel=2)
        return conditions(self, sorted_samples, condition_of, sorted_labels)

    def _sorted(self, labels: Any, samples: Any) -> tuple[list[str] | None, Samples | None]:
        names = None
        if labels is not None:
            found, index = sort_labels(labels, self.cells, most=None)
            names = [found[i] if i >= 0 else "" for i in index.tolist()]
        return names, None if samples is None else samples_of(samples, self.cells)

    def write(
        self,
        directory: str | os.PathLike[str],
        *,
        extra_columns: bool = False,
        file_format: str = "txt",
    ) -> Path:
        """Write the results file and `run.json`, each whole or not at all.

        Parameters
        ----------
        directory
            Made where it does not exist. Files of these names are replaced.
        extra_columns
            Append raw score, probabilities, pseudotime and status to upstream's five columns.
        file_format
            "txt", "txt.gz", "parquet" or "arrow": `cytotrace2_results.txt`, `.txt.gz`, `.parquet`,
            `.arrow`.

        Returns
        -------
        Path
            The results file.

        Raises
        ------
        OutputError
            The directory or a file in it cannot be written.
        UsageError
            There is no such format.
        """
        directory = expanded(directory)
        files = self.files(directory, extra_columns=extra_columns, file_format=file_format)
        prepare_directory(directory)
        write_whole(files)
        return list(files)[-1]

    def files(
        self,
        directory: str | os.PathLike[str],
        *,
        extra_columns: bool = False,
        file_format: str = "txt",
        prefix: str = "",
    ) -> dict[Path, bytes]:
        """Give what `write` writes, for `write_whole`: `run.json`, then the results file.

        Parameters
        ----------
        directory, extra_columns, file_format
            As for `write`.
        prefix
            What both names begin with.

        Returns
        -------
        dict
            Path to content.

        Raises
        ------
        UsageError
            There is no such format.
        """
        name = tables.results_name(file_format, prefix)
        content = self.to_bytes(extra_columns=extra_columns, file_format=file_format)
        return {
            Path(directory, prefix + report.REPORT_NAME): report.to_bytes(self.info, name, content),
            Path(directory, name): content,
        }

    def report(
        self,
        path: str | os.PathLike[str],
        *,
        labels: Sequence[str | None] | Mapping[str, str] | None = None,
        samples: Sequence[str | None] | Mapping[str, str] | None = None,
        embedding: ArrayLike | Embedding | None = None,
        genes: Mapping[str, ArrayLike] | None = None,
        explanation: Explanation | None = None,
    ) -> Path:
        """Write a report: one HTML file with linked views of the cells, and the tables of the run.

        It needs no network and no other file, and opens in any browser.

        Parameters
        ----------
        path
            Of the file, or a directory, in which it is called `cytotrace2_report.html`. An existing
            file is replaced.
        labels, samples
            The label and the sample of each cell: one per cell, or a mapping from names of cells.
            None, NaN and "" stand for none.
        embedding
            Coordinates of the map, shape (n_cells, 2); those of the result by default. Without any,
            there is no map.
        genes
            Name of a gene to its expression, such as log2(CPM + 1), shape (n_cells,), by which the
            cells can be coloured. At most 50.
        explanation
            Of the scores, as `explain` returns it; its genes are listed.

        Returns
        -------
        Path
            The file.

        Raises
        ------
        CytoTRACE2Error
            bokeh, which brings the library that draws the views, is not installed.
        UsageError
            Something has not one value per cell, or there are too many genes.
        OutputError
            The file cannot be written.
        """
        from cytotrace2_lite.report.result import write_report

        return write_report(
            self,
            expanded(path),
            labels=labels,
            samples=samples,
            embedding=embedding,
            genes=genes,
            explanation=explanation,
        )

    def write_h5ad(self, source: str | os.PathLike[str], target: str | os.PathLike[str]) -> None:
        """Write a copy of an `.h5ad` file with all columns in `obs`, and `uns["cytotrace2"]`.

        Parameters
        ----------
        source
            The file that holds the cells that were scored. It is not changed.
        target
            Name of the copy, which must end in .h5ad; replaced whole, or left as it is.

        Raises
        ------
        InputError
            The cells of `source` are others, or its `obs` is stored in an unknown way.
        OutputError
            The copy cannot be written.
        UsageError
            `source` is no `.h5ad`, or `target` is not a name for one.
        CytoTRACE2Error
            h5py is not installed.
        """
        from cytotrace2_lite.output.h5ad import annotated_copy, check_h5ad

        source, target = expanded(source), expanded(target)
        with open_input(source) as handle:
            check_h5ad(handle, target)
            write_whole({Path(target): annotated_copy(handle, self)})
