"""Puts ragged arrays together: segments after segments, or segment by segment."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ...dtypes import canonical
from ...errors import FormatError, ShapeError
from ..concat import common_dtype
from .core import Stored
from .segments import Segments, offsets_of, spans

if TYPE_CHECKING:
    from .ragged import Ragged

    Array = npt.NDArray[Any]


def concatenate(arrays: Sequence[Ragged], axis: int = 0, dtype: npt.DTypeLike | None = None) -> Ragged:
    """Return several ragged arrays as one; `numpy.concatenate` does the same.

    Parameters
    ----------
    arrays : sequence of Ragged
        At least one, all with rows of one shape.
    axis : {0, 1}
        0 puts the segments of each array after those of the one before. 1 joins segment i of all arrays
        into segment i of the result, so they must have as many segments.
    dtype : dtype_like, optional
        Dtype of the result; by default the one that holds all of theirs.

    Raises
    ------
    ShapeError, FormatError
        If they do not fit together.

    Examples
    --------
    >>> import numpy as np
    >>> import deepgemm as dg
    >>> a, b = dg.Ragged([[1], [2, 3]]), dg.Ragged([[4, 5], []])
    >>> np.concatenate([a, b]).to_list()
    [[1], [2, 3], [4, 5], []]
    >>> np.concatenate([a, b], axis=1).to_list()
    [[1, 4, 5], [2, 3]]
    """
    parts = _checked(arrays, axis)
    target = canonical(dtype) if dtype is not None else reduce(common_dtype, (part.dtype for part in parts))
    rows = [part.packed().values.astype(target, copy=False) for part in parts]
    values = rows[0].copy() if len(rows) == 1 else np.concatenate(rows)
    if axis == 0:
        lengths = np.concatenate([part.lengths for part in parts])
        return parts[0]._trusted(values, Segments(offsets_of(lengths)))
    # The pieces of one segment, array after array: piece (i, j) is segment i of array j.
    table = np.stack([part.lengths.astype(np.int64) for part in parts], axis=1)
    starts = np.stack([offsets_of(column)[:-1] for column in table.T], axis=1)
    starts = starts + offsets_of(table.sum(axis=0))[:-1]
    values = values[spans(starts.reshape(-1), table.reshape(-1))]
    return parts[0]._trusted(values, Segments(offsets_of(table.sum(axis=1))))


def _checked(arrays: Any, axis: int) -> list[Ragged]:
    parts: list[Ragged] = [] if isinstance(arrays, Stored) else list(arrays)
    if not parts:
        raise FormatError(f"concatenate: expected a list of Ragged, got {arrays!r:.60}")
    if axis not in (0, 1):
        raise FormatError(f"concatenate: axis is {axis!r}, expected 0 or 1")
    first = parts[0]
    for number, part in enumerate(parts):
        if not isinstance(part, Stored):
            raise FormatError(f"concatenate: array {number} is a {type(part).__name__}, expected a Ragged")
        part._check_fresh()
        if part.row_shape != first.row_shape:
            raise ShapeError(
                f"concatenate: array {number} has rows of shape {part.row_shape}, array 0 {first.row_shape}"
            )
        if axis == 1 and len(part) != len(first):
            raise ShapeError(
                f"concatenate: array {number} has {len(part)} segments, array 0 has {len(first)}"
            )
    return parts
