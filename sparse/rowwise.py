"""Embedding tables in the bytes of FBGEMM and PyTorch: each row of values, then its scale and offset."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ..dtypes import uint2, uint4
from ..errors import DTypeError, ShapeError, UnsupportedError
from ..rounding import rounded
from .packing import packed_width, rows_of_codes

if TYPE_CHECKING:
    from .quantized_storage import QuantizedStorage

Array = npt.NDArray[Any]


class Layout(NamedTuple):
    """How a row is stored: its values, then a scale and an offset."""

    dtype: np.dtype[Any]
    bits: int
    scale_dtype: np.dtype[Any]

    @property
    def tail(self) -> int:
        """Bytes of scale and offset."""
        return 2 * self.scale_dtype.itemsize


LAYOUTS = {
    "fused_8bit_rowwise": Layout(np.dtype(np.uint8), 8, np.dtype("<f4")),
    "fused_4bit_rowwise": Layout(uint4, 4, np.dtype("<f2")),
    "fused_2bit_rowwise": Layout(uint2, 2, np.dtype("<f2")),
}


def find(owner: str, layout: str) -> Layout:
    """Return a layout by its name."""
    if not isinstance(layout, str) or layout not in LAYOUTS:
        raise ValueError(f"{owner}: layout is {layout!r}, expected one of: {', '.join(LAYOUTS)}")
    return LAYOUTS[layout]


def write(table: QuantizedStorage, layout: str) -> Array:
    """Return the bytes of a table, one row of them for each of its rows."""
    wanted = find("to_bytes", layout)
    if table.dtype != wanted.dtype:
        raise UnsupportedError(f"to_bytes: {layout} holds {wanted.dtype}, this matrix is {table.dtype}")
    if table.scales.shape != (table.shape[0], 1):
        raise UnsupportedError(
            f"to_bytes: {layout} has a scale for each row, this matrix scales of shape {table.scales.shape}"
        )
    values = table.stored
    result = np.empty((table.shape[0], values.shape[1] + wanted.tail), np.uint8)
    result[:, : values.shape[1]] = values
    tail = np.concatenate(
        [_exactly(layout, "scale", table.scales, wanted), _offsets(table, layout, wanted)], 1
    )
    result[:, values.shape[1] :] = tail.view(np.uint8)
    return result


def _offsets(table: QuantizedStorage, layout: str, wanted: Layout) -> Array:
    if table.offsets is not None:
        return _exactly(layout, "offset", table.offsets, wanted)
    if table.zero_points is None:
        return np.zeros(table.scales.shape, wanted.scale_dtype)
    product = -table.zero_points.astype(np.float64) * table.scales.astype(np.float64)
    return rounded(product, wanted.scale_dtype).astype(wanted.scale_dtype)


def _exactly(layout: str, name: str, values: Array, wanted: Layout) -> Array:
    """Return scales or offsets in the layout's dtype, which must not change them."""
    with np.errstate(over="ignore"):
        stored = values.astype(np.float32).astype(wanted.scale_dtype)
    if (stored.astype(np.float32) != values.astype(np.float32)).any():
        raise UnsupportedError(
            f"to_bytes: {layout} stores the {name} in {wanted.scale_dtype}, "
            f"which would round these of {values.dtype}"
        )
    return stored


def read(
    data: Any, layout: str, columns: int | None
) -> tuple[np.dtype[Any], tuple[int, int], Array, Array, Array]:
    """Return dtype, shape, stored values, scales and offsets of a table."""
    wanted = find("from_bytes", layout)
    if columns is not None:
        if not isinstance(columns, int | np.integer) or isinstance(columns, bool):
            raise DTypeError(f"from_bytes: columns is {columns!r}, expected a whole number")
        if columns < 0:
            raise ValueError(f"from_bytes: columns is {columns}, expected at least 0")
    rows = _rows(data, wanted, columns)
    width = rows.shape[1] - wanted.tail
    if width < 0:
        raise ShapeError(
            f"from_bytes: rows have {rows.shape[1]} bytes, {layout} takes {wanted.tail} for the scale"
        )
    if columns is None:
        columns = width * 8 // wanted.bits
    elif packed_width(columns, wanted.bits) != width:
        expected = packed_width(columns, wanted.bits) + wanted.tail
        raise ShapeError(
            f"from_bytes: rows have {rows.shape[1]} bytes, {layout} of {columns} columns has {expected}"
        )
    tail = np.ascontiguousarray(rows[:, width:]).view(wanted.scale_dtype)
    native = tail.astype(wanted.scale_dtype.newbyteorder("="))
    shape = len(rows), columns
    stored = rows_of_codes(shape, wanted.bits, np.uint8)
    stored[...] = rows[:, :width]
    return wanted.dtype, shape, stored, native[:, :1], native[:, 1:]


def _rows(data: Any, wanted: Layout, columns: int | None) -> Array:
    if isinstance(data, bytes | bytearray | memoryview):
        if columns is None:
            raise ValueError("from_bytes: columns must be given for bytes, which have no shape")
        flat = np.frombuffer(data, np.uint8)
        length = packed_width(columns, wanted.bits) + wanted.tail
        if flat.size % length:
            raise ShapeError(f"from_bytes: {flat.size} bytes are no whole number of rows of {length}")
        return flat.reshape(-1, length)
    rows = np.asarray(data)
    if rows.dtype != np.uint8:
        raise DTypeError(f"from_bytes: data has dtype {rows.dtype}, expected uint8")
    if rows.ndim != 2:
        raise ShapeError(f"from_bytes: data has {rows.ndim} dimensions, expected 2")
    return rows
