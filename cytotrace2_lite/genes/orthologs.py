"""Genes of other species, by a table of their mouse orthologs that the user gives."""

from __future__ import annotations

import csv
import hashlib
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypedDict

from cytotrace2_lite.base.finding import Finding
from cytotrace2_lite.errors import InputError
from cytotrace2_lite.genes.symbols import known_mouse_symbols
from cytotrace2_lite.system.files import read_whole
from cytotrace2_lite.text import first_few, shown

if TYPE_CHECKING:
    import os

__all__ = ["Orthologs", "OrthologsReport", "read_orthologs"]


class OrthologsReport(TypedDict):
    """What `run.json` says of a table of orthologs."""

    path: str
    sha256: str
    n_pairs: int
    n_without: int
    n_unknown: int


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

    def report(self) -> OrthologsReport:
        """Give what `run.json` says of the table."""
        return {
            "path": self.path,
            "sha256": self.sha256,
            "n_pairs": self.n_pairs,
            "n_without": self.n_without,
            "n_unknown": self.n_unknown,
        }


def read_orthologs(path: str | os.PathLike[str]) -> Orthologs:
    """Read a table of orthologs.

    Parameters
    ----------
    path
        A tab-separated table of two columns: genes as the input names them, mouse symbols. Its
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
    try:
        content = read_whole(path)
        text = content.decode("utf-8-sig")
    except InputError:
        raise
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{path}: cannot read the orthologs ({reason}).") from None
    symbol_of: dict[str, str] = {}
    line_of: dict[str, int] = {}
    n_without = 0
    rows = csv.reader(io.StringIO(text, newline=""), delimiter="\t", quoting=csv.QUOTE_NONE)
    for row in rows:
        if not row:
            continue
        if len(row) != 2:
            found = "1 field" if len(row) == 1 else f"{len(row)} fields"
            raise InputError(
                f"{path}: line {rows.line_num} has {found} instead of 2, a gene and its "
                "mouse symbol with a tab between them."
            )
        gene, symbol = (field.strip() for field in row)
        if rows.line_num == 1 and not known_mouse_symbols([symbol]):
            continue
        if not gene or not symbol:
            n_without += 1
            continue
        if symbol_of.setdefault(gene, symbol) != symbol:
            raise InputError(
                f"{path}: gene {shown(gene)} has two mouse symbols, {shown(symbol_of[gene])} (line "
                f"{line_of[gene]}) and {shown(symbol)} (line {rows.line_num}). Keep one of them."
            )
        line_of.setdefault(gene, rows.line_num)
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
        sha256=hashlib.sha256(content).hexdigest(),
        n_pairs=len(symbol_of),
        n_without=n_without,
        n_unknown=len(unknown),
        unknown=tuple(unknown[:4]),
        symbol_of={gene: symbol for gene, symbol in symbol_of.items() if symbol in known},
    )
