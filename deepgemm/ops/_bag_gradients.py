"""What the gradient of embedding bags and the steps of optimisers share: which bags name which rows."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from .. import _core
from ..errors import DTypeError, ShapeError, UnsupportedError
from ..sparse.validate import plain_array
from . import _bags

Array = npt.NDArray[Any]


class Named(NamedTuple):
    """Row ``rows[i]`` is named by bags ``bags[offsets[i]:offsets[i + 1]]``, with those weights."""

    rows: Array
    offsets: Array
    bags: Array
    weights: Array | None
    gradient: Array  # a row for each bag, C order


def read(
    op: str,
    grad: Any,
    bags: Any,
    num_rows: int,
    mode: str,
    weights: Any,
    padding_idx: Any,
    out_of_range: str,
    include_last_offset: bool,
    chain: np.dtype[Any] | None = None,
) -> Named:
    """Return which bags name which rows, and the gradient that each bag hands on.

    The gradient is float32 or float64: as it comes, or `chain`, which it must be exact in.

    Raises
    ------
    IndexError, ShapeError, DTypeError, FormatError, ValueError, UnsupportedError
        As for `embedding_bag`; and if `grad` does not have a row for each bag.
    """
    if _bags.chosen(op, "mode", mode, _bags.MODES) == "max":
        raise UnsupportedError(
            f"{op}: mode is 'max', whose gradient needs to know which ids won; expected sum or mean"
        )
    _bags.chosen(op, "out_of_range", out_of_range, _bags.OUT_OF_RANGE)
    gradient = _gradient(op, grad, chain)
    found = _bags.read(op, "bags", bags, include_last_offset)
    found = _bags.with_weights(op, "weights", found, weights, gradient.dtype, mode)
    padding = _bags.padding_row(op, padding_idx, num_rows)
    if len(gradient) != len(found.segments):
        raise ShapeError(f"{op}: grad has {len(gradient)} rows, but there are {len(found.segments)} bags")
    ids, offsets, lengths, factors = _bags.core_part(found)
    if num_rows == 0 and out_of_range == "zero":  # every id stands for a row of zeros
        ids, offsets, lengths = ids[:0], np.zeros_like(offsets), None
    order = _core.order_ids(ids, offsets, lengths, num_rows, padding, out_of_range)
    if isinstance(order, int):
        _bags.refuse_id(op, "", found, order, num_rows)
    rows, starts, places, named_by = order
    if mode == "mean":
        gradient = gradient / _members(found, num_rows, padding, out_of_range)[:, None].astype(gradient.dtype)
    return Named(rows, starts, named_by, None if factors is None else factors[places], gradient)


def _gradient(op: str, grad: Any, chain: np.dtype[Any] | None) -> Array:
    gradient = plain_array(op, "grad", grad)
    if gradient.ndim != 2:
        raise ShapeError(f"{op}: grad has {gradient.ndim} dimensions, expected 2")
    expected = chain or gradient.dtype.newbyteorder("=")
    if expected.char not in "fd" or not np.can_cast(gradient.dtype, expected, "same_kind"):
        raise DTypeError(f"{op}: grad has dtype {gradient.dtype}, expected {chain or 'float32 or float64'}")
    return np.ascontiguousarray(gradient, expected)


def _members(bags: _bags.Bags, rows: int, padding: int, out_of_range: str) -> Array:
    """Return how many ids of each bag count, at least 1."""
    if padding < 0:
        return np.maximum(bags.segments.lengths, 1)
    ids = np.clip(bags.ids, 0, rows - 1) if out_of_range == "clip" else bags.ids
    running = np.concatenate(([0], np.cumsum(ids != padding)))
    counts: Array = running[bags.segments.ends] - running[bags.segments.starts]
    return np.maximum(counts, 1)
