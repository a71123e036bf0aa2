"""Products of ragged arrays: with one operand that all segments share, or segment by segment."""

from __future__ import annotations

import contextlib
import math
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse

from ..errors import ShapeError, UnsupportedError
from ..sparse.core import Factor
from ..sparse.ragged import Ragged, RaggedMatrix
from ..sparse.ragged.segments import Segments, offsets_of
from . import _request as request
from ._segment_products import (
    Array,
    Matrices,
    blocks_of,
    finished,
    is_native,
    multiply,
    readable,
    rows_of,
    written,
)

__all__ = ["is_ragged", "ragged_product", "shared_product"]

OP = "matmul"


def is_ragged(operand: Any) -> bool:
    """Whether an operand has segments."""
    return isinstance(operand, Ragged | RaggedMatrix)


def shared_product(ragged: Ragged, rows: Array, product: Any) -> Ragged:
    """Return a ragged array whose rows are those of `product(matrix of all rows)`.

    Rows in gaps are multiplied too, unless they are more than those in use: they stay gaps.
    """
    if ragged.has_gaps and 2 * ragged.total < len(ragged.values):
        ragged = ragged.packed()
        rows = ragged.values
    inner = rows.shape[-1]
    result = product(rows.reshape(-1, inner) if rows.ndim > 2 else rows)
    return ragged.with_values(result.reshape(*rows.shape[:-1], *result.shape[1:]))


def ragged_product(A: Any, B: Any, transpose_b: bool, wanted: request.Options, product: Any) -> Any:
    """Return ``A @ B`` where one of them is ragged; `product` multiplies operands that are not."""
    if is_ragged(A) and is_ragged(B):
        return _by_segment(A, B, transpose_b, wanted)
    if not isinstance(A, Ragged):
        name, other = ("A", A) if isinstance(A, RaggedMatrix) else ("B", B)
        raise UnsupportedError(
            f"{OP}: {name} is a {type(other).__name__}, which meets a ragged operand only; "
            "one matrix that all segments share stands on the right of a Ragged"
        )
    if transpose_b:
        raise UnsupportedError(f"{OP}: transpose_b= is for two ragged operands; write B.T")
    right = request.operand(OP, "B" if isinstance(B, Factor) else "X", B)
    A._check_fresh()
    if not A.row_shape:
        raise ShapeError(f"{OP}: A has rows of single numbers, expected rows of {right.shape[0]}")
    if A.row_shape[-1] != right.shape[0]:
        raise ShapeError(
            f"{OP}: A has rows of {A.row_shape[-1]}, but {'B' if isinstance(B, Factor) else 'X'} "
            f"has {right.shape[0]} {'rows' if right.ndim == 2 else 'elements'}"
        )
    return shared_product(A, A.values, lambda rows: product(rows, right))


def _by_segment(A: Any, B: Any, transpose_b: bool, wanted: request.Options) -> Any:
    if len(A) != len(B):
        raise ShapeError(f"{OP}: A has {len(A)} segments but B has {len(B)}")
    for array in (A, B):
        array._check_fresh()
    (m, inner), (rows, n) = _extents("A", A), _extents("B", B)
    if transpose_b:
        rows, n = n, rows
    unequal = np.not_equal(inner, rows)
    if unequal.any():
        at = int(unequal.argmax())
        raise ShapeError(f"{OP}: segment {at} has {inner[at]} columns in A but {rows[at]} rows in B")
    longest = int(inner.max(initial=0))
    chain, output = request.output_dtype(OP, A.dtype, B.dtype, longest, wanted.dtype)
    # Columns of the result are as many in each segment, or as the segments of B have rows.
    even = isinstance(B, Ragged) and not transpose_b
    lengths = m if even else m * n
    if float(lengths.sum(dtype=np.float64)) * (B.row_shape[0] if even else 1) * chain.itemsize > 2.0**62:
        raise MemoryError(f"{OP}: the result exceeds every memory")
    offsets = offsets_of(lengths).astype(np.int64, copy=False)
    shape = (int(offsets[-1]), B.row_shape[0]) if even else (int(offsets[-1]),)
    if not is_native(chain, A.dtype, B.dtype):
        values = _exact(A, B, transpose_b, shape, chain)
    else:
        values = written(shape, chain, output)
        out: Matrices = ("rows", values, offsets, None) if even else ("blocks", values, offsets, m, n)
        multiply(_matrices(A, chain), _matrices(B, chain, transpose_b), out, chain, wanted)
    values = finished(values, output)
    if even:
        return Ragged._trusted(values, Segments(offsets))
    return RaggedMatrix._trusted(values, offsets, m, n)


def _extents(name: str, array: Any) -> tuple[Array, Array]:
    """Return rows and columns of the matrix of each segment."""
    if isinstance(array, RaggedMatrix):
        return array.rows, array.cols
    if len(array.row_shape) != 1:
        raise ShapeError(f"{OP}: {name} has rows of shape {array.row_shape}, expected one axis")
    return array.lengths.astype(np.int64, copy=False), np.full(len(array), array.row_shape[0], np.int64)


def _matrices(array: Any, chain: np.dtype[Any], turned: bool = False) -> Matrices:
    values = readable(array.values, chain)
    if isinstance(array, RaggedMatrix):
        return blocks_of(array, values, turned)
    return rows_of(array, values, turned)


def _exact(A: Any, B: Any, transpose_b: bool, shape: tuple[int, ...], chain: np.dtype[Any]) -> Array:
    """Return the products of integers and truth values, whose sums do not depend on their order."""
    values, at = np.empty(math.prod(shape), chain), 0
    for left, right in zip(A, B, strict=True):
        matrix = right.T if transpose_b else right
        part = np.matmul(left.astype(chain), matrix.astype(chain)).reshape(-1)
        values[at : at + part.size] = part
        at += part.size
    return values.reshape(shape)


def operand_of_operator(value: Any) -> Any:
    """Return what an operator was given, NotImplemented for objects that are no arrays at all."""
    if is_ragged(value) or isinstance(value, np.ndarray | Factor) or scipy.sparse.issparse(value):
        return value
    with contextlib.suppress(ValueError):
        array: npt.NDArray[Any] = np.asarray(value)
        return array if array.dtype != object else NotImplemented
    return NotImplemented
