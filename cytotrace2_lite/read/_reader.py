"""What all readers have in common, whatever the format."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from cytotrace2_lite.read._source import Source

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cytotrace2_lite.counts.expression import Block
    from cytotrace2_lite.read._bytes import ByteStream

__all__ = ["Reader", "StreamReader"]


class Reader(Protocol):
    """Gives the values of one input, block by block.

    Attributes
    ----------
    name
        How messages name the input.
    cells, genes
        Names in input order. If the unit is "bytes", one of both may grow with the blocks: a block
        has values of names that are there when it is yielded, not of later ones.
    unit
        What `n_read` and `n_total` count: "bytes", "values" or "rows".
    """

    name: str
    cells: list[str]
    genes: list[str]
    unit: str

    @property
    def n_read(self) -> int:
        """How much was read so far."""

    @property
    def n_total(self) -> int:
        """How much there is; 0 if that is not known."""

    @property
    def source(self) -> Source:
        """What was read; complete after the last block."""

    def blocks(self) -> Iterator[Block]:
        """Yield all non-zero values in blocks, once; of genes that are known alone, if it says so.

        Raises
        ------
        InputError
            The input is damaged, or a value is not a finite number >= 0.
        """

    def close(self) -> None:
        """Close what the reader has opened, if anything."""


class StreamReader:
    """What readers of one `ByteStream` have in common."""

    unit = "bytes"
    _stream: ByteStream

    @property
    def n_read(self) -> int:
        """Bytes read so far, of those on disk."""
        return self._stream.n_read

    @property
    def n_total(self) -> int:
        """Size of the file on disk; 0 for a pipe."""
        return self._stream.file.n_bytes

    def _source_of(self, file_format: str, **fields: Any) -> Source:
        n_bytes, sha256 = self._stream.digest()
        return Source(
            format=file_format,
            path=self._stream.file.path,
            compression=self._stream.compression,
            n_bytes=n_bytes,
            sha256=sha256,
            **fields,
        )
