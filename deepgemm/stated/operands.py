"""Operands as the statements see them: canonical rows of a sparse matrix, values as real parts."""

from __future__ import annotations

from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from .. import dtypes
from ..errors import FormatError
from ..rounding import rounded
from ..sparse.quantized import Quantized
from ..sparse.quantized_sparse import QuantizedSparse

Array: TypeAlias = npt.NDArray[Any]
# A value as the arithmetic sees it: (x,) for real and integer dtypes, (re, im) for complex ones.
Parts: TypeAlias = tuple[Array, ...]


class Rows(NamedTuple):
    """A sparse operand in canonical row-compressed form."""

    indptr: Array
    indices: Array
    values: Array


def entries_of(matrix: Any) -> tuple[Array, Array, Array]:
    """Return the rows, columns and values of a sparse matrix of any class in storage order."""
    kind = matrix.format
    if kind == "coo":
        return np.asarray(matrix.row), np.asarray(matrix.col), np.asarray(matrix.data)
    if kind not in ("csr", "csc", "bsr"):
        return entries_of(matrix.tocoo())
    indptr, minor = np.asarray(matrix.indptr), np.asarray(matrix.indices)
    stored = int(indptr[-1])
    minor, values = minor[:stored], np.asarray(matrix.data)[:stored]
    major = np.repeat(np.arange(len(indptr) - 1), np.diff(indptr))
    if kind == "csc":
        return minor, major, values
    if kind == "bsr":
        height, width = values.shape[1:]
        rows = major[:, None, None] * height + np.arange(height)[None, :, None]
        columns = minor.astype(np.int64)[:, None, None] * width + np.arange(width)[None, None, :]
        rows, columns = (np.broadcast_to(x, values.shape).reshape(-1) for x in (rows, columns))
        return rows, columns, values.reshape(-1)
    return major, minor, values


def canonical_rows(rows: Array, columns: Array, values: Array, n_rows: int) -> Rows:
    """Sort entries by row, then column; sum duplicates in storage order, rounding back to storage once."""
    storage = values.dtype
    values = values.astype(dtypes.accumulator(storage, storage))
    order = np.lexsort((columns, rows))
    rows, columns, values = rows[order], columns[order], values[order]
    first = np.ones(len(rows), dtype=bool)
    first[1:] = (np.diff(rows) != 0) | (np.diff(columns) != 0)
    begin = np.flatnonzero(first)
    lengths = np.diff(np.append(begin, len(rows)))
    sums = values[begin]
    for position in range(1, int(lengths.max(initial=0))):
        more = lengths > position
        sums[more] += values[begin[more] + position]
    if storage.kind in "iu" and storage.itemsize == 1 and (sums.astype(storage) != sums).any():
        raise FormatError(f"matmul: duplicate entries have a sum that {storage} cannot hold")
    indptr = np.zeros(n_rows + 1, dtype=np.int64)
    np.cumsum(np.bincount(rows[begin], minlength=n_rows), out=indptr[1:])
    return Rows(indptr, columns[begin].astype(np.int64), rounded(sums, storage))


def is_sparse(operand: Any) -> bool:
    """Whether an operand is a sparse matrix of any library."""
    return hasattr(operand, "format") and not isinstance(operand, np.ndarray)


def as_operand(operand: Any) -> Any:
    """Return a sparse or quantised matrix as it is and anything else as an array."""
    return operand if is_sparse(operand) or is_quantized(operand) else np.asarray(operand)


def is_quantized(operand: Any) -> bool:
    """Whether an operand is a quantised matrix, dense or sparse."""
    return isinstance(operand, Quantized | QuantizedSparse)


def parts_of(values: Array, accumulator: np.dtype[Any]) -> Parts:
    """Widen `values` to the accumulator dtype and take complex numbers apart."""
    wide = values.astype(accumulator)
    if accumulator.kind == "c":
        return np.ascontiguousarray(wide.real), np.ascontiguousarray(wide.imag)
    return (wide,)


def joined(parts: Parts, accumulator: np.dtype[Any]) -> Array:
    """Undo `parts_of`."""
    if accumulator.kind != "c":
        return parts[0]
    result = np.empty(parts[0].shape, dtype=accumulator)
    result.real, result.imag = parts
    return result


def zeros(shape: tuple[int, ...], accumulator: np.dtype[Any]) -> Parts:
    """Return the beginnings of chains."""
    return parts_of(np.zeros(shape, dtype=accumulator), accumulator)
