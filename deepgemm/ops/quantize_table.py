"""`quantize_table`: embedding tables quantised row by row in the arithmetic of FBGEMM, bit for bit."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ..dtypes import bfloat16
from ..errors import DTypeError
from ..sparse.packing import pack, rows_of_codes
from ..sparse.quantized import Quantized
from ..sparse.quantized_blocks import panels
from ..sparse.rowwise import Layout, find
from .quantize import matrix

__all__ = ["quantize_table"]

Array = npt.NDArray[Any]

_READ = (np.dtype(np.float32), np.dtype(np.float16), bfloat16)
# Added to the range of a row before it divides, so that constant rows do.
EPSILON = np.float32(1e-8)


def quantize_table(table: npt.ArrayLike, layout: str) -> Quantized:
    """Quantise an embedding table as FBGEMM and PyTorch do, so that `to_bytes(layout)` gives their bytes.

    Parameters
    ----------
    table : array_like, shape (m, n)
        Rows of float32, float16 or bfloat16.
    layout : str
        "fused_8bit_rowwise", "fused_4bit_rowwise" or "fused_2bit_rowwise", as for `Quantized.to_bytes`.

    Returns
    -------
    Quantized, shape (m, n)
        uint8, uint4 or uint2 with a scale and an offset for each row: ``w = fma(q, scale, offset)``.

    Raises
    ------
    ValueError
        If there is no such layout, or the table has an infinity or nan.
    ShapeError, DTypeError
        If the table is no matrix of those dtypes.
    OverflowError
        If a range is too large for the dtype of the scales.

    Notes
    -----
    O(m n). With all operations in float32, each rounded: 8 bits have ``offset = min``,
    ``scale = (max - min) / 255`` and ``q = rint((x - min) * (255 / (max - min + 1e-8)))``; fewer bits round
    `offset` to float16 first, then ``scale = (max - offset) / steps`` to float16, which is 1 where it would
    be 0, and have ``q = rint((x - offset) * (1 / scale))`` between 0 and `steps`. `quantize` divides instead,
    which errs less, and has scales that fit its range.

    Examples
    --------
    >>> import numpy as np
    >>> import deepgemm as dg
    >>> table = np.array([[-1.0, 0.0, 0.5, 1.0], [0.0, 0.0, 0.0, 0.0]], np.float32)
    >>> made = dg.quantize_table(table, "fused_4bit_rowwise")
    >>> made
    Quantized(shape=(2, 4), dtype=uint4, a float16 scale and offset for each row, memory=12 B)
    >>> made.to_bytes("fused_4bit_rowwise").tolist()
    [[128, 251, 68, 48, 0, 188], [0, 0, 0, 60, 0, 0]]
    """
    rows = matrix("quantize_table", table, "table")
    if rows.dtype not in _READ:
        raise DTypeError(
            f"quantize_table: table has dtype {rows.dtype}, expected float32, float16 or bfloat16"
        )
    wanted = find("quantize_table", layout)
    narrow = wanted.bits < 8
    values = rows_of_codes(rows.shape, wanted.bits, np.uint8)
    scales, offsets = (np.empty((rows.shape[0], 1), wanted.scale_dtype.newbyteorder("=")) for _ in "so")
    for panel in panels((rows.shape[0], rows.shape[1])):
        part = rows[panel].astype(np.float32, copy=False)
        with np.errstate(all="ignore"):
            codes, scales[panel], offsets[panel] = (_few_bits if narrow else _eight_bits)(part, wanted)
        _check(part, scales[panel], offsets[panel], panel.start, layout)
        values[panel] = pack(codes, wanted.bits) if narrow else codes
    return Quantized._made(
        (rows.shape[0], rows.shape[1]),
        wanted.dtype,
        (1, max(rows.shape[1], 1)),
        values,
        scales,
        None,
        offsets,
    )


def _ends(rows: Array) -> tuple[Array, Array]:
    if not rows.shape[1]:
        return np.zeros((len(rows), 1), np.float32), np.zeros((len(rows), 1), np.float32)
    return rows.min(axis=1, keepdims=True), rows.max(axis=1, keepdims=True)


def _eight_bits(rows: Array, layout: Layout) -> tuple[Array, Array, Array]:
    low, high = _ends(rows)
    steps = np.float32(255)
    codes = np.rint((rows - low) * (steps / (high - low + EPSILON)))
    return codes.astype(np.uint8), (high - low) / steps, low


def _few_bits(rows: Array, layout: Layout) -> tuple[Array, Array, Array]:
    low, high = _ends(rows)
    steps, half = np.float32((1 << layout.bits) - 1), np.float16
    offset = low.astype(half).astype(np.float32)
    extent = high - offset
    scale = np.where(extent == 0, np.float32(1), extent / steps).astype(half).astype(np.float32)
    scale[scale == 0] = 1
    codes = np.clip(np.rint((rows - offset) * (1 / scale)), 0, steps)
    return codes.astype(np.uint8), scale.astype(half), offset.astype(half)


def _check(rows: Array, scales: Array, offsets: Array, first: int, layout: str) -> None:
    held = (np.isfinite(scales) & np.isfinite(offsets))[:, 0]
    if held.all():
        return
    row = int(np.flatnonzero(~held)[0])
    if not np.isfinite(rows[row]).all():
        raise ValueError(f"quantize_table: table has an infinity or nan in row {first + row}")
    raise OverflowError(
        f"quantize_table: row {first + row} reaches from {rows[row].min():.3g} to {rows[row].max():.3g}, "
        f"which the {scales.dtype} scale and offset of {layout} cannot hold"
    )
