"""Operations within the segments of a ragged array, in the order in which they are stated to round."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from .. import dtypes
from ..fma import fma_unchecked
from ..rounding import rounded
from .elementary import exp, log
from .operands import Array

_LANES = 16  # interleaved chains, whatever the vector width of the machine

Rounds = Callable[[Array, Array], Array]  # how an element joins a chain: (chain, element) -> chain


def segment_sum(
    values: npt.ArrayLike, offsets: Any, lengths: Any = None, *, dtype: npt.DTypeLike | None = None
) -> Array:
    """Return the sum of each segment.

    Rows that are single elements: 16 interleaved chains of additions from +0, where the row at position
    ``p`` of its segment belongs to lane ``p % 16``; then lane ``l`` takes up lane ``l + 8``, then ``l + 4``,
    ``l + 2`` and ``l + 1``. Rows that have axes: for each element of a row one ascending chain, the order of
    an embedding bag. Both in the accumulator dtype, and rounded once to the output dtype. Integers and bool
    are summed as NumPy does, in int64 or uint64.

    Parameters
    ----------
    values : array_like, shape (rows, ...)
        All rows.
    offsets : array_like of int, shape (n + 1,)
        Segment i begins at row ``offsets[i]``.
    lengths : array_like of int, shape (n,), optional
        Rows of each segment, where they do not fill the room up to the next.
    dtype : dtype_like, optional
        Dtype of the result; it changes the last rounding only.

    Returns
    -------
    numpy.ndarray, shape (n, ...)
        The sum of an empty segment is +0.

    Examples
    --------
    >>> segment_sum([1.0, 2.0, 3.0], [0, 1, 1, 3]).tolist()
    [1.0, 0.0, 5.0]
    """
    rows, starts, counts = _parts(values, offsets, lengths)
    chain, default = sum_dtypes(rows.dtype)
    sums = _chains(rows.astype(chain), starts, counts, np.add)
    return rounded(sums, default if dtype is None else dtype)


def segment_mean(
    values: npt.ArrayLike, offsets: Any, lengths: Any = None, *, dtype: npt.DTypeLike | None = None
) -> Array:
    """Return the mean of each segment: the sum in the accumulator dtype, divided once by the length.

    Parameters and order as for `segment_sum`. Integers are summed exactly, and the sum and the length are
    divided as float64. The mean of an empty segment is nan.

    Examples
    --------
    >>> segment_mean([1.0, 2.0, 4.0], [0, 1, 3]).tolist()
    [1.0, 3.0]
    """
    rows, starts, counts = _parts(values, offsets, lengths)
    chain, default = sum_dtypes(rows.dtype)
    sums = _chains(rows.astype(chain), starts, counts, np.add)
    return mean_of(sums, counts, default if dtype is None else np.dtype(dtype))


def mean_of(sums: Array, lengths: Array, dtype: np.dtype[Any]) -> Array:
    """Return sums divided by lengths, in the accumulator dtype of the mean, rounded to `dtype`."""
    if sums.dtype.kind in "iu":
        sums = sums.astype(np.float64)
        dtype = np.dtype(np.float64) if dtype.kind in "iu" else dtype
    real = sums.real.dtype
    divisor = lengths.astype(real).reshape(-1, *[1] * (sums.ndim - 1))
    with np.errstate(all="ignore"):
        if sums.dtype.kind == "c":  # NumPy's own division of complex by real numbers rounds otherwise
            means = np.empty_like(sums)
            means.real, means.imag = sums.real / divisor, sums.imag / divisor
        else:
            means = sums / divisor
    return rounded(means, dtype)


def sum_dtypes(dtype: np.dtype[Any]) -> tuple[np.dtype[Any], np.dtype[Any]]:
    """Return the dtype in which values of `dtype` are summed, and that of the result."""
    if dtype.kind in "biu":
        wide = np.dtype(np.uint64 if dtype.kind == "u" else np.int64)
        return wide, wide
    return dtypes.accumulator(dtype, dtype), dtypes.default_output(dtype, dtype, 0)


def row_dtypes(dtype: np.dtype[Any]) -> tuple[np.dtype[Any], np.dtype[Any]]:
    """Return the dtype in which softmax and its like are computed, and that of the result."""
    if dtype.kind in "biu":
        return np.dtype(np.float64), np.dtype(np.float64)
    return sum_dtypes(dtype)


def segment_max(values: npt.ArrayLike, offsets: Any, lengths: Any = None) -> Array:
    """Return the largest row of each segment, element by element; a nan is larger than anything.

    No segment may be empty. Parameters as for `segment_sum`.

    Examples
    --------
    >>> segment_max([1, 5, 3], [0, 2, 3]).tolist()
    [5, 3]
    """
    rows, starts, counts = _parts(values, offsets, lengths)
    return _extreme(rows, starts, counts, np.greater)


def segment_min(values: npt.ArrayLike, offsets: Any, lengths: Any = None) -> Array:
    """Return the smallest row of each segment, element by element; a nan is smaller than anything.

    No segment may be empty. Parameters as for `segment_sum`.

    Examples
    --------
    >>> segment_min([1, 5, 3], [0, 2, 3]).tolist()
    [1, 3]
    """
    rows, starts, counts = _parts(values, offsets, lengths)
    return _extreme(rows, starts, counts, np.less)


def segment_argmax(values: npt.ArrayLike, offsets: Any, lengths: Any = None) -> Array:
    """Return the position, within its segment, of the first largest element; the first nan if there is one.

    Examples
    --------
    >>> segment_argmax([1, 5, 3, 3], [0, 2, 4]).tolist()
    [1, 0]
    """
    rows, starts, counts = _parts(values, offsets, lengths)
    return _first_place(rows, starts, counts, _extreme(rows, starts, counts, np.greater))


def segment_argmin(values: npt.ArrayLike, offsets: Any, lengths: Any = None) -> Array:
    """Return the position, within its segment, of the first smallest element; the first nan if there is one.

    Examples
    --------
    >>> segment_argmin([1, 5, 3, 3], [0, 2, 4]).tolist()
    [0, 0]
    """
    rows, starts, counts = _parts(values, offsets, lengths)
    return _first_place(rows, starts, counts, _extreme(rows, starts, counts, np.less))


def segment_softmax(values: npt.ArrayLike, offsets: Any) -> Array:
    """Return ``exp(x - m) / sum(exp(x - m))`` for each segment, where m is its largest element.

    The difference, `exp` and the division round in the accumulator dtype, and the sum is that of
    `segment_sum`; then one rounding to the output dtype.

    Examples
    --------
    >>> segment_softmax([0.0, 0.0, 7.0], [0, 2, 3]).tolist()
    [0.5, 0.5, 1.0]
    """
    shifted, e, counts, output = _exponentials(values, offsets)
    del shifted
    sums = _chains(e, np.asarray(offsets)[:-1], counts, np.add)
    with np.errstate(all="ignore"):
        return rounded(e / np.repeat(sums, counts, axis=0), output)


def segment_log_softmax(values: npt.ArrayLike, offsets: Any) -> Array:
    """Return ``(x - m) - log(sum(exp(x - m)))`` for each segment, where m is its largest element.

    Order as for `segment_softmax`, with `log` in place of the division.

    Examples
    --------
    >>> segment_log_softmax([7.0, 5.0], [0, 1, 2]).tolist()
    [0.0, 0.0]
    """
    shifted, e, counts, output = _exponentials(values, offsets)
    sums = _chains(e, np.asarray(offsets)[:-1], counts, np.add)
    with np.errstate(all="ignore"):
        return rounded(shifted - np.repeat(log(sums), counts, axis=0), output)


def segment_layer_norm(values: npt.ArrayLike, offsets: Any, eps: float = 1e-5) -> Array:
    """Return ``(x - mean) / sqrt(var + eps)`` for each segment, element by element of a row.

    The mean is that of `segment_mean`, not rounded to the output dtype. With ``d = x - mean`` rounded, the
    variance is the sum of squares, each joined to its chain as ``fma(d, d, chain)`` in the order of
    `segment_sum`, divided by the length; the factor ``1 / sqrt(var + eps)`` rounds after each operation,
    and the result is ``d * factor``.

    Examples
    --------
    >>> segment_layer_norm([1.0, 3.0], [0, 2], eps=0.0).tolist()
    [-1.0, 1.0]
    """
    rows, starts, counts = _parts(values, offsets, None)
    chain, output = row_dtypes(rows.dtype)
    rows = rows.astype(chain)
    divisor = counts.astype(chain).reshape(-1, *[1] * (rows.ndim - 1))
    with np.errstate(all="ignore"):
        mean = _chains(rows, starts, counts, np.add) / divisor
        d = rows - np.repeat(mean, counts, axis=0)
        variance = _chains(d, starts, counts, _join_square) / divisor
        factor = chain.type(1) / np.sqrt(variance + chain.type(eps))
        return rounded(d * np.repeat(factor, counts, axis=0), output)


def segment_cumsum(values: npt.ArrayLike, offsets: Any, *, dtype: npt.DTypeLike | None = None) -> Array:
    """Return the sums of each segment up to each row: one ascending chain for each element of a row.

    Each sum is rounded to the output dtype; the chain goes on in the accumulator dtype.

    Examples
    --------
    >>> segment_cumsum([1.0, 2.0, 3.0], [0, 1, 3]).tolist()
    [1.0, 2.0, 5.0]
    """
    rows, starts, counts = _parts(values, offsets, None)
    chain, output = sum_dtypes(rows.dtype)
    sums = rows.astype(chain)
    with np.errstate(all="ignore"):
        for position in range(1, int(counts.max(initial=0))):
            here = starts[counts > position] + position
            sums[here] = sums[here - 1] + sums[here]
    return rounded(sums, output if dtype is None else dtype)


def _parts(values: npt.ArrayLike, offsets: Any, lengths: Any) -> tuple[Array, Array, Array]:
    where = np.asarray(offsets, np.int64)
    counts = np.diff(where) if lengths is None else np.asarray(lengths, np.int64)
    return np.asarray(values), where[:-1], counts


def _chains(rows: Array, starts: Array, lengths: Array, join: Rounds) -> Array:
    """Return the chains over each segment, in 16 lanes if rows are single elements."""
    with np.errstate(all="ignore"):
        if rows.ndim > 1:
            chain = np.zeros((len(starts), *rows.shape[1:]), rows.dtype)
            for active, here in _positions(starts, lengths):
                chain[active] = join(chain[active], rows[here])
            return chain
        lanes = np.zeros((len(starts), _LANES), rows.dtype)
        for position, (active, here) in enumerate(_positions(starts, lengths)):
            lane = position % _LANES
            lanes[active, lane] = join(lanes[active, lane], rows[here])
        for width in (8, 4, 2, 1):
            lanes = lanes[:, :width] + lanes[:, width : 2 * width]
        return lanes[:, 0]


def _positions(starts: Array, lengths: Array) -> Iterator[tuple[Array, Array]]:
    """Yield for each position the segments that are long enough, and their rows there."""
    for position in range(int(lengths.max(initial=0))):
        active = np.flatnonzero(lengths > position)
        yield active, starts[active] + position


def _join_square(chain: Array, d: Array) -> Array:
    return fma_unchecked(d, d, chain)


def _extreme(rows: Array, starts: Array, lengths: Array, beats: np.ufunc) -> Array:
    best = rows[starts]
    with np.errstate(all="ignore"):
        for active, here in _positions(starts, lengths):
            new, old = rows[here], best[active]
            best[active] = np.where((beats(new, old) | (new != new)) & (old == old), new, old)
    return best


def _first_place(rows: Array, starts: Array, lengths: Array, extreme: Array) -> Array:
    place = np.full(extreme.shape, -1, np.int64)
    for position, (active, here) in enumerate(_positions(starts, lengths)):
        row, wanted, known = rows[here], extreme[active], place[active]
        hit = (row == wanted) | ((row != row) & (wanted != wanted))
        place[active] = np.where((known < 0) & hit, position, known)
    return place


def _exponentials(values: npt.ArrayLike, offsets: Any) -> tuple[Array, Array, Array, np.dtype[Any]]:
    """Return what softmax is made of: ``x - m``, its exponentials, lengths, and the output dtype."""
    rows, starts, counts = _parts(values, offsets, None)
    chain, output = row_dtypes(rows.dtype)
    rows = rows.astype(chain)
    full = np.flatnonzero(counts)
    largest = _extreme(rows, starts[full], counts[full], np.greater)
    with np.errstate(all="ignore"):
        shifted = rows - np.repeat(largest, counts[full], axis=0)
    return shifted, exp(shifted), counts, output
