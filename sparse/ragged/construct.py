"""Brings what callers hand over as rows into one buffer: an array as it is, a list of arrays end to end."""

from __future__ import annotations

from collections.abc import Iterable
from functools import reduce
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ...dtypes import canonical
from ...errors import DTypeError, FormatError, ShapeError
from ..concat import common_dtype
from ..validate import frozen, plain_array, shared_or_converted
from .segments import Segments, offsets_of

if TYPE_CHECKING:
    Array = npt.NDArray[Any]


def row_buffer(owner: str, values: Any, dtype: npt.DTypeLike | None, copy: bool) -> Array:
    """Return rows as a contiguous, aligned, read-only array of a storable dtype, shared where possible."""
    array = plain_array(owner, "values", values)
    if array.ndim == 0:
        raise ShapeError(f"{owner}: values is a scalar, expected an array of rows")
    source = canonical(array.dtype, f"{owner}: values")
    target = source if dtype is None else canonical(dtype, f"{owner}: dtype")
    return frozen(shared_or_converted(array, target, copy))


def from_list(owner: str, arrays: Any, dtype: npt.DTypeLike | None) -> tuple[Array, Segments]:
    """Return the rows of several arrays end to end, and where each of them is.

    Raises
    ------
    ShapeError
        If an element is a scalar, or its rows have another shape than those before.
    DTypeError
        If a dtype cannot be stored.
    """
    if isinstance(arrays, str | bytes) or not isinstance(arrays, Iterable):
        raise FormatError(f"{owner}: got {arrays!r:.80}, expected values and offsets, or a list of arrays")
    parts = [_segment(owner, number, part) for number, part in enumerate(arrays)]
    shaped = [number for number, part in enumerate(parts) if part is not None]
    kept = [part for part in parts if part is not None]
    for number, part in zip(shaped, kept, strict=True):
        if part.shape[1:] != kept[0].shape[1:]:
            raise ShapeError(
                f"{owner}: segment {number} has rows of shape {part.shape[1:]}, "
                f"but segment {shaped[0]} has {kept[0].shape[1:]}"
            )
    lengths = np.array([0 if part is None else len(part) for part in parts], np.int64)
    if dtype is not None:
        target = canonical(dtype, f"{owner}: dtype")
    else:
        target = (
            reduce(common_dtype, (canonical(part.dtype) for part in kept)) if kept else np.dtype(np.float64)
        )
    row_shape = kept[0].shape[1:] if kept else ()
    values = np.empty((int(lengths.sum()), *row_shape), target)
    at = 0
    for part in kept:
        values[at : at + len(part)] = part
        at += len(part)
    return frozen(values), Segments(offsets_of(lengths))


def _segment(owner: str, number: int, part: Any) -> Array | None:
    """Return one segment as an array, or None for an empty list, which fits every dtype and shape of rows."""
    if isinstance(part, str | bytes):
        raise DTypeError(f"{owner}: segment {number} is {part!r:.40}, expected an array of numbers")
    if isinstance(part, list | tuple) and not part:
        return None
    array = plain_array(owner, f"segment {number}", part)
    if array.ndim == 0:
        raise ShapeError(
            f"{owner}: segment {number} is a scalar, expected an array; offsets= divides one array"
        )
    canonical(array.dtype, f"{owner}: segment {number}")
    return array
