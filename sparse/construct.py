"""What the constructors of all formats share: telling operands apart and bringing them into one form."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import scipy.sparse

from ..errors import FormatError, ShapeError
from .base import SparseArray
from .core import FORMATS
from .interop import from_scipy, scipy_parts
from .validate import index_dtype, matrix_shape, plain_array, value_array

if TYPE_CHECKING:
    Array = npt.NDArray[Any]


def twin_parts(owner: str, arg: Any, format: str, shape: Any) -> tuple[Array, ...] | None:
    """Return the parts of a SciPy array that has the wanted format already, or None for anything else."""
    if not scipy.sparse.issparse(arg):
        return None
    matrix: Any = arg
    if matrix.format != format or matrix.ndim != 2:
        return None
    _agree(owner, shape, "sparse", matrix.shape)
    return scipy_parts(matrix)


def sparse_source(
    owner: str, arg: Any, shape: Any = None, dtype: npt.DTypeLike | None = None
) -> SparseArray | None:
    """Return a constructor's argument as one of our arrays if it is sparse at all, sharing its memory."""
    if isinstance(arg, SparseArray):
        source = arg
        source._check_fresh()
    elif scipy.sparse.issparse(arg):
        source = from_scipy(owner, arg)
    else:
        return None
    _agree(owner, shape, "sparse", source.shape)
    return source if dtype is None else source.astype(dtype)


def coordinate_source(
    owner: str, arg: tuple[Any, ...], shape: Any, dtype: npt.DTypeLike | None
) -> SparseArray:
    """Return the COO of `(data, (row, col))`; a tuple of another length is refused."""
    if len(arg) != 2:
        raise FormatError(
            f"{owner}: got a tuple of {len(arg)}, expected (data, indices, indptr), (data, (row, col)) "
            "or (rows, columns)"
        )
    coo: SparseArray = FORMATS["coo"](arg, shape=shape, dtype=dtype)
    return coo


def dense_source(owner: str, arg: Any, shape: Any, dtype: npt.DTypeLike | None) -> Array:
    """Return a dense constructor argument as a contiguous array of two dimensions and a storable dtype."""
    dense = plain_array(owner, "the dense operand", arg)
    if dense.ndim != 2:
        hint = "; reshape(1, -1) makes it a row" if dense.ndim == 1 else ""
        raise ShapeError(f"{owner}: the dense operand has {dense.ndim} dimensions, expected 2{hint}")
    _agree(owner, shape, "dense", dense.shape)
    return value_array(owner, dense, dtype, False, ndim=2)


def nothing(shape: tuple[int, int], dtype: npt.DTypeLike | None, *block: int) -> tuple[Array, Array]:
    """Return the values and indices of a matrix without entries; float64 by default, as in SciPy."""
    return np.zeros((0, *block), dtype or np.float64), np.zeros(0, index_dtype(*shape))


def _agree(owner: str, shape: Any, kind: str, actual: tuple[int, ...]) -> None:
    if shape is not None and matrix_shape(owner, shape) != actual:
        raise ShapeError(f"{owner}: shape is {shape}, but the {kind} operand has shape {actual}")
