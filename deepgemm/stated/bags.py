"""Embedding bags: rows of a table picked by ids and joined, in the order that is stated."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from .. import dtypes
from ..fma import fma_unchecked
from ..rounding import rounded
from ..sparse.quantized import Quantized
from .operands import Array


def embedding_bag(
    table: Any,
    ids: Any,
    offsets: Any,
    lengths: Any = None,
    *,
    mode: str = "sum",
    weights: npt.ArrayLike | None = None,
    padding_idx: int | None = None,
    out_of_range: str = "zero",
    dtype: npt.DTypeLike | None = None,
) -> Array:
    """Return one row for each bag of ids.

    Rows are widened to the chain's dtype, float64 for float64 and else float32; quantised ones are
    dequantised to float32 (``fma(q - zero_point, scale, offset)``). Sum: ``acc = fma(weight, row, acc)`` from
    +0, in the order of the ids. Mean: that sum, divided once by the number of ids, those of `padding_idx`
    not counted. Max: the largest element, a nan being larger than anything. A bag without ids, or with
    nothing but padding, gives zeros in each mode. One rounding to the output dtype, by default that of the
    table (float32 where it is quantised).

    Parameters
    ----------
    table : numpy.ndarray or Quantized, shape (m, n)
        Rows of a floating dtype.
    ids : array_like of int, shape (total,)
        Rows of the table.
    offsets : array_like of int, shape (bags + 1,)
        Bag i begins at ``ids[offsets[i]]``.
    lengths : array_like of int, shape (bags,), optional
        Ids of each bag, where they do not fill the room up to the next.
    mode : {"sum", "mean", "max"}
        How rows are joined.
    weights : array_like, shape (total,), optional
        By default ones. They are rounded to the chain's dtype.
    padding_idx : int, optional
        Ids of this row are left out.
    out_of_range : {"zero", "clip"}
        An id that is no row stands for a row of zeros, whatever its weight, or for the nearest row.
    dtype : dtype_like, optional
        Dtype of the result.

    Returns
    -------
    numpy.ndarray, shape (bags, n)

    Examples
    --------
    >>> table = np.array([[1.0, 2.0], [3.0, 5.0]])
    >>> embedding_bag(table, [0, 1, 1], [0, 1, 1, 3]).tolist()
    [[1.0, 2.0], [0.0, 0.0], [6.0, 10.0]]
    >>> embedding_bag(table, [0, 1, 7], [0, 3], mode="mean").tolist()
    [[1.3333333333333333, 2.3333333333333335]]
    """
    rows, output = table_rows(table)
    where = np.asarray(offsets, np.int64)
    starts, counts = where[:-1], np.diff(where) if lengths is None else np.asarray(lengths, np.int64)
    picks, factors = _picks(np.asarray(ids, np.int64), weights, len(rows), rows.dtype, out_of_range)
    padding = None if padding_idx is None else padding_idx % max(len(rows), 1)
    rows = np.concatenate([rows, np.zeros((1, rows.shape[1]), rows.dtype)])
    chains = np.full((len(starts), rows.shape[1]), -np.inf if mode == "max" else 0, rows.dtype)
    members = np.zeros(len(starts), np.int64)
    with np.errstate(all="ignore"):
        for position in range(int(counts.max(initial=0))):
            active = np.flatnonzero(counts > position)
            active = active[picks[starts[active] + position] != padding]
            here = starts[active] + position
            members[active] += 1
            chain, row = chains[active], rows[picks[here]]
            if mode == "max":
                chains[active] = np.where((row > chain) | (row != row), row, chain)
            else:
                chains[active] = fma_unchecked(factors[here, None], row, chain)
        chains[members == 0] = 0
        if mode == "mean":
            chains /= np.maximum(members, 1)[:, None].astype(rows.dtype)
    return rounded(chains, output if dtype is None else dtype)


def table_rows(table: Any) -> tuple[Array, np.dtype[Any]]:
    """Return the rows of a table in the chain's dtype, and the dtype of a result."""
    if isinstance(table, Quantized):
        return table.dequantize(), np.dtype(np.float32)
    rows = np.asarray(table)
    return rows.astype(dtypes.accumulator(rows.dtype, rows.dtype)), dtypes.default_output(
        rows.dtype, rows.dtype, 0
    )


def _picks(
    ids: Array, weights: npt.ArrayLike | None, count: int, chain: np.dtype[Any], out_of_range: str
) -> tuple[Array, Array]:
    """Return the row that each id stands for, `count` for a row of zeros, and its weight."""
    factors = np.ones(len(ids), chain) if weights is None else rounded(np.asarray(weights), chain)
    if out_of_range == "clip":
        return np.clip(ids, 0, count - 1), factors
    inside = (ids >= 0) & (ids < count)
    return np.where(inside, ids, count), np.where(inside, factors, chain.type(0))
