"""The non-zero values of a dataset, by cell, in memory or in a temporary file.

A reader gives `Block`s of values, `Arriving` sorts them by cell, `Expression` is the whole dataset,
and `Counts` are its values over the model's features, from which batches of cells are taken.
"""

from cytotrace2_lite.counts.arriving import MAX_BYTES, Arriving
from cytotrace2_lite.counts.counts import Counts
from cytotrace2_lite.counts.expression import Block, Expression

__all__ = ["MAX_BYTES", "Arriving", "Block", "Counts", "Expression"]
