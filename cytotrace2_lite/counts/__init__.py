"""The non-zero values of a dataset, by cell, in memory or in a temporary file."""
