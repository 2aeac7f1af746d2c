"""Whether the genes of a set have larger shares than chance would give them; needs gseapy.

The genes of the input are ranked by their mean share in a group, and gseapy's pre-ranked gene set
enrichment says whether those of a set stand together at one end. Its classic statistic is used
(weight 0): the shares of a handful of genes are many times those of all others, so that weighted by
the share any set with one of these would do.

Source: Subramanian et al., PNAS 102, 2005; Fang, Liu, Peltz, Bioinformatics 39, 2023 (gseapy).
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from cytotrace2_lite.errors import CytoTRACE2Error
from cytotrace2_lite.output.table import Table
from cytotrace2_lite.output.tables import require_pandas

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from cytotrace2_lite.explanation.gene_sets import GeneSets
    from cytotrace2_lite.explanation.means import GroupMeans

__all__ = ["enrichment_table", "require_gseapy"]

_FEWEST_GENES, _MOST_GENES = 5, 2000  # of a set that the input has, to be tested
_COLUMNS = {"ES": "es", "NES": "nes", "NOM p-val": "p", "FDR q-val": "fdr"}


def enrichment_table(
    collection: GeneSets,
    members: Sequence[NDArray[np.intp]],
    means: GroupMeans,
    *,
    group: str | None = None,
    n_permutations: int = 1000,
    seed: int = 14,
    threads: int = 1,
) -> Table:
    """Test every set in every group.

    Parameters
    ----------
    collection
        The sets.
    members
        Features of each of them, from `GeneSets.features`.
    means
        The groups.
    group
        Name of one group; None for all.
    n_permutations
        How many random sets each is compared with.
    seed
        Seed of these.
    threads
        How many share the work.

    Returns
    -------
    Table
        See `Explanation.enrichment`.

    Raises
    ------
    CytoTRACE2Error
        gseapy or pandas is not installed.
    UsageError
        There is no such group.
    """
    gseapy, pandas = require_gseapy(), require_pandas()
    genes = means.in_input
    names = np.array(means.genes)
    present = set(genes.tolist())
    sets = {
        name: [str(names[i]) for i in some if i in present]
        for name, some in zip(collection.names, members, strict=True)
    }
    described = dict(zip(collection.names, collection.descriptions, strict=True))
    parts: list[dict[str, Any]] = []
    positions = range(len(means.groups)) if group is None else [means.position(group)]
    for position in positions:
        share = means.mean_shares[position, genes]
        order = np.argsort(-share, kind="stable")
        ranking = pandas.Series(share[order], index=names[genes[order]])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of ties among the many genes without a share
            found = gseapy.prerank(
                rnk=ranking,
                gene_sets=sets,
                min_size=_FEWEST_GENES,
                max_size=_MOST_GENES,
                permutation_num=n_permutations,
                weight=0.0,
                seed=seed,
                threads=threads,
                outdir=None,
                no_plot=True,
                verbose=False,
            ).res2d
        numbers = {ours: found[theirs].to_numpy(dtype=float) for theirs, ours in _COLUMNS.items()}
        best = np.argsort(-numbers["nes"], kind="stable")
        tested = found["Term"].to_numpy(dtype=str)[best]
        parts.append(
            {
                "group": np.repeat(means.groups[position], len(best)),
                "set": tested,
                "description": np.array([described[name] for name in tested], dtype=str),
                "n_in_input": np.array([len(sets[name]) for name in tested]),
                **{name: values[best] for name, values in numbers.items()},
            }
        )
    return Table({name: np.concatenate([part[name] for part in parts]) for name in parts[0]})


def require_gseapy() -> Any:
    """Import gseapy, which only the statistics of gene sets need.

    Returns
    -------
    module
        gseapy.

    Raises
    ------
    CytoTRACE2Error
        It is not installed.
    """
    try:
        import gseapy
    except ImportError as error:
        raise CytoTRACE2Error(
            "The statistics of gene sets need the package gseapy, which is not installed: "
            "pip install 'cytotrace2-lite[enrich]'. The sums of shares need nothing."
        ) from error
    return gseapy
