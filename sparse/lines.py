"""Moves whole lines through the core, with threads: rows of CSR, columns of CSC."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import _core
from .validate import frozen


def pick_lines(array: Any, rows: Any, columns: Any) -> Any:
    """Return the lines of a CSR or CSC array that a key picks, or None for a key that asks for anything else.

    Parameters
    ----------
    array : CSR or CSC
        Where to pick from.
    rows, columns : slice, numpy.ndarray or None
        The parts of the key: slices, integers (negative ones count from the end) or masks.

    Raises
    ------
    IndexError
        If a line is out of range, or a mask has another length.

    Notes
    -----
    O(lines + entries) of the result. A slice without a step shares the memory of the entries.
    """
    picked, other = (rows, columns) if array.format == "csr" else (columns, rows)
    if columns is None or not (isinstance(other, slice) and other == slice(None)):
        return None
    array._check_fresh()
    source, extent = array.canonical(), array.shape[array._major]
    if isinstance(picked, slice):
        start, stop, step = picked.indices(extent)
        if step == 1:
            return _run(source, start, max(start, stop))
        picked = np.arange(start, stop, step)
    elif not isinstance(picked, np.ndarray) or picked.ndim != 1:
        return None
    what = f"{type(array).__name__}: {array._kinds[0][:-1]}"  # "CSR: row"
    picks = _line_numbers(what, picked, extent)
    parts = _core.gather_rows(what, source.indptr, source.indices, source.data, picks)
    return _made(array, len(picks), parts)


def join_lines(arrays: Sequence[Any]) -> Any:
    """Return the lines of canonical CSR (or CSC) arrays of one dtype and width, one array after the other."""
    for array in arrays:
        array._check_fresh()
    parts = _core.stack_rows([array._arrays for array in arrays])
    along = arrays[0]._major
    return _made(arrays[0], sum(array.shape[along] for array in arrays), parts)


def _line_numbers(what: str, picked: Any, extent: int) -> Any:
    """Return masks and integers of any dtype as int64, which the core checks."""
    if picked.dtype == np.bool_:
        if len(picked) != extent:
            raise IndexError(f"{what}s: the mask has {len(picked)} entries, expected {extent}")
        return np.flatnonzero(picked)
    if picked.dtype == np.uint64 and picked.size and picked.max() > np.iinfo(np.int64).max:
        raise IndexError(f"{what} {picked.max()} is out of range for {extent}")
    return np.ascontiguousarray(picked, dtype=np.int64)


def _run(array: Any, start: int, stop: int) -> Any:
    """Return lines next to each other, sharing the memory of their entries."""
    if stop - start == array.shape[array._major]:
        return array
    indptr = array.indptr[start : stop + 1]
    first, last = int(indptr[0]), int(indptr[-1])
    if first:
        indptr = indptr - first
    return _made(array, stop - start, (array.data[first:last], array.indices[first:last], indptr))


def _made(array: Any, lines: int, parts: tuple[Any, ...]) -> Any:
    """Make an array like another one, but for the number of its lines, of parts that are valid."""
    shape = (lines, array.shape[1]) if array._major == 0 else (array.shape[0], lines)
    return type(array)._made(shape, tuple(map(frozen, parts)))
