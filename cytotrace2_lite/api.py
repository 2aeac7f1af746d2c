"""The Python interface: `run`, and `cytotrace2` with upstream's signature."""

from __future__ import annotations

import contextlib
import os
import time
import warnings
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from cytotrace2_lite.base.finding import Finding
from cytotrace2_lite.base.options import RunOptions
from cytotrace2_lite.base.parameters import OTHER_SPECIES, Parameters
from cytotrace2_lite.base.progress import Progress
from cytotrace2_lite.checks.dataset import check_model
from cytotrace2_lite.counts.store import MAX_BYTES
from cytotrace2_lite.errors import PlotWarning, UsageError
from cytotrace2_lite.genes.mapping import wanted
from cytotrace2_lite.genes.orthologs import read_orthologs
from cytotrace2_lite.metadata.annotation import check_annotation, read_annotation
from cytotrace2_lite.metadata.coordinates import (
    embedding_of,
    match_cells,
    obsm_embedding,
    read_embedding,
)
from cytotrace2_lite.metadata.samples import Samples, obs_column, samples_of
from cytotrace2_lite.models.ensemble import Ensemble
from cytotrace2_lite.output.anndata import annotate, annotated_copy, check_h5ad
from cytotrace2_lite.output.report import InputRecord
from cytotrace2_lite.output.tables import require_pandas
from cytotrace2_lite.pipeline import ModelInput, prepare, score_cells
from cytotrace2_lite.pipeline import check as check_input
from cytotrace2_lite.plots.plot import missing_packages, no_plots, remove_plots, write_plots
from cytotrace2_lite.plots.umap import require_umap, umap
from cytotrace2_lite.read._input import Input, open_input
from cytotrace2_lite.read._options import ReadOptions
from cytotrace2_lite.read.anndata import is_anndata
from cytotrace2_lite.result import Result
from cytotrace2_lite.system.files import prepare_directory, write_whole
from cytotrace2_lite.system.machine import available_cores, available_memory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import pandas as pd
    from numpy.typing import ArrayLike

    from cytotrace2_lite.counts.store import Counts
    from cytotrace2_lite.metadata.annotation import Annotation
    from cytotrace2_lite.metadata.coordinates import Embedding

__all__ = ["Scored", "check", "check_file", "cytotrace2", "run", "score_to_directory"]


class Scored(NamedTuple):
    """A run whose results are on the disk, and what its plots need.

    Attributes
    ----------
    result
        As it was written; with the coordinates of the user, if there are any.
    counts
        Expression over the model's features, shape (n_cells, 14271); without values where they
        were not kept.
    labels
        Cell id to label, of the annotation; None without one.
    threads
        How many threads drew the scores, and may compute a UMAP.
    """

    result: Result
    counts: Counts
    labels: dict[str, str] | None
    threads: int


def run(
    data: str | os.PathLike[str] | ArrayLike | Any,
    *,
    genes: Sequence[str] | None = None,
    cells: Sequence[str] | None = None,
    layer: str | None = None,
    use_raw: bool = False,
    orientation: str = "auto",
    duplicate_genes: str = "error",
    species: str = "mouse",
    orthologs: str | os.PathLike[str] | None = None,
    model: str | os.PathLike[str] | Ensemble | None = None,
    batches: ArrayLike | str | None = None,
    batch_size: int = 10_000,
    smooth_batch_size: int = 1000,
    seed: int = 14,
    max_cores: int | None = None,
    max_memory: int | None = None,
    embedding: ArrayLike | str | None = None,
    progress: Callable[[Progress], None] | None = None,
    inplace: bool = True,
) -> Result:
    """Predict the developmental potential of every cell of a dataset.

    Parameters
    ----------
    data
        Raw counts, CPM or TPM, not log-transformed. One of

        - a path: of a text table (tab- or comma-separated, plain or gzip, bzip2 or Zstandard data;
          "-" is standard input), a directory of 10x Genomics, its `matrix.mtx` or their `.h5`, a
          `.h5ad`, a Parquet, Feather or Arrow table; told by the content;
        - an AnnData object, in memory or backed by a file;
        - a pandas data frame, an Arrow table (rows named by its first column or pandas index);
        - a matrix of shape (n_cells, n_genes), a SciPy sparse one or anything NumPy takes.
    genes
        Names of the genes of a matrix: symbols or Ensembl ids. Only for a matrix without names.
    cells
        Names of the cells of a matrix, each once; "0", "1", ... by default. As `genes`.
    layer
        Name of a layer of AnnData to take in place of `X`; of a genome, where a 10x `.h5` has
        several.
    use_raw
        Whether to take `.raw` of AnnData.
    orientation
        Whether the rows of a table or matrix are genes ("genes-x-cells") or cells
        ("cells-x-genes"). With "auto" the names tell; where they do not, the lines of a text table
        are genes, and the rows of a data frame or Arrow table cells. A matrix without names is
        cells x genes.
    duplicate_genes
        What to do with genes of one name: "error", keep the "first", or "sum".
    species
        "mouse" or "human".
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
    embedding
        Where `result.plot` draws the cells: numbers of shape (n_cells, 2), the name of such in
        `obsm` of AnnData, such as "X_umap", or "umap" to compute a UMAP, which needs the extra
        `plot`.
    progress
        Called with a `Progress` as the stages go on, from any thread, from one at a time.
    inplace
        Write the results into `data` where it is an AnnData, as scanpy does: all columns into
        `obs`, version, model and parameters into `uns["cytotrace2"]`. Nothing else is changed.

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
        umap-learn, which "umap" needs, is not installed.
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
    )
    to_compute = isinstance(embedding, str) and embedding == "umap"
    with open_input(data) as source:
        embed = None
        if to_compute:
            require_umap()
        elif isinstance(embedding, str):
            embed = partial(_check_embedding, obsm_embedding(source, embedding))
        elif embedding is not None:
            embed = partial(_check_embedding, embedding)
        job = _prepare(source, options, embed=embed, progress=progress)
    _give_warnings(job.findings, stacklevel=3)
    result = job.score(progress, release=not to_compute)
    if to_compute:
        layout = umap(job.data.counts, threads=job.parameters.max_cores)
        result = replace(result, embedding=layout)
    if inplace and is_anndata(data):
        annotate(data, result)
    return result


def check(
    data: str | os.PathLike[str] | ArrayLike | Any,
    *,
    genes: Sequence[str] | None = None,
    cells: Sequence[str] | None = None,
    layer: str | None = None,
    use_raw: bool = False,
    orientation: str = "auto",
    duplicate_genes: str = "error",
    species: str = "mouse",
    orthologs: str | os.PathLike[str] | None = None,
    model: str | os.PathLike[str] | Ensemble | None = None,
    batches: ArrayLike | str | None = None,
    batch_size: int = 10_000,
    smooth_batch_size: int = 1000,
    seed: int = 14,
    max_cores: int | None = None,
    max_memory: int | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> list[Finding]:
    """Look at a dataset as `run` does before it computes anything, and stop there.

    Parameters
    ----------
    data, genes, cells, layer, use_raw, orientation, duplicate_genes, species, orthologs, model
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
    with open_input(data) as source:
        return _prepare(source, options, progress=progress).findings


def check_file(
    input_path: str | os.PathLike[str],
    options: RunOptions,
    *,
    annotation_path: str | os.PathLike[str] = "",
    batch_key: str | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> list[Finding]:
    """Look at a file as `score_to_directory` does before it computes anything, and stop there.

    Parameters
    ----------
    input_path, options, annotation_path, batch_key, progress
        As for `score_to_directory`.

    Returns
    -------
    list of Finding
        Warnings and notes.

    Raises
    ------
    CytoTRACE2Error
        As `score_to_directory` raises before it computes anything.
    """
    with open_input(input_path) as source:
        annotation = _read_annotation(annotation_path, batch_key, source)
        job = _prepare(
            source, options, annotation=annotation, batch_key=batch_key, progress=progress
        )
    return job.findings


def score_to_directory(
    input_path: str | os.PathLike[str],
    output_dir: str | os.PathLike[str] | None,
    options: RunOptions,
    *,
    annotation_path: str | os.PathLike[str] = "",
    batch_key: str | None = None,
    embedding: str | os.PathLike[str] | None = None,
    progress: Callable[[Progress], None] | None = None,
    on_checked: Callable[[list[Finding]], None] | None = None,
    extra_columns: bool = False,
    file_format: str = "txt",
    write_h5ad: str | os.PathLike[str] | None = None,
    keep_counts: bool = True,
) -> Scored:
    """Score the cells of a file; write the results file, `run.json`, and a copy of an `.h5ad`.

    All of these files are written, or none.

    The warnings are in the result; unlike `run`, it gives none of them as Python warnings.

    Parameters
    ----------
    input_path
        As the path of `run`.
    output_dir
        Made where it does not exist; seen to be writable before anything is computed. With None,
        neither results file nor `run.json` is written.
    options
        What decides the scores.
    annotation_path
        A tab-separated table of cell ids and labels with a header; its ids are checked against
        the cells.
    batch_key
        Column of the annotation that holds the sample of each cell, as `batches` of `run`;
        without an annotation a column of `obs` of a `.h5ad` input.
    embedding
        Coordinates for plots: a table of cell ids and two numbers, whose ids are checked against
        the cells; or, where there is no such file, a name in `obsm` of a `.h5ad` input.
    progress
        As for `run`.
    on_checked
        Called with what was found out about the file before anything is computed.
    extra_columns, file_format
        As for `Result.write`.
    write_h5ad
        Name of a copy of the input with the results, as for `Result.write_h5ad`.
    keep_counts
        Whether a UMAP is to be computed of the counts; else less memory is taken.

    Returns
    -------
    Scored
        The result as it was written, and what its plots need. Plots of an earlier run are gone.

    Raises
    ------
    CytoTRACE2Error
        As `run` and `Result.write` raise; `InputError` where the annotation or the embedding is
        not usable.
    """
    report = progress or (lambda _: None)
    with contextlib.ExitStack() as stack:
        source = stack.enter_context(open_input(input_path))
        annotation = _read_annotation(annotation_path, batch_key, source)
        embed = None if embedding is None else _embedding_of_file(embedding, source)
        folder = None if output_dir is None else Path(output_dir)
        # Path.exists raises where it is not allowed to look.
        new = folder if folder is not None and not os.path.exists(folder) else None  # noqa: PTH110
        if folder is not None:
            prepare_directory(folder)
        stack.enter_context(_removed_on_error(new))
        if write_h5ad is not None:
            check_h5ad(source, write_h5ad)
        job = _prepare(
            source,
            options,
            annotation=annotation,
            batch_key=batch_key,
            embed=embed,
            embedding_name=None if embedding is None else str(embedding),
            progress=progress,
        )
        if on_checked is not None:
            on_checked(job.findings)
        result = job.score(progress, release=not keep_counts)
        contents: dict[Path, Any] = {}
        if folder is not None:
            contents |= result.files(folder, extra_columns=extra_columns, file_format=file_format)
        if write_h5ad is not None:
            contents[Path(write_h5ad)] = annotated_copy(source, result)
        if folder is not None:
            prepare_directory(folder)  # anew, where it was removed meanwhile
        if contents:
            n_cells = len(result.cells)
            report(Progress("write", 0, n_cells))
            write_whole(contents, ready=lambda: report(Progress("write", n_cells, n_cells)))
    if folder is not None:
        remove_plots(folder)
    return Scored(
        result=result,
        counts=job.data.counts,
        labels=None if annotation is None else annotation.labels,
        threads=job.parameters.max_cores,
    )


def cytotrace2(
    input_path: str | os.PathLike[str],
    annotation_path: str | os.PathLike[str] = "",
    species: str = "mouse",
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
        "mouse" or "human".
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
        on_checked=partial(_give_warnings, stacklevel=4),
        keep_counts=not disable_plotting,
    )
    if not disable_plotting:
        if lacking := missing_packages():
            problems = [PlotWarning(no_plots(lacking))]
        else:
            problems = write_plots(
                scored.result, scored.counts, scored.labels, output_dir, threads=scored.threads
            )[1]
        for problem in problems:
            warnings.warn(problem, stacklevel=2)
    return scored.result.to_pandas()


@dataclass(frozen=True, eq=False)
class _Job:
    """A dataset that was read and checked, with all it takes to score it."""

    data: ModelInput
    ensemble: Ensemble
    parameters: Parameters
    samples: Samples | None
    findings: list[Finding]
    embedding: Embedding | None
    record: InputRecord

    def score(self, progress: Callable[[Progress], None] | None, *, release: bool) -> Result:
        scores = score_cells(
            self.data,
            self.ensemble,
            self.parameters,
            progress,
            samples=self.samples,
            findings=self.findings,
            record=self.record,
            release=release,
        )
        return Result(**vars(replace(scores, embedding=self.embedding)))


def _prepare(
    source: Input,
    options: RunOptions,
    *,
    batch_key: str | None = None,
    annotation: Annotation | None = None,
    embed: Callable[[list[str]], tuple[Embedding, list[Finding]]] | None = None,
    embedding_name: str | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> _Job:
    """Do what `run` does until it computes; `embed` is called with the names of the cells."""
    started = time.perf_counter()
    parameters = _parameters(options)
    table = None if options.orthologs is None else read_orthologs(options.orthologs)
    mouse_symbol = None if table is None else table.symbol_of
    model = options.model
    ensemble = model if isinstance(model, Ensemble) else Ensemble.load(model)

    def report(done: int, total: int, unit: str) -> None:
        if progress is not None:
            progress(Progress("read", done, total, unit))

    # Before anything is read: whether there is such a column is soon seen.
    batches = options.batches
    key = batches if isinstance(batches, str) else batch_key or ""
    labels = obs_column(source, key) if key and annotation is None else batches
    expression, origin = source.read(
        ReadOptions(
            wanted=lambda names: wanted(names, parameters.species, mouse_symbol),
            layer=options.layer,
            use_raw=options.use_raw,
            orientation=options.orientation,
            duplicate_genes=options.duplicate_genes,
            threads=parameters.max_cores,
        ),
        genes=options.genes,
        cells=options.cells,
        progress=report,
        max_bytes=_bytes_of_values(parameters),
    )
    read_seconds = time.perf_counter() - started
    names = expression.cells
    if annotation is not None and batch_key is not None:
        labels = annotation.column(batch_key, names)
    samples = None if labels is None else samples_of(labels, names, key)
    layout, remarks = embed(names) if embed is not None else (None, [])
    prepared = prepare(expression, parameters.species, mouse_symbol, threads=parameters.max_cores)
    del expression
    findings = [Finding("input", "note", f"read as {origin.describe()}")]
    findings += check_input(prepared, parameters, samples, origin.hint()) + remarks
    findings += check_model(ensemble.info.path)
    if table is not None:
        findings += table.findings()
    if annotation is not None:
        findings += check_annotation(annotation, names)
    return _Job(
        data=prepared,
        ensemble=ensemble,
        parameters=parameters,
        samples=samples,
        findings=findings,
        embedding=layout,
        record=InputRecord(
            source=origin,
            started=started,
            read_seconds=read_seconds,
            orthologs=None if table is None else table.report(),
            annotation=None if annotation is None else annotation.report(),
            embedding=embedding_name,
        ),
    )


def _parameters(options: RunOptions) -> Parameters:
    return Parameters(
        species=_species(options.species, options.orthologs),
        batch_size=options.batch_size,
        smooth_batch_size=options.smooth_batch_size,
        seed=options.seed,
        max_cores=available_cores() if options.max_cores is None else options.max_cores,
        max_memory=options.max_memory,
    )


def _bytes_of_values(parameters: Parameters) -> int:
    """Set aside memory for values, so that a batch finds room, too."""
    allowed = parameters.max_memory or available_memory()
    return MAX_BYTES if allowed is None else min(MAX_BYTES, allowed // 4)


def _species(species: str, orthologs: str | os.PathLike[str] | None) -> str:
    if orthologs is None:
        if species == OTHER_SPECIES:
            raise UsageError("species is 'other', which needs a table of orthologs.")
        return species
    if species == "human":
        raise UsageError(
            "a table of orthologs maps the genes to mouse, so species 'human' has no meaning: "
            "leave it out."
        )
    return OTHER_SPECIES


def _check_embedding(
    embedding: ArrayLike | Embedding, cells: list[str]
) -> tuple[Embedding, list[Finding]]:
    return embedding_of(embedding, len(cells)), []


def _embedding_of_file(
    embedding: str | os.PathLike[str], source: Input
) -> Callable[[list[str]], tuple[Embedding, list[Finding]]]:
    if not os.path.exists(embedding) and source.is_h5ad:  # noqa: PTH110
        return partial(_check_embedding, obsm_embedding(source, str(embedding)))
    return partial(match_cells, *read_embedding(embedding), path=embedding)


def _read_annotation(
    path: str | os.PathLike[str], batch_key: str | None, source: Input
) -> Annotation | None:
    if path:
        annotation = read_annotation(path)
        if batch_key is not None:
            annotation.column(batch_key, [])  # that it is there is seen before the cells are read
        return annotation
    if batch_key is not None and not source.is_h5ad:
        raise UsageError(
            "--batch-key names a column of the annotation: give the file, too "
            "(-a/--annotation-path). Only a .h5ad has labels of its own."
        )
    return None


def _give_warnings(findings: Sequence[Finding], *, stacklevel: int) -> None:
    for finding in findings:
        if finding.severity == "warning":
            warnings.warn(finding.warning, stacklevel=stacklevel)


@contextlib.contextmanager
def _removed_on_error(folder: Path | None) -> Iterator[None]:
    try:
        yield
    except BaseException:
        if folder is not None:
            with contextlib.suppress(OSError):
                folder.rmdir()  # where there is nothing in it
        raise
