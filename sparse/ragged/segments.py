"""Where segments begin and end in a buffer of rows: validated once, shared by arrays of one structure."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ...errors import FormatError, ShapeError
from ..validate import frozen, index_array, index_dtype, same_width

if TYPE_CHECKING:
    Array = npt.NDArray[Any]


class Segments:
    """The structure of a ragged array: segment i is the rows `offsets[i]` to `offsets[i] + lengths[i]`.

    Attributes
    ----------
    offsets : numpy.ndarray of int32 or int64, shape (n + 1,)
        They start at 0 and end at the number of rows of the buffer; read-only.
    lengths : numpy.ndarray of the same dtype, shape (n,)
        Rows of each segment; read-only. Without gaps they are the differences of `offsets`.
    has_gaps : bool
        Whether rows of the buffer belong to no segment.
    """

    def __init__(self, offsets: Array, lengths: Array | None = None) -> None:
        """Take parts that are valid; `from_parts` takes any."""
        self.offsets = frozen(offsets)
        self.has_gaps = False
        if lengths is not None and not np.array_equal(lengths, np.diff(offsets)):
            self.has_gaps = True
            self.lengths = frozen(lengths)

    @classmethod
    def from_parts(
        cls, owner: str, rows: int, offsets: Any, lengths: Any = None, copy: bool = False
    ) -> Segments:
        """Validate offsets, and lengths if there are gaps, for a buffer of `rows` rows.

        Raises
        ------
        DTypeError, FormatError
            If they are no integers, or do not divide the rows; the message names the segment.
        """
        checked = index_array(owner, "offsets", offsets, copy)
        _check_offsets(owner, checked, rows)
        if lengths is None:
            return cls(checked)
        checked, counts = same_width(checked, index_array(owner, "lengths", lengths, copy))
        _check_lengths(owner, checked, counts)
        return cls(checked, counts)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @cached_property
    def lengths(self) -> Array:
        """Rows of each segment."""
        return frozen(np.diff(self.offsets))

    @property
    def starts(self) -> Array:
        """First row of each segment."""
        return self.offsets[:-1]

    @cached_property
    def ends(self) -> Array:
        """One past the last row of each segment."""
        return frozen(self.starts + self.lengths) if self.has_gaps else self.offsets[1:]

    @cached_property
    def total(self) -> int:
        """Rows of all segments together, without those in gaps."""
        return int(self.lengths.sum(dtype=np.int64)) if self.has_gaps else int(self.offsets[-1])

    @cached_property
    def longest(self) -> int:
        """Rows of the longest segment, 0 if there is none."""
        return int(self.lengths.max(initial=0))

    @cached_property
    def shortest(self) -> int:
        """Rows of the shortest segment, 0 if there is none."""
        return int(self.lengths.min()) if len(self.lengths) else 0

    @property
    def parts(self) -> tuple[Array, ...]:
        """The arrays that define the structure: lengths are among them only where there are gaps."""
        return (self.offsets, self.lengths) if self.has_gaps else (self.offsets,)

    def packed(self) -> Segments:
        """Return the same lengths without gaps; itself if there are none."""
        return Segments(offsets_of(self.lengths)) if self.has_gaps else self

    def same_lengths(self, other: Segments) -> bool:
        """Whether segment for segment the lengths agree."""
        return self is other or np.array_equal(self.lengths, other.lengths)

    def rows(self, chosen: Array | None = None) -> Array:
        """Return the rows of the buffer that segments hold, in order; of the chosen ones, or of all.

        Takes O(rows).
        """
        starts = self.starts if chosen is None else self.starts[chosen]
        return spans(starts, self.lengths if chosen is None else self.lengths[chosen])

    def segment_of_row(self) -> Array:
        """Return the segment of each row of the packed buffer."""
        return np.repeat(np.arange(len(self), dtype=self.offsets.dtype), self.lengths)


def offsets_of(lengths: Array) -> Array:
    """Return n + 1 offsets of segments that follow each other, as wide as lengths, or as they need."""
    ends = np.cumsum(lengths, dtype=np.int64)
    dtype = max(lengths.dtype, index_dtype(int(ends[-1]) if len(ends) else 0), key=lambda kind: kind.itemsize)
    offsets = np.zeros(len(lengths) + 1, dtype)
    offsets[1:] = ends
    return offsets


def spans(starts: Array, lengths: Array) -> Array:
    """Return `starts[i], starts[i] + 1, ...`, as many as `lengths[i]` says, for each i."""
    offsets = offsets_of(lengths)
    shift = starts.astype(np.int64) - offsets[:-1]
    return np.arange(int(offsets[-1]), dtype=np.int64) + np.repeat(shift, lengths)


def _check_offsets(owner: str, offsets: Array, rows: int) -> None:
    if not len(offsets):
        raise FormatError(f"{owner}: offsets is empty, expected one entry more than there are segments")
    if offsets[0] != 0:
        raise FormatError(
            f"{owner}: segment 0 starts at offsets[0] = {offsets[0]}, expected 0; ends= takes end positions"
        )
    falling = offsets[1:] < offsets[:-1]
    if falling.any():
        at = int(falling.argmax())
        raise FormatError(
            f"{owner}: segment {at} ends at {offsets[at + 1]}, before its start at {offsets[at]}"
        )
    if offsets[-1] > rows:
        at = int((offsets[1:] > rows).argmax())
        raise FormatError(f"{owner}: segment {at} ends at {offsets[at + 1]}, but values has {rows} rows")
    if offsets[-1] < rows:
        raise FormatError(
            f"{owner}: offsets end at {offsets[-1]}, but values has {rows} rows; "
            "starts= takes starts alone, lengths= allows gaps"
        )


def _check_lengths(owner: str, offsets: Array, lengths: Array) -> None:
    n = len(offsets) - 1
    if len(lengths) != n:
        raise ShapeError(f"{owner}: lengths has {len(lengths)} entries, but offsets make {n} segments")
    check_not_negative(owner, lengths)
    room = np.diff(offsets)
    over = lengths > room
    if over.any():
        at = int(over.argmax())
        where = f"before segment {at + 1} starts" if at + 1 < n else "before values ends"
        raise FormatError(
            f"{owner}: segment {at} has length {lengths[at]}, but there are {room[at]} rows {where}"
        )


def check_not_negative(owner: str, lengths: Array) -> None:
    """Refuse negative lengths, naming the first segment that has one."""
    if len(lengths) and lengths.min() < 0:
        at = int((lengths < 0).argmax())
        raise FormatError(f"{owner}: segment {at} has length {lengths[at]}, expected at least 0")
