"""The COO format: one row and one column number for each entry, in any order, the format to build with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy.typing as npt

from ..errors import FormatError, ShapeError
from . import convert
from .base import SparseArray
from .construct import dense_source, nothing, sparse_source, twin_parts
from .core import FORMATS
from .validate import (
    check_coordinates,
    index_array,
    looks_like_shape,
    matrix_shape,
    same_length,
    same_width,
    value_array,
)

if TYPE_CHECKING:
    from .csr import CSR

    Array = npt.NDArray[Any]


class COO(SparseArray):
    """Coordinates and values.

    Entry k is `data[k]` at row `row[k]` and column `col[k]`. The same place may occur more than once: the
    values are summed in storage order wherever the matrix is used, as in SciPy.

    Parameters
    ----------
    arg : array_like, sparse array, or tuple
        What `scipy.sparse.coo_array` takes in two dimensions: a dense matrix; a sparse matrix or array of
        any format; `(data, (row, col))`; or `(rows, columns)` for an empty matrix.
    shape, dtype, copy
        As for `CSR`.

    Examples
    --------
    >>> import deepgemm as dg
    >>> dg.COO(([1.0, 2.0, 3.0], ([0, 0, 1], [1, 1, 0]))).toarray()
    array([[0., 3.],
           [3., 0.]])
    """

    __slots__ = ("_ordered",)

    format = "coo"
    _part_names = ("data", "row", "col")
    _ordered: tuple[bool, bool]

    def __init__(
        self, arg: Any, shape: Any = None, dtype: npt.DTypeLike | None = None, copy: bool = False
    ) -> None:
        owner = type(self).__name__
        parts = twin_parts(owner, arg, self.format, shape)
        if parts is not None:
            self._validate(arg.shape, parts, dtype, copy)
            return
        source = sparse_source(owner, arg, shape, dtype)
        if source is not None:
            made = source.tocoo(copy)
            self._adopt(made.shape, made._arrays, None)
        elif isinstance(arg, tuple):
            self._init_from_tuple(owner, arg, shape, dtype, copy)
        else:
            dense = dense_source(owner, arg, shape, dtype)
            data, col, indptr = convert.dense_to_csr(dense)
            self._validate(dense.shape, (data, convert.expand(indptr), col), None, False)

    def _init_from_tuple(
        self, owner: str, arg: tuple[Any, ...], shape: Any, dtype: npt.DTypeLike | None, copy: bool
    ) -> None:
        if looks_like_shape(arg):
            empty = matrix_shape(owner, arg)
            data, none = nothing(empty, dtype)
            self._validate(empty, (data, none, none), dtype, False)
            return
        if len(arg) != 2:
            raise FormatError(
                f"{owner}: got a tuple of {len(arg)}, expected (data, (row, col)) or (rows, columns)"
            )
        data, coordinates = arg
        try:
            row, col = coordinates
        except (TypeError, ValueError):
            raise FormatError(f"{owner}: the coordinates are not (row, col), two index arrays") from None
        self._validate(shape, (data, row, col), dtype, copy)

    def _validate(self, shape: Any, parts: tuple[Any, ...], dtype: npt.DTypeLike | None, copy: bool) -> None:
        owner = type(self).__name__
        data = value_array(owner, parts[0], dtype, copy)
        row, col = same_width(
            index_array(owner, "row", parts[1], copy), index_array(owner, "col", parts[2], copy)
        )
        same_length(owner, data=data, row=row, col=col)
        if shape is None:
            if not len(row):
                raise ShapeError(f"{owner}: shape cannot be inferred from no entries; give shape=")
            shape = (max(int(row.max()) + 1, 0), max(int(col.max()) + 1, 0))
        checked = matrix_shape(owner, shape)
        check_coordinates(owner, "row", row, checked[0], "rows")
        check_coordinates(owner, "col", col, checked[1], "columns")
        self._adopt(checked, (data, row, col), None)

    @property
    def row(self) -> Array:
        """Row of each entry, read-only."""
        return self._arrays[1]

    @property
    def col(self) -> Array:
        """Column of each entry, read-only."""
        return self._arrays[2]

    @property
    def coords(self) -> tuple[Array, Array]:
        """Rows and columns, as SciPy names the pair."""
        return (self.row, self.col)

    @property
    def has_sorted_indices(self) -> bool:
        """Whether entries ascend by row, then column; duplicates allowed."""
        return self._order()[0]

    @property
    def has_canonical_format(self) -> bool:
        """Whether entries ascend strictly by row, then column."""
        return self._order()[1]

    def _order(self) -> tuple[bool, bool]:
        try:
            return self._ordered
        except AttributeError:
            row, col = self.row, self.col
            same_row = row[1:] == row[:-1]
            ahead = row[1:] > row[:-1]
            ascends = bool((ahead | (same_row & (col[1:] >= col[:-1]))).all())
            strictly = ascends and not bool((same_row & (col[1:] == col[:-1])).any())
            self._ordered = (ascends, strictly)
            return self._ordered

    def _make_canonical(self) -> COO:
        row, col, merge = convert.sort_coordinates(self.row, self.col)
        self._merge = merge
        return self._from_parts(self._shape, (merge.apply(type(self).__name__, self._data), row, col))

    def tocsr(self, copy: bool = False) -> CSR:
        """Return the array as CSR, sorted, with duplicates summed. Takes O(rows + columns + entries)."""
        self._check_fresh()
        indptr, indices, data = convert.compress(self.row, self.col, self._shape[0], self._data)
        made = FORMATS["csr"]._from_parts(self._shape, (data, indices, indptr))
        result: CSR = made.canonical()
        return result

    def tocoo(self, copy: bool = False) -> COO:
        """Return the array itself, or a private copy of it."""
        return self._as_given(copy)

    @property
    def T(self) -> COO:  # noqa: N802
        """The transpose, sharing all memory."""
        data, row, col = self._arrays
        return self._trusted(self._shape[::-1], (data, col, row))
