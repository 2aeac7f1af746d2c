"""Results in copies of `.h5ad` files. The package anndata is not imported, only h5py.

Source: on-disk format of anndata, https://anndata.readthedocs.io/en/latest/fileformat-prose.html
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cytotrace2_lite.base.potency import POTENCIES, POTENCY_COLORS
from cytotrace2_lite.errors import CytoTRACE2Error, InputError, UsageError
from cytotrace2_lite.output.anndata import KEY, check_cells, provenance, umap_name
from cytotrace2_lite.output.tables import COLUMNS, EXTRA_COLUMNS, LABELS, is_ordered
from cytotrace2_lite.output.tables import columns as columns_of
from cytotrace2_lite.read.h5ad import row_names
from cytotrace2_lite.read.hdf5 import attribute, child, require_h5py
from cytotrace2_lite.system.files import require_writable
from cytotrace2_lite.text import shown

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from cytotrace2_lite.metadata.coordinates import Embedding
    from cytotrace2_lite.output.scores import Scores
    from cytotrace2_lite.read import Input

__all__ = ["annotated_copy", "check_h5ad"]

# Versions of the encoding of obs, and whether labels lie in a group __categories of it.
_LABELS_ELSEWHERE = {"0.1.0": True, "0.2.0": False}


def check_h5ad(source: Input, target: str | os.PathLike[str], orientation: str = "auto") -> None:
    """Check that a copy of an `.h5ad` file can be written, before there are results for it.

    Parameters
    ----------
    source
        The file that is to be copied.
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


def annotated_copy(
    source: Input, result: Scores, umap: Embedding | None = None
) -> Callable[[Path], None]:
    """Give a function that writes a copy of an `.h5ad` file with results, for `write_whole`.

    Parameters
    ----------
    source
        The file whose cells were scored.
    result
        Its results.
    umap
        Coordinates that were computed, for `obsm["X_cytotrace2_umap"]`. Without any, those of an
        earlier run are not in the copy.

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
                check_cells(name, row_names(name, obs), result, InputError)
                _add_columns(obs, result)
                if "uns" not in file:
                    _put(file, "uns", {})
                uns = child(name, file, "uns")
                _put(uns, KEY, provenance(result))
                _put_umap(name, file, umap)
                for column, labels in LABELS.items():
                    if labels == POTENCIES:
                        _put(uns, f"{column}_colors", np.array(POTENCY_COLORS, dtype=object))
        except CytoTRACE2Error:
            raise
        except (AttributeError, KeyError, RuntimeError, TypeError, ValueError) as error:
            raise InputError(
                f"{name}: nothing can be added to its obs and uns ({error}). Read it with a "
                "current anndata and write it again."
            ) from error

    return write


def _put_umap(name: str, file: Any, umap: Embedding | None) -> None:
    """Write the coordinates of a UMAP, or remove those of an earlier run."""
    key = umap_name(KEY)
    if umap is None:
        if "obsm" in file and key in child(name, file, "obsm"):
            del file["obsm"][key]
        return
    if "obsm" not in file:
        _put(file, "obsm", {})
    _put(child(name, file, "obsm"), key, umap.coordinates)


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
