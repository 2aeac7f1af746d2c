"""How files of the formats begin."""

__all__ = ["ARROW_FILE", "ARROW_STREAM", "HDF5", "MATRIX_MARKET", "PARQUET"]

ARROW_FILE = b"ARROW1"
ARROW_STREAM = b"\xff\xff\xff\xff"
HDF5 = b"\x89HDF\r\n\x1a\n"
MATRIX_MARKET = b"%%MatrixMarket"
PARQUET = b"PAR1"
