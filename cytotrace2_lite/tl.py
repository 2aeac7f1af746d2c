"""`ct2.tl`: the tool for an AnnData, as scanpy's tools are called."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from cytotrace2_lite.api import run
from cytotrace2_lite.errors import UsageError
from cytotrace2_lite.output.anndata import KEY
from cytotrace2_lite.read.mudata import anndata_of

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Sequence

    from numpy.typing import ArrayLike

    from cytotrace2_lite.base.progress import Progress
    from cytotrace2_lite.models.ensemble import Ensemble

__all__ = ["cytotrace2"]


def cytotrace2(
    adata: Any,
    *,
    layer: str | None = None,
    use_raw: bool = False,
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
    progress: Callable[[Progress], None] | bool | None = None,
    key_added: str = KEY,
    columns: Sequence[str] | str | None = None,
    client: Any = None,
    copy: bool = False,
) -> Any:
    """Predict the developmental potential of the cells of an AnnData, and write it into `obs`.

    This is `run` for an AnnData, which returns the `Result` instead.

    Parameters
    ----------
    adata
        An AnnData, or a MuData, of which the modality "rna" is scored and gets the results.
    layer, use_raw, duplicate_genes, gene_column, species, orthologs, model, batches, batch_size
        As for `run`.
    smooth_batch_size, seed, max_cores, max_memory, strict, progress, key_added, columns, client
        As for `run`.
    copy
        Whether to write into a copy, which is returned, and leave `adata` as it is. Of an AnnData
        that is backed by a file, the copy is in memory.

    Returns
    -------
    AnnData or None
        The copy with the results, of the type of `adata`, if `copy`; else None.

    Raises
    ------
    UsageError
        `adata` is no AnnData, or as `run` raises.
    CytoTRACE2Error
        As `run` raises.
    """
    if anndata_of(adata) is None:
        raise UsageError(
            f"tl.cytotrace2 takes an AnnData, not a {type(adata).__name__}: ct2.run takes files, "
            "matrices and tables."
        )
    if copy:
        adata = adata.to_memory() if getattr(adata, "isbacked", False) else adata.copy()
    run(
        adata,
        layer=layer,
        use_raw=use_raw,
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
        progress=progress,
        key_added=key_added,
        columns=columns,
        client=client,
    )
    return adata if copy else None
