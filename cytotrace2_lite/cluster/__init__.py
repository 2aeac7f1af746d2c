"""Batches scored by the workers of a Dask cluster, with the same bytes as in one process."""

from cytotrace2_lite.cluster.cluster import Cluster
from cytotrace2_lite.cluster.connection import connected

__all__ = ["Cluster", "connected"]
