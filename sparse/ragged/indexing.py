"""Indexing by segment, and by position within the segments."""

from __future__ import annotations

import operator
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import numpy.typing as npt

from ..indexing import is_int
from ..validate import frozen, plain_array
from .core import Stored
from .segments import Segments, offsets_of

if TYPE_CHECKING:
    Array = npt.NDArray[Any]

R = TypeVar("R", bound="Indexing")


class Indexing(Stored):
    """`r[i]` is a segment, as a read-only view; slices, index arrays and masks give ragged arrays.

    Slices share memory; arrays and masks copy the rows that they choose. A second index counts within each
    segment: `r[:, :5]` is the first five rows of each (fewer where it has fewer), without a copy, and
    `r[:, -1]` is the last row of each, as a plain array.
    """

    __slots__ = ()

    def __getitem__(self, key: Any) -> Any:
        self._check_fresh()
        if key is Ellipsis:
            return self
        if isinstance(key, tuple):
            return self._within(key)
        if is_int(key):
            return self._segment(operator.index(key))
        if isinstance(key, slice):
            begin, end, step = key.indices(len(self))
            if step == 1:
                return self._slice(begin, max(begin, end))
            return self._take(np.arange(begin, end, step))
        return self._take(self._chosen(key))

    def __iter__(self) -> Iterator[Array]:
        self._check_fresh()
        for start, end in zip(self.starts.tolist(), self.ends.tolist(), strict=True):
            yield self._values[start:end]

    def to_list(self) -> list[Any]:
        """Return the segments as nested lists of Python numbers.

        Examples
        --------
        >>> import deepgemm as dg
        >>> dg.Ragged([[1, 2], [3]]).to_list()
        [[1, 2], [3]]
        """
        return [segment.tolist() for segment in self]

    def _segment(self, number: int) -> Array:
        n = len(self)
        if not -n <= number < n:
            raise IndexError(f"segment {number} is out of range for {n} segments")
        start = int(self.starts[number])
        return self._values[start : start + int(self.lengths[number])]

    def _slice(self: R, begin: int, end: int) -> R:
        offsets = self.offsets[begin : end + 1]
        values = self._values[offsets[0] : offsets[-1]]
        lengths = self.lengths[begin:end] if self.has_gaps else None
        return self._trusted(values, Segments(offsets - offsets[0], lengths))

    def _take(self: R, chosen: Array) -> R:
        segments = self._segments
        values = self._values[segments.rows(chosen)]
        return self._trusted(values, Segments(offsets_of(segments.lengths[chosen])))

    def _chosen(self, key: Any) -> Array:
        """Return a mask or an array of segment numbers as numbers from 0 on."""
        owner, n = type(self).__name__, len(self)
        index = plain_array(owner, "the index", key)
        if index.ndim != 1:
            raise IndexError(f"{owner}: the index has {index.ndim} dimensions, expected 1")
        if index.dtype == np.bool_:
            if len(index) != n:
                raise IndexError(f"{owner}: the mask has {len(index)} entries for {n} segments")
            return np.flatnonzero(index)
        if index.size == 0:
            return np.zeros(0, np.intp)
        if index.dtype.kind not in "iu":
            raise IndexError(f"{owner}: the index has dtype {index.dtype}, expected integers or a mask")
        beyond = (index >= n) | (index < -n)
        if beyond.any():
            at = int(beyond.argmax())
            raise IndexError(f"{owner}: index[{at}] is {index[at]}, out of range for {n} segments")
        index = index.astype(np.intp, copy=False)
        return np.where(index < 0, index + n, index)

    # Within the segments

    def _within(self, key: tuple[Any, ...]) -> Any:
        owner = type(self).__name__
        if len(key) != 2:
            raise IndexError(f"{owner} takes one or two indices, got {len(key)}")
        chosen = self[key[0]]
        if not isinstance(chosen, Stored):
            return chosen[key[1]]
        assert isinstance(chosen, Indexing)
        if is_int(key[1]):
            return chosen._at(operator.index(key[1]))
        if not isinstance(key[1], slice) or key[1].step not in (None, 1):
            raise IndexError(
                f"{owner}: the second index is {key[1]!r}, expected an integer or a slice of step 1"
            )
        return chosen._cut(key[1])

    def _at(self, position: int) -> Array:
        """Return the row at one position of each segment."""
        lengths = self.lengths
        short = (lengths <= position) | (lengths < -position)
        if short.any():
            at = int(short.argmax())
            raise IndexError(
                f"position {position} is out of range for segment {at}, which has {lengths[at]} rows"
            )
        rows = (self.starts if position >= 0 else self.ends) + position
        return frozen(self._values[rows])

    def _cut(self: R, key: slice) -> R:
        """Return the same slice of each segment, sharing memory: what it leaves out becomes gaps."""
        lengths = self.lengths
        begin = _bound(key.start, lengths, 0)
        end = np.maximum(_bound(key.stop, lengths, None), begin)
        starts = self.starts + begin
        first = int(starts[0]) if len(starts) else 0
        offsets = np.empty_like(self.offsets)
        offsets[:-1] = starts - first
        offsets[-1] = self.offsets[-1] - first
        return self._trusted(self._values[first:], Segments(offsets, end - begin))


def _bound(bound: Any, lengths: Array, absent: int | None) -> Array:
    """Return a bound of a slice as Python would read it, for each length."""
    if bound is None:
        return lengths if absent is None else np.full_like(lengths, absent)
    # Beyond the longest segment all bounds are alike; so they fit the dtype of the lengths.
    longest = int(lengths.max(initial=0))
    at = max(-longest, min(operator.index(bound), longest))
    clipped: Array = np.clip(lengths + at if at < 0 else np.full_like(lengths, at), 0, lengths)
    return clipped
