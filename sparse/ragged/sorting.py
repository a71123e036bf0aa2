"""Order within segments: sorting, the largest or smallest rows, and where they are."""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import numpy.typing as npt

from ... import _core
from ...dtypes import accumulator
from ...errors import DTypeError, FormatError
from .core import Stored
from .segments import Segments, offsets_of

if TYPE_CHECKING:
    Array = npt.NDArray[Any]

R = TypeVar("R", bound="Sorting")


class Sorting(Stored):
    """Sorting within each segment, element by element of a row.

    Equal elements stay in the order of their positions, and a nan counts as larger than anything. Takes
    O(rows log length).
    """

    __slots__ = ()

    def sort(self: R, descending: bool = False) -> R:
        """Return the array with each segment sorted.

        Examples
        --------
        >>> import deepgemm as dg
        >>> dg.Ragged([[3, 1, 2], [5, 4]]).sort().to_list()
        [[1, 2, 3], [4, 5]]
        """
        return self._ordered("sort", self.max_length, descending)[0]

    def argsort(self: R, descending: bool = False) -> R:
        """Return the positions, within each segment, that would sort it, as int64.

        Examples
        --------
        >>> import deepgemm as dg
        >>> dg.Ragged([[3, 1, 2], [5, 4]]).argsort().to_list()
        [[1, 2, 0], [1, 0]]
        """
        return self._ordered("argsort", self.max_length, descending)[1]

    def topk(self: R, k: int, largest: bool = True) -> tuple[R, R]:
        """Return the k largest elements of each segment, the largest first, and their positions within it.

        Parameters
        ----------
        k : int
            Segments that have fewer rows keep them all.
        largest : bool, optional
            False asks for the k smallest elements, the smallest first.

        Returns
        -------
        values, positions : Ragged
            Of the same lengths; positions are int64.

        Examples
        --------
        >>> import deepgemm as dg
        >>> values, positions = dg.Ragged([[3, 1, 2], [5]]).topk(2)
        >>> values.to_list(), positions.to_list()
        ([[3, 2], [5]], [[0, 2], [0]])
        """
        try:
            most = operator.index(k)
        except TypeError:
            most = -1
        if most < 0:
            raise FormatError(
                f"{type(self).__name__}.topk: k is {k!r}, expected a whole number of at least 0"
            )
        return self._ordered("topk", most, largest)

    def _ordered(self: R, operation: str, most: int, descending: bool) -> tuple[R, R]:
        refuse_complex(f"{type(self).__name__}.{operation}", self.dtype)
        self._check_fresh()
        found = _places(self, most, descending)
        lengths = np.minimum(self.lengths, most)
        segments = Segments(offsets_of(lengths.astype(self.offsets.dtype)))
        rows = np.repeat(np.arange(len(self)), lengths)
        return self._trusted(values_at(self, rows, found), segments), self._trusted(found, segments)


def best_places(array: Stored, descending: bool) -> Array:
    """Return the position of the first largest (smallest) element of each segment that is not empty."""
    return _places(array, 1, descending)


def values_at(array: Stored, segments: Array, places: Array) -> Array:
    """Return the elements at positions within segments, one row of positions for each entry of `segments`."""
    rows = array.starts[segments].reshape(-1, *[1] * (places.ndim - 1)) + places
    return np.take_along_axis(array.values, rows, axis=0)


def _places(array: Stored, most: int, descending: bool) -> Array:
    most = min(most, array.max_length)
    count = int(np.minimum(array.lengths, most).sum(dtype=np.int64))
    places = np.empty((count, *array.row_shape), np.int64)
    lengths = array.lengths if array.has_gaps else None
    _core.segment_order(array.offsets, lengths, _keys(array.values), most, descending, places)
    return places


def _keys(values: Array) -> Array:
    """Return numbers of one of three dtypes that are ordered as the values are."""
    if values.dtype == np.uint64:
        return (values ^ np.uint64(1 << 63)).view(np.int64)
    if values.dtype.kind in "biu":
        return values.astype(np.int64, copy=False)
    return values.astype(accumulator(values.dtype, values.dtype), copy=False)


def refuse_complex(owner: str, dtype: np.dtype[Any]) -> None:
    """Refuse to order complex numbers."""
    if dtype.kind == "c":
        raise DTypeError(f"{owner}: values are {dtype}, which has no order")
