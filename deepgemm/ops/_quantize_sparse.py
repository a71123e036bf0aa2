"""How `quantize` treats sparse arrays: their entries alone, symmetrically."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ..dtypes import code_limits, is_float
from ..errors import DTypeError, UnsupportedError
from ..sparse.base import SparseArray
from ..sparse.quantized_blocks import PANEL, block_of, grid
from ..sparse.quantized_entries import lines_of_entries, of_entries
from ..sparse.quantized_parts import stored_entries
from ..sparse.quantized_sparse import QuantizedSparse, compressed_of, sparse_dtype
from ..sparse.quantized_sparse_storage import pattern_of
from ._grid import Grid, Limits, check_nonfinite, codes, given, remedy, scale_storage, scaled, wide

Array = npt.NDArray[Any]


def quantize_entries(
    x: SparseArray,
    dtype: npt.DTypeLike,
    axis: int | None,
    group_size: int | None,
    symmetric: bool,
    scale_dtype: npt.DTypeLike,
    limits: Limits | None,
    nonfinite: str,
) -> QuantizedSparse:
    """Return a sparse array with its entries rounded to a grid; see `quantize`."""
    target = sparse_dtype(dtype, "quantize: dtype")
    if not symmetric:
        raise UnsupportedError(
            "quantize: symmetric is False, but the zeros that a sparse array does not store have no zero "
            "point; sparse arrays are quantised symmetrically"
        )
    if group_size is not None:
        raise UnsupportedError(
            f"quantize: group_size is {group_size}, but a group of a sparse array holds few entries; scales "
            "are for all of it, for each row (axis=0) or for each column (axis=1)"
        )
    if x.dtype.kind in "cb":
        raise DTypeError(f"quantize: x has dtype {x.dtype}, expected real numbers")
    storage = scale_storage("quantize", scale_dtype)
    check_nonfinite("quantize", nonfinite)
    block = block_of("quantize", x.shape, axis, None)
    x._check_fresh()
    array = compressed_of(x.canonical())
    counts = grid(array.shape, block)
    if limits is None:
        reach = _reach(array, counts, nonfinite)
        low, high = -reach, reach
    else:
        _finite(array, nonfinite)
        low, high = given("quantize", limits, counts)
    found = scaled("quantize", target, storage, block, low, high, True)
    middle = 0 if found.zero_points is None else (int(code_limits(target)[1]) + 1) // 2
    stored = stored_entries("quantize", _values(array, found, middle), target, False)
    return QuantizedSparse._made(pattern_of(array), target, stored, found.scales, middle)


def _finite(array: Any, nonfinite: str) -> Array | None:
    """Return which entries are finite, None for all; others are refused unless they are to saturate."""
    if not is_float(array.dtype):
        return None
    finite: Array = np.isfinite(array.data)
    if finite.all():
        return None
    if nonfinite == "raise":
        place = tuple(np.argwhere(~finite)[0])
        row, column = (
            int(np.broadcast_to(lines_of_entries(array, axis), finite.shape)[place]) for axis in (0, 1)
        )
        raise ValueError(
            f"quantize: x has an infinity or nan at row {row}, column {column}{remedy('quantize')}"
        )
    return finite


def _reach(array: Any, counts: tuple[int, int], nonfinite: str) -> Array:
    """Return the largest magnitude in each block in float64; 0 where there is no entry."""
    counted = _finite(array, nonfinite)
    magnitudes = np.abs(array.data.astype(np.float64))
    if counted is not None:
        magnitudes[~counted] = 0
    reach = np.zeros(counts)
    if reach.size == 1:
        reach[:] = magnitudes.max(initial=0.0)
    elif reach.size:
        lines = lines_of_entries(array, 0 if counts[0] > 1 else 1)
        np.maximum.at(reach.reshape(-1), np.broadcast_to(lines, magnitudes.shape), magnitudes)
    return reach


def _values(array: Any, target: Grid, middle: int) -> Array:
    """Return what entries are rounded to, a panel at a time, in bytes for whole numbers."""
    signed = code_limits(target.dtype)[0] < 0
    byte: Any = target.dtype if is_float(target.dtype) else np.int8 if signed else np.uint8
    data, scales = array.data, of_entries(target.scales, array)
    values = np.empty(data.shape, byte)
    step = max(1, PANEL // max(1, data[:1].size))
    for begin in range(0, len(data), step):
        part = slice(begin, begin + step)
        scale = scales if scales.ndim == 0 else scales[part]
        found = codes(wide(data[part]), scale, target.least, target.greatest, target.dtype)[0]
        values[part] = found if is_float(target.dtype) else found + middle
    return values
