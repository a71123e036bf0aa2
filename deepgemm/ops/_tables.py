"""Embedding tables as the core reads them: plain rows where they lie, quantised ones with their scales."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ..dtypes import bfloat16, is_float
from ..errors import DTypeError, ShapeError, UnsupportedError
from ..sparse.quantized import Quantized
from ..sparse.validate import plain_array

Array = npt.NDArray[Any]

SINGLE, DOUBLE = np.dtype(np.float32), np.dtype(np.float64)
PLAIN = (SINGLE, DOUBLE, np.dtype(np.float16), bfloat16)
# Chain, result and name of each; names and comparisons of dtypes take microseconds otherwise.
_KNOWN = {dtype: (DOUBLE if dtype == DOUBLE else SINGLE, dtype, str(dtype)) for dtype in PLAIN}


class Table(NamedTuple):
    """A table: its shape, the dtypes of chains and results, and its parts for the core."""

    shape: tuple[int, int]
    chain: np.dtype[Any]
    output: np.dtype[Any]
    parts: tuple[Any, ...]


def read(op: str, name: str, table: Any) -> Table:
    """Return a table that shares memory, unless rows are not contiguous or not aligned.

    Raises
    ------
    ShapeError, DTypeError, UnsupportedError
        If it is no matrix of a dtype that tables have, or not scaled by rows.
    """
    if isinstance(table, Quantized):
        return _quantized(op, name, table)
    rows = table if type(table) is np.ndarray else plain_array(op, name, table)
    known, flags = _KNOWN.get(rows.dtype), rows.flags
    if (
        known is not None
        and rows.ndim == 2
        and flags.aligned
        and (flags.c_contiguous or has_whole_rows(rows))
    ):
        chain, output, dtype_name = known
        return Table(rows.shape, chain, output, (rows, dtype_name, rows.shape[1], None, None, None))
    if rows.ndim != 2:
        raise ShapeError(f"{op}: {name} has {rows.ndim} dimensions, expected 2")
    dtype = rows.dtype.newbyteorder("=")
    if dtype not in PLAIN:
        hint = (
            "; quantize(..., axis=0) and quantize_table make tables of integers" if dtype.kind in "iu" else ""
        )
        names = ", ".join(str(known) for known in PLAIN)
        raise DTypeError(f"{op}: {name} has dtype {rows.dtype}, expected one of: {names}{hint}")
    return read(op, name, np.array(rows, dtype, order="C"))


def has_whole_rows(rows: Array) -> bool:
    """Whether the elements of each row follow each other in memory; NumPy gives empty arrays any strides."""
    return not rows.size or rows.shape[1] <= 1 or rows.strides[1] == rows.itemsize


def _quantized(op: str, name: str, table: Quantized) -> Table:
    table._check_fresh()
    known: Table | None = table._as_table
    if known is not None:
        return known
    if is_float(table.dtype):
        raise UnsupportedError(
            f"{op}: {name} is {table.dtype}, expected int8, uint8, int4, uint4, int2 or uint2"
        )
    if table.scales.shape not in ((table.shape[0], 1), (1, 1)):
        raise UnsupportedError(
            f"{op}: {name} has scales of shape {table.scales.shape}, expected one for each row; "
            "quantize(..., axis=0) and quantize_table make those"
        )
    shared = has_whole_rows(table.stored)
    stored = table.stored if shared else np.ascontiguousarray(table.stored)
    numbers = [None if x is None else x.reshape(-1) for x in (table.scales, table.offsets, table.zero_points)]
    made = Table(table.shape, SINGLE, SINGLE, (stored, str(table.dtype), table.shape[1], *numbers))
    if shared:  # a copy of the values would be a layout, which nothing bounds here
        table._as_table = made
    return made
