"""`grouped_matmul`: the product of each segment with a weight matrix of its own."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse

from .. import _core
from ..dtypes import canonical
from ..errors import DTypeError, FormatError, ShapeError
from ..sparse.core import Factor
from ..sparse.ragged import Ragged
from ..sparse.validate import plain_array
from . import _kernels as _kernels
from . import _request as request
from ._segment_products import Array, finished, is_native, multiply, readable, rows_of, written
from .matmul import matmul

__all__ = ["grouped_matmul"]

OP = "grouped_matmul"


def grouped_matmul(
    ragged: Ragged,
    weights: Any,
    *,
    dtype: npt.DTypeLike | None = None,
    threads: int | None = None,
    kernel: str | None = None,
) -> Ragged:
    """Multiply the rows of each segment by the weight matrix of that segment.

    Parameters
    ----------
    ragged : Ragged, rows of shape (..., k)
        Tokens sorted by expert, for example (`group_by_expert`).
    weights : array_like, shape (g, k, n), or sequence of g matrices
        Matrix i belongs to segment i. In a sequence each is dense, a `Quantized` or a sparse array, of shape
        (k, n); dense ones share a dtype. They are read where they are; a stack may have any strides, so
        ``np.broadcast_to(W, (g, k, n))`` is one matrix for all.
    dtype : dtype_like, optional
        Dtype of the result; it changes the last rounding only.
    threads : int, optional
        Use at most so many threads.
    kernel : str, optional
        Force an ISA ("avx2").

    Returns
    -------
    Ragged, rows of shape (..., n)
        The segments of `ragged`, without gaps.

    Raises
    ------
    ShapeError
        If there are not as many matrices as segments, or the shape of one does not fit; the message names
        the segment.
    DTypeError
        If a dtype is not stored, or cannot hold the result, or dense matrices differ in theirs.
    FormatError
        If `ragged` is none.

    Notes
    -----
    O(rows k n). Each element is one chain of fused multiply-adds over ascending k, as in `matmul`: segment i
    of the result is ``matmul(ragged[i], weights[i])``. Dense products are cut by their work, not by segment,
    so one long segment uses all threads; neighbours whose weight is the same memory are one product. Two
    kinds of other weights are one call too, which shares segments between threads: quantised integers, kept
    in panels (a layout), beside tokens of float32 or narrower; and small compressed rows or columns of the
    tokens' dtype. All others are multiplied one after the other, each by the plan that it keeps. The
    operation is the one of MegaBlocks [1]_ without its blocks, and torch's `grouped_mm`.

    References
    ----------
    .. [1] T. Gale et al., "MegaBlocks: efficient sparse training with mixture-of-experts", MLSys (2023).

    Examples
    --------
    >>> import numpy as np
    >>> import deepgemm as dg
    >>> tokens = dg.Ragged(np.ones((3, 2)), [0, 1, 3])
    >>> dg.grouped_matmul(tokens, np.array([[[1.0], [1.0]], [[10.0], [20.0]]])).to_list()
    [[[2.0]], [[30.0], [30.0]]]
    """
    wanted = request.one_kernel_options(OP, dtype, threads, kernel)
    if not isinstance(ragged, Ragged):
        raise FormatError(f"{OP}: ragged is a {type(ragged).__name__}, expected a Ragged")
    ragged._check_fresh()
    if not ragged.row_shape:
        raise ShapeError(f"{OP}: ragged has rows of single numbers, expected rows of k of them")
    matrices = _matrices(weights)
    inner, columns = _check_shapes(ragged, matrices)
    flat = _flat(ragged)
    if isinstance(matrices, list) and any(isinstance(matrix, Factor) for matrix in matrices):
        values = _kept(flat, matrices, columns, wanted)
    else:
        values = _dense(flat, matrices, inner, columns, wanted)
    segments = ragged._segments.packed()
    return Ragged._trusted(values.reshape(segments.total, *ragged.row_shape[:-1], columns), segments)


def _matrices(weights: Any) -> Array | list[Any]:
    """Return the weights as one array of three axes, or as a list of checked matrices."""
    if isinstance(weights, Factor) or scipy.sparse.issparse(weights):
        raise FormatError(
            f"{OP}: weights is one {type(weights).__name__}, expected a stack of matrices, "
            "or a sequence of them; ragged @ W shares one matrix"
        )
    if isinstance(weights, list | tuple) and any(
        isinstance(matrix, np.ndarray | Factor) or scipy.sparse.issparse(matrix) for matrix in weights
    ):
        return [request.matrix(OP, f"weights[{i}]", matrix) for i, matrix in enumerate(weights)]
    array = plain_array(OP, "weights", weights)
    if array.ndim != 3 and not (isinstance(weights, list | tuple) and not weights):
        raise ShapeError(f"{OP}: weights has {array.ndim} dimensions, expected 3, (segments, k, n)")
    if not array.size and array.ndim == 1:
        return []
    stored = canonical(array.dtype, f"{OP}: weights")
    return array if array.dtype == stored and array.dtype.isnative else array.astype(stored)


def _check_shapes(ragged: Ragged, matrices: Array | list[Any]) -> tuple[int, int]:
    """Return k and n."""
    if len(matrices) != len(ragged):
        raise ShapeError(f"{OP}: ragged has {len(ragged)} segments, but weights has {len(matrices)} matrices")
    inner = ragged.row_shape[-1]
    if isinstance(matrices, np.ndarray):
        if matrices.shape[1] != inner:
            raise ShapeError(f"{OP}: ragged has rows of {inner}, but weights have {matrices.shape[1]} rows")
        return inner, matrices.shape[2]
    columns = matrices[0].shape[1] if matrices else 0
    for number, matrix in enumerate(matrices):
        if matrix.shape[0] != inner:
            raise ShapeError(
                f"{OP}: segment {number} has rows of {inner}, but its weight has {matrix.shape[0]} rows"
            )
        if matrix.shape[1] != columns:
            raise ShapeError(
                f"{OP}: the weight of segment {number} has {matrix.shape[1]} columns, "
                f"but that of segment 0 has {columns}"
            )
    return inner, columns


def _flat(ragged: Ragged) -> Ragged:
    """Return the array with one axis in a row: what a row has before k are further rows."""
    if len(ragged.row_shape) == 1:
        return ragged
    each = math.prod(ragged.row_shape[:-1])
    values = ragged.values.reshape(len(ragged.values) * each, ragged.row_shape[-1])
    lengths = ragged.lengths.astype(np.int64) * each if ragged.has_gaps else None
    return Ragged(values, ragged.offsets.astype(np.int64) * each, lengths=lengths)


def _dense(
    flat: Ragged, matrices: Array | list[Any], inner: int, columns: int, wanted: request.Options
) -> Array:
    stored = _common_dtype(flat, matrices)
    chain, output = request.output_dtype(OP, flat.dtype, stored, inner, wanted.dtype)
    packed = flat._segments.packed()
    shape = (packed.total, columns)
    if not is_native(chain, flat.dtype, stored):
        values = np.empty(shape, chain)
        for number, (rows, begin) in enumerate(zip(flat, packed.offsets.tolist(), strict=False)):
            np.matmul(
                rows.astype(chain), matrices[number].astype(chain), out=values[begin : begin + len(rows)]
            )
        return finished(values, output)
    values = written(shape, chain, output)
    if isinstance(matrices, list):
        right: Any = ("list", [readable(matrix, chain) for matrix in matrices])
    else:
        right = ("stack", readable(matrices, chain))
    left = rows_of(flat, readable(flat.values, chain))
    multiply(left, right, ("rows", values, packed.offsets, None), chain, wanted)
    return finished(values, output)


def _common_dtype(flat: Ragged, matrices: Array | list[Any]) -> np.dtype[Any]:
    if isinstance(matrices, np.ndarray):
        return matrices.dtype
    for number, matrix in enumerate(matrices):
        if matrix.dtype != matrices[0].dtype:
            raise DTypeError(
                f"{OP}: the weight of segment {number} has dtype {matrix.dtype}, "
                f"but that of segment 0 has {matrices[0].dtype}"
            )
    return matrices[0].dtype if matrices else flat.dtype


def _kept(flat: Ragged, matrices: list[Any], columns: int, wanted: request.Options) -> Array:
    """Return the products with weights that are not all dense: in one call, or each by a plan of its own."""
    chain, output = _common_output(flat, matrices, wanted)
    values = np.empty((flat.total, columns), output)
    members = _members(flat, matrices, chain, output, wanted)
    if members is not None:
        left = rows_of(flat, readable(flat.values, chain))
        out = ("rows", values, flat._segments.packed().offsets, None)
        _core.ragged_products(members, left, out, request.thread_count(wanted))
        return values
    begin = 0
    for rows, matrix in zip(flat, matrices, strict=True):
        if len(rows):
            values[begin : begin + len(rows)] = matmul(
                rows, matrix, dtype=output, threads=wanted.threads, kernel=wanted.choice.isa
            )
        begin += len(rows)
    return values


def _common_output(
    flat: Ragged, matrices: list[Any], wanted: request.Options
) -> tuple[np.dtype[Any], np.dtype[Any]]:
    """Return the accumulator of the first product, and the output dtype that all of them share."""
    first: dict[Any, int] = {}  # of each kind of weight, which segment has it
    for number, matrix in enumerate(matrices):
        first.setdefault((type(matrix), matrix.dtype), number)
    found = []
    for number in first.values():
        matrix = matrices[number]
        named = request.named_output(flat, matrix, wanted.dtype)
        stored = request.arithmetic_dtype(matrix)
        found.append(request.output_dtype(OP, flat.dtype, stored, matrix.shape[0], named))
        if found[-1][1] != found[0][1]:
            raise DTypeError(
                f"{OP}: the product of segment {number} is {found[-1][1]}, "
                f"but that of segment 0 is {found[0][1]}; dtype= makes them alike"
            )
    return found[0]


def _members(
    flat: Ragged, matrices: list[Any], chain: np.dtype[Any], output: np.dtype[Any], wanted: request.Options
) -> list[tuple[_core.Product, bool, int]] | None:
    """Return what the core runs in one call, None if a weight has no such product."""
    members = []
    for rows, matrix in zip(flat.lengths.tolist(), matrices, strict=True):
        if not isinstance(matrix, Factor):
            return None
        matrix._check_fresh()
        found = _kernels.member(matrix, flat.dtype, output, chain, wanted.choice.isa)
        if found is None:
            return None
        members.append((found.product, found.turned, int(rows * found.work)))
    return members
