"""Matrices to try the library on: fixed-seed generators of the shapes that sparse work really has."""

from __future__ import annotations

if __name__ != "deepgemm.datasets":
    raise ImportError("this folder is deepgemm.datasets: install deepgemm and import it under that name")

from .generators import banded, blocks, interactions, power_law, pruned_weights, uniform

__all__ = ["banded", "blocks", "interactions", "power_law", "pruned_weights", "uniform"]
