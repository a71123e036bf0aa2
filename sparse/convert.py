"""Turns the parts of one format into those of another: arrays in, new arrays out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from .. import _core
from ..dtypes import accumulator
from ..errors import FormatError
from .validate import index_dtype

Array = npt.NDArray[Any]


def transpose(
    indptr: Array, indices: Array, n_minor: int, values: Array | None = None
) -> tuple[Array, Array, Array]:
    """Exchange the roles of rows and columns of a compressed structure.

    Parameters
    ----------
    indptr, indices : numpy.ndarray
        The structure.
    n_minor : int
        How many columns it has, if its lines are rows.
    values : numpy.ndarray, optional
        The entries, to be moved along.

    Returns
    -------
    indptr, indices : numpy.ndarray
        The transposed structure; entries of a row keep their order of storage.
    moved : numpy.ndarray
        The transposed values; without values where each entry came from, so that `data[moved]` are they.

    Notes
    -----
    O(rows + columns + entries), on all threads. Indices are widened where the new ones would not fit.
    """
    dtype = index_dtype(len(indptr) - 1, len(indices))
    if indices.dtype.itemsize < dtype.itemsize:
        indptr, indices = indptr.astype(dtype), indices.astype(dtype)
    return _core.transpose(indptr, indices, n_minor, values)


def compress(
    major: Array, minor: Array, n_major: int, values: Array | None = None
) -> tuple[Array, Array, Array]:
    """Sort coordinates into rows, keeping the order of storage within each row.

    Returns
    -------
    indptr, indices, moved : numpy.ndarray
        As for `transpose`.
    """
    dtype = index_dtype(len(major))
    if major.dtype.itemsize < dtype.itemsize:
        major, minor = major.astype(dtype), minor.astype(dtype)
    return _core.compress(major, minor, n_major, values)


def expand(indptr: Array, dtype: np.dtype[Any] | None = None) -> Array:
    """Return the row of each entry of a compressed structure."""
    return np.repeat(np.arange(len(indptr) - 1, dtype=dtype or indptr.dtype), np.diff(indptr))


def dense_to_csr(dense: Array) -> tuple[Array, Array, Array]:
    """Return data, indices and indptr of the entries that are not exactly zero; nan is kept."""
    rows, columns = np.nonzero(dense)
    dtype = index_dtype(dense.shape[1], len(rows))
    indptr = np.zeros(dense.shape[0] + 1, dtype)
    np.cumsum(np.bincount(rows, minlength=dense.shape[0]), out=indptr[1:])
    return dense[rows, columns], columns.astype(dtype), indptr


@dataclass(frozen=True)
class Merge:
    """How entries are sorted and duplicates summed, so that new values can be treated alike.

    Attributes
    ----------
    order : numpy.ndarray or None
        Positions of the entries in sorted order, stable; None if they are sorted already.
    first : numpy.ndarray or None
        For each sorted entry, whether it starts a new place; None without duplicates.
    """

    order: Array | None
    first: Array | None

    def apply(self, owner: str, data: Array) -> Array:
        """Return the merged values.

        Duplicates are added one by one in storage order, in the accumulator dtype, and rounded once
        to the dtype of `data`.

        Raises
        ------
        FormatError
            If a sum of 8-bit integers does not fit their dtype. (Wider ones wrap, as in SciPy.)
        """
        if self.order is not None:
            data = data[self.order]
        if self.first is None:
            return data
        wide = accumulator(data.dtype, data.dtype)
        sums = data[self.first].astype(wide)
        again = ~self.first
        places = np.cumsum(self.first)[again] - 1
        # add.at is unbuffered: one addition after the other. reduceat would sum in pairs.
        with np.errstate(all="ignore"):  # inf - inf is nan, as in every product; SciPy is silent too
            np.add.at(sums, places, data[again].astype(wide))
        if data.dtype.kind in "iu" and data.dtype.itemsize == 1:
            _refuse_overflow(owner, sums, data.dtype)
        return sums.astype(data.dtype, copy=False)


def _refuse_overflow(owner: str, sums: Array, dtype: np.dtype[Any]) -> None:
    limits = np.iinfo(dtype)
    wrong = (sums < limits.min) | (sums > limits.max)
    if wrong.any():
        raise FormatError(
            f"{owner}: duplicate entries sum to {sums[wrong.argmax()]}, which {dtype} cannot hold; "
            "use astype(np.int32) first"
        )


def sort_compressed(
    indptr: Array, indices: Array, n_minor: int, is_sorted: bool
) -> tuple[Array, Array, Merge]:
    """Sort the entries of each row and merge duplicates.

    Returns
    -------
    indptr, indices : numpy.ndarray
        The canonical structure.
    merge : Merge
        Applied to the values, gives those of the canonical structure.

    Notes
    -----
    Transposing twice sorts all rows at once, stably, in linear time.
    """
    order = None
    if not is_sorted:
        once = transpose(indptr, indices, n_minor)
        indptr, indices, back = transpose(once[0], once[1], len(indptr) - 1)
        order = once[2][back]
    first = np.empty(len(indices), dtype=np.bool_)
    np.not_equal(indices[1:], indices[:-1], out=first[1:])
    first[indptr[:-1][np.diff(indptr) > 0]] = True
    if first.all():
        return indptr, indices, Merge(order, None)
    kept = np.zeros(len(first) + 1, dtype=indptr.dtype)
    np.cumsum(first, out=kept[1:])
    return kept[indptr], indices[first], Merge(order, first)


def sort_coordinates(row: Array, col: Array) -> tuple[Array, Array, Merge]:
    """Sort coordinates by row, then column, and merge duplicates; see `sort_compressed`."""
    order = np.lexsort((col, row))
    row, col = row[order], col[order]
    first = np.ones(len(row), dtype=np.bool_)
    first[1:] = (row[1:] != row[:-1]) | (col[1:] != col[:-1])
    if first.all():
        return row, col, Merge(order, None)
    return row[first], col[first], Merge(order, first)
