"""Small tables of results: text, Arrow, pandas."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cytotrace2_lite.output.tables import require_pandas
from cytotrace2_lite.system.small_tables import quoted

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

__all__ = ["Table"]


@dataclass(frozen=True, eq=False)
class Table:
    """Columns by name, of one length: lists of text, arrays of numbers."""

    columns: dict[str, Any]

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())))

    def take(self, rows: Any) -> Table:
        """Give some rows, in the order given.

        Parameters
        ----------
        rows
            Their positions.

        Returns
        -------
        Table
            With the same columns.
        """
        return Table({name: np.asarray(values)[rows] for name, values in self.columns.items()})

    def to_pandas(self) -> pd.DataFrame:
        """Give it as a data frame.

        Returns
        -------
        pandas.DataFrame
            Rows are numbered.

        Raises
        ------
        CytoTRACE2Error
            pandas is not installed.
        """
        frame: pd.DataFrame = require_pandas().DataFrame(
            {
                name: values.tolist() if np.asarray(values).dtype.kind == "U" else values
                for name, values in self.columns.items()
            }
        )
        return frame

    def to_arrow(self) -> pa.Table:
        """Give it as an Arrow table.

        Returns
        -------
        pyarrow.Table
            Missing numbers are null.
        """
        import pyarrow as pa

        return pa.table(
            {
                name: pa.array(np.asarray(values).tolist(), from_pandas=True)
                for name, values in self.columns.items()
            }
        )

    def to_bytes(self) -> bytes:
        """Give it as tab-separated text.

        Returns
        -------
        bytes
            UTF-8, with a header; numbers in at most 6 significant digits, missing ones empty.
        """
        fields = [_texts(values) for values in self.columns.values()]
        lines = ["\t".join(self.columns)]
        lines += ["\t".join(row) for row in zip(*fields, strict=True)]
        return ("\n".join(lines) + "\n").encode()


def _texts(values: Any) -> list[str]:
    array = np.asarray(values)
    if array.dtype.kind in "iu":
        return list(map(str, array.tolist()))
    if array.dtype.kind == "f":
        return ["" if value != value else f"{value:.6g}" for value in array.tolist()]
    return [quoted(str(value)) for value in array.tolist()]
