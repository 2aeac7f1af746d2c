"""The Python interface: `run`, and `cytotrace2` with upstream's signature."""

from __future__ import annotations

import contextlib
import os
import time
import warnings
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from cytotrace2_lite.annotation import check_annotation, read_annotation
from cytotrace2_lite.ensemble import Ensemble
from cytotrace2_lite.errors import PlotWarning, UsageError
from cytotrace2_lite.machine import available_cores, peak_memory
from cytotrace2_lite.pipeline import Parameters, Progress, prepare, score_cells
from cytotrace2_lite.plot import missing_packages, no_plots, remove_plots, write_plots
from cytotrace2_lite.results import prepare_directory, require_pandas

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import pandas as pd
    from numpy.typing import ArrayLike
    from scipy.sparse import csr_array

    from cytotrace2_lite.embedding import Embedding
    from cytotrace2_lite.errors import CytoTRACE2Warning
    from cytotrace2_lite.results import Result

__all__ = ["Scored", "cytotrace2", "run", "score_to_directory"]


class Scored(NamedTuple):
    """A run whose results are on the disk, and what its plots need.

    Attributes
    ----------
    result
        As it was written; with the coordinates of the user, if there are any.
    counts
        Expression over the model's features, CSR, shape (n_cells, 14271).
    labels
        Cell id to label, of the annotation; None without one.
    """

    result: Result
    counts: csr_array
    labels: dict[str, str] | None


def run(
    data: str | os.PathLike[str] | ArrayLike | Any,
    *,
    genes: Sequence[str] | None = None,
    cells: Sequence[str] | None = None,
    species: str = "mouse",
    model: str | os.PathLike[str] | Ensemble | None = None,
    batch_size: int = 10_000,
    smooth_batch_size: int = 1000,
    seed: int = 14,
    max_cores: int | None = None,
    embedding: ArrayLike | str | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> Result:
    """Predict the developmental potential of every cell of a dataset.

    Parameters
    ----------
    data
        The path of a genes x cells text table (tab- or comma-separated, may be gzipped), or a
        matrix of shape (n_cells, n_genes), a SciPy sparse one or anything NumPy takes. Raw counts,
        CPM or TPM, not log-transformed.
    genes
        Names of the genes of a matrix: symbols or Ensembl ids, each once. Not used with a path.
    cells
        Names of the cells of a matrix, each once; "0", "1", ... by default. Not used with a path.
    species
        "mouse" or "human".
    model
        The path of an `.onnx` file, the name of a model, or a loaded `Ensemble`; by default what
        `ct2-lite models list` marks: CT2_LITE_MODEL, the official model, the bundled one.
    batch_size
        Largest number of cells processed together. Fewer than 1,000 cells are never split.
    smooth_batch_size
        Largest number of cells smoothed by diffusion together.
    seed
        Seed of the random splits into batches and groups.
    max_cores
        Number of threads; by default all processors this process may use.
    embedding
        Where `result.plot` draws the cells: numbers of shape (n_cells, 2), such as
        `adata.obsm["X_umap"]`, or "umap" to compute a UMAP, which needs the extra `plot`.
    progress
        Called with a `Progress` as the stages go on, from any thread, from one at a time.

    Returns
    -------
    Result
        Scores in the order of the cells. Its warnings are given as Python warnings, too.

    Raises
    ------
    InputError
        The table or matrix is not usable as it is.
    NoUsableGenesError
        No gene is known to the model.
    ModelError
        The model is missing, truncated or altered.
    UsageError
        An argument is out of range.
    CytoTRACE2Error
        umap-learn, which "umap" needs, is not installed.
    """
    to_compute = isinstance(embedding, str)
    if to_compute:
        from cytotrace2_lite.embedding import require_umap

        if embedding != "umap":
            raise UsageError(
                f'embedding is {embedding!r}; it must be "umap" or numbers of shape (n_cells, 2).'
            )
        require_umap()
    result, counts = _score(
        data,
        genes=genes,
        cells=cells,
        species=species,
        model=model,
        batch_size=batch_size,
        smooth_batch_size=smooth_batch_size,
        seed=seed,
        max_cores=max_cores,
        progress=progress,
        embed=None if to_compute or embedding is None else partial(_check_array, embedding),
    )
    if to_compute:
        from cytotrace2_lite.embedding import umap

        threads = result.info["parameters"]["max_cores"]
        result = replace(result, embedding=umap(counts, threads=threads))
    _give_warnings(result.warnings)
    return result


def score_to_directory(
    input_path: str | os.PathLike[str],
    output_dir: str | os.PathLike[str],
    *,
    annotation_path: str | os.PathLike[str] = "",
    embedding_path: str | os.PathLike[str] | None = None,
    **options: Any,
) -> Scored:
    """Score the cells of a file; write `cytotrace2_results.txt` and `run.json`.

    The warnings are in the result; unlike `run`, it gives none of them as Python warnings.

    Parameters
    ----------
    input_path
        A genes x cells text table.
    output_dir
        Made where it does not exist; seen to be writable before anything is computed.
    annotation_path
        A tab-separated table of cell ids and labels with a header; its ids are checked against
        the cells.
    embedding_path
        A table of cell ids and two coordinates for plots; its ids are checked against the cells.
    **options
        As for `run`, but for `embedding`.

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
    annotation = read_annotation(annotation_path) if annotation_path else None
    embed = None
    if embedding_path is not None:
        from cytotrace2_lite.embedding import match_cells, read_embedding

        embed = partial(match_cells, *read_embedding(embedding_path), path=embedding_path)
    is_new = not Path(output_dir).exists()
    prepare_directory(output_dir)
    try:
        result, counts = _score(input_path, embed=embed, **options)
    except BaseException:
        if is_new:
            with contextlib.suppress(OSError):
                Path(output_dir).rmdir()
        raise
    if annotation is not None:
        _add_warnings(result, check_annotation(annotation, result.cells, annotation_path))
        result.info["annotation"] = {"path": str(annotation_path), "n_cells": len(annotation)}
    if embedding_path is not None:
        result.info["embedding"] = {"path": str(embedding_path)}
    progress = options.get("progress")
    if progress is not None:
        progress(Progress("write", 0, len(result.cells)))
    result.write(output_dir)
    remove_plots(output_dir)
    return Scored(result, counts, annotation)


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
        A genes x cells text table.
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
        annotation_path=annotation_path,
        species=species,
        batch_size=batch_size,
        smooth_batch_size=smooth_batch_size,
        seed=seed,
        max_cores=1 if disable_parallelization else max_cores,
    )
    problems: list[CytoTRACE2Warning] = []
    if not disable_plotting:
        if lacking := missing_packages():
            problems.append(PlotWarning(no_plots(lacking)))
        else:
            problems += write_plots(*scored, output_dir)[1]
    _give_warnings([*scored.result.warnings, *problems])
    return scored.result.to_pandas()


def _score(
    data: Any,
    *,
    genes: Sequence[str] | None = None,
    cells: Sequence[str] | None = None,
    model: str | os.PathLike[str] | Ensemble | None = None,
    max_cores: int | None = None,
    progress: Callable[[Progress], None] | None = None,
    embed: Callable[[list[str]], tuple[Embedding, list[PlotWarning]]] | None = None,
    **options: Any,
) -> tuple[Result, csr_array]:
    """Do what `run` does, but for the warnings; return the model's input, too.

    `embed` is called with the names of the cells before anything is computed.
    """
    started = time.perf_counter()
    parameters = Parameters(
        max_cores=available_cores() if max_cores is None else max_cores, **options
    )
    ensemble = model if isinstance(model, Ensemble) else Ensemble.load(model)
    if isinstance(data, (str, os.PathLike)):
        if genes is not None or cells is not None:
            raise UsageError("genes and cells name the axes of a matrix; a file has its own names.")
        from cytotrace2_lite.genes import wanted
        from cytotrace2_lite.read import read_expression

        def report(done: int, total: int) -> None:
            if progress is not None:
                progress(Progress("read", done, total))

        expression, source = read_expression(
            data,
            lambda names: wanted(names, parameters.species),
            progress=report,
        )
        origin: dict[str, Any] = asdict(source)
    else:
        from cytotrace2_lite.read.matrix import from_matrix

        expression = from_matrix(data, genes, cells)
        origin = {"format": "matrix"}
    embedding, problems = embed(expression.cells) if embed else (None, [])
    read_seconds = time.perf_counter() - started
    prepared = prepare(expression, parameters.species)
    del expression
    result = replace(score_cells(prepared, ensemble, parameters, progress), embedding=embedding)
    _add_warnings(result, problems)
    result.info["input"] = origin | result.info["input"]
    result.info["seconds"] = {"read": round(read_seconds, 3), **result.info["seconds"]}
    result.info["seconds"]["total"] = round(time.perf_counter() - started, 3)
    result.info["peak_memory_bytes"] = peak_memory()
    return result, prepared.counts


def _check_array(embedding: ArrayLike, cells: list[str]) -> tuple[Embedding, list[PlotWarning]]:
    from cytotrace2_lite.embedding import embedding_of

    return embedding_of(embedding, len(cells)), []


def _add_warnings(result: Result, found: Sequence[CytoTRACE2Warning]) -> None:
    result.warnings.extend(found)
    result.info["warnings"] += [f"{type(warning).__name__}: {warning}" for warning in found]


def _give_warnings(found: Sequence[CytoTRACE2Warning]) -> None:
    for warning in found:
        warnings.warn(warning, stacklevel=3)
