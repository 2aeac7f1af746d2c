"""Names of genes, and the features of the model they come to.

`symbols` knows the names, `mapping` finds the feature of each gene of an input, `orthologs` reads
the user's table for another species, `dates` finds names that a spreadsheet program has changed.
"""

from cytotrace2_lite.genes.mapping import (
    GeneMapping,
    MappingReport,
    Superseded,
    map_genes,
    species_option,
    ubiquitous_share,
)
from cytotrace2_lite.genes.symbols import (
    N_FEATURES,
    Recognised,
    features,
    is_known,
    known_mouse_symbols,
    recognised,
)

__all__ = [
    "N_FEATURES",
    "GeneMapping",
    "MappingReport",
    "Recognised",
    "Superseded",
    "features",
    "is_known",
    "known_mouse_symbols",
    "map_genes",
    "recognised",
    "species_option",
    "ubiquitous_share",
]
