"""What datasets are called after their files."""

from __future__ import annotations

import os
import re

from cytotrace2_lite.system.paths import expanded

__all__ = ["sample_name"]

# What is no part of the name of a sample: endings of files, and names that programs give to all of
# their directories and files. Then the directory above has the name.
_ENDING = re.compile(
    r"([._-]matrix(?=\.mtx))?(\.(txt|tsv|csv|tab|mtx|h5|h5ad|h5mu|loom|zarr|rds|rdata|parquet|feather|arrow))?"
    r"(\.(gz|bz2|xz|zst|zip))?$",
    re.IGNORECASE,
)
_NO_NAME = re.compile(
    r"(sample_)?(filtered|raw)_(feature|gene)_bc_matri(x|ces)|matrix|outs?|filtered|raw|count|"
    r"Gene|GeneFull|Solo\.out|counts_(un)?filtered|cells_x_genes|alevin|quants_mat|"
    r"DGE(_(un)?filtered)?|count_matrix|(hg|mm)\d+|GRC[hm]\d+",
    re.IGNORECASE,
)


def sample_name(path: str) -> str:
    """Take the name of a sample from the path of its input.

    Parameters
    ----------
    path
        A file or directory, "-" for standard input.

    Returns
    -------
    str
        Without endings of files; of the directory above where a program gives all the same name.
    """
    if path == "-":
        return path
    parts = re.findall(r"[^/\\]+", os.path.abspath(expanded(path)))  # noqa: PTH100
    for part in reversed(parts):
        name = _ENDING.sub("", part) or part
        if not _NO_NAME.fullmatch(name):
            return name
    return parts[-1] if parts else "sample"
