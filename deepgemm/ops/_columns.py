"""A sparse operand by rows and by columns at once, as symmetric products read it."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ..sparse import convert
from ..sparse.base import SparseArray
from ..sparse.layouts import COLUMNS
from ..sparse.validate import index_dtype

Array = npt.NDArray[Any]
KernelOperand = tuple[Array, Array, Array, Array, Array, Array, Array | None]


class Columns(NamedTuple):
    """A by rows and by columns at once, as the kernel wants it: structure only.

    Attributes
    ----------
    indptr, indices : numpy.ndarray
        Rows, canonical.
    order : numpy.ndarray or None
        Where the value of each entry of the rows comes from in the canonical operand; None if in order.
    column_ptr, rows_of, positions : numpy.ndarray
        Columns: the row of each entry, and its place among the rows' entries.
    """

    indptr: Array
    indices: Array
    order: Array | None
    column_ptr: Array
    rows_of: Array
    positions: Array

    @property
    def nbytes(self) -> int:
        """Memory of what is not the operand's own, in bytes."""
        owned = (self.column_ptr, self.rows_of, self.positions)
        extra = () if self.order is None else (self.indptr, self.indices, self.order)
        return sum(part.nbytes for part in (*owned, *extra))

    def refill(self, values: Array) -> Columns:
        """Return the same structure, which no values change."""
        return self


def _columns(array: SparseArray) -> Columns:
    """Return the rows and columns of a canonical array."""
    order = None
    rows: Any = array
    if array.format != "csr":
        rows = array.with_data(np.arange(array.nnz).reshape(array.data.shape)).tocsr()
        order = rows.data
    dtype = max(index_dtype(*array.shape, array.nnz), rows.indptr.dtype, key=lambda width: width.itemsize)
    indptr, indices = rows.indptr.astype(dtype, copy=False), rows.indices.astype(dtype, copy=False)
    column_ptr, rows_of, positions = convert.transpose(indptr, indices, array.shape[1])
    return Columns(indptr, indices, order, column_ptr, rows_of, positions)


def kernel_operand(array: SparseArray, weights: Array | None, chain: np.dtype[Any]) -> KernelOperand:
    """Return what the kernels read: the layout, built if missing, the values in its order, and weights."""
    base = array.canonical()
    cache = array._layouts
    parts = cache.get_or_build(COLUMNS, lambda: cache.donor(COLUMNS) or _columns(base))
    assert isinstance(parts, Columns)
    values = base.data.reshape(-1)
    if parts.order is not None:
        values = values[parts.order]
    return (
        parts.indptr,
        parts.indices,
        np.ascontiguousarray(values, chain),
        parts.column_ptr,
        parts.rows_of,
        parts.positions,
        None if weights is None else np.ascontiguousarray(weights),
    )
