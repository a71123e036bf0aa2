"""Numbers that belong to rows or columns, for the entries of a compressed array."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from .convert import expand

Array = npt.NDArray[Any]


def lines_of_entries(array: Any, axis: int) -> Array:
    """Return the row (axis=0) or column (axis=1) of each entry, broadcastable against the data.

    Parameters
    ----------
    array : CSR, CSC, BSR or QuantizedSparse
        Whose entries.
    axis : int
        0 or 1.

    Examples
    --------
    >>> import deepgemm as dg
    >>> lines_of_entries(dg.CSR([[1, 0, 2], [0, 3, 0]]), 1).tolist()
    [0, 2, 1]
    """
    along_indptr = axis == (1 if array.format == "csc" else 0)
    lines = expand(array.indptr) if along_indptr else array.indices
    if array.format != "bsr":
        return lines
    extent = array.blocksize[axis]
    inside = np.arange(extent)
    offsets = inside[:, None] if axis == 0 else inside
    places: Array = lines.astype(np.int64)[:, None, None] * extent + offsets
    return places


def of_entries(numbers: Array, array: Any) -> Array:
    """Return the numbers of the entries' lines, of a matrix with one for all, each row or each column.

    Examples
    --------
    >>> import deepgemm as dg
    >>> of_entries(np.array([[10], [20]]), dg.CSR([[1, 0, 2], [0, 3, 0]])).tolist()
    [10, 10, 20]
    """
    if numbers.size == 1:
        return numbers.reshape(())
    return numbers.ravel()[lines_of_entries(array, 0 if numbers.shape[0] > 1 else 1)]
