"""Segments of different lengths in one buffer of rows."""

from __future__ import annotations

from .join import concatenate
from .matrix import RaggedMatrix
from .padding import PaddingWaste
from .ragged import Ragged

__all__ = ["PaddingWaste", "Ragged", "RaggedMatrix", "concatenate"]
