"""Matrices to try the library on: real sets by name, and fixed-seed generators of what sparse work has."""

from __future__ import annotations

if __name__ != "deepgemm.datasets":
    raise ImportError("this folder is deepgemm.datasets: install deepgemm and import it under that name")

from .generators import banded, blocks, interactions, power_law, pruned_weights, uniform
from .loaders import dlmc, gowalla, movielens, sessions, suitesparse
from .sequences import sequences
from .sources import Source, about, names

__all__ = [
    "Source",
    "about",
    "banded",
    "blocks",
    "dlmc",
    "gowalla",
    "interactions",
    "movielens",
    "names",
    "power_law",
    "pruned_weights",
    "sequences",
    "sessions",
    "suitesparse",
    "uniform",
]
