"""The CSR format: rows one after the other, the format that most kernels read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .compressed import CompressedEntries

if TYPE_CHECKING:
    from .csc import CSC


class CSR(CompressedEntries):
    """Compressed sparse rows.

    The entries of row i are `data[indptr[i]:indptr[i+1]]`, and `indices` holds their columns.

    Parameters
    ----------
    arg : array_like, sparse array, or tuple
        What `scipy.sparse.csr_array` takes: a dense matrix; a SciPy sparse matrix or array, or an array of
        this package, of any format; `(data, indices, indptr)`; `(data, (row, col))`, where duplicates are
        summed; or `(rows, columns)` for an empty matrix.
    shape : tuple of int, optional
        Rows and columns; by default inferred.
    dtype : dtype_like, optional
        Dtype of the entries, any that `deepgemm.dtypes` lists.
    copy : bool, optional
        Take private copies. By default memory is shared where dtype and layout allow: entries in native
        byte order, contiguous and aligned, indices of int32 or int64. The input is never written, and
        may be read-only or memory-mapped; it must not be changed afterwards.

    Raises
    ------
    ShapeError, DTypeError, FormatError
        If the parts do not form a matrix. They are validated in one pass, once.

    Examples
    --------
    >>> import numpy as np
    >>> import deepgemm as dg
    >>> A = dg.CSR((np.array([1.0, 2.0, 3.0]), np.array([0, 2, 1]), np.array([0, 2, 3])), shape=(2, 3))
    >>> A
    CSR(shape=(2, 3), dtype=float64, nnz=3, density=0.5, memory=72 B)
    >>> A.toarray()
    array([[1., 0., 2.],
           [0., 3., 0.]])
    """

    __slots__ = ()

    format = "csr"
    _major = 0

    def tocsr(self, copy: bool = False) -> CSR:
        """Return the array itself, or a private copy of it."""
        return self._as_given(copy)

    def tocsc(self, copy: bool = False) -> CSC:
        """Return the array as CSC. Takes O(rows + columns + entries); duplicates are kept."""
        result: CSC = self._flipped("csc")
        return result
