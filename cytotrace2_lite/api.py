"""The Python interface: `run`, and `cytotrace2` with upstream's signature."""

from __future__ import annotations

import contextlib
import time
import warnings
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cytotrace2_lite.annotation import check_annotation, read_annotation
from cytotrace2_lite.ensemble import Ensemble
from cytotrace2_lite.errors import UsageError
from cytotrace2_lite.genes import OTHER_SPECIES, wanted
from cytotrace2_lite.machine import available_cores, peak_memory
from cytotrace2_lite.orthologs import read_orthologs
from cytotrace2_lite.pipeline import Parameters, Progress, prepare, score_cells
from cytotrace2_lite.results import prepare_directory, require_pandas

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Sequence

    import pandas as pd
    from numpy.typing import ArrayLike

    from cytotrace2_lite.read import Source
    from cytotrace2_lite.results import Result

__all__ = ["cytotrace2", "run", "score_to_directory"]


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
    batch_size: int = 10_000,
    smooth_batch_size: int = 1000,
    seed: int = 14,
    max_cores: int | None = None,
    progress: Callable[[Progress], None] | None = None,
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
    batch_size
        Largest number of cells processed together. Fewer than 1,000 cells are never split.
    smooth_batch_size
        Largest number of cells smoothed by diffusion together.
    seed
        Seed of the random splits into batches and groups.
    max_cores
        Number of threads; by default all processors this process may use.
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
    """
    result = _score(
        data,
        genes=genes,
        cells=cells,
        layer=layer,
        use_raw=use_raw,
        orientation=orientation,
        duplicate_genes=duplicate_genes,
        species=species,
        orthologs=orthologs,
        model=model,
        batch_size=batch_size,
        smooth_batch_size=smooth_batch_size,
        seed=seed,
        max_cores=max_cores,
        progress=progress,
    )
    _give_warnings(result)
    return result


def score_to_directory(
    input_path: str | os.PathLike[str],
    output_dir: str | os.PathLike[str],
    *,
    annotation_path: str | os.PathLike[str] = "",
    **options: Any,
) -> Result:
    """Score the cells of a file; write `cytotrace2_results.txt` and `run.json`.

    The warnings are in the result; unlike `run`, it gives none of them as Python warnings.

    Parameters
    ----------
    input_path
        As the path of `run`.
    output_dir
        Made where it does not exist; seen to be writable before anything is computed.
    annotation_path
        A tab-separated table of cell ids and labels with a header; its ids are checked against
        the cells.
    **options
        As for `run`; and `announce`, called with a `Source` once the input has been read.

    Returns
    -------
    Result
        As it was written.

    Raises
    ------
    CytoTRACE2Error
        As `run` and `Result.write` raise; `InputError` where the annotation is not usable.
    """
    annotation = read_annotation(annotation_path) if annotation_path else None
    is_new = not Path(output_dir).exists()
    prepare_directory(output_dir)
    try:
        result = _score(input_path, **options)
    except BaseException:
        if is_new:
            with contextlib.suppress(OSError):
                Path(output_dir).rmdir()
        raise
    if annotation is not None:
        for warning in check_annotation(annotation, result.cells, annotation_path):
            result.warnings.append(warning)
            result.info["warnings"].append(f"{type(warning).__name__}: {warning}")
        result.info["annotation"] = {"path": str(annotation_path), "n_cells": len(annotation)}
    progress = options.get("progress")
    if progress is not None:
        progress(Progress("write", 0, len(result.cells)))
    result.write(output_dir)
    return result


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
    disable_plotting, disable_verbose
        Accepted for upstream's sake: nothing is plotted or printed either way.

    Returns
    -------
    pandas.DataFrame
        The columns of `cytotrace2_results.txt`, indexed by cell.

    Raises
    ------
    CytoTRACE2Error
        As `run` and `Result.write` raise, or pandas is not installed.
    """
    del disable_plotting, disable_verbose
    require_pandas()
    result = score_to_directory(
        input_path,
        output_dir,
        annotation_path=annotation_path,
        species=species,
        batch_size=batch_size,
        smooth_batch_size=smooth_batch_size,
        seed=seed,
        max_cores=1 if disable_parallelization else max_cores,
    )
    _give_warnings(result)
    return result.to_pandas()


def _score(
    data: Any,
    *,
    genes: Sequence[str] | None = None,
    cells: Sequence[str] | None = None,
    model: str | os.PathLike[str] | Ensemble | None = None,
    layer: str | None = None,
    use_raw: bool = False,
    orientation: str = "auto",
    duplicate_genes: str = "error",
    max_cores: int | None = None,
    progress: Callable[[Progress], None] | None = None,
    announce: Callable[[Source], None] | None = None,
    species: str = "mouse",
    orthologs: str | os.PathLike[str] | None = None,
    **options: Any,
) -> Result:
    """Do what `run` does, but for the warnings; `announce` is told what was read."""
    started = time.perf_counter()
    parameters = Parameters(
        species=_species(species, orthologs),
        max_cores=available_cores() if max_cores is None else max_cores,
        **options,
    )
    table = None if orthologs is None else read_orthologs(orthologs)
    mouse_symbol = None if table is None else table.symbol_of
    ensemble = model if isinstance(model, Ensemble) else Ensemble.load(model)
    from cytotrace2_lite.read import read_expression

    def report(done: int, total: int) -> None:
        if progress is not None:
            progress(Progress("read", done, total))

    expression, source = read_expression(
        data,
        lambda names: wanted(names, parameters.species, mouse_symbol),
        genes=genes,
        cells=cells,
        layer=layer,
        use_raw=use_raw,
        orientation=orientation,
        duplicate_genes=duplicate_genes,
        progress=report,
    )
    if announce is not None:
        announce(source)
    read_seconds = time.perf_counter() - started
    prepared = prepare(expression, parameters.species, mouse_symbol)
    del expression
    result = score_cells(prepared, ensemble, parameters, progress)
    result.info["input"] = asdict(source) | result.info["input"]
    if table is not None:
        result.info["orthologs"] = table.report()
        for warning in table.warnings():
            result.warnings.append(warning)
            result.info["warnings"].append(f"{type(warning).__name__}: {warning}")
    result.info["seconds"] = {"read": round(read_seconds, 3), **result.info["seconds"]}
    result.info["seconds"]["total"] = round(time.perf_counter() - started, 3)
    result.info["peak_memory_bytes"] = peak_memory()
    return result


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


def _give_warnings(result: Result) -> None:
    for warning in result.warnings:
        warnings.warn(warning, stacklevel=3)
