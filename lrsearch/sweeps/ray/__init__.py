"""Sweeps on a Ray cluster. Needs Ray; nothing else in the sweeps imports it."""

from lrsearch.sweeps.ray._cluster import Cluster as Cluster
from lrsearch.sweeps.ray._sweep import ray_sweep as ray_sweep

__all__ = ["Cluster", "ray_sweep"]
