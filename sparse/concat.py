"""Puts sparse arrays together: above each other, side by side, and along a diagonal."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import reduce
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse

from ..dtypes import is_inexact, scipy_dtype
from ..errors import FormatError, ShapeError
from .base import SparseArray
from .construct import sparse_source
from .csr import CSR
from .interop import share, wrap
from .lines import join_lines

if TYPE_CHECKING:
    import numpy.typing as npt


def vstack(blocks: Iterable[Any], format: str = "csr", dtype: npt.DTypeLike | None = None) -> SparseArray:
    """Stack matrices above each other.

    Parameters
    ----------
    blocks : iterable of sparse or dense matrices
        All with the same number of columns.
    format : {"csr", "csc", "coo", "bsr"}, optional
        Format of the result.
    dtype : dtype_like, optional
        Dtype of the result; by default the one that holds all of theirs (float32 for two different
        narrow floats).

    Raises
    ------
    ShapeError
        If their widths differ.

    Examples
    --------
    >>> import deepgemm as dg
    >>> dg.sparse.vstack([dg.CSR([[1.0, 0.0]]), dg.CSR([[0.0, 2.0]])]).toarray()
    array([[1., 0.],
           [0., 2.]])
    """
    arrays = _blocks("vstack", blocks, 1, dtype)
    if format == "csc" and all(array.format == "csc" for array in arrays):
        return _by_scipy(scipy.sparse.vstack, arrays).asformat(format)
    return _joined("csr", arrays).asformat(format)


def hstack(blocks: Iterable[Any], format: str = "csr", dtype: npt.DTypeLike | None = None) -> SparseArray:
    """Put matrices of the same height side by side; parameters as for `vstack`.

    Examples
    --------
    >>> import deepgemm as dg
    >>> dg.sparse.hstack([dg.CSR([[1.0]]), dg.CSR([[2.0]])]).toarray()
    array([[1., 2.]])
    """
    arrays = _blocks("hstack", blocks, 0, dtype)
    if format == "csc" or all(array.format == "csc" for array in arrays):
        return _joined("csc", arrays).asformat(format)
    return _by_scipy(scipy.sparse.hstack, arrays).asformat(format)


def block_diag(blocks: Iterable[Any], format: str = "csr", dtype: npt.DTypeLike | None = None) -> SparseArray:
    """Put matrices along the diagonal of a larger one; parameters as for `vstack`.

    Examples
    --------
    >>> import deepgemm as dg
    >>> dg.sparse.block_diag([dg.CSR([[1.0]]), dg.CSR([[2.0]])]).toarray()
    array([[1., 0.],
           [0., 2.]])
    """
    return _by_scipy(scipy.sparse.block_diag, _blocks("block_diag", blocks, None, dtype)).asformat(format)


def _blocks(
    owner: str, blocks: Iterable[Any], common_axis: int | None, dtype: npt.DTypeLike | None
) -> list[SparseArray]:
    """Return the blocks as canonical arrays of one dtype, which agree along an axis."""
    if isinstance(blocks, SparseArray):
        raise FormatError(f"{owner}: expected a list of matrices, got one {type(blocks).__name__}")
    arrays = [_as_sparse(owner, block) for block in blocks]
    if not arrays:
        raise FormatError(f"{owner}: expected at least one matrix, got none")
    if common_axis is not None:
        side = ("rows", "columns")[common_axis]
        for number, array in enumerate(arrays):
            if array.shape[common_axis] != arrays[0].shape[common_axis]:
                raise ShapeError(
                    f"{owner}: block 0 has {arrays[0].shape[common_axis]} {side} "
                    f"but block {number} has {array.shape[common_axis]}"
                )
    target = np.dtype(dtype) if dtype is not None else reduce(common_dtype, (array.dtype for array in arrays))
    return [array.canonical().astype(target) for array in arrays]


def _joined(format: str, arrays: list[SparseArray]) -> SparseArray:
    """Put the lines of arrays, made CSR or CSC, one after the other."""
    joined: SparseArray = join_lines([array.asformat(format).canonical() for array in arrays])
    return joined


def _by_scipy(operation: Callable[..., Any], arrays: list[SparseArray]) -> SparseArray:
    """Join arrays with a function of SciPy that moves entries and computes none."""
    target = arrays[0].dtype
    if scipy_dtype(target) == target:
        made = wrap(operation([share(array, array.data) for array in arrays]))
    else:  # entries only move, so their bits can travel as integers
        bits = f"u{target.itemsize}"
        made = wrap(operation([share(array, array.data.view(bits)) for array in arrays]), target)
    result: SparseArray = made
    return result


def _as_sparse(owner: str, block: Any) -> SparseArray:
    source = sparse_source(owner, block)
    return CSR(block) if source is None else source


def common_dtype(left: np.dtype[Any], right: np.dtype[Any]) -> np.dtype[Any]:
    """Return the dtype that holds both; NumPy knows none for pairs of different narrow floats."""
    if left == right:
        return left
    if is_inexact(left) and is_inexact(right):
        return np.result_type(scipy_dtype(left), scipy_dtype(right))
    try:
        return np.result_type(left, right)
    except TypeError:
        return np.result_type(scipy_dtype(left), scipy_dtype(right))
