"""What a ragged array is made of: a buffer of rows, read-only, and the segments in it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, NoReturn, TypeVar

import numpy as np
import numpy.typing as npt

from ... import _core
from ..shared import Shared, picklable
from ..validate import frozen
from .segments import Segments

if TYPE_CHECKING:
    from .ragged import Ragged

    Array = npt.NDArray[Any]

Self = TypeVar("Self", bound="Stored")


class Stored(Shared):
    """Storage and identity of a ragged array; what it can do is mixed in by `Ragged`.

    Private to the package: `_values` is the whole buffer, `_segments` the structure.
    """

    __slots__ = ("__weakref__", "_fingerprint", "_segments", "_values")

    __array_priority__: ClassVar[float] = 20.0
    __hash__: ClassVar[None]  # type: ignore[assignment]  # `==` is element-wise

    _values: Array
    _segments: Segments

    if TYPE_CHECKING:

        def __init__(self, values: Any, offsets: Any = None, *, lengths: Any = None) -> None:
            """Take what `Ragged` takes, which validates it."""

    def _adopt(self, values: Array, segments: Segments) -> None:
        """Take validated, read-only parts as this array's own."""
        self._values = values
        self._segments = segments
        self._fingerprint: int = self._take_fingerprint()

    @classmethod
    def _trusted(cls: type[Self], values: Array, segments: Segments) -> Self:
        """Make an array of parts that are valid by construction."""
        array = cls.__new__(cls)
        array._adopt(frozen(values), segments)
        return array

    def packed(self: Self) -> Self:
        """Return the array without gaps: itself if there are none, else a copy of the rows in use.

        Examples
        --------
        >>> import numpy as np
        >>> import deepgemm as dg
        >>> dg.Ragged(np.arange(6), [0, 3, 6], lengths=[1, 2]).packed().values
        array([0, 3, 4])
        """
        self._check_fresh()
        if not self.has_gaps:
            return self
        return self._trusted(self._values[self._segments.rows()], self._segments.packed())

    def _take_fingerprint(self) -> int:
        values = self._values
        flat = values if values.ndim == 1 else values.reshape(-1)
        return _core.fingerprint(flat, *self._segments.parts)

    # What it is

    @property
    def values(self) -> Array:
        """The rows of all segments, one after the other, read-only; rows in gaps are among them."""
        return self._values

    @property
    def offsets(self) -> Array:
        """Where each segment begins in `values`, n + 1 entries from 0 on, int32 or int64; read-only.

        Without gaps this is what others call `indptr` or `cu_seqlens`.
        """
        return self._segments.offsets

    @property
    def lengths(self) -> Array:
        """Rows of each segment; read-only."""
        return self._segments.lengths

    @property
    def starts(self) -> Array:
        """First row of each segment: the offsets of an `EmbeddingBag`; read-only."""
        return self._segments.starts

    @property
    def ends(self) -> Array:
        """One past the last row of each segment: the `offs` of a `grouped_mm`; read-only."""
        return self._segments.ends

    @property
    def has_gaps(self) -> bool:
        """Whether rows of `values` belong to no segment."""
        return self._segments.has_gaps

    @property
    def max_length(self) -> int:
        """Rows of the longest segment; 0 if there is none."""
        return self._segments.longest

    @property
    def total(self) -> int:
        """Rows of all segments together; rows in gaps are not counted."""
        return self._segments.total

    @property
    def row_shape(self) -> tuple[int, ...]:
        """Shape of a row: the axes of `values` after the first."""
        return self._values.shape[1:]

    @property
    def shape(self) -> tuple[int | None, ...]:
        """Number of segments, None for the axis whose length varies, then the shape of a row."""
        return (len(self._segments), None, *self.row_shape)

    @property
    def ndim(self) -> int:
        """Number of axes, those of segments and rows included."""
        return self._values.ndim + 1

    @property
    def dtype(self) -> np.dtype[Any]:
        """Dtype of the values."""
        return self._values.dtype

    @property
    def size(self) -> int:
        """Number of elements of all segments together."""
        return self.total * (self._values.size // len(self._values) if len(self._values) else 0)

    @property
    def nbytes(self) -> int:
        """Memory of the parts, shared or not, in bytes."""
        return self._values.nbytes + sum(part.nbytes for part in self._segments.parts)

    def __len__(self) -> int:
        return len(self._segments)

    def __setitem__(self, key: object, value: object) -> NoReturn:
        raise TypeError(f"{type(self).__name__} is immutable; with_values() gives it other values")

    def __array__(self, dtype: object = None, copy: object = None) -> NoReturn:
        raise TypeError(
            f"{type(self).__name__} is never padded silently; use .to_padded(), .values or .to_list()"
        )

    # Copies

    def copy(self: Self) -> Self:
        """Return the same array with private memory."""
        self._check_fresh()
        parts = [part.copy() for part in self._segments.parts]
        return self._trusted(self._values.copy(), Segments(*parts))

    def __reduce__(self) -> tuple[Any, ...]:
        self._check_fresh()
        return _restore, (type(self), self.dtype, picklable(self._values), *self._segments.parts)


def _restore(cls: type[Ragged], dtype: np.dtype[Any], values: Array, *parts: Array) -> Ragged:
    """Rebuild a pickled array, validating what came over the wire."""
    offsets, *lengths = parts
    return cls(values.view(dtype), offsets, lengths=lengths[0] if lengths else None)
