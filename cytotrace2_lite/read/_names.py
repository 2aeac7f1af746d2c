"""Names of cells and genes: which of several columns to take, and what may not be repeated."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from cytotrace2_lite.errors import InputError
from cytotrace2_lite.genes.dates import is_date
from cytotrace2_lite.read._about import refuse_about
from cytotrace2_lite.text import shown

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from cytotrace2_lite.read._options import ReadOptions

__all__ = [
    "GENE_COLUMNS",
    "check_cells",
    "choose_gene_names",
    "columns_are_genes",
    "duplicates_remedy",
    "prefix",
]

_DUPLICATES_REMEDY = (
    'Sum or drop one, or pass --duplicate-genes sum or first (duplicate_genes="sum" in Python).'
)

# If fewer names than this are known genes, they are not names of genes: names of cells may be
# known by chance.
_MIN_SHARE_OF_GENES = 0.1
# Names without repetition may have this share of the known genes of the best names.
_AS_GOOD = 0.9


#: Columns of `var` of AnnData that may name the genes, lower-case.
GENE_COLUMNS = frozenset(
    """
    accession ensembl ensembl_gene_id ensembl_id ensembl_ids external_gene_name feature_id
    feature_ids feature_name feature_names features gene gene_id gene_ids gene_name gene_names
    gene_short_name gene_symbol gene_symbols genes hgnc_symbol id mgi_symbol name symbol symbols
    """.split()  # noqa: SIM905 (reads better)
)


def prefix(name: str) -> str:
    """Begin a message on an input, with its name if it has one."""
    return f"{name}: " if name else ""


def duplicates_remedy(gene: str) -> str:
    """End a message on a repeated gene: say what to do."""
    if is_date(gene):
        return (
            "A spreadsheet program has made this date of the names of two genes, as March1 and "
            "Marc1: take the table from before it was opened there."
        )
    if gene.replace(".", "", 1).isdecimal():
        return (
            "The first column holds numbers, not the names of genes: write the table with its row "
            "names."
        )
    return _DUPLICATES_REMEDY


def check_cells(where: str, cells: Sequence[str]) -> None:
    """Make sure that there are cells, each with a name of its own.

    Parameters
    ----------
    where
        The input, for the message.
    cells
        Names, in input order.

    Raises
    ------
    InputError
        There are no cells, a name is missing or repeated, or it is that of a column about genes.
    """
    if not cells:
        raise InputError(f"{prefix(where)}there are no cells.")
    _refuse_unusable(where, "cell", cells)
    refuse_about(prefix(where), cells)
    if len(set(cells)) < len(cells):
        name, one, other = _first_repeated(cells)
        raise InputError(
            f"{prefix(where)}cell {shown(name)} appears twice (cells {one:,} and {other:,}). "
            "Rename or drop one."
        )


def choose_gene_names(
    where: str,
    candidates: Mapping[str, Sequence[str]],
    options: ReadOptions,
    further: Callable[[], Mapping[str, Sequence[str]]] = dict,
) -> tuple[str, list[str]]:
    """Choose the names of which most are known genes.

    If repeated names are an error, names without repetition are preferred, as long as nine tenths
    as many of them are known. These are mostly Ensembl ids, in place of symbols.

    Parameters
    ----------
    where
        The input, for the message.
    candidates
        Names of all genes, by where they are from. Of equally good ones the first is taken.
    options
        Which names are known, and whether names may be repeated.
    further
        Gives further candidates, which are only taken if far more of their names are known.

    Returns
    -------
    tuple
        Where the names are from, and the names.

    Raises
    ------
    InputError
        There are no genes, or a name is missing or repeated.
    """
    is_known = options.is_known
    n_known = {
        origin: 0 if is_known is None else int(is_known(list(set(names))).sum())
        for origin, names in candidates.items()
    }
    best = max(n_known, key=lambda origin: n_known[origin])
    if is_known is not None and n_known[best] < _AS_GOOD * len(candidates[best]):
        for origin, names in further().items():
            number = int(is_known(list(set(names))).sum())
            is_poor = n_known[best] < _MIN_SHARE_OF_GENES * len(names)
            may_repeat = options.duplicate_genes != "error" or is_poor
            if n_known[best] < _AS_GOOD * number and (may_repeat or len(set(names)) == len(names)):
                candidates, n_known, best = {origin: names}, {origin: number}, origin
    if options.duplicate_genes == "error" and len(set(candidates[best])) < len(candidates[best]):
        unique = [
            origin
            for origin, names in candidates.items()
            if len(set(names)) == len(names) and n_known[origin] >= _AS_GOOD * n_known[best]
        ]
        best = max(unique, key=lambda origin: n_known[origin], default=best)
    names = list(candidates[best])
    if not names:
        raise InputError(f"{prefix(where)}there are no genes.")
    _refuse_unusable(where, "gene", names)
    if options.duplicate_genes == "error" and len(set(names)) < len(names):
        name, one, other = _first_repeated(names)
        others = sum(n > 1 for n in Counter(names).values()) - 1
        also = f"; so do {others:,} more" if others > 1 else "; so does 1 more" if others else ""
        raise InputError(
            f"{prefix(where)}gene {shown(name)} appears twice (genes {one:,} and {other:,}){also}. "
            f"{duplicates_remedy(name)}"
        )
    return best, names


def columns_are_genes(rows: Sequence[str], columns: Sequence[str], options: ReadOptions) -> bool:
    """Tell from the names of a table whether its columns are genes.

    Parameters
    ----------
    rows
        Names of the rows, or of the first of them.
    columns
        Names of the columns.
    options
        Which names are known, and which are genes of another species.

    Returns
    -------
    bool
        True if a tenth of the columns or more are known genes, and more of them than of the rows.
        If a tenth of neither are, the genes of all species count, as the given one may be wrong.
    """
    for is_gene in (options.is_known, options.is_gene):
        if is_gene is None or not columns:
            return False
        n_columns = int(is_gene(list(columns)).sum())
        if n_columns < _MIN_SHARE_OF_GENES * len(columns):
            n_columns = 0
        n_rows = int(is_gene(list(rows)).sum())
        if n_columns or n_rows >= _MIN_SHARE_OF_GENES * len(rows):
            return n_columns > n_rows
    return False


def _refuse_unusable(where: str, what: str, names: Sequence[str]) -> None:
    for position, name in enumerate(names, 1):
        if not name:
            raise InputError(
                f"{prefix(where)}{what} {position:,} has no name. Name it or remove it."
            )
        if not name.isascii() and any("\ud800" <= letter <= "\udfff" for letter in name):
            raise InputError(
                f"{prefix(where)}the name {shown(name)} of {what} {position:,} is not valid text. "
                "Rename it."
            )


def _first_repeated(names: Sequence[str]) -> tuple[str, int, int]:
    """Find the first name that was there before: the name and both positions, from 1."""
    first: dict[str, int] = {}
    for position, name in enumerate(names, 1):
        if first.setdefault(name, position) != position:
            return name, first[name], position
    raise AssertionError("no name is repeated")
