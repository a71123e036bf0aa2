"""The sparse formats of deepgemm."""

from __future__ import annotations

if __name__ != "deepgemm.sparse":
    raise ImportError("this folder is deepgemm.sparse: install deepgemm and import it under that name")

from .base import SparseArray
from .bsr import BSR
from .concat import block_diag, hstack, vstack
from .coo import COO
from .csc import CSC
from .csr import CSR
from .mapped import open_matrix
from .quantized import Quantized
from .quantized_sparse import QuantizedSparse
from .ragged import PaddingWaste, Ragged, RaggedMatrix, concatenate

__all__ = [
    "BSR",
    "COO",
    "CSC",
    "CSR",
    "PaddingWaste",
    "Quantized",
    "QuantizedSparse",
    "Ragged",
    "RaggedMatrix",
    "SparseArray",
    "block_diag",
    "concatenate",
    "hstack",
    "open_matrix",
    "vstack",
]
