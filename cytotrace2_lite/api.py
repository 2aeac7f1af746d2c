"""The Python interface: `run`, `explain`, `check`, and `cytotrace2` with upstream's signature.

Longer than 450 lines because each public function lists and explains all of its parameters.
"""

from __future__ import annotations

import os
import sys
import warnings
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from cytotrace2_lite.base.bar import reporting
from cytotrace2_lite.base.options import RunOptions
from cytotrace2_lite.directory import score_to_directory
from cytotrace2_lite.errors import PlotWarning, UsageError
from cytotrace2_lite.explanation.explain import explain_scores
from cytotrace2_lite.explanation.groups import groups_of
from cytotrace2_lite.explanation.means import ALL_CELLS, SCORE, potency_position
from cytotrace2_lite.job import open_source, prepare_job
from cytotrace2_lite.metadata.coordinates import (
    checked_embedding,
    obsm_embedding,
)
from cytotrace2_lite.metadata.samples import obs_column
from cytotrace2_lite.output.anndata import KEY, annotate, check_annotatable
from cytotrace2_lite.output.tables import require_pandas
from cytotrace2_lite.plots import (
    compute_umap,
    left_out,
    missing_packages,
    no_plots,
    require_umap,
    write_plots,
)
from cytotrace2_lite.read.mudata import anndata_of
from cytotrace2_lite.system.paths import expanded

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import pandas as pd
    from numpy.typing import ArrayLike

    from cytotrace2_lite.base.finding import Finding
    from cytotrace2_lite.base.progress import Progress
    from cytotrace2_lite.cluster import Cluster
    from cytotrace2_lite.explanation.explanation import Explanation
    from cytotrace2_lite.models.ensemble import Ensemble
    from cytotrace2_lite.result import Result


__all__ = ["check", "cytotrace2", "explain", "run"]


def run(
    data: str | os.PathLike[str] | ArrayLike | Any,
    *,
    genes: Sequence[str] | None = None,
    cells: Sequence[str] | None = None,
    layer: str | None = None,
    use_raw: bool = False,
    orientation: Literal["auto", "genes-x-cells", "cells-x-genes"] = "auto",
    duplicate_genes: Literal["error", "first", "sum"] = "error",
    gene_column: str | None = None,
    species: Literal["mouse", "human"] = "mouse",
    orthologs: str | os.PathLike[str] | None = None,
    model: str | os.PathLike[str] | Ensemble | None = None,
    batches: ArrayLike | str | None = None,
    batch_size: int = 10_000,
    smooth_batch_size: int = 1000,
    seed: int = 14,
    max_cores: int | None = None,
    max_memory: int | None = None,
    strict: bool = False,
    embedding: ArrayLike | str | None = None,
    progress: Callable[[Progress], None] | bool | None = None,
    inplace: bool = True,
    key_added: str = KEY,
    columns: Sequence[str] | str | None = None,
    client: Any = None,
) -> Result:
    """Predict the developmental potential of every cell of a dataset.

    Parameters
    ----------
    data
        Raw counts, CPM or TPM, not log-transformed. One of

        - a path: of a text table (tab- or comma-separated, plain or gzip, bzip2, xz, Zstandard;
          "-" is standard input), a directory of 10x Genomics, its `matrix.mtx` or their `.h5`, a
          `.h5ad`, `.rds` or `.RData` of R, a Parquet, Feather or Arrow table; told by the content;
        - an AnnData object, in memory or backed by a file; a MuData, of which the modality "rna"
          is taken;
        - a pandas data frame, an Arrow table (rows named by its first column or pandas index);
        - a matrix of shape (n_cells, n_genes), a SciPy sparse one or anything NumPy takes.
    genes
        Names of the genes of a matrix: symbols or Ensembl ids. Only for a matrix without names.
    cells
        Names of the cells of a matrix, each once; "0", "1", ... by default. As `genes`.
    layer
        Name of a layer of AnnData to take in place of `X`; of a genome, where a 10x `.h5` has
        several. By default it is `X`, or, if `X` does not hold whole numbers, the one of
        `layers["counts"]`, `layers["raw_counts"]` and `.raw.X` that does; "X" is always `X`. Of a
        Seurat object in a file, "ASSAY/LAYER", by default "RNA/counts"; of an experiment of
        Bioconductor an assay; where a file of R has several objects, the name of one before it.
    use_raw
        Whether to take `.raw` of AnnData.
    orientation
        Whether the rows of a table or matrix are genes ("genes-x-cells") or cells
        ("cells-x-genes"). With "auto" the names tell; where they do not, the lines of a text table
        are genes, and the rows of a data frame or Arrow table cells. A matrix without names is
        cells x genes. The rows of AnnData and 10x data are what they should be, unless this says
        otherwise.
    duplicate_genes
        What to do with genes of one name: "error", keep the "first", or "sum".
    gene_column
        Which names of the genes to take: a column of `var` of AnnData, such as "gene_symbols";
        "symbols" or "ids" of 10x data. By default, those of which the model knows most.
    species
        "mouse" or "human", in any case.
    orthologs
        For another species, at your own risk: path of a tab-separated table of two columns, genes
        of the input and their mouse symbols.
    model
        The path of an `.onnx` file, the name of a model, or a loaded `Ensemble`; by default what
        `ct2-lite models list` marks: CT2_LITE_MODEL, the official model, the bundled one.
    batches
        The sample (donor, library, experiment) of each cell, length n_cells, or the name of a
        column of `obs` of AnnData. Each sample is then scored as if it were alone, as the
        authors of CytoTRACE 2 advise, and has a `relative` of its own. By default, all cells are
        one sample.
    batch_size
        Largest number of cells processed together. Fewer than 1,000 cells are never split.
    smooth_batch_size
        Largest number of cells smoothed by diffusion together.
    seed
        Seed of the random splits into batches and groups.
    max_cores
        Number of threads; by default all processors this process may use.
    max_memory
        Bytes this process may take; by default what the machine and cgroups leave it. Values that
        do not fit lie in a temporary file until the end of the run.
    strict
        Whether warnings about the dataset are errors, raised before anything is computed.
    embedding
        Where `result.plot` draws the cells: numbers of shape (n_cells, 2), the name of such in
        `obsm` of AnnData, such as "X_umap", or "umap" to compute a UMAP, which needs the extra
        `plot`.
    progress
        True shows a bar: that of tqdm, or lines on standard error where tqdm is not installed. A
        function is called with a `Progress` as the stages go on, from any thread, from one at a
        time.
    inplace
        Write the results into `data` where it is an AnnData, as scanpy does: columns into `obs`,
        version, model and parameters into `uns["cytotrace2"]`, the colours of the potencies into
        `uns["CytoTRACE2_Potency_colors"]`. Nothing else is changed; a view becomes an AnnData of
        its own. The results of MuData are written into its modality. `tl.cytotrace2` returns a
        copy instead, if asked to.
    key_added
        The name in `uns`. Another than "cytotrace2" also takes the place of "CytoTRACE2" in the
        names of the columns (`"donors"`: `donors_Score`, `donors_Potency`), so that several runs
        have room in one AnnData.
    columns
        Which columns are written into `obs`, by their usual names; by default all.
    client
        A `distributed.Client` of Dask, whose workers score the cells, with the same bytes; needs
        the extra `dask`. See docs/cluster.md.

    Returns
    -------
    Result
        Scores in the order of the cells. Its warnings are given as Python warnings, too, before
        anything is computed.

    Raises
    ------
    InputError
        The table or matrix is not usable as it is.
    NoUsableGenesError
        No gene is known to the model.
    ModelError
        The model is missing, truncated or altered.
    UsageError
        An argument is out of range, or the run would take more memory than it may.
    OutputError
        The temporary directory is full.
    CytoTRACE2Error
        Neither scranpy nor umap-learn is installed, one of which "umap" needs; or the cluster of
        `client` cannot be used.
    """
    options = RunOptions(
        genes=genes,
        cells=cells,
        layer=layer,
        use_raw=use_raw,
        orientation=orientation,
        duplicate_genes=duplicate_genes,
        gene_column=gene_column,
        species=species,
        orthologs=orthologs,
        model=model,
        batches=batches,
        batch_size=batch_size,
        smooth_batch_size=smooth_batch_size,
        seed=seed,
        max_cores=max_cores,
        max_memory=max_memory,
        strict=strict,
    )
    adata = anndata_of(data) if inplace else None
    if adata is not None:  # what is known to fail is tried before the work
        check_annotatable(adata, orientation, key_added=key_added, columns=columns)
    elif key_added != KEY or columns is not None:
        raise UsageError(
            "key_added and columns say what is written into an AnnData, and nothing is "
            f"({'inplace=False' if not inplace else f'the data are a {type(data).__name__}'})."
        )
    to_compute = isinstance(embedding, str) and embedding == "umap"
    cluster = None if client is None else _cluster_of(client)
    with reporting(progress) as report:
        with open_source(expanded(data), options) as source:
            embed = None
            if to_compute:
                require_umap()
            elif isinstance(embedding, str):
                embed = partial(checked_embedding, obsm_embedding(source, embedding))
            elif embedding is not None:
                embed = partial(checked_embedding, embedding)
            job = prepare_job(
                source,
                options,
                embed=embed,
                progress=report,
                cluster=None if to_compute else cluster,
            )
        if strict:
            job.refuse_warnings()
        _give_warnings(job.findings)
        some = left_out(job.data.counts) if to_compute else None
        if some is not None:
            _warn(some)
        result = job.score(
            report,
            release=not to_compute or job.has_components,
            cluster=cluster,
            tell=_give_warnings,
        )
        if to_compute:
            layout = compute_umap(
                job.data.counts,
                result.components,
                threads=job.parameters.max_cores,
                progress=report,
            )
            told = result.warnings if some is None else [*result.warnings, some]
            result = replace(result, embedding=layout, warnings=told)
    if adata is not None:
        umap = result.embedding if to_compute else None
        annotate(adata, result, key_added=key_added, columns=columns, umap=umap)
    return result


def explain(
    data: str | os.PathLike[str] | ArrayLike | Any,
    *,
    groups: ArrayLike | str | None = None,
    of: str = SCORE,
    reference: str = ALL_CELLS,
    genes: Sequence[str] | None = None,
    cells: Sequence[str] | None = None,
    layer: str | None = None,
    use_raw: bool = False,
    orientation: Literal["auto", "genes-x-cells", "cells-x-genes"] = "auto",
    duplicate_genes: Literal["error", "first", "sum"] = "error",
    species: Literal["mouse", "human"] = "mouse",
    orthologs: str | os.PathLike[str] | None = None,
    model: str | os.PathLike[str] | Ensemble | None = None,
    batches: ArrayLike | str | None = None,
    batch_size: int = 10_000,
    smooth_batch_size: int = 1000,
    seed: int = 14,
    max_cores: int | None = None,
    max_memory: int | None = None,
    strict: bool = False,
    progress: Callable[[Progress], None] | bool | None = None,
) -> Explanation:
    """Score the cells of a dataset, and divide the scores among the genes.

    Parameters
    ----------
    data
        As for `run`.
    groups
        The label of each cell (None, NaN or "" for none; at most 500 different ones), or the name
        of a column of `obs` of AnnData; by default `CytoTRACE2_Potency`.
    of
        What is explained: "score", the raw score, or the name of a potency, its probability.
    reference
        What the cells are compared with: "all" for the mean of all cells, or the name of a group
        for the mean of its cells.
    genes, cells, layer, use_raw, orientation, duplicate_genes, species, orthologs, model
        As for `run`.
    batches, batch_size, smooth_batch_size, seed, max_cores, max_memory, strict, progress
        As for `run`.

    Returns
    -------
    Explanation
        The mean shares of the groups, and those of every cell when asked for; it keeps the values
        of the dataset. `explanation.scores` is what `run` returns, whose warnings it gives, too.

    Raises
    ------
    CytoTRACE2Error
        As `run` raises; `UsageError` where `groups`, `of` or `reference` is not usable.
    """
    options = RunOptions(
        genes=genes,
        cells=cells,
        layer=layer,
        use_raw=use_raw,
        orientation=orientation,
        duplicate_genes=duplicate_genes,
        species=species,
        orthologs=orthologs,
        model=model,
        batches=batches,
        batch_size=batch_size,
        smooth_batch_size=smooth_batch_size,
        seed=seed,
        max_cores=max_cores,
        max_memory=max_memory,
        strict=strict,
    )
    potency_position(of)
    with reporting(progress) as report:
        with open_source(expanded(data), options) as source:
            key = groups if isinstance(groups, str) else ""
            labels = obs_column(source, key) if key else groups
            job = prepare_job(source, options, progress=report)
        if strict:
            job.refuse_warnings()
        _give_warnings(job.findings)
        result = job.score(report, release=False, tell=_give_warnings)
        return explain_scores(
            job.data,
            job.ensemble,
            result,
            groups_of(labels, result, key),
            of=of,
            reference=reference,
            threads=job.parameters.max_cores,
            progress=report,
        )


def check(
    data: str | os.PathLike[str] | ArrayLike | Any,
    *,
    genes: Sequence[str] | None = None,
    cells: Sequence[str] | None = None,
    layer: str | None = None,
    use_raw: bool = False,
    orientation: Literal["auto", "genes-x-cells", "cells-x-genes"] = "auto",
    duplicate_genes: Literal["error", "first", "sum"] = "error",
    gene_column: str | None = None,
    species: Literal["mouse", "human"] = "mouse",
    orthologs: str | os.PathLike[str] | None = None,
    model: str | os.PathLike[str] | Ensemble | None = None,
    batches: ArrayLike | str | None = None,
    batch_size: int = 10_000,
    smooth_batch_size: int = 1000,
    seed: int = 14,
    max_cores: int | None = None,
    max_memory: int | None = None,
    progress: Callable[[Progress], None] | bool | None = None,
) -> list[Finding]:
    """Look at a dataset as `run` does before it computes anything, and stop there.

    Parameters
    ----------
    data, genes, cells, layer, use_raw, orientation, duplicate_genes, gene_column, species
        As for `run`.
    orthologs, model
        As for `run`.
    batches, batch_size, smooth_batch_size, seed, max_cores, max_memory, progress
        As for `run`.

    Returns
    -------
    list of Finding
        Warnings, which `run` gives as Python warnings, and notes.

    Raises
    ------
    CytoTRACE2Error
        As `run` raises.
    """
    options = RunOptions(
        genes=genes,
        cells=cells,
        layer=layer,
        use_raw=use_raw,
        orientation=orientation,
        duplicate_genes=duplicate_genes,
        gene_column=gene_column,
        species=species,
        orthologs=orthologs,
        model=model,
        batches=batches,
        batch_size=batch_size,
        smooth_batch_size=smooth_batch_size,
        seed=seed,
        max_cores=max_cores,
        max_memory=max_memory,
    )
    with reporting(progress) as report, open_source(expanded(data), options) as source:
        return prepare_job(source, options, progress=report).findings


def cytotrace2(
    input_path: str | os.PathLike[str],
    annotation_path: str | os.PathLike[str] = "",
    species: Literal["mouse", "human"] = "mouse",
    batch_size: int = 20_000,
    smooth_batch_size: int = 1000,
    disable_parallelization: bool = False,
    max_cores: int | None = None,
    seed: int = 14,
    output_dir: str | os.PathLike[str] = "cytotrace2_results",
    disable_plotting: bool = False,
    disable_verbose: bool = False,
) -> pd.DataFrame:
    """Run as `cytotrace2_py.cytotrace2` does: from a file to a data frame and a results directory.

    Parameters
    ----------
    input_path
        As the path of `run`.
    annotation_path
        A tab-separated table of cell ids and labels with a header; checked against the cells.
    species
        "mouse" or "human", in any case.
    batch_size
        Largest number of cells processed together; upstream's function has 20,000, its command
        line 10,000.
    smooth_batch_size
        Largest number of cells smoothed by diffusion together.
    disable_parallelization
        Use one thread.
    max_cores
        Number of threads; by default all processors this process may use.
    seed
        Seed of the random splits into batches and groups.
    output_dir
        Where `cytotrace2_results.txt` and `run.json` are written.
    disable_plotting
        Draw no plots. Without the extra `plot`, a warning says that there are none.
    disable_verbose
        Accepted for upstream's sake: nothing is printed either way.

    Returns
    -------
    pandas.DataFrame
        The columns of `cytotrace2_results.txt`, indexed by cell.

    Raises
    ------
    CytoTRACE2Error
        As `run` and `Result.write` raise, or pandas is not installed.
    """
    del disable_verbose
    output_dir = expanded(output_dir)
    require_pandas()
    scored = score_to_directory(
        input_path,
        output_dir,
        RunOptions(
            species=species,
            batch_size=batch_size,
            smooth_batch_size=smooth_batch_size,
            seed=seed,
            max_cores=1 if disable_parallelization else max_cores,
        ),
        annotation_path=annotation_path,
        on_checked=_give_warnings,
        keep_counts=not disable_plotting,
        draws=not (disable_plotting or missing_packages()),
    )
    if not disable_plotting:
        if lacking := missing_packages():
            problems = [PlotWarning(no_plots(lacking))]
        else:
            problems = write_plots(
                scored.result,
                scored.counts,
                scored.labels,
                output_dir,
                threads=scored.threads,
                computed=scored.umap,
            )[1]
        for problem in problems:
            _warn(problem)
    return scored.result.to_pandas()


def _cluster_of(client: Any) -> Cluster:
    # Most runs have none, and Dask takes a while to import.
    from cytotrace2_lite.cluster import Cluster

    return Cluster(client)


def _give_warnings(findings: Sequence[Finding]) -> None:
    for finding in findings:
        if finding.severity == "warning":
            _warn(finding.warning)


def _warn(warning: Warning) -> None:
    """Warn at the line outside this package that called it, whatever lies between."""
    package = str(Path(__file__).parent) + os.sep
    level, frame = 1, sys._getframe()
    while frame.f_back is not None and frame.f_code.co_filename.startswith(package):
        level, frame = level + 1, frame.f_back
    warnings.warn(warning, stacklevel=level)
