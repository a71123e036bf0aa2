"""The BSR format: compressed rows of dense blocks, for matrices whose entries come in rectangles."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ..errors import ShapeError
from .base import SparseArray
from .compressed import Compressed
from .construct import coordinate_source, dense_source, nothing, sparse_source
from .core import FORMATS
from .interop import moved
from .validate import block_shape, divisible, looks_like_shape, matrix_shape

if TYPE_CHECKING:
    from .csr import CSR


class BSR(Compressed):
    """Block compressed sparse rows.

    The blocks of block row i are `data[indptr[i]:indptr[i+1]]`, each of shape `blocksize`, and `indices`
    holds their block columns. Every place of a stored block is an entry, zeros included.

    Parameters
    ----------
    arg : array_like, sparse array, or tuple
        What `scipy.sparse.bsr_array` takes: a dense matrix; a sparse matrix or array of any format;
        `(data, indices, indptr)` with `data` of three dimensions; `(data, (row, col))`; or
        `(rows, columns)` for an empty matrix.
    shape, dtype, copy
        As for `CSR`.
    blocksize : tuple of int, optional
        Rows and columns of a block; they must divide the shape. By default that of `arg`, or SciPy's
        estimate.

    Examples
    --------
    >>> import numpy as np
    >>> import deepgemm as dg
    >>> A = dg.BSR(np.kron(np.eye(2), np.ones((2, 2))), blocksize=(2, 2))
    >>> A.nnz, A.indices
    (8, array([0, 1], dtype=int32))
    """

    __slots__ = ()

    format = "bsr"
    _kinds = ("block rows", "block columns")
    _item_ndim = 2

    def __init__(
        self,
        arg: Any,
        shape: Any = None,
        dtype: npt.DTypeLike | None = None,
        copy: bool = False,
        blocksize: tuple[int, int] | None = None,
    ) -> None:
        owner = type(self).__name__
        if blocksize is not None:
            blocksize = block_shape(owner, blocksize)
        source = sparse_source(owner, arg, shape, dtype)
        if source is None and isinstance(arg, tuple):
            source = self._from_tuple(owner, arg, shape, dtype, copy, blocksize)
        elif source is None:
            source = FORMATS["csr"](dense_source(owner, arg, shape, dtype))
        if source is not None:
            if blocksize is not None:
                divisible(owner, source.shape, blocksize)
            made = source.tobsr(blocksize, copy=copy)
            self._adopt(made.shape, made._arrays, made._inspection)

    def _from_tuple(
        self,
        owner: str,
        arg: tuple[Any, ...],
        shape: Any,
        dtype: npt.DTypeLike | None,
        copy: bool,
        blocksize: tuple[int, int] | None,
    ) -> SparseArray | None:
        """Fill this array from a tuple, or return the array that it is to be converted from."""
        if looks_like_shape(arg):
            empty = matrix_shape(owner, arg)
            rows, columns = blocksize or (1, 1)
            divisible(owner, empty, (rows, columns))
            data, indices = nothing(empty, dtype, rows, columns)
            indptr = np.zeros(empty[0] // rows + 1, indices.dtype)
            self._validate(empty, (data, indices, indptr), dtype, False)
            return None
        if len(arg) == 3:
            self._validate(shape, arg, dtype, copy)
            if blocksize not in (None, self.blocksize):
                raise ShapeError(
                    f"{owner}: blocksize is {blocksize}, but data has blocks of {self.blocksize}"
                )
            return None
        return coordinate_source(owner, arg, shape, dtype)

    @property
    def blocksize(self) -> tuple[int, int]:
        """Rows and columns of a block."""
        _, rows, columns = self._data.shape
        return (rows, columns)

    def tocsr(self, copy: bool = False) -> CSR:
        """Return the array as CSR, sorted, with duplicates summed; zeros inside blocks stay stored."""
        result: CSR = moved(self, lambda matrix: matrix.tocsr())
        return result

    def tobsr(self, blocksize: tuple[int, int] | None = None, copy: bool = False) -> BSR:
        """Return the array itself, or with blocks of another size, whose empty places become stored zeros."""
        if blocksize is None or block_shape("BSR.tobsr", blocksize) == self.blocksize:
            return self._as_given(copy)
        return self.tocsr().tobsr(blocksize)

    @property
    def T(self) -> BSR:  # noqa: N802
        """The transpose; the blocks are copied, duplicates summed."""
        result: BSR = moved(self, lambda matrix: matrix.transpose())
        return result
