"""Genes of other species, by a table of their mouse orthologs that the user gives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cytotrace2_lite.base.finding import Finding
from cytotrace2_lite.errors import InputError
from cytotrace2_lite.genes.symbols import known_mouse_symbols
from cytotrace2_lite.system.small_tables import read_small_table
from cytotrace2_lite.text import first_few, shown

if TYPE_CHECKING:
    import os

__all__ = ["Orthologs", "read_orthologs"]


@dataclass(frozen=True)
class Orthologs:
    """Mouse symbols of the genes of another species.

    Attributes
    ----------
    path
        The file.
    sha256
        Hex digest of its bytes.
    n_pairs
        Genes with a mouse symbol.
    n_without
        Lines without a gene or a mouse symbol.
    n_unknown
        Pairs whose mouse symbol is neither a gene of the model nor an alias of one.
    unknown
        The first of these symbols.
    symbol_of
        Gene to mouse symbol, the known ones only.
    """

    path: str
    sha256: str
    n_pairs: int
    n_without: int
    n_unknown: int
    unknown: tuple[str, ...]
    symbol_of: dict[str, str]

    def findings(self) -> list[Finding]:
        """List what there is to say about the table before anything is computed."""
        if 2 * self.n_unknown <= self.n_pairs:
            return []
        return [
            Finding(
                "orthologs",
                "warning",
                f"{self.path}: {self.n_unknown:,} of the {self.n_pairs:,} mouse symbols are not "
                f"genes of the model: {first_few(self.unknown)}",
                "Genes with such symbols are not used.",
                "Check that the second column has mouse symbols.",
            )
        ]


def read_orthologs(path: str | os.PathLike[str]) -> Orthologs:
    """Read a table of orthologs.

    Parameters
    ----------
    path
        A text table of two columns: genes as the input names them, mouse symbols. Its
        first line is a header if its second field is no gene of the model. Lines in which one of
        both is empty are counted and left out: BioMart writes them for genes without an ortholog.

    Returns
    -------
    Orthologs
        Pairs whose mouse symbol is known are kept.

    Raises
    ------
    InputError
        The file cannot be read, does not have two columns, has two mouse symbols for one gene, or
        has no gene of the model.
    """
    table = read_small_table(path, "orthologs")
    symbol_of: dict[str, str] = {}
    line_of: dict[str, int] = {}
    n_without = 0
    for number, row in enumerate(table.rows):
        if len(row) != 2:
            found = "1 field" if len(row) == 1 else f"{len(row)} fields"
            raise InputError(
                f"{table.where(number)} has {found} instead of 2, a gene and its mouse symbol with "
                "a tab or a comma between them."
            )
        gene, symbol = (field.strip() for field in row)
        if number == 0 and not known_mouse_symbols([symbol]):
            continue
        if not gene or not symbol:
            n_without += 1
            continue
        line = table.lines[number]
        if symbol_of.setdefault(gene, symbol) != symbol:
            raise InputError(
                f"{path}: gene {shown(gene)} has two mouse symbols, {shown(symbol_of[gene])} (line "
                f"{line_of[gene]}) and {shown(symbol)} (line {line}). Keep one of them."
            )
        line_of.setdefault(gene, line)
    known = known_mouse_symbols(symbol_of.values())
    unknown = [symbol for symbol in symbol_of.values() if symbol not in known]
    if not known:
        raise InputError(
            f"{path}: none of the {len(symbol_of):,} mouse symbols is a gene of the model"
            f"{': ' + first_few(unknown) if unknown else ''}. The table needs two columns: genes "
            "of the input, mouse symbols."
        )
    return Orthologs(
        path=str(path),
        sha256=table.sha256,
        n_pairs=len(symbol_of),
        n_without=n_without,
        n_unknown=len(unknown),
        unknown=tuple(unknown[:4]),
        symbol_of={gene: symbol for gene, symbol in symbol_of.items() if symbol in known},
    )
