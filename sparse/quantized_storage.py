"""What a quantised matrix is made of: its parts, and how ranges of its elements are read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ..dtypes import code_bits, code_limits, float8_e4m3fn, float8_e5m2, is_float
from ..fma import fma_unchecked
from .core import Factor
from .packing import unpack
from .quantized_blocks import Block, spread
from .validate import frozen

if TYPE_CHECKING:
    Array = npt.NDArray[Any]

# Every float8 number, by its bits.
_NUMBERS = {
    dtype: np.arange(256, dtype=np.uint8).view(dtype).astype(np.float32)
    for dtype in (float8_e4m3fn, float8_e5m2)
}


class QuantizedStorage(Factor):
    """Storage of a quantised matrix; `Quantized` adds what users do with it."""

    __slots__ = (
        "_as_table",
        "_block",
        "_dtype",
        "_offsets",
        "_scales",
        "_transposed",
        "_values",
        "_zero_points",
    )

    def _set(
        self,
        shape: tuple[int, int],
        dtype: np.dtype[Any],
        block: Block,
        values: Array,
        scales: Array,
        zero_points: Array | None,
        offsets: Array | None,
    ) -> None:
        self._dtype, self._block = dtype, block
        self._values, self._scales = frozen(values), frozen(scales)
        self._zero_points = None if zero_points is None else frozen(zero_points)
        self._offsets = None if offsets is None else frozen(offsets)
        self._transposed: Any = None  # the transpose, or a weak reference to what this transposes
        self._as_table: Any = None  # what embedding bags made of it, once it was one of their tables
        self._hold(shape, tuple(part for part in self._parts() if part is not None))

    @property
    def dtype(self) -> np.dtype[Any]:
        """Dtype of the values."""
        return self._dtype

    @property
    def size(self) -> int:
        """Number of elements."""
        return self._shape[0] * self._shape[1]

    @property
    def stored(self) -> Array:
        """The values as they lie in memory, read-only: packed bytes for dtypes below 8 bits."""
        return self._values

    @property
    def values(self) -> Array:
        """The values, one to an element, read-only.

        `stored` itself for dtypes of 8 bits; for narrower ones a new array of int8 or uint8, O(size).
        """
        if code_bits(self._dtype) == 8:
            return self._values
        return frozen(self._codes(slice(0, self._shape[0]), slice(0, self._shape[1])))

    @property
    def scales(self) -> Array:
        """The scales, read-only: a matrix with one element for each block of values."""
        return self._scales

    @property
    def zero_points(self) -> Array | None:
        """The value that stands for zero in each block, read-only; None where that is 0."""
        return self._zero_points

    @property
    def offsets(self) -> Array | None:
        """What is added to the scaled values of each block, read-only; None for nothing."""
        return self._offsets

    @property
    def block(self) -> Block:
        """Rows and columns of the blocks that share a scale; the last ones may be cut off."""
        return self._block

    @property
    def group_size(self) -> int | None:
        """How many consecutive elements of a row or column share a scale; None where all of it does."""
        sizes = zip(self._block, self._shape, strict=True)
        return next((size for size, extent in sizes if 1 < size < extent), None)

    @property
    def whole(self) -> bool:
        """Whether the values are whole numbers with zero points that are: sums of products are exact."""
        return self._offsets is None and not is_float(self._dtype)

    def _parts(self) -> tuple[Array, Array, Array | None, Array | None]:
        return self._values, self._scales, self._zero_points, self._offsets

    # Ranges of elements, for dequantising and for kernels

    def _tile(self, rows: slice, columns: slice) -> Array:
        """Return the elements of a range of rows and columns in float32."""
        codes = self._codes(rows, columns)
        if is_float(self._dtype):  # a table is three times as fast as the conversion
            codes = _NUMBERS[self._dtype].take(codes.view(np.uint8))
        else:
            codes = codes.astype(np.float32)
        with np.errstate(all="ignore"):
            scale = self._of_tile(self._scales, rows, columns)
            if self._offsets is not None:
                start = self._of_tile(self._offsets, rows, columns)
                return fma_unchecked(codes, scale, np.broadcast_to(start, codes.shape))
            if self._zero_points is not None:
                codes -= self._of_tile(self._zero_points, rows, columns)
            codes *= scale
        return codes

    def _whole_tile(self, rows: slice, columns: slice, dtype: npt.DTypeLike) -> Array:
        """Return the values less their zero points in a dtype that holds them exactly."""
        codes = self._codes(rows, columns).astype(dtype)
        if self._zero_points is not None:
            codes -= self._of_tile(self._zero_points, rows, columns)
        return codes

    def _of_tile(self, values: Array, rows: slice, columns: slice) -> Array:
        return spread(values, self._block, rows, columns).astype(np.float32)

    def _codes(self, rows: slice, columns: slice) -> Array:
        """Return the values of a range of rows and columns, one to an element."""
        bits = code_bits(self._dtype)
        if bits == 8:
            return self._values[rows, columns]
        per_byte = 8 // bits
        first, last = columns.start // per_byte, -(-columns.stop // per_byte)
        signed = code_limits(self._dtype)[0] < 0
        codes = unpack(self._values[rows, first:last], bits, signed, (last - first) * per_byte)
        return codes[:, columns.start - first * per_byte : columns.stop - first * per_byte]
