"""Crosses the border to SciPy, sharing memory both ways, and carries dtypes across that SciPy lacks."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import scipy.sparse

from ..dtypes import canonical, scipy_dtype
from ..errors import DTypeError, ShapeError, UnsupportedError
from .core import FORMATS, Operand
from .validate import plain_array

if TYPE_CHECKING:
    from .base import SparseArray

    Array = npt.NDArray[Any]

_PARTS = {
    "csr": ("data", "indices", "indptr"),
    "csc": ("data", "indices", "indptr"),
    "bsr": ("data", "indices", "indptr"),
    "coo": ("data", "row", "col"),
}


def from_scipy(owner: str, matrix: Any) -> SparseArray:
    """Return a SciPy matrix or array in its own format, sharing its memory.

    Formats that deepgemm does not have (dia, dok, lil) are converted by SciPy to csr.
    """
    if matrix.ndim != 2:
        raise ShapeError(f"{owner}: the SciPy array has {matrix.ndim} dimensions, expected 2")
    if matrix.format not in _PARTS:
        matrix = matrix.tocsr()
    made: SparseArray = FORMATS[matrix.format]._from_parts(matrix.shape, scipy_parts(matrix))
    return made


def scipy_parts(matrix: Any) -> tuple[Array, ...]:
    """Return the arrays that a SciPy csr, csc, bsr or coo matrix consists of."""
    return tuple(getattr(matrix, name) for name in _PARTS[matrix.format])


def share(array: Operand, data: Array) -> Any:
    """Return a SciPy array over the structure of `array` and the given entries, without a copy.

    The constructors of SciPy may narrow int64 indices, which copies them, so the parts are set on an
    empty array instead.
    """
    shape: Any = array.shape
    indices = array._arrays[1:]
    match array.format:
        case "coo":
            result: Any = scipy.sparse.coo_array(shape, dtype=data.dtype)
            result.data, result.coords = data, indices
            return result
        case "csr":
            result = scipy.sparse.csr_array(shape, dtype=data.dtype)
        case "csc":
            result = scipy.sparse.csc_array(shape, dtype=data.dtype)
        case _:
            result = scipy.sparse.bsr_array(shape, dtype=data.dtype, blocksize=data.shape[1:])
    result.data = data
    result.indices, result.indptr = indices
    if array._inspection is not None:
        result.has_sorted_indices = array._inspection.sorted
        result.has_canonical_format = array._inspection.canonical
    return result


def widened(array: SparseArray) -> Any:
    """Return the canonical form of `array` for SciPy's arithmetic, its entries widened if need be.

    Canonical, because several of SciPy's operations would first sum duplicates in place.
    """
    array._check_fresh()
    array = array.canonical()
    return share(array, array.data.astype(scipy_dtype(array.dtype), copy=False))


def wrap(result: Any, dtype: np.dtype[Any] | None = None, column: bool = False) -> Any:
    """Return what SciPy gave in our terms: sparse stays sparse, arrays and scalars pass.

    Parameters
    ----------
    result : object
        A one-dimensional sparse array becomes a row, or a column if `column` says so.
    dtype : numpy.dtype, optional
        What the bits of the entries mean, if SciPy was given them under another name.
    """
    if not scipy.sparse.issparse(result):
        return result if dtype is None or not hasattr(result, "view") else result.view(dtype)
    sparse: Any = result
    if sparse.ndim == 1:
        sparse = sparse.reshape((-1, 1) if column else (1, -1))
    if sparse.ndim != 2:
        raise ShapeError(f"the result has {sparse.ndim} dimensions; sparse arrays have 2")
    if sparse.format not in _PARTS:
        sparse = sparse.tocsr()
    data, *structure = scipy_parts(sparse)
    if dtype is not None:
        data = data.view(dtype)
    return FORMATS[sparse.format]._from_parts(sparse.shape, (data, *structure))


def moved(array: SparseArray, operation: Callable[[Any], Any], column: bool = False) -> Any:
    """Run a SciPy operation that moves entries and computes none, in any dtype.

    Entries of dtypes that SciPy lacks are handed over as unsigned integers of the same width. The
    zeros that SciPy fills in are zeros in either reading.
    """
    array._check_fresh()
    array = array.canonical()
    dtype = array.dtype
    if scipy_dtype(dtype) == dtype:
        return wrap(operation(share(array, array.data)), column=column)
    bits = share(array, array.data.view(f"u{dtype.itemsize}"))
    return wrap(operation(bits), dtype, column)


def foreign(owner: str, other: Any) -> Any:
    """Return the other operand of an element-wise operation for SciPy, or NotImplemented."""
    if isinstance(other, Operand):
        return widened(other)  # type: ignore[arg-type]
    if scipy.sparse.issparse(other):
        # Validated first: SciPy's loops trust indices, and its in-place tidying must not reach the caller.
        return widened(from_scipy(owner, other))
    if not isinstance(other, int | float | complex | np.generic | np.ndarray | list | tuple):
        return NotImplemented
    dense = plain_array(owner, "other", other)
    if dense.ndim > 2:
        raise ShapeError(f"{owner}: the other operand has {dense.ndim} dimensions, expected at most 2")
    dense = dense.astype(scipy_dtype(canonical(dense.dtype, f"{owner}: the other operand")), copy=False)
    return dense if dense.ndim else dense[()]


def call(array: SparseArray, name: str, *others: Any, **options: Any) -> Any:
    """Call a method of SciPy's array over shared memory; its refusals become ours."""
    operand = widened(array)
    try:
        return wrap(getattr(operand, name)(*others, **options))
    except NotImplementedError as error:
        raise UnsupportedError(f"{type(array).__name__}.{name}: {error}") from error


def binary(array: SparseArray, name: str, other: Any) -> Any:
    """Call an element-wise operator of SciPy's array; NotImplemented for operands nobody knows."""
    owner = f"{type(array).__name__}.{name}"
    operand = foreign(owner, other)
    if operand is NotImplemented:
        return NotImplemented
    try:
        return call(array, name, operand)
    except DTypeError:
        raise
    except ValueError as error:
        shape = getattr(operand, "shape", ())
        if shape and shape != array.shape:
            raise ShapeError(f"{owner}: shapes {array.shape} and {shape} do not match") from error
        raise
