"""What was read, as the record of a run has it."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Companion", "Source"]


@dataclass(frozen=True)
class Companion:
    """A file that names the axes of the file with the values.

    Attributes
    ----------
    path
        Where it is.
    n_bytes
        Size on disk.
    sha256
        Hex digest of the bytes on disk.
    """

    path: str
    n_bytes: int
    sha256: str


@dataclass(frozen=True)
class Source:
    """What was read.

    Attributes
    ----------
    format
        "tsv", "csv", "10x mtx", "10x h5", "h5ad", "h5mu", "zarr", "loom", "h5seurat", "rds",
        "RData", "parquet" or "arrow"; for an object in memory its type.
    path
        The path as given, "-" for standard input, or the file with the values in a directory;
        None for an object in memory.
    compression
        "gzip", "bz2", "zstd", "xz", or None.
    n_bytes
        Size on disk; None for an object in memory.
    sha256
        Hex digest of the bytes on disk; of a directory of Zarr, of a list of digests of its files;
        None for an object in memory.
    matrix
        Which matrix of a file with several: "X", "raw.X", "layers['counts']", "matrix" of
        Loom, a genome; or None.
    other_matrices
        The other matrices of this file.
    orientation
        "genes x cells" or "cells x genes", as the values are stored.
    gene_names
        Where the names of the genes come from.
    duplicate_genes
        What was done with genes of one name: "error" (there were none), "first" or "sum".
    n_duplicates
        Number of genes that were left out, or added to another gene, because of their name.
    companions
        Files that name the axes.
    instead_of
        "X", if another matrix was read because `X` does not hold whole numbers; else None.
    n_missing_chunks
        Number of chunks of a dense matrix that a Zarr store lacks: their values are 0.
    """

    format: str
    path: str | None = None
    compression: str | None = None
    n_bytes: int | None = None
    sha256: str | None = None
    matrix: str | None = None
    other_matrices: tuple[str, ...] = ()
    orientation: str = "genes x cells"
    gene_names: str = "first column"
    duplicate_genes: str = "error"
    n_duplicates: int = 0
    companions: tuple[Companion, ...] = ()
    instead_of: str | None = None
    n_missing_chunks: int = 0

    def describe(self) -> str:
        """Say in a line what was read."""
        compressed = f" ({self.compression})" if self.compression else ""
        matrix = f", {self.matrix}" if self.matrix else ""
        others = f" (not {', '.join(self.other_matrices)})" if self.other_matrices else ""
        merged = {"sum": "added up", "first": "left out"}.get(self.duplicate_genes)
        noun = "gene" if self.n_duplicates == 1 else "genes"
        repeated = f", {self.n_duplicates:,} repeated {noun} {merged}" if self.n_duplicates else ""
        return (
            f"{self.format}{compressed}{matrix}{others}, {self.orientation}, "
            f"gene names from {self.gene_names}{repeated}"
        )

    def hint(self) -> str:
        """End a message on values that are not counts: say which other matrices there are."""
        # Another modality of MuData has no counts of genes.
        names = [name for name in self.other_matrices if not name.startswith("mod[")]
        if not names:
            return ""
        others = ", ".join(names)
        return (
            f" It was {self.matrix}; there is also {others} (--layer, --use-raw; layer=, use_raw= "
            "in Python)."
        )
