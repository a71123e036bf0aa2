"""Sums over rows and columns, and the means, variances and norms that are made of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from .. import dtypes
from ..rounding import rounded
from .operands import Array, canonical_rows, entries_of

_LANES = 16
_RUN = 2**14


def sums(A: Any, axis: int | None = None, *, dtype: npt.DTypeLike | None = None) -> Array:
    """Return the sums of the rows (``axis=1``), of the columns (``axis=0``) or of all entries.

    The entries of a row, in ascending order of columns, go to 16 chains in turn; then chain ``l`` takes up
    chain ``l + 8``, then ``l + 4``, ``l + 2`` and ``l + 1``. The entries of a column form one chain from top
    to bottom. The sum of all, by rows (by columns for CSC), is made of runs of 2**14 entries, each added
    like a row, and of their sums, added like another. Chains begin at +0; entries stored more than once
    are summed first, as in `matmul`. Integers are added in int64 or uint64 and wrap.

    Parameters
    ----------
    A : sparse matrix
        Of any class.
    axis : {None, 0, 1}
        The axis that vanishes.
    dtype : dtype_like, optional
        Dtype of the result, and of the additions if it is wider than int64, uint64 or the accumulator dtype
        of the entries.

    Examples
    --------
    >>> import scipy.sparse
    >>> sums(scipy.sparse.csr_array([[1.0, 2.0], [0.0, 3.0]]), 0).tolist()
    [1.0, 5.0]
    """
    default = _sum_dtype(A.dtype)
    target = default if dtype is None else dtypes.canonical(dtype)
    wide = np.result_type(default, dtypes.scipy_dtype(target)) if dtypes.is_inexact(target) else default
    return rounded(_sums(A, axis, lambda values, _: values.astype(wide), wide), target)


def means(A: Any, axis: int | None = None) -> Array:
    """Return sums, made in float64 or complex128, over the number of places, rounded once.

    Examples
    --------
    >>> import scipy.sparse
    >>> means(scipy.sparse.csr_array([[1, 2], [0, 3]]), 1).tolist()
    [1.5, 1.5]
    """
    return rounded(_means(A, axis), _mean_dtype(A.dtype))


def variances(A: Any, axis: int | None = None, *, ddof: float = 0) -> Array:
    """Return ``(s + z * (m * m)) / (n - ddof)``, in float64 and rounded once at the end.

    `m` is the mean, not yet rounded to its dtype; `s` the sum of ``d * d``, rounded, where ``d = a - m``,
    rounded, in the order of `sums`; `z` the number of places without an entry and `n` that of all places.

    Examples
    --------
    >>> import scipy.sparse
    >>> variances(scipy.sparse.csr_array([[1, 2], [0, 4]]), 0).tolist()
    [0.25, 1.0]
    """
    center = _means(A, axis)

    def squares(values: Array, result: Array) -> Array:
        difference = values.astype(np.float64) - (center if axis is None else center[result])
        return np.asarray(difference * difference)

    with np.errstate(all="ignore"):
        total = _sums(A, axis, squares, np.dtype(np.float64))
        filled = _sums(A, axis, lambda values, _: np.ones(len(values), np.int64), np.dtype(np.int64))
        places = _places(A, axis)
        result = (total + (places - filled) * (center * center)) / np.float64(places - ddof)
        return rounded(result, _mean_dtype(A.dtype))


def norms(A: Any, axis: int = 1, norm: str = "l2") -> Array:
    """Return the norms of rows or columns: computed in float64 in the order of `sums`, and rounded once.

    For "l2" squares are rounded, summed, and the root is taken. If that sum is below 2**-900 or above the
    largest number, the row is divided by the power of two above its largest entry first, and multiplied by
    it at the end. "l1" sums magnitudes, "max" takes the largest, or nan if there is one.

    Examples
    --------
    >>> import scipy.sparse
    >>> norms(scipy.sparse.csr_array([[3.0, 4.0], [0.0, 2.0]])).tolist()
    [5.0, 2.0]
    """
    return rounded(_norms(A, axis, norm), _mean_dtype(A.dtype))


def normalized(A: Any, axis: int = 1, norm: str = "l2") -> tuple[Array, Array, Array]:
    """Return a matrix over the norms, in float64, of its rows or columns; where they are 0 it stays.

    Returns
    -------
    tuple of numpy.ndarray
        ``(data, indices, indptr)`` of the rows; each quotient is made in float64 and rounded once.

    Examples
    --------
    >>> import scipy.sparse
    >>> normalized(scipy.sparse.csr_array([[3.0, 4.0]]))[0].tolist()
    [0.6, 0.8]
    """
    found = _norms(A, axis, norm)
    found[found == 0] = 1
    rows = canonical_rows(*entries_of(A), A.shape[0])
    of_entry = _lines(rows.indptr) if axis == 1 else rows.indices
    target = A.dtype if dtypes.is_inexact(A.dtype) else np.dtype(np.float64)
    with np.errstate(all="ignore"):
        return rounded(rows.values.astype(np.float64) / found[of_entry], target), rows.indices, rows.indptr


def _sums(A: Any, axis: int | None, term: Any, accumulator: np.dtype[Any]) -> Array:
    """Add ``term(values, results)``, where each entry goes to the result of its number."""
    rows = canonical_rows(*entries_of(A), A.shape[0])
    lines = _lines(rows.indptr)
    with np.errstate(all="ignore"):
        if axis == 0:
            order = np.lexsort((lines, rows.indices))
            columns = rows.indices[order]
            return _in_turn(columns, term(rows.values[order], columns), A.shape[1], 1, accumulator)
        if axis == 1:
            return _in_turn(lines, term(rows.values, lines), A.shape[0], _LANES, accumulator)
        order = np.lexsort((lines, rows.indices)) if A.format == "csc" else np.arange(len(lines))
        runs = np.arange(len(order)) // _RUN
        found = _in_turn(runs, term(rows.values[order], None), -(-len(order) // _RUN), _LANES, accumulator)
        return np.asarray(_in_turn(np.zeros(len(found), int), found, 1, _LANES, accumulator)[0])


def _in_turn(result: Array, terms: Array, results: int, lanes: int, accumulator: np.dtype[Any]) -> Array:
    """Add terms, sorted by result, to the lanes of their result in turn, and join the lanes."""
    chains = np.zeros((results, lanes), accumulator)
    count = np.bincount(result, minlength=results)
    begin = np.cumsum(count) - count
    for position in range(int(count.max(initial=0))):
        more = np.flatnonzero(count > position)
        chains[more, position % lanes] += terms[begin[more] + position]
    while lanes > 1:
        lanes //= 2
        chains = chains[:, :lanes] + chains[:, lanes : 2 * lanes]
    return chains[:, 0]


def _means(A: Any, axis: int | None) -> Array:
    wide = np.dtype(np.complex128 if A.dtype.kind == "c" else np.float64)
    with np.errstate(all="ignore"):
        total = _sums(A, axis, lambda values, _: values.astype(wide), wide)
        return np.asarray(total / np.float64(_places(A, axis)))


def _norms(A: Any, axis: int, norm: str) -> Array:
    def added(term: Any) -> Array:
        return _sums(A, axis, lambda values, result: term(values.astype(np.float64), result), wide)

    wide = np.dtype(np.float64)
    if norm == "l1":
        return added(lambda values, _: np.abs(values))
    largest = np.zeros(A.shape[1 - axis])
    rows = canonical_rows(*entries_of(A), A.shape[0])
    results = _lines(rows.indptr) if axis == 1 else rows.indices
    np.maximum.at(largest, results, np.abs(rows.values.astype(np.float64)))
    if norm == "max":
        return largest
    squares = added(lambda values, _: values * values)
    unsafe = (squares < 2.0**-900) | (squares > np.finfo(np.float64).max)
    power = np.where(unsafe & np.isfinite(largest) & (largest > 0), np.frexp(largest)[1], 0)
    power = np.clip(power, -1021, 1023)
    with np.errstate(all="ignore"):
        return np.ldexp(np.sqrt(added(lambda values, i: np.ldexp(values, -power[i]) ** 2)), power)


def _lines(indptr: Array) -> Array:
    return np.repeat(np.arange(len(indptr) - 1), np.diff(indptr))


def _places(A: Any, axis: int | None) -> int:
    return int(A.shape[0] * A.shape[1] if axis is None else A.shape[axis])


def _sum_dtype(storage: np.dtype[Any]) -> np.dtype[Any]:
    if storage.kind in "bi":
        return np.dtype(np.int64)
    return np.dtype(np.uint64) if storage.kind == "u" else dtypes.scipy_dtype(storage)


def _mean_dtype(storage: np.dtype[Any]) -> np.dtype[Any]:
    return dtypes.scipy_dtype(storage) if dtypes.is_inexact(storage) else np.dtype(np.float64)
