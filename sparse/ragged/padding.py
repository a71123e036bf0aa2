"""Between ragged arrays and padded batches, and what the padding would cost."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from ...errors import DTypeError, ShapeError
from ..core import in_units
from ..validate import index_array
from .construct import row_buffer
from .core import Stored
from .segments import Segments, check_not_negative, spans

if TYPE_CHECKING:
    Array = npt.NDArray[Any]

R = TypeVar("R", bound="Padding")


class PaddingWaste(NamedTuple):
    """What a padded batch would cost, against the rows in use.

    Attributes
    ----------
    rows, padded_rows : int
        Rows in use, and rows of the padded batch: what work in proportion to the rows grows to.
    pairs, padded_pairs : int
        Pairs of rows of one segment, in use and padded: what attention grows to.
    extra_bytes : int
        Memory that the padded batch takes beyond the rows in use.
    """

    rows: int
    padded_rows: int
    pairs: int
    padded_pairs: int
    extra_bytes: int

    @property
    def waste(self) -> float:
        """Share of the padded rows that is padding; 0 if there are none."""
        return 1 - self.rows / self.padded_rows if self.padded_rows else 0.0

    @property
    def pair_waste(self) -> float:
        """Share of the padded pairs that is padding; 0 if there are none."""
        return 1 - self.pairs / self.padded_pairs if self.padded_pairs else 0.0

    def __str__(self) -> str:
        return (
            f"{self.padded_rows:,} rows for {self.rows:,} ({self.waste:.0%} padding), "
            f"{self.padded_pairs:,} pairs for {self.pairs:,} ({self.pair_waste:.0%}), "
            f"{in_units(self.extra_bytes)} more memory"
        )


class Padding(Stored):
    """Conversion from and to arrays in which every segment takes as many rows as the longest."""

    __slots__ = ()

    @classmethod
    def from_padded(cls: type[R], x: Any, lengths: Any) -> R:
        """Return the rows in use of a padded batch, sharing its memory: the padding becomes gaps.

        Parameters
        ----------
        x : array_like, shape (segments, places, ...)
            The batch; segment i is `x[i, :lengths[i]]`.
        lengths : array_like of int, shape (segments,)
            Rows in use.

        Examples
        --------
        >>> import numpy as np
        >>> import deepgemm as dg
        >>> dg.Ragged.from_padded(np.array([[1, 2, 0], [3, 0, 0]]), [2, 1]).to_list()
        [[1, 2], [3]]
        """
        owner = f"{cls.__name__}.from_padded"
        batch = row_buffer(owner, x, None, False)
        if batch.ndim < 2:
            raise ShapeError(f"{owner}: x has 1 dimension, expected at least 2")
        n, places = batch.shape[:2]
        counts = index_array(owner, "lengths", lengths, False)
        if len(counts) != n:
            raise ShapeError(f"{owner}: lengths has {len(counts)} entries, but x has {n} segments")
        check_not_negative(owner, counts)
        if (counts > places).any():
            at = int((counts > places).argmax())
            raise ShapeError(f"{owner}: segment {at} has length {counts[at]}, but x has {places} places")
        offsets = np.arange(n + 1, dtype=np.int64) * places
        values = batch.reshape(n * places, *batch.shape[2:])
        return cls._trusted(values, Segments(offsets, counts.astype(np.int64)))

    def to_padded(self, fill: Any = 0, length: int | None = None) -> Array:
        """Return a padded batch, of shape (segments, places, ...).

        Parameters
        ----------
        fill : scalar, optional
            What stands after the end of a segment.
        length : int, optional
            Places; by default as many as the longest segment has rows. (`r[:, :n]` cuts longer ones.)

        Raises
        ------
        ShapeError
            If a segment is longer than `length`.
        DTypeError
            If `fill` is no value of the dtype.

        Examples
        --------
        >>> import deepgemm as dg
        >>> dg.Ragged([[1, 2], [3]]).to_padded(fill=-1)
        array([[ 1,  2],
               [ 3, -1]])
        """
        self._check_fresh()
        owner = f"{type(self).__name__}.to_padded"
        places = self._places(owner, length)
        out = np.empty((len(self) * places, *self.row_shape), self.dtype)
        out[...] = scalar_of(owner, "fill", fill, self.dtype)
        begins = np.arange(len(self), dtype=np.int64) * places
        out[spans(begins, self.lengths)] = (
            self._values[self._segments.rows()] if self.has_gaps else self._values
        )
        return out.reshape(len(self), places, *self.row_shape)

    def mask(self, length: int | None = None) -> Array:
        """Return which places of `to_padded(length=length)` hold a row: bool, of shape (segments, places).

        Examples
        --------
        >>> import deepgemm as dg
        >>> dg.Ragged([[1, 2], [3]]).mask()
        array([[ True,  True],
               [ True, False]])
        """
        places = self._places(f"{type(self).__name__}.mask", length)
        result: Array = np.arange(places) < self.lengths[:, None]
        return result

    def padding_waste(self) -> PaddingWaste:
        """Return what a padded batch would cost, in rows, in pairs of rows (attention) and in bytes.

        Examples
        --------
        >>> import deepgemm as dg
        >>> waste = dg.Ragged([[1.0] * 2, [1.0] * 8]).padding_waste()
        >>> print(waste)
        16 rows for 10 (38% padding), 128 pairs for 68 (47%), 48 B more memory
        """
        n, longest, rows = len(self), self.max_length, self.total
        row_bytes = self._values[:0].dtype.itemsize * math.prod(self.row_shape)
        lengths = self.lengths.astype(np.float64)  # pairs can exceed int64 only where nothing could be stored
        return PaddingWaste(
            rows, n * longest, int(lengths @ lengths), n * longest**2, (n * longest - rows) * row_bytes
        )

    def _places(self, owner: str, length: int | None) -> int:
        if length is None:
            return self.max_length
        if length < self.max_length:
            at = int((self.lengths > length).argmax())
            raise ShapeError(
                f"{owner}: segment {at} has length {self.lengths[at]}, more than length={length}"
            )
        return int(length)


def scalar_of(owner: str, argument: str, given: Any, dtype: np.dtype[Any]) -> Array:
    """Return a scalar in another dtype, refusing one that it would change."""
    try:
        value = np.asarray(given)
        with np.errstate(all="ignore"):
            converted = value.astype(dtype)
            same = value.ndim == 0 and (dtype.kind not in "biu" or bool(converted == value))
    except (TypeError, ValueError, OverflowError):
        same = False
    if not same:
        raise DTypeError(f"{owner}: {argument} is {given!r}, expected a scalar that {dtype} can hold")
    return converted
