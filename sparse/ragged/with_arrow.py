"""List arrays of Apache Arrow, the only place here that imports pyarrow."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ...errors import DTypeError, FormatError, UnsupportedError

if TYPE_CHECKING:
    Array = npt.NDArray[Any]


def parts_of(owner: str, array: Any) -> tuple[Array, Array]:
    """Return the values and offsets of a list array."""
    pa = _pyarrow(owner)
    if isinstance(array, pa.ChunkedArray):
        array = array.combine_chunks()
    if not isinstance(array, pa.ListArray | pa.LargeListArray):
        kind = getattr(array, "type", type(array).__name__)
        raise FormatError(f"{owner}: got {kind}, expected a list or large_list array")
    _refuse_nulls(owner, "segment", array)
    offsets = array.offsets.to_numpy()
    first, last = (int(offsets[0]), int(offsets[-1])) if len(offsets) else (0, 0)
    rows, row_shape = array.values[first:last], []
    while isinstance(rows, pa.FixedSizeListArray):
        _refuse_nulls(owner, "row", rows)
        row_shape.append(rows.type.list_size)
        rows = rows.flatten()
    _refuse_nulls(owner, "value", rows)
    if not (pa.types.is_primitive(rows.type) or pa.types.is_null(rows.type)) or pa.types.is_temporal(
        rows.type
    ):
        raise DTypeError(f"{owner}: values have type {rows.type}, expected numbers")
    if pa.types.is_null(rows.type):  # of an empty array without a type
        rows = rows.cast(pa.float64())
    values = rows.to_numpy(zero_copy_only=False)
    return values.reshape(last - first, *row_shape), offsets - offsets.dtype.type(first)


def lists(owner: str, values: Array, offsets: Array) -> Any:
    """Return a list array over the given memory."""
    pa = _pyarrow(owner)
    try:
        rows = pa.array(values.reshape(-1))
    except (pa.ArrowException, TypeError):
        raise DTypeError(f"{owner}: values have dtype {values.dtype}, which Arrow lacks") from None
    for size in reversed(values.shape[1:]):
        if size == 0:
            raise UnsupportedError(
                f"{owner}: rows of shape {values.shape[1:]} hold nothing that Arrow could list"
            )
        rows = pa.FixedSizeListArray.from_arrays(rows, size)
    kind = pa.ListArray if offsets.dtype == np.int32 else pa.LargeListArray
    return kind.from_arrays(pa.array(offsets), rows)


def _refuse_nulls(owner: str, what: str, array: Any) -> None:
    if array.null_count:
        at = int(array.is_null().to_numpy(zero_copy_only=False).argmax())
        raise FormatError(f"{owner}: {what} {at} is null; fill or drop nulls first")


def _pyarrow(owner: str) -> Any:
    try:
        return importlib.import_module("pyarrow")
    except ImportError:
        raise UnsupportedError(f"{owner} needs pyarrow, which is not installed") from None
