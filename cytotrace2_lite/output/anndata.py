"""Results in an AnnData object. The package anndata is not imported, only pandas."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from cytotrace2_lite.base.potency import POTENCIES, POTENCY_COLORS
from cytotrace2_lite.errors import UsageError
from cytotrace2_lite.output.scores import Scores
from cytotrace2_lite.output.tables import (
    COLUMNS,
    EXTRA_COLUMNS,
    LABELS,
    require_pandas,
    to_pandas,
)
from cytotrace2_lite.text import first_few, shown

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from cytotrace2_lite.errors import InputError
    from cytotrace2_lite.metadata.coordinates import Embedding

__all__ = [
    "KEY",
    "annotate",
    "check_annotatable",
    "check_cells",
    "make_actual",
    "provenance",
    "scores_of",
]

#: Name in `uns`, unless another is asked for.
KEY = "cytotrace2"
_WORD = "CytoTRACE2"  # in the names of columns, where another key takes its place
_ALL = (*COLUMNS, *EXTRA_COLUMNS)
_MODEL = ("name", "architecture", "n_members", "sha256", "licence", "official")


def annotate(
    adata: Any,
    result: Scores,
    *,
    key_added: str = KEY,
    columns: Sequence[str] | str | None = None,
    umap: Embedding | None = None,
) -> None:
    """Write results into an AnnData. Those of an earlier run with this key are replaced.

    A view becomes an AnnData of its own, as with scanpy.

    Parameters
    ----------
    adata
        The AnnData whose cells were scored. Columns are written into `obs`; the colours of the
        potencies into `uns["CytoTRACE2_Potency_colors"]`, where scanpy looks for them; version,
        model with digest, and parameters into `uns["cytotrace2"]`.
    result
        Its results.
    key_added
        Name in `uns`. Another than "cytotrace2" also takes the place of "CytoTRACE2" in the names
        of the columns.
    columns
        Which columns are written, by their usual names; by default all, the extra ones included.
    umap
        A UMAP that was computed: it is written into `obsm["X_cytotrace2_umap"]`.

    Raises
    ------
    UsageError
        The cells of the AnnData are others than those of the results, or as `check_annotatable`.
    CytoTRACE2Error
        pandas is not installed.
    """
    chosen = _chosen(columns)
    check_cells("the AnnData", [str(name) for name in adata.obs_names], result, UsageError)
    frame = to_pandas(result, extra_columns=True)
    make_actual(adata)
    if _is_ours(adata.uns.get(key_added)):  # no column of another run stays beside the new ones
        others = [_named(name, key_added) for name in _ALL if name not in chosen]
        for name in others:
            adata.uns.pop(f"{name}_colors", None)
            if name in adata.obs:
                # That of a lazy AnnData is a wrapper which does not delete.
                del getattr(adata.obs, "ds", adata.obs)[name]
        if umap_name(key_added) in adata.obsm:
            del adata.obsm[umap_name(key_added)]
    for name in chosen:
        # By position: the index may be of another type.
        adata.obs[_named(name, key_added)] = frame[name].array
        if LABELS.get(name) == POTENCIES:
            adata.uns[f"{_named(name, key_added)}_colors"] = list(POTENCY_COLORS)
    if umap is not None:
        adata.obsm[umap_name(key_added)] = umap.coordinates
    adata.uns[key_added] = provenance(result)


def umap_name(key: str) -> str:
    """Name the coordinates of a UMAP in `obsm`, for results that `uns` calls `key`."""
    return f"X_{key}_umap"


def make_actual(adata: Any) -> None:
    """Make a view of an AnnData one of its own, as writing into it does, but without a warning.

    Parameters
    ----------
    adata
        The AnnData; changed only where it is a view.
    """
    if getattr(adata, "is_view", False):
        obs = adata.obs  # of a lazy AnnData, not yet a data frame
        adata.obs = (
            obs.to_memory() if hasattr(obs, "to_memory") else require_pandas().DataFrame(obs)
        )


def scores_of(adata: Any, needed: Sequence[str], key: str = KEY) -> Scores:
    """Read scores back from the `obs` of an AnnData.

    Parameters
    ----------
    adata
        The AnnData.
    needed
        The columns that must be there, by their usual names.
    key
        The `key_added` that they were written with.

    Returns
    -------
    Scores
        What `obs` does not have is missing: NaN, -1.

    Raises
    ------
    UsageError
        A column that is needed is not there, or holds something else.
    """
    n_cells = len(adata.obs_names)
    for name in needed:
        if _named(name, key) not in adata.obs:
            raise UsageError(
                f"obs has no column {shown(_named(name, key))}: run ct2.tl.cytotrace2(adata) "
                "first, with this column and this key."
            )

    def numbers(name: str) -> NDArray[np.float64]:
        if _named(name, key) not in adata.obs:
            return np.full(n_cells, np.nan)
        column = adata.obs[_named(name, key)]
        try:
            return np.asarray(column, dtype=np.float64)
        except (TypeError, ValueError) as error:
            raise UsageError(
                f"the column {shown(_named(name, key))} of obs holds {column.dtype}, not scores."
            ) from error

    def labels(name: str) -> NDArray[np.int8]:
        if _named(name, key) not in adata.obs:
            return np.full(n_cells, -1, dtype=np.int8)
        position = {label: k for k, label in enumerate(LABELS[name])}
        values = adata.obs[_named(name, key)]
        return np.array([position.get(label, -1) for label in values], dtype=np.int8)

    made_by = adata.uns.get(key)
    model = made_by["model"] if _is_ours(made_by) else {}
    score, potency, relative, preknn_score, preknn_potency = COLUMNS
    raw_score, *probabilities = EXTRA_COLUMNS[: 1 + len(POTENCIES)]
    return Scores(
        cells=[str(name) for name in adata.obs_names],
        score=numbers(score),
        relative=numbers(relative),
        preknn_score=numbers(preknn_score),
        raw_score=numbers(raw_score),
        probabilities=np.column_stack([numbers(name) for name in probabilities]),
        potency_index=labels(potency),
        preknn_potency_index=labels(preknn_potency),
        n_genes=np.zeros(n_cells, dtype=np.int64),
        score_sd=numbers("CytoTRACE2_Score_SD"),
        info={"model": {name: str(value) for name, value in model.items()}},
    )


def check_annotatable(
    adata: Any,
    orientation: str = "auto",
    *,
    key_added: str = KEY,
    columns: Sequence[str] | str | None = None,
) -> None:
    """Check that results can be written into an AnnData, before there are any.

    Parameters
    ----------
    adata
        The AnnData whose cells are to be scored.
    orientation
        As for `cytotrace2_lite.run`.
    key_added, columns
        As for `annotate`.

    Raises
    ------
    UsageError
        It is a view of one that is backed by a file, which anndata does not write into; its cells
        are in `var`; the index of `obs` is called as a column of the results; `key_added` is no
        name, or the name of something else in `uns`; or there is no such column.
    CytoTRACE2Error
        pandas is not installed.
    """
    require_pandas()
    chosen = _chosen(columns)
    _check_key(adata, key_added)
    if getattr(adata, "is_view", False) and getattr(adata, "isbacked", False):
        raise UsageError(
            "the AnnData is a view of one that is backed by a file, so that nothing can be written "
            "into its obs: pass adata.to_memory(), or inplace=False."
        )
    if orientation == "genes-x-cells":
        raise UsageError(
            "the cells of this AnnData are in var, and results are written into obs: pass adata.T, "
            "or inplace=False."
        )
    name = getattr(getattr(adata.obs, "index", None), "name", None)
    if name in [_named(column, key_added) for column in chosen]:
        raise UsageError(
            f"the index of obs is called {shown(str(name))}, as a column of the results is: rename "
            "it (adata.obs.index.name = None), or pass inplace=False."
        )


def _check_key(adata: Any, key: str) -> None:
    if not isinstance(key, str) or not key or "/" in key:
        raise UsageError(f"key_added is {shown(key)}; it must be a name without '/'.")
    if key.lower() == KEY != key:
        raise UsageError(
            f"key_added is {shown(key)}, which differs from the usual {KEY!r} in the case of its "
            "letters only. Choose another name."
        )
    if key != KEY and key in adata.uns and not _is_ours(adata.uns[key]):
        raise UsageError(
            f"uns[{shown(key)}] is there already, not by this package: choose another key_added."
        )


def _chosen(columns: Sequence[str] | str | None) -> tuple[str, ...]:
    """Give the columns that were asked for, in the order of the results."""
    if columns is None:
        return _ALL
    names = [columns] if isinstance(columns, str) else list(columns)
    unknown = [str(name) for name in names if name not in _ALL]
    if unknown or not names:
        raise UsageError(
            f"columns: there is no column {first_few(unknown)}. The results have "
            f"{first_few(_ALL, most=len(_ALL))}."
            if unknown
            else "columns is empty: name at least one column, or pass inplace=False."
        )
    return tuple(name for name in _ALL if name in names)


def _named(column: str, key: str) -> str:
    """Give the name that a column of the results has in `obs`."""
    return column if key == KEY else column.replace(_WORD, key)


def _is_ours(value: Any) -> bool:
    return isinstance(value, Mapping) and {"version", "model", "parameters"} <= set(value)


def check_cells(
    what: str, names: list[str], result: Scores, error: type[InputError | UsageError]
) -> None:
    """Check that cells are those that were scored.

    Parameters
    ----------
    what
        What has the cells, for the message.
    names
        Their names.
    result
        The results.
    error
        What is raised.

    Raises
    ------
    InputError or UsageError
        They are others.
    """
    if names == result.cells:
        return
    if len(names) != len(result.cells):
        reason = f"it has {len(names):,} cells, the results {len(result.cells):,}"
    else:
        cell = next(i for i, name in enumerate(names) if name != result.cells[i])
        reason = (
            f"cell {cell + 1:,} is {shown(names[cell])}, in the results {shown(result.cells[cell])}"
        )
    raise error(f"{what}: these are not the cells that were scored ({reason}). Run it again.")


def provenance(result: Scores) -> dict[str, Any]:
    """Collect version, model and parameters, in types that every version of anndata can write.

    The path of the model is left out, as the AnnData may be given to others.

    Parameters
    ----------
    result
        The results.

    Returns
    -------
    dict
        For `uns`.
    """
    info = result.info
    return {
        "version": info["cytotrace2_lite"],
        "model": _storable({name: info["model"][name] for name in _MODEL})
        | {"label": result.model_label},
        "parameters": _storable(info["parameters"]),
    }


def _storable(value: Any) -> Any:
    """Convert a value, and leave out None, which older versions of anndata cannot write."""
    if isinstance(value, dict):
        return {name: _storable(item) for name, item in value.items() if item is not None}
    if isinstance(value, list | tuple):
        return np.array([str(item) for item in value], dtype=object)
    return value if isinstance(value, bool | int | float) else str(value)
