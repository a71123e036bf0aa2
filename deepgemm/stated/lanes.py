"""Dot-product shapes: sixteen interleaved chains and a tree, for one element or for those of a mask."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np
import numpy.typing as npt

from .. import dtypes
from ..errors import ShapeError
from ..rounding import rounded, times
from .operands import Array, canonical_rows, entries_of, joined, parts_of, zeros
from .steps import step_of

_LANES = 16  # interleaved chains, whatever the vector width of the machine


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
    a, b = parts_of(x, accumulator), parts_of(y, accumulator)
    step = step_of(accumulator)
    lanes = zeros((_LANES,), accumulator)
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
        return rounded(joined(lanes, accumulator)[0], output)


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
    rows, columns, values = entries_of(mask)
    places = canonical_rows(rows, columns, values if scaled else np.zeros(len(rows)), mask.shape[0])
    of_entry = np.repeat(np.arange(mask.shape[0]), np.diff(places.indptr))
    step, lanes = step_of(accumulator), zeros((len(of_entry), _LANES), accumulator)
    add = operator.or_ if accumulator.kind == "b" else operator.add
    with np.errstate(all="ignore"):
        for begin in range(0, X.shape[1], _LANES):
            left = parts_of(X[of_entry, begin : begin + _LANES], accumulator)
            right = parts_of(Y[begin : begin + _LANES, places.indices].T, accumulator)
            count = left[0].shape[1]
            new = step(left, right, tuple(np.ascontiguousarray(lane[:, :count]) for lane in lanes))
            for lane, values in zip(lanes, new, strict=True):
                lane[:, :count] = values
        for width in (8, 4, 2, 1):
            lanes = tuple(add(lane[:, :width], lane[:, width : 2 * width]) for lane in lanes)
        result = joined(tuple(lane[:, 0] for lane in lanes), accumulator)
        if scaled:
            result = times(result, rounded(places.values, accumulator))
        return rounded(result, output), places.indices, places.indptr
