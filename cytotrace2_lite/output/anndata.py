"""Results in AnnData: written into an object in memory, or into a copy of an `.h5ad` file.

The package anndata is not imported: an object needs only pandas, and a file only h5py.

Source: on-disk format of anndata, https://anndata.readthedocs.io/en/latest/fileformat-prose.html
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cytotrace2_lite.errors import CytoTRACE2Error, InputError, UsageError
from cytotrace2_lite.output.tables import (
    COLUMNS,
    EXTRA_COLUMNS,
    LABELS,
    is_ordered,
    require_pandas,
    to_pandas,
)
from cytotrace2_lite.output.tables import columns as columns_of
from cytotrace2_lite.read.h5ad import row_names
from cytotrace2_lite.read.hdf5 import attribute, child, require_h5py
from cytotrace2_lite.system.files import require_writable
from cytotrace2_lite.text import shown

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from cytotrace2_lite.output.scores import Scores
    from cytotrace2_lite.read import Input

__all__ = ["annotate", "annotated_copy", "check_annotatable", "check_h5ad"]

_KEY = "cytotrace2"
_MODEL = ("name", "architecture", "n_members", "sha256", "licence", "official")
# Versions of the encoding of obs, and whether labels lie in a group __categories of it.
_LABELS_ELSEWHERE = {"0.1.0": True, "0.2.0": False}


def annotate(adata: Any, result: Scores) -> None:
    """Write results into an AnnData. Those of an earlier run are replaced.

    Parameters
    ----------
    adata
        The AnnData whose cells were scored. All columns of the results, the extra ones included,
        are written into `obs`; version, model with digest, and parameters into
        `uns["cytotrace2"]`.
    result
        Its results.

    Raises
    ------
    UsageError
        The cells of the AnnData are others than those of the results.
    CytoTRACE2Error
        pandas is not installed.
    """
    _check_cells("the AnnData", [str(name) for name in adata.obs_names], result, UsageError)
    frame = to_pandas(result, extra_columns=True)
    for name in frame.columns:
        adata.obs[name] = frame[name].array  # by position: the index may be of another type
    adata.uns[_KEY] = _provenance(result)


def check_annotatable(adata: Any, orientation: str = "auto") -> None:
    """Check that results can be written into an AnnData, before there are any.

    Parameters
    ----------
    adata
        The AnnData whose cells are to be scored.
    orientation
        As for `cytotrace2_lite.run`.

    Raises
    ------
    UsageError
        It is a view of one that is backed by a file, which anndata does not write into; its cells
        are in `var`; or the index of `obs` is called as a column of the results.
    CytoTRACE2Error
        pandas is not installed.
    """
    require_pandas()
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
    if name in (*COLUMNS, *EXTRA_COLUMNS):
        raise UsageError(
            f"the index of obs is called {shown(str(name))}, as a column of the results is: rename "
            "it (adata.obs.index.name = None), or pass inplace=False."
        )


def check_h5ad(source: Input, target: str | os.PathLike[str], orientation: str = "auto") -> None:
    """Check that a copy of an `.h5ad` file can be written, before there are results for it.

    Parameters
    ----------
    source
    target = Path(target)
    # Methods of Path raise an error where a directory cannot be searched; these functions do not.
    target
        Name of the copy.
    orientation
        As for `cytotrace2_lite.run`.

    Raises
    ------
    UsageError
        `source` is not an `.h5ad` file, its cells are in `var`, or the index of its `obs` is called
        as a column of the results; `target` is the same file, or its name does not end in .h5ad.
    InputError
        There is no such file, or its `obs` is stored in an unknown way.
    OutputError
        No file can be made in the directory of `target`.
    CytoTRACE2Error
        h5py is not installed.
    """
    target = Path(target)
    # Methods of Path raise an error where a directory cannot be searched; these functions do not.
    if target.suffix != ".h5ad" or os.path.isdir(target):  # noqa: PTH112
        raise UsageError(f"{target}: the file of --write-h5ad must have a name that ends in .h5ad.")
    if not source.is_h5ad:
        raise _not_h5ad(source.name)
    if os.path.exists(target) and target.samefile(source.name):  # noqa: PTH110
        raise UsageError(
            f"{target}: this is the input, which is never changed. Give the file of "
            "--write-h5ad another name."
        )
    if orientation == "genes-x-cells":
        raise UsageError(
            f"{source.name}: its cells are in var, and --write-h5ad writes into obs. Leave "
            "--write-h5ad out (the results file has the scores), or transpose the data first."
        )
    with source.hdf5() as file:
        index = attribute(_obs(source.name, file), "_index")
    if index in (*COLUMNS, *EXTRA_COLUMNS):
        raise UsageError(
            f"{source.name}: the index of obs is called {shown(str(index))}, as a column of the "
            "results is, which would take the place of the names of the cells. Rename it (in "
            "Python, adata.obs.index.name = None), or leave --write-h5ad out."
        )
    require_writable(target.parent, "--write-h5ad")


def annotated_copy(source: Input, result: Scores) -> Callable[[Path], None]:
    """Give a function that writes a copy of an `.h5ad` file with results, for `write_whole`.

    Parameters
    ----------
    source
        The file whose cells were scored.
    result
        Its results.

    Returns
    -------
    callable
        Takes the path of the copy; raises `InputError` if the cells of `source` are others, or if
        it changed since it was opened.
    """
    name = source.name

    def write(path: Path) -> None:
        source.copy_to(path)
        try:
            # Without a lock of HDF5's own: `write_whole` holds a lock on the file.
            with require_h5py(name).File(path, "r+", locking=False) as file:
                obs = _obs(name, file)
                _check_cells(name, row_names(name, obs), result, InputError)
                _add_columns(obs, result)
                if "uns" not in file:
                    _put(file, "uns", {})
                _put(child(name, file, "uns"), _KEY, _provenance(result))
        except CytoTRACE2Error:
            raise
        except (AttributeError, KeyError, RuntimeError, TypeError, ValueError) as error:
            raise InputError(
                f"{name}: nothing can be added to its obs and uns ({error}). Read it with a "
                "current anndata and write it again."
            ) from error

    return write


def _not_h5ad(path: str) -> UsageError:
    return UsageError(
        f"{path}: this is not an .h5ad file, and --write-h5ad adds the scores to a copy of one. "
        "Leave it out (the results file has the scores), or give an .h5ad file as input."
    )


def _obs(path: str | os.PathLike[str], file: Any) -> Any:
    """Give the group `obs`; raise an error where it is not known how to add columns to it."""
    obs = child(str(path), file, "obs")
    encoding = (attribute(obs, "encoding-type"), attribute(obs, "encoding-version"))
    if (
        encoding[0] != "dataframe"
        or encoding[1] not in _LABELS_ELSEWHERE
        or "_index" not in obs.attrs
    ):
        raise InputError(
            f"{path}: its obs is not stored as anndata 0.7 or newer does (encoding {encoding[0]} "
            f"{encoding[1]}). Read it with a current anndata and write it again."
        )
    return obs


def _check_cells(
    what: str, names: list[str], result: Scores, error: type[InputError | UsageError]
) -> None:
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


def _provenance(result: Scores) -> dict[str, Any]:
    """Collect version, model and parameters, in types that every version of anndata can write.

    The path of the model is left out, as the AnnData may be given to others.
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


def _add_columns(obs: Any, result: Scores) -> None:
    import h5py

    legacy = _LABELS_ELSEWHERE[str(attribute(obs, "encoding-version"))]
    columns = columns_of(result, extra_columns=True)
    for name, values in columns.items():
        if legacy and name in LABELS:
            _put_legacy_labels(obs, name, values)
        elif name in LABELS:
            _put_labels(obs, name, values)
        else:
            _put(obs, name, values)
    given = obs.attrs.get("column-order", [])
    order = [name.decode() if isinstance(name, bytes) else name for name in given]
    order += [name for name in columns if name not in order]
    obs.attrs.create("column-order", order, dtype=h5py.string_dtype())


def _put_labels(obs: Any, name: str, index: NDArray[Any]) -> None:
    _put(obs, name, {"codes": index, "categories": np.array(LABELS[name], dtype=object)})
    obs[name].attrs["ordered"] = is_ordered(name)
    _encode(obs[name], "categorical", "0.2.0")


def _put_legacy_labels(obs: Any, name: str, index: NDArray[Any]) -> None:
    if "__categories" not in obs:
        obs.create_group("__categories")
    categories = child(obs.file.filename, obs, "__categories")
    _put(categories, name, np.array(LABELS[name], dtype=object))
    categories[name].attrs["ordered"] = is_ordered(name)
    _put(obs, name, index)
    obs[name].attrs["categories"] = categories[name].ref


def _put(group: Any, name: str, value: Any) -> None:
    """Write an element as anndata does; an earlier element of that name is removed."""
    import h5py

    if name in group:
        del group[name]
    if isinstance(value, dict):
        element = group.create_group(name)
        for key, item in value.items():
            _put(element, key, item)
        _encode(element, "dict", "0.1.0")
        return
    is_text = isinstance(value, str) or (isinstance(value, np.ndarray) and value.dtype == object)
    dtype = h5py.string_dtype() if is_text else None
    element = group.create_dataset(name, data=value, dtype=dtype)
    if isinstance(value, np.ndarray):
        _encode(element, "string-array" if is_text else "array", "0.2.0")
    else:
        _encode(element, "string" if is_text else "numeric-scalar", "0.2.0")


def _encode(element: Any, kind: str, version: str) -> None:
    element.attrs["encoding-type"] = kind
    element.attrs["encoding-version"] = version
