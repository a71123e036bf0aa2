"""The dialects in which libraries say where segments are, brought into n + 1 offsets that start at 0."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ...errors import FormatError, ShapeError
from ..validate import frozen, index_array
from .segments import Segments, check_not_negative, offsets_of

if TYPE_CHECKING:
    Array = npt.NDArray[Any]


def segments_from(
    owner: str,
    rows: int,
    offsets: Any,
    lengths: Any,
    ends: Any,
    starts: Any,
    copy: bool,
) -> Segments:
    """Return the structure that one of the dialects describes.

    Parameters
    ----------
    owner : str
        Who asks, for messages.
    rows : int
        Rows of the buffer.
    offsets, ends, starts : array_like of int or None
        Exactly one of them, or none beside `lengths`.
    lengths : array_like of int or None
        Beside another one it allows gaps; alone, segments follow each other.
    copy : bool
        Whether to take private copies.
    """
    given = {"offsets": offsets, "ends": ends, "starts": starts}
    named = [name for name, value in given.items() if value is not None]
    if len(named) > 1:
        raise FormatError(f"{owner}: got {' and '.join(named)}, expected one of them")
    if not named:
        return _from_lengths(owner, rows, lengths)
    if ends is not None:
        offsets = _from_ends(owner, ends)
    elif starts is not None:
        offsets = _from_starts(owner, starts, rows)
    return Segments.from_parts(owner, rows, offsets, lengths, copy)


def _from_ends(owner: str, ends: Any) -> Array:
    checked = index_array(owner, "ends", ends, False)
    if len(checked) and checked[0] < 0:
        raise FormatError(f"{owner}: segment 0 ends at {checked[0]}, expected at least 0")
    return np.concatenate((np.zeros(1, checked.dtype), checked))


def _from_starts(owner: str, starts: Any, rows: int) -> Array:
    checked = index_array(owner, "starts", starts, False)
    if len(checked):
        if checked[0] != 0:
            raise FormatError(f"{owner}: segment 0 starts at {checked[0]}, expected 0")
        if checked[-1] > rows:
            at = int((checked > rows).argmax())
            raise FormatError(f"{owner}: segment {at} starts at {checked[at]}, but values has {rows} rows")
    elif rows:
        raise FormatError(f"{owner}: starts is empty, but values has {rows} rows")
    widest = np.int64 if rows > np.iinfo(checked.dtype).max else checked.dtype
    offsets = np.empty(len(checked) + 1, widest)
    offsets[:-1], offsets[-1] = checked, rows
    return offsets


def _from_lengths(owner: str, rows: int, lengths: Any) -> Segments:
    checked = index_array(owner, "lengths", lengths, True)
    check_not_negative(owner, checked)
    over = checked > rows  # looked for first: sums of such lengths could overflow
    if over.any():
        at = int(over.argmax())
        raise FormatError(f"{owner}: segment {at} has length {checked[at]}, but values has {rows} rows")
    offsets = frozen(offsets_of(checked))
    if offsets[-1] != rows:
        raise ShapeError(f"{owner}: lengths sum to {offsets[-1]}, but values has {rows} rows")
    return Segments(offsets)
