"""`matmul`: one ascending chain for each element, whatever the formats of the operands."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from .. import dtypes
from ..errors import ShapeError
from ..rounding import rounded
from ..sparse.quantized import Quantized
from .lanes import dot
from .operands import (
    Array,
    as_operand,
    canonical_rows,
    entries_of,
    is_quantized,
    is_sparse,
    joined,
    parts_of,
    zeros,
)
from .quantised import dequantize, whole_product
from .steps import Step, step_of


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
    Quantised operands are dequantised first, see `dequantize`, unless both hold whole numbers: then sums are
    exact for each group of scales, see `deepgemm.stated.quantised.whole_product`. Beside float16 or
    bfloat16 a quantised operand gives that dtype: activations keep theirs.

    Parameters
    ----------
    A, B : array_like, sparse matrix, Quantized or QuantizedSparse
        Operands with one or two axes: arrays, SciPy sparse matrices, deepgemm arrays. Shapes are
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
    A, B = as_operand(A), as_operand(B)
    for name, operand in (("A", A), ("B", B)):
        if operand.ndim not in (1, 2):
            raise ShapeError(f"matmul: {name} has {operand.ndim} dimensions, expected 1 or 2")
    inner = A.shape[-1]
    if inner != B.shape[0]:
        raise ShapeError(f"matmul: A has {inner} columns but B has {B.shape[0]} rows")
    if all(isinstance(x, Quantized) and x.whole for x in (A, B)):
        return rounded(whole_product(A, B), np.float32 if dtype is None else dtype)
    if dtype is None and is_quantized(A) != is_quantized(B):
        dtype = dtypes.beside_quantized((B if is_quantized(A) else A).dtype)
    A, B = (dequantize(x) if is_quantized(x) else x for x in (A, B))
    if A.ndim == 1 and B.ndim == 1 and not (is_sparse(A) or is_sparse(B)):
        return dot(A, B, dtype=dtype)
    left, right = dtypes.canonical(A.dtype, "A"), dtypes.canonical(B.dtype, "B")
    accumulator = dtypes.accumulator(left, right)
    output = dtypes.default_output(left, right, inner) if dtype is None else dtypes.canonical(dtype)

    shape = A.shape[:-1] + B.shape[1:]
    A, B = _as_matrix(A, row=True), _as_matrix(B, row=False)
    with np.errstate(all="ignore"):
        if is_sparse(A):
            result = sparse_product(entries_of(A), A.shape[0], B, accumulator, step_of(accumulator))
        elif is_sparse(B):
            rows, columns, values = entries_of(B)
            swapped = _swapped(step_of(accumulator))
            result = sparse_product((columns, rows, values), B.shape[1], A.T, accumulator, swapped).T
        else:
            result = dense_product(A, B, accumulator)
        return np.ascontiguousarray(rounded(result, output)).reshape(shape)


def _as_matrix(operand: Any, *, row: bool) -> Any:
    if operand.ndim == 2:
        return operand
    return operand.reshape((1, -1) if row else (-1, 1))


def _swapped(step: Step) -> Step:
    """Let a step be called with the right operand first; complex steps are not symmetric."""
    return lambda right, left, total: step(left, right, total)


def dense_product(A: Array, B: Array, accumulator: np.dtype[Any]) -> Array:
    """Multiply two arrays; step k adds the k-th products of all elements at once."""
    step = step_of(accumulator)
    left, right = parts_of(A, accumulator), parts_of(B, accumulator)
    total = zeros((A.shape[0], B.shape[1]), accumulator)
    for k in range(A.shape[1]):
        total = step(tuple(x[:, k, None] for x in left), tuple(x[None, k, :] for x in right), total)
    return joined(total, accumulator)


def sparse_product(
    entries: tuple[Array, Array, Array], n_rows: int, other: Any, accumulator: np.dtype[Any], step: Step
) -> Array:
    """Multiply sparse entries by `other` on their right; step p takes the p-th entry of every row at once."""
    sparse = canonical_rows(*entries, n_rows)
    dense, present = _filled(other)
    values, columns = parts_of(sparse.values, accumulator), parts_of(dense, accumulator)

    lengths = np.diff(sparse.indptr)
    order = np.argsort(-lengths, kind="stable")  # long rows first, so that the active ones are a prefix
    begin = sparse.indptr[:-1][order]
    longest = int(lengths.max(initial=0))
    active = np.searchsorted(-lengths[order], -np.arange(longest), side="left")

    total = zeros((n_rows, dense.shape[1]), accumulator)
    for position, count in enumerate(active.tolist()):
        entry = begin[:count] + position
        index = sparse.indices[entry]
        before = tuple(x[:count] for x in total)
        after = step(tuple(x[entry][:, None] for x in values), tuple(x[index] for x in columns), before)
        for whole, old, new in zip(total, before, after, strict=True):
            whole[:count] = new if present is None else np.where(present[index], new, old)
    result = np.empty((n_rows, dense.shape[1]), dtype=accumulator)
    result[order] = joined(total, accumulator)
    return result


def _filled(other: Any) -> tuple[Array, Array | None]:
    """Return `other` as a dense array and, if it is sparse, which of its elements are entries."""
    if not is_sparse(other):
        return other, None
    n_rows, n_columns = other.shape
    sparse = canonical_rows(*entries_of(other), n_rows)
    rows = np.repeat(np.arange(n_rows), np.diff(sparse.indptr))
    dense = np.zeros((n_rows, n_columns), dtype=sparse.values.dtype)
    present = np.zeros((n_rows, n_columns), dtype=bool)
    dense[rows, sparse.indices] = sparse.values
    present[rows, sparse.indices] = True
    return dense, present
