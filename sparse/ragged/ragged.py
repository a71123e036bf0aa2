"""The ragged type: segments of different lengths, without padding."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import numpy.typing as npt

from ...dtypes import canonical
from ...errors import DTypeError, FormatError, ShapeError
from ..validate import plain_array
from .construct import from_list, row_buffer
from .core import Stored
from .dialects import segments_from
from .indexing import Indexing
from .interop import Interop
from .operations import Operations
from .padding import Padding
from .products import Products
from .sorting import Sorting
from .text import html, text
from .ufuncs import Elementwise

if TYPE_CHECKING:
    Array = npt.NDArray[Any]

R = TypeVar("R", bound="Ragged")


class Ragged(Products, Elementwise, Indexing, Operations, Sorting, Padding, Interop, Stored):
    """Segments of different lengths, one after the other in one buffer of rows.

    An immutable value: it may share memory with what it was made from, and hands out read-only views.
    A row is a number, or an array of any shape that all rows share.

    Parameters
    ----------
    values : array_like, shape (rows, ...), or iterable of array_like
        All rows. Or, without any of the arguments that say where segments are, the segments themselves,
        which are copied into one buffer; an empty list fits every dtype and shape of rows.
    offsets : array_like of int, shape (n + 1,), optional
        Segment i begins at row `offsets[i]`; the first is 0 and the last the number of rows. This is the
        dialect of `indptr` and `cu_seqlens`.
    lengths : array_like of int, shape (n,), optional
        Rows of each segment. Alone it says where segments are; beside another dialect it allows gaps: rows
        from `offsets[i] + lengths[i]` to `offsets[i + 1]` belong to no segment.
    ends : array_like of int, shape (n,), optional
        Instead of `offsets`: one past the last row of each segment, as torch's `grouped_mm` has it.
    starts : array_like of int, shape (n,), optional
        Instead of `offsets`: the first row of each segment, as torch's `EmbeddingBag` has it (with
        ``include_last_offset=True`` that is `offsets`).
    dtype : dtype_like, optional
        Dtype of the values, any that `deepgemm.dtypes` lists; by default that of `values`.
    copy : bool, optional
        Take private copies. By default memory is shared where dtype and layout allow: contiguous and
        aligned rows in native byte order, offsets of int32 or int64. The input is never written, and may be
        read-only or memory-mapped; it must not be changed afterwards.

    Raises
    ------
    ShapeError, DTypeError, FormatError
        If the parts do not form segments; the message names the segment. They are validated once.

    Examples
    --------
    >>> import numpy as np
    >>> import deepgemm as dg
    >>> r = dg.Ragged([[1.0, 2.0], [], [3.0, 4.0, 5.0]])
    >>> r
    Ragged(segments=3, rows=5, dtype=float64, lengths=0 to 3, memory=72 B)
    >>> r.offsets
    array([0, 2, 2, 5])
    >>> (r * 10)[2]
    array([30., 40., 50.])
    >>> dg.Ragged(np.arange(6), ends=[2, 6]).to_list()
    [[0, 1], [2, 3, 4, 5]]
    >>> dg.Ragged(np.arange(6), [0, 4, 2, 6])
    Traceback (most recent call last):
    deepgemm.errors.FormatError: Ragged: segment 1 ends at 2, before its start at 4
    """

    __slots__ = ()

    def __init__(
        self,
        values: Any,
        offsets: Any = None,
        *,
        lengths: Any = None,
        ends: Any = None,
        starts: Any = None,
        dtype: npt.DTypeLike | None = None,
        copy: bool = False,
    ) -> None:
        owner = type(self).__name__
        unsaid = all(where is None for where in (offsets, lengths, ends, starts))
        if isinstance(values, Ragged):
            if not unsaid:
                raise FormatError(f"{owner}: values is a Ragged already, which has offsets of its own")
            made = values if dtype is None else values.astype(dtype)
            made._check_fresh()
            made = made.copy() if copy else made
            self._adopt(made._values, made._segments)
        elif unsaid:
            self._adopt(*from_list(owner, values, dtype))
        else:
            buffer = row_buffer(owner, values, dtype, copy)
            segments = segments_from(owner, len(buffer), offsets, lengths, ends, starts, copy)
            self._adopt(buffer, segments)

    @classmethod
    def from_lengths(cls: type[R], values: Any, lengths: Any, *, dtype: npt.DTypeLike | None = None) -> R:
        """Return segments of the given lengths that follow each other in `values`, which is shared.

        Parameters
        ----------
        values : array_like, shape (rows, ...)
            All rows.
        lengths : array_like of int, shape (n,)
            They sum to the number of rows.
        dtype : dtype_like, optional
            Dtype of the values.

        Examples
        --------
        >>> import numpy as np
        >>> import deepgemm as dg
        >>> dg.Ragged.from_lengths(np.arange(5), [2, 0, 3]).to_list()
        [[0, 1], [], [2, 3, 4]]
        """
        return cls(values, lengths=lengths, dtype=dtype)

    def __repr__(self) -> str:
        return text(self)

    def _repr_html_(self) -> str:
        return html(self)

    # The same segments with other values

    def with_values(self: R, values: Any) -> R:
        """Return an array with the same segments and other values, sharing both.

        Parameters
        ----------
        values : array_like, shape (rows, ...)
            As many rows as `values` has, those in gaps included; any dtype that can be stored.

        Examples
        --------
        >>> import deepgemm as dg
        >>> dg.Ragged([[1, 2], [3]]).with_values([0.5, 1.5, 2.5]).to_list()
        [[0.5, 1.5], [2.5]]
        """
        self._check_fresh()
        owner = f"{type(self).__name__}.with_values"
        buffer = row_buffer(owner, values, None, False)
        if len(buffer) != len(self._values):
            raise ShapeError(f"{owner}: values has {len(buffer)} rows, expected {len(self._values)}")
        return self._trusted(buffer, self._segments)

    def astype(self: R, dtype: npt.DTypeLike, casting: Any = "unsafe", copy: bool = False) -> R:
        """Return the array with its values converted, one by one; itself if nothing changes.

        Examples
        --------
        >>> import deepgemm as dg
        >>> dg.Ragged([[1.5], [2.5]]).astype(dg.bfloat16).dtype
        dtype(bfloat16)
        """
        owner = f"{type(self).__name__}.astype"
        target = canonical(dtype, f"{owner}: dtype")
        if target == self.dtype:
            return self.copy() if copy else self
        if not np.can_cast(self.dtype, target, casting):
            raise DTypeError(f"{owner}: {self.dtype} cannot become {target} under casting={casting!r}")
        self._check_fresh()
        return self._trusted(self._values.astype(target), self._segments)

    def broadcast(self: R, per_segment: Any) -> R:
        """Return one row of the argument for each row of this array: that of its segment.

        Parameters
        ----------
        per_segment : array_like, shape (segments, ...)
            One entry for each segment.

        Examples
        --------
        >>> import deepgemm as dg
        >>> r = dg.Ragged([[1, 2], [], [3]])
        >>> r.broadcast([10, 20, 30]).to_list()
        [[10, 10], [], [30]]
        """
        owner = f"{type(self).__name__}.broadcast"
        array = plain_array(owner, "per_segment", per_segment)
        if array.ndim == 0 or len(array) != len(self):
            raise ShapeError(f"{owner}: per_segment has shape {array.shape}, expected ({len(self)}, ...)")
        array = row_buffer(owner, array, None, False)
        return self._trusted(np.repeat(array, self.lengths, axis=0), self._segments.packed())

    def equals(self, other: object) -> bool:
        """Whether `other` has the same dtype and the same segments with the same values; nan equals nan.

        Gaps do not matter, nor does the width of the offsets. (`==` compares element by element.)

        Examples
        --------
        >>> import deepgemm as dg
        >>> dg.Ragged([[1], [2, 3]]).equals(dg.Ragged([[1, 2], [3]]))
        False
        """
        if not isinstance(other, Ragged) or self.dtype != other.dtype or self.row_shape != other.row_shape:
            return False
        if not self._segments.same_lengths(other._segments):
            return False
        left, right = self.packed().values, other.packed().values
        return bool(np.all((left == right) | ((left != left) & (right != right))))
