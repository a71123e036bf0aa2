"""Quantised operands: how values are found, what they stand for, and the product of two of them."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import numpy.typing as npt

from .. import dtypes
from ..fma import fma
from ..rounding import rounded
from ..sparse.quantized import Quantized
from ..sparse.quantized_blocks import block_of, grid
from ..sparse.quantized_entries import of_entries
from ..sparse.quantized_sparse import QuantizedSparse
from .operands import Array, entries_of, is_sparse


def quantize(
    x: Any,
    dtype: npt.DTypeLike,
    *,
    axis: int | None = None,
    group_size: int | None = None,
    symmetric: bool = True,
    scale_dtype: npt.DTypeLike = np.float32,
    limits: tuple[npt.ArrayLike, npt.ArrayLike] | None = None,
) -> tuple[Array, Array, Array | None]:
    """Return values, scales and zero points of a finite matrix, block by block.

    `low` and `high` are the least and the greatest element of the block, or its `limits`, in float64.

    - Symmetric: the range is ``max(-low, high)``, the values run over ``steps`` on either side of the zero
      point, which is 0 for signed dtypes and in the middle for unsigned ones: 127 for 8 bits, 7 for 4, 1 for
      2, the largest number for float8.
    - Otherwise: `low` is at most 0 and `high` at least 0, the range is ``high - low``, ``steps`` is the
      greatest value less the least, and the zero point is the least value plus ``rint(-low / scale)``.

    The scale is the smallest number of `scale_dtype` for which ``scale * steps >= range``, and 1 for a range
    of 0. The values are ``rint(x / scale) + zero point``, where the quotient is rounded to float32 (float64
    where x is float64 or whole numbers) and `rint` rounds ties to even; beyond the ends they are the ends.
    For float8 the quotient itself is limited to the largest number and rounded to float8 once.

    The values of a sparse matrix are those of its entries, one after the other as they are stored, where
    places without an entry hold 0.

    Examples
    --------
    >>> values, scales, zero_points = quantize([[127.0, -1.5, 2.5]], "int8")
    >>> values.tolist(), scales.tolist(), zero_points
    ([[127, -2, 2]], [[1.0]], None)
    """
    if is_sparse(x):
        rows, columns, _ = entries_of(x)
        options: Any = {"axis": axis, "scale_dtype": scale_dtype, "limits": limits}
        filled, scales, zeros = quantize(x.toarray(), dtype, **options)
        return filled[rows, columns], scales, zeros
    x = np.asarray(x)
    wide = x.astype(np.float64)
    quotients = np.dtype("f8" if x.dtype == np.float64 or x.dtype.kind in "iu" else "f4")
    target, storage = dtypes.quantized(dtype), dtypes.canonical(scale_dtype)
    least, greatest = dtypes.code_limits(target)
    block = block_of("quantize", wide.shape, axis, group_size)
    counts = grid(wide.shape, block)
    middle = 0 if least < 0 else (greatest + 1) // 2
    lows, highs = (None, None) if limits is None else (np.broadcast_to(x, counts) for x in limits)

    values = np.zeros(wide.shape, np.float64)
    scales, zeros = np.ones(counts, storage), np.full(counts, middle, np.int64)
    for i, j in itertools.product(*map(range, counts)):
        place = (i, j)
        piece = np.s_[i * block[0] : (i + 1) * block[0], j * block[1] : (j + 1) * block[1]]
        low = float(wide[piece].min() if lows is None else lows[place])
        high = float(wide[piece].max() if highs is None else highs[place])
        if symmetric:
            extent, steps = max(-low, high), greatest - middle
        else:
            low, high = min(low, 0.0), max(high, 0.0)
            extent, steps = high - low, greatest - least
        if extent > 0:
            scales[place] = _least_scale(extent, steps, storage)
        scale = float(scales[place])
        if not symmetric:
            zeros[place] = least + int(np.rint(-low / scale))
        with np.errstate(over="ignore"):
            quotient = x[piece].astype(quotients) / quotients.type(scale)
        if dtypes.is_float(target):
            values[piece] = rounded(np.clip(quotient, least, greatest), target)
            continue
        ends = (zeros[place] - steps, zeros[place] + steps) if symmetric else (least, greatest)
        values[piece] = np.clip(np.rint(quotient) + zeros[place], *ends)
    has_zeros = not symmetric or middle != 0
    return values.astype(target), scales, zeros if has_zeros else None


def _least_scale(extent: float, steps: float, dtype: np.dtype[Any]) -> Any:
    scale = rounded(np.array([extent / steps]), dtype)[0]
    while float(scale) * steps < extent:
        scale = np.nextafter(scale, dtype.type(np.inf))
    return scale


def dequantize(x: Quantized | QuantizedSparse) -> Any:
    """Return the float32 matrix that a quantised one stands for, a sparse one for a sparse one.

    ``w = float32(q - zero_point) * scale``, rounded once, or with offsets ``w = fma(q, scale, offset)``.

    Examples
    --------
    >>> dequantize(Quantized(np.array([[3, 1]], np.int8), 0.5, [[1]])).tolist()
    [[1.0, 0.0]]
    """
    codes = x.values.astype(np.float32)
    if isinstance(x, QuantizedSparse):
        with np.errstate(all="ignore"):
            return x._with_values((codes - x.zero_point) * of_entries(x.scales.astype(np.float32), x))
    scale = _of_elements(x.scales.astype(np.float32), x)
    with np.errstate(all="ignore"):
        if x.offsets is not None:
            return fma(codes, scale, _of_elements(x.offsets.astype(np.float32), x))
        zeros = 0 if x.zero_points is None else _of_elements(x.zero_points.astype(np.float32), x)
        result: Array = (codes - zeros) * scale
    return result


def whole_product(A: Quantized, B: Quantized) -> Array:
    """Return the product of two matrices of whole numbers, in float32.

    The inner index is cut wherever a scale of either operand may change. Within each stretch the products of
    ``q - zero_point`` are summed exactly; then, from +0 and over the stretches in order,
    ``acc = fma(float32(sum), round(scale_a * scale_b), acc)``.

    Examples
    --------
    >>> A = Quantized(np.array([[1, 2, 3]], np.int8), 0.5)
    >>> B = Quantized(np.array([[1], [1], [1]], np.int8), [[1.0], [10.0]], group_size=2)
    >>> whole_product(A, B).tolist()
    [[16.5]]
    """
    inner = A.shape[1]
    left, right = (_of_elements(_zeros_of(x), x) for x in (A, B))
    left, right = A.values.astype(np.int64) - left, B.values.astype(np.int64) - right
    scale_a = _of_elements(A.scales.astype(np.float32), A)
    scale_b = _of_elements(B.scales.astype(np.float32), B)
    cuts = sorted({*range(0, inner, A.block[1]), *range(0, inner, B.block[0]), inner})
    acc = np.zeros((A.shape[0], B.shape[1]), np.float32)
    with np.errstate(all="ignore"):
        for begin, end in itertools.pairwise(cuts):
            total = left[:, begin:end] @ right[begin:end]
            scale = scale_a[:, begin, None] * scale_b[None, begin, :]
            acc = fma(total.astype(np.float32), scale, acc)
    return acc


def _zeros_of(x: Quantized) -> Array:
    return np.zeros(x.scales.shape, np.int64) if x.zero_points is None else x.zero_points.astype(np.int64)


def _of_elements(values: Array, x: Quantized) -> Array:
    """Give each element the scale, zero point or offset of its block."""
    for axis in (0, 1):
        if values.shape[axis] < x.shape[axis]:
            values = values.repeat(x.block[axis], axis=axis)
    return values[: x.shape[0], : x.shape[1]]
