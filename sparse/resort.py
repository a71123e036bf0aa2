"""The rows or columns of a canonical array of any format, and where their entries come from."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from .convert import compress, transpose
from .validate import index_dtype

Array = npt.NDArray[Any]


def lines_of(base: Any, wanted: str) -> tuple[Array, Array, Array]:
    """Return the structure of a canonical array in another format, and where each value comes from."""
    if base.format != "bsr":
        sort, first, second, extent = sorting(base, wanted)
        return sort(first, second, extent)
    indptr, indices, places = _entries_of_blocks(base)
    if wanted == "csr":
        return indptr, indices, places
    indptr, indices, by_column = transpose(indptr, indices, base.shape[1])
    return indptr, indices, places[by_column].astype(indices.dtype, copy=False)


def sorting(base: Any, wanted: str) -> tuple[Callable[..., tuple[Array, Array, Array]], Array, Array, int]:
    """Return what sorts the entries of a canonical array into other lines, with its arguments."""
    extent = base.shape[0] if wanted == "csr" else base.shape[1]
    if base.format != "coo":
        return transpose, base.indptr, base.indices, extent
    # Canonical: by row, then column. Sorting by column is stable, so rows ascend in each column.
    major, minor = (base.row, base.col) if wanted == "csr" else (base.col, base.row)
    return compress, major, minor, extent


def _entries_of_blocks(base: Any) -> tuple[Array, Array, Array]:
    """Return the rows of a BSR array entry by entry; zeros inside its blocks are entries."""
    height, width = base.blocksize
    blocks = np.diff(base.indptr).astype(np.int64)
    lengths = np.repeat(blocks * width, height)
    indptr = np.zeros(lengths.size + 1, dtype=np.int64)
    np.cumsum(lengths, out=indptr[1:])
    band = np.repeat(np.arange(blocks.size), blocks)
    nth = np.arange(base.indices.size) - np.asarray(base.indptr, dtype=np.int64)[band]
    # Where each element of each block goes: start of its row, then past the blocks before it.
    starts = indptr[:-1].reshape(-1, height)[band]
    target = starts[:, :, None] + (nth * width)[:, None, None] + np.arange(width)
    positions = np.empty(base.data.size, dtype=np.int64)
    positions[target.ravel()] = np.arange(base.data.size)
    columns = np.empty(base.data.size, dtype=np.int64)
    columns[target.ravel()] = np.broadcast_to(
        (base.indices.astype(np.int64) * width)[:, None, None] + np.arange(width), base.data.shape
    ).ravel()
    index_type = index_dtype(base.shape[1], base.data.size)
    return indptr.astype(index_type), columns.astype(index_type), positions.astype(index_type)
