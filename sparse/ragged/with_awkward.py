"""Lists of awkward-array, the only place here that imports it."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ...errors import DTypeError, FormatError, UnsupportedError

if TYPE_CHECKING:
    Array = npt.NDArray[Any]


def parts_of(owner: str, array: Any) -> tuple[Array, Array]:
    """Return the values and offsets of an array of lists."""
    ak = _awkward(owner)
    layout = ak.to_layout(array)
    if not (layout.is_list and not layout.is_regular):
        raise FormatError(f"{owner}: got an array of type {ak.type(array)}, expected lists of varying length")
    lists = layout.to_ListOffsetArray64(True)  # offsets from 0 on; without a copy where they are so already
    offsets = np.asarray(lists.offsets.data)
    try:
        values = ak.to_numpy(lists.content[: int(offsets[-1])], allow_missing=False)
    except ValueError as error:
        raise FormatError(f"{owner}: the lists hold no numbers in rows of one shape: {error}") from None
    return values, offsets


def lists(owner: str, values: Array, starts: Array, ends: Array) -> Any:
    """Return an array of lists over the given memory."""
    ak = _awkward(owner)
    if values.dtype.kind not in "biufc":
        raise DTypeError(f"{owner}: values have dtype {values.dtype}, which awkward lacks")
    index = ak.index.Index32 if starts.dtype == np.int32 else ak.index.Index64
    return ak.Array(ak.contents.ListArray(index(starts), index(ends), ak.contents.NumpyArray(values)))


def _awkward(owner: str) -> Any:
    try:
        return importlib.import_module("awkward")
    except ImportError:
        raise UnsupportedError(f"{owner} needs awkward, which is not installed") from None
