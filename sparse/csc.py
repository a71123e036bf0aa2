"""The CSC format: columns one after the other, the transpose of CSR."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .compressed import CompressedEntries

if TYPE_CHECKING:
    from .csr import CSR


class CSC(CompressedEntries):
    """Compressed sparse columns.

    The entries of column j are `data[indptr[j]:indptr[j+1]]`, and `indices` holds their rows. Everything
    else, the parameters included, is as for `CSR`.

    Examples
    --------
    >>> import deepgemm as dg
    >>> A = dg.CSC([[1.0, 0.0], [2.0, 3.0]])
    >>> A.indices, A.indptr
    (array([0, 1, 1], dtype=int32), array([0, 2, 3], dtype=int32))
    """

    __slots__ = ()

    format = "csc"
    _major = 1
    _kinds = ("columns", "rows")

    def tocsc(self, copy: bool = False) -> CSC:
        """Return the array itself, or a private copy of it."""
        return self._as_given(copy)

    def tocsr(self, copy: bool = False) -> CSR:
        """Return the array as CSR. Takes O(rows + columns + entries); duplicates are kept."""
        result: CSR = self._flipped("csr")
        return result
