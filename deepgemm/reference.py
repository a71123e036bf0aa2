"""Every operation in plain NumPy, in the order in which it is stated to round: the specification.

Kernels are compared with these functions by ``==``. Nothing here is fast for its own sake; the loops run
over the steps of a chain, and each step is vectorised over the output elements.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from itertools import pairwise
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from . import dtypes
from .errors import FormatError, ShapeError
from .fma import fma, fma_unchecked
from .rounding import rounded

__all__ = ["dot", "fma", "gram", "matmul", "matmul_sparse", "matmul_topk", "rounded", "sandwich", "sddmm"]

Array: TypeAlias = npt.NDArray[Any]
# A value as the arithmetic sees it: (x,) for real and integer dtypes, (re, im) for complex ones.
Parts: TypeAlias = tuple[Array, ...]
Step: TypeAlias = Callable[[Parts, Parts, Parts], Parts]

_LANES = 16  # interleaved chains of the dot-product shapes, whatever the vector width of the machine


# --- operands ---


class _Rows(NamedTuple):
    """A sparse operand in canonical row-compressed form."""

    indptr: Array
    indices: Array
    values: Array


def _entries(matrix: Any) -> tuple[Array, Array, Array]:
    """Return the rows, columns and values of a sparse matrix of any class in storage order."""
    kind = matrix.format
    if kind == "coo":
        return np.asarray(matrix.row), np.asarray(matrix.col), np.asarray(matrix.data)
    if kind not in ("csr", "csc", "bsr"):
        return _entries(matrix.tocoo())
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
        return tuple(np.broadcast_to(x, values.shape).reshape(-1) for x in (rows, columns, values))  # type: ignore[return-value]
    return major, minor, values


def _canonical_rows(rows: Array, columns: Array, values: Array, n_rows: int) -> _Rows:
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
    return _Rows(indptr, columns[begin].astype(np.int64), rounded(sums, storage))


def _is_sparse(operand: Any) -> bool:
    return hasattr(operand, "format") and not isinstance(operand, np.ndarray)


def _as_operand(operand: Any) -> Any:
    return operand if _is_sparse(operand) else np.asarray(operand)


def _parts(values: Array, accumulator: np.dtype[Any]) -> Parts:
    """Widen `values` to the accumulator dtype and take complex numbers apart."""
    wide = values.astype(accumulator)
    if accumulator.kind == "c":
        return np.ascontiguousarray(wide.real), np.ascontiguousarray(wide.imag)
    return (wide,)


def _joined(parts: Parts, accumulator: np.dtype[Any]) -> Array:
    if accumulator.kind != "c":
        return parts[0]
    result = np.empty(parts[0].shape, dtype=accumulator)
    result.real, result.imag = parts
    return result


def _zeros(shape: tuple[int, ...], accumulator: np.dtype[Any]) -> Parts:
    return _parts(np.zeros(shape, dtype=accumulator), accumulator)


# --- the steps of a chain ---


def _step(accumulator: np.dtype[Any]) -> Step:
    """Return the function that adds one product ``left * right`` to a chain."""
    if accumulator.kind == "b":
        return _step_bool
    return {"c": _step_complex, "f": _step_real}.get(accumulator.kind, _step_integer)


def _step_bool(left: Parts, right: Parts, total: Parts) -> Parts:
    return ((left[0] & right[0]) | total[0],)


def _step_integer(left: Parts, right: Parts, total: Parts) -> Parts:
    return (left[0] * right[0] + total[0],)


def _step_real(left: Parts, right: Parts, total: Parts) -> Parts:
    return (fma_unchecked(left[0], right[0], total[0]),)


def _step_complex(left: Parts, right: Parts, total: Parts) -> Parts:
    (a_re, a_im), (b_re, b_im), (re, im) = left, right, total
    re = fma_unchecked(a_re, b_re, re)
    re = fma_unchecked(-a_im, b_im, re)
    im = fma_unchecked(a_re, b_im, im)
    im = fma_unchecked(a_im, b_re, im)
    return re, im


# --- matmul ---


def matmul(A: Any, B: Any, *, dtype: npt.DTypeLike | None = None) -> Array:
    """Return ``A @ B`` in the order in which deepgemm states that it rounds.

    Each element of the result is one chain ``acc = fma(A[i, k], B[k, j], acc)`` over ascending ``k``,
    starting from +0, in the accumulator dtype (`deepgemm.dtypes.accumulator`), rounded once at the end to
    the output dtype. Where a sparse operand has no entry, the step is left out; entries that are zero are
    multiplied.
    Complex steps are ``re = fma(ar, br, re); re = fma(-ai, bi, re); im = fma(ar, bi, im);
    im = fma(ai, br, im)``, where ``a`` is the left operand; a real operand that meets a complex one has the
    imaginary part +0. Integers are summed exactly where both operands are 8 bits wide and otherwise wrap in
    their common dtype, bool is or-and. Entries stored more than once are summed first, in storage order, in
    the accumulator dtype of their own dtype, and rounded back to it once, so that the product is the one of
    the canonical matrix.

    Parameters
    ----------
    A, B : array_like or sparse matrix
        Operands with one or two axes: arrays, SciPy sparse matrices, deepgemm sparse arrays. Shapes are
        ``(m, k)`` and ``(k, n)``; a vector is a row on the left and a column on the right. Two vectors are
        multiplied by `dot`.
    dtype : dtype_like, optional
        Dtype of the result; it changes the last rounding only.

    Returns
    -------
    numpy.ndarray
        The product, always dense, in C order; it has the axes that ``numpy.matmul`` gives it.

    Raises
    ------
    ShapeError
        If an operand has no axis or more than two, or the inner dimensions differ.
    DTypeError
        If an operand or the result has a dtype that does not fit.
    FormatError
        If duplicate 8-bit entries have a sum that does not fit their dtype.

    Notes
    -----
    A step costs some nanoseconds for each element of the output, and there are as many steps as the longest
    row of the sparse operand has entries, or as the inner dimension is long.

    Examples
    --------
    >>> import scipy.sparse
    >>> A = scipy.sparse.csr_array([[2.0, 0.0], [0.0, 3.0]])
    >>> matmul(A, [[1.0, 10.0], [float("inf"), 20.0]]).tolist()
    [[2.0, 20.0], [inf, 60.0]]
    >>> matmul(A.toarray(), [[1.0, 10.0], [float("inf"), 20.0]]).tolist()
    [[nan, 20.0], [inf, 60.0]]
    """
    A, B = _as_operand(A), _as_operand(B)
    for name, operand in (("A", A), ("B", B)):
        if operand.ndim not in (1, 2):
            raise ShapeError(f"matmul: {name} has {operand.ndim} dimensions, expected 1 or 2")
    inner = A.shape[-1]
    if inner != B.shape[0]:
        raise ShapeError(f"matmul: A has {inner} columns but B has {B.shape[0]} rows")
    if A.ndim == 1 and B.ndim == 1 and not (_is_sparse(A) or _is_sparse(B)):
        return dot(A, B, dtype=dtype)
    left, right = dtypes.canonical(A.dtype, "A"), dtypes.canonical(B.dtype, "B")
    accumulator = dtypes.accumulator(left, right)
    output = dtypes.default_output(left, right, inner) if dtype is None else dtypes.canonical(dtype)

    shape = A.shape[:-1] + B.shape[1:]
    A, B = _as_matrix(A, row=True), _as_matrix(B, row=False)
    with np.errstate(all="ignore"):
        if _is_sparse(A):
            result = _sparse_product(_entries(A), A.shape[0], B, accumulator, _step(accumulator))
        elif _is_sparse(B):
            rows, columns, values = _entries(B)
            swapped = _swapped(_step(accumulator))
            result = _sparse_product((columns, rows, values), B.shape[1], A.T, accumulator, swapped).T
        else:
            result = _dense_product(A, B, accumulator)
        return np.ascontiguousarray(rounded(result, output)).reshape(shape)


def _as_matrix(operand: Any, *, row: bool) -> Any:
    if operand.ndim == 2:
        return operand
    return operand.reshape((1, -1) if row else (-1, 1))


def _swapped(step: Step) -> Step:
    """Let a step be called with the right operand first; complex steps are not symmetric."""
    return lambda right, left, total: step(left, right, total)


def _dense_product(A: Array, B: Array, accumulator: np.dtype[Any]) -> Array:
    step = _step(accumulator)
    left, right = _parts(A, accumulator), _parts(B, accumulator)
    total = _zeros((A.shape[0], B.shape[1]), accumulator)
    for k in range(A.shape[1]):
        total = step(tuple(x[:, k, None] for x in left), tuple(x[None, k, :] for x in right), total)
    return _joined(total, accumulator)


def _sparse_product(
    entries: tuple[Array, Array, Array], n_rows: int, other: Any, accumulator: np.dtype[Any], step: Step
) -> Array:
    """Multiply sparse entries by `other` on their right; step p takes the p-th entry of every row at once."""
    sparse = _canonical_rows(*entries, n_rows)
    dense, present = _filled(other)
    values, columns = _parts(sparse.values, accumulator), _parts(dense, accumulator)

    lengths = np.diff(sparse.indptr)
    order = np.argsort(-lengths, kind="stable")  # long rows first, so that the active ones are a prefix
    begin = sparse.indptr[:-1][order]
    longest = int(lengths.max(initial=0))
    active = np.searchsorted(-lengths[order], -np.arange(longest), side="left")

    total = _zeros((n_rows, dense.shape[1]), accumulator)
    for position, count in enumerate(active.tolist()):
        entry = begin[:count] + position
        index = sparse.indices[entry]
        before = tuple(x[:count] for x in total)
        after = step(tuple(x[entry][:, None] for x in values), tuple(x[index] for x in columns), before)
        for whole, old, new in zip(total, before, after, strict=True):
            whole[:count] = new if present is None else np.where(present[index], new, old)
    result = np.empty((n_rows, dense.shape[1]), dtype=accumulator)
    result[order] = _joined(total, accumulator)
    return result


def _filled(other: Any) -> tuple[Array, Array | None]:
    """Return `other` as a dense array and, if it is sparse, which of its elements are entries."""
    if not _is_sparse(other):
        return other, None
    n_rows, n_columns = other.shape
    sparse = _canonical_rows(*_entries(other), n_rows)
    rows = np.repeat(np.arange(n_rows), np.diff(sparse.indptr))
    dense = np.zeros((n_rows, n_columns), dtype=sparse.values.dtype)
    present = np.zeros((n_rows, n_columns), dtype=bool)
    dense[rows, sparse.indices] = sparse.values
    present[rows, sparse.indices] = True
    return dense, present


# --- two sparse operands ---


def matmul_sparse(A: Any, B: Any) -> tuple[Array, Array, Array]:
    """Return ``A @ B`` of two sparse matrices as the rows of its entries, by column.

    An element is an entry where some entry of its row of A meets one of its column of B, whatever its value;
    the value is that of `matmul`.

    Returns
    -------
    indptr, indices, data : numpy.ndarray
        As in CSR, canonical.

    Examples
    --------
    >>> import scipy.sparse
    >>> A = scipy.sparse.csr_array([[1.0, -1.0], [0.0, 0.0]])
    >>> B = scipy.sparse.csr_array([[1.0, 0.0], [1.0, 2.0]])
    >>> [part.tolist() for part in matmul_sparse(A, B)]
    [[0, 2, 2], [0, 1], [0.0, -2.0]]
    """
    entry = _present(A).astype(np.float64) @ _present(B).astype(np.float64) > 0
    rows, columns = np.nonzero(entry)
    indptr = np.zeros(len(entry) + 1, dtype=np.int64)
    np.cumsum(np.bincount(rows, minlength=len(entry)), out=indptr[1:])
    return indptr, columns, matmul(A, B)[rows, columns]


def matmul_topk(A: Any, B: Any, k: int, threshold: float | None = None) -> tuple[Array, Array, Array]:
    """Return the `k` largest entries of each row of ``A @ B``, for two sparse matrices.

    Entries are those of `matmul_sparse`, with a threshold only the greater ones. They are ranked by value,
    largest first, nan behind all numbers, and by column, lowest first, among equal values.

    Returns
    -------
    indptr, indices, data : numpy.ndarray
        As in CSR, each row by rank.

    Examples
    --------
    >>> import scipy.sparse
    >>> A = scipy.sparse.csr_array([[1.0]])
    >>> B = scipy.sparse.csr_array([[3.0, 7.0, 5.0, 7.0]])
    >>> [part.tolist() for part in matmul_topk(A, B, 3)]
    [[0, 3], [1, 3, 2], [7.0, 7.0, 5.0]]
    """
    indptr, indices, data = matmul_sparse(A, B)
    kept = [np.zeros(0, dtype=np.int64)]
    for begin, end in pairwise(indptr):
        row = np.arange(begin, end)
        if threshold is not None:
            row = row[data[row] > threshold]
        kept.append(row[np.argsort(-data[row], kind="stable")][:k])
    chosen = np.concatenate(kept)
    return np.cumsum([len(row) for row in kept]), indices[chosen], data[chosen]


def _present(operand: Any) -> Array:
    """Return which elements of a sparse matrix are entries."""
    rows, columns, _ = _entries(operand)
    present = np.zeros(operand.shape, dtype=bool)
    present[rows, columns] = True
    return present


# --- dot ---


def dot(x: npt.ArrayLike, y: npt.ArrayLike, *, dtype: npt.DTypeLike | None = None) -> Array:
    """Return the inner product of two vectors in the order stated for dot-product shapes.

    Sixteen interleaved chains, where position ``k`` belongs to lane ``k % 16``, each from +0 over ascending
    positions with the steps of `matmul`; then lane ``l`` takes up lane ``l + 8``, then ``l + 4``, ``l + 2``
    and ``l + 1`` by plain additions; then one rounding to the output dtype. Nothing is conjugated.

    Parameters
    ----------
    x, y : array_like, shape (n,)
        The vectors; dtypes mix as in `matmul`.
    dtype : dtype_like, optional
        Dtype of the result; it changes the last rounding only.

    Returns
    -------
    numpy.ndarray
        The product, with no axis.

    Raises
    ------
    ShapeError
        If an operand has not one axis, or the lengths differ.
    DTypeError
        If an operand or the result has a dtype that does not fit.

    Examples
    --------
    >>> float(dot([1.0, 2.0, 3.0], [4.0, 5.0, 6.0]))
    32.0
    """
    x, y = np.asarray(x), np.asarray(y)
    if x.ndim != 1 or y.ndim != 1:
        raise ShapeError(f"dot: operands have {x.ndim} and {y.ndim} dimensions, expected 1 and 1")
    if len(x) != len(y):
        raise ShapeError(f"dot: x has {len(x)} elements but y has {len(y)}")
    left, right = dtypes.canonical(x.dtype, "x"), dtypes.canonical(y.dtype, "y")
    accumulator = dtypes.accumulator(left, right)
    output = dtypes.default_output(left, right, len(x)) if dtype is None else dtypes.canonical(dtype)
    a, b = _parts(x, accumulator), _parts(y, accumulator)
    step = _step(accumulator)
    lanes = _zeros((_LANES,), accumulator)
    with np.errstate(all="ignore"):
        for begin in range(0, len(x), _LANES):
            piece = slice(begin, begin + _LANES)
            count = len(x[piece])
            head = tuple(lane[:count] for lane in lanes)
            for lane, new in zip(
                lanes, step(tuple(p[piece] for p in a), tuple(p[piece] for p in b), head), strict=True
            ):
                lane[:count] = new
        add = operator.or_ if accumulator.kind == "b" else operator.add
        width = _LANES // 2
        while width:
            lanes = tuple(add(lane[:width], lane[width : 2 * width]) for lane in lanes)
            width //= 2
        return rounded(_joined(lanes, accumulator)[0], output)


# --- part of a product ---


def sddmm(
    mask: Any, X: npt.ArrayLike, Y: npt.ArrayLike, *, scaled: bool = False, dtype: npt.DTypeLike | None = None
) -> tuple[Array, Array, Array]:
    """Return the product of two dense matrices at the entries of a mask, each in the order of `dot`.

    Parameters
    ----------
    mask : sparse matrix, shape (m, n)
        Its entries, sorted and without duplicates, are those of the result.
    X, Y : array_like, shapes (m, k) and (k, n)
        The matrices.
    scaled : bool
        Multiply each value, in the accumulator dtype, by that of the mask, rounded to that dtype: one
        rounding (complex: each of the four real products, and each of the two sums).
    dtype : dtype_like, optional
        Dtype of the result; it changes the last rounding only.

    Returns
    -------
    tuple of numpy.ndarray
        ``(data, indices, indptr)``, as in ``scipy.sparse.csr_array``.

    Examples
    --------
    >>> import scipy.sparse
    >>> mask = scipy.sparse.csr_array([[0, 5], [0, 0]])
    >>> sddmm(mask, [[1.0, 2.0], [3.0, 4.0]], [[9.0, 1.0], [9.0, 1.0]])[0].tolist()
    [3.0]
    """
    X, Y = np.asarray(X), np.asarray(Y)
    accumulator = dtypes.accumulator(X.dtype, Y.dtype)
    output = dtypes.default_output(X.dtype, Y.dtype, X.shape[1]) if dtype is None else dtypes.canonical(dtype)
    rows, columns, values = _entries(mask)
    places = _canonical_rows(rows, columns, values if scaled else np.zeros(len(rows)), mask.shape[0])
    of_entry = np.repeat(np.arange(mask.shape[0]), np.diff(places.indptr))
    step, lanes = _step(accumulator), _zeros((len(of_entry), _LANES), accumulator)
    add = operator.or_ if accumulator.kind == "b" else operator.add
    with np.errstate(all="ignore"):
        for begin in range(0, X.shape[1], _LANES):
            left = _parts(X[of_entry, begin : begin + _LANES], accumulator)
            right = _parts(Y[begin : begin + _LANES, places.indices].T, accumulator)
            count = left[0].shape[1]
            new = step(left, right, tuple(np.ascontiguousarray(lane[:, :count]) for lane in lanes))
            for lane, values in zip(lanes, new, strict=True):
                lane[:, :count] = values
        for width in (8, 4, 2, 1):
            lanes = tuple(add(lane[:, :width], lane[:, width : 2 * width]) for lane in lanes)
        result = _joined(tuple(lane[:, 0] for lane in lanes), accumulator)
        if scaled:
            result = _scaled(result, rounded(places.values, accumulator))
        return rounded(result, output), places.indices, places.indptr


def _scaled(values: Array, scale: Array) -> Array:
    if values.dtype.kind != "c":
        return values & scale if values.dtype.kind == "b" else values * scale
    real = values.real * scale.real - values.imag * scale.imag
    return _joined((real, values.real * scale.imag + values.imag * scale.real), values.dtype)


def gram(A: Any, *, dtype: npt.DTypeLike | None = None) -> Array:
    """Return ``A.T @ A``: the product of `matmul`, which is symmetric.

    Examples
    --------
    >>> gram([[1.0, 2.0], [0.0, 3.0]]).tolist()
    [[1.0, 2.0], [2.0, 13.0]]
    """
    return sandwich(A, None, dtype=dtype)


def sandwich(A: Any, w: npt.ArrayLike | None, *, dtype: npt.DTypeLike | None = None) -> Array:
    """Return ``A.T @ diag(w) @ A``: with ``t = w[k] * A[k, i]`` rounded, chains of ``t * A[k, j]``, i <= j.

    The other half is mirrored. `w` is rounded to the accumulator dtype first; None leaves it out.

    Examples
    --------
    >>> sandwich([[1.0, 2.0], [0.0, 3.0]], [2.0, 1.0]).tolist()
    [[2.0, 4.0], [4.0, 17.0]]
    """
    A = _as_operand(A)
    scaled = A.dtype if w is None else dtypes.default_output(np.asarray(w).dtype, A.dtype, 2**62)
    accumulator = dtypes.accumulator(scaled, A.dtype)
    output = dtypes.default_output(scaled, A.dtype, A.shape[0]) if dtype is None else dtypes.canonical(dtype)
    weights = np.ones(A.shape[0], accumulator) if w is None else rounded(w, accumulator)
    with np.errstate(all="ignore"):
        if _is_sparse(A):
            rows = _canonical_rows(*_entries(A), A.shape[0])
            of_entry = np.repeat(np.arange(A.shape[0]), np.diff(rows.indptr))
            values = weights[of_entry] * rows.values.astype(accumulator)
            entries = (rows.indices, of_entry, values)
            full = _sparse_product(entries, A.shape[1], A, accumulator, _step(accumulator))
        else:
            wide = A.astype(accumulator)
            full = _dense_product((weights[:, None] * wide).T, wide, accumulator)
        upper = np.triu(full)
        return rounded(np.where(np.tri(len(full), k=-1, dtype=bool), upper.T, upper), output)
