"""Indexing, slicing and re-arranging of sparse arrays, in any dtype."""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from .core import Operand
from .interop import moved, widened
from .lines import pick_lines

if TYPE_CHECKING:
    from .base import SparseArray

    Array = npt.NDArray[Any]


class Indexing(Operand):
    """Everything that moves entries and computes none; all dtypes are kept.

    Sparse results have two dimensions, always: `A[i]` is a row of shape (1, n) and `A[:, j]` a column of
    shape (m, 1), as for SciPy's matrices. Two integers give a scalar. Two index arrays of one dimension,
    or a mask of the whole matrix, pick single places and give a dense vector, as in SciPy. CSC gives
    CSC, COO gives COO, everything else CSR.

    Rows of CSR and columns of CSC are copied by threads, and indices widened where the result has 2**31
    entries or more; a slice without a step shares memory, which keeps all of the array's alive (`.copy()`
    lets go of it).
    """

    __slots__ = ()

    def __getitem__(self: Any, key: Any) -> Any:
        rows, columns = _pair(type(self).__name__, key)
        row_is_int, column_is_int = is_int(rows), is_int(columns)
        if not (row_is_int and column_is_int):
            # One integer becomes a slice of one, which keeps the dimension.
            if row_is_int:
                rows = _slice_of_one(rows, self.shape[0], "row")
            if column_is_int:
                columns = _slice_of_one(columns, self.shape[1], "column")
        source = self.tocsr() if self.format in ("coo", "bsr") else self
        result = pick_lines(source, rows, columns)
        if result is None:
            index = rows if columns is None else (rows, columns)
            result = moved(source, lambda matrix: matrix[index])
        if self.format == "coo" and isinstance(result, Operand):
            return result.tocoo()  # type: ignore[attr-defined]
        return result

    def diagonal(self: Any, k: int = 0) -> Array:
        """Return the k-th diagonal as a dense vector.

        Examples
        --------
        >>> import deepgemm as dg
        >>> dg.CSR([[1, 2], [0, 3]]).diagonal()
        array([1, 3])
        """
        result: Array = moved(self, lambda matrix: matrix.diagonal(k))
        return result

    def reshape(self: Any, *shape: Any, order: str = "C") -> SparseArray:
        """Return the same entries in another shape of two dimensions, as COO."""
        new = shape[0] if len(shape) == 1 else shape
        result: SparseArray = moved(self, lambda matrix: matrix.reshape(new, order=order))
        return result


def _pair(owner: str, key: Any) -> tuple[Any, Any]:
    """Split a key into one for rows and one for columns; None for columns if the key is for both."""
    if not isinstance(key, tuple):
        key = (key,)
    if any(part is None for part in key):
        raise IndexError(f"{owner} has two dimensions and cannot get another by np.newaxis")
    if len(key) > 2 and not any(part is Ellipsis for part in key):
        raise IndexError(f"{owner} takes one or two indices, got {len(key)}")
    if any(part is Ellipsis for part in key):
        at = next(position for position, part in enumerate(key) if part is Ellipsis)
        filler = (slice(None),) * (3 - len(key))
        key = key[:at] + filler + key[at + 1 :]
        if len(key) != 2:
            raise IndexError(f"{owner} takes one or two indices, got {len(key)}")
    if len(key) == 1:
        only = _index(owner, key[0])
        if getattr(only, "ndim", 1) == 2 and only.dtype == np.bool_:
            return only, None
        return only, slice(None)
    return _index(owner, key[0]), _index(owner, key[1])


def _index(owner: str, part: Any) -> Any:
    if isinstance(part, Operand):
        if part.dtype != np.bool_:
            raise IndexError(f"{owner}: a sparse index must be a mask of bool, got {part.dtype}")
        return widened(part)  # type: ignore[arg-type]
    if isinstance(part, slice) or is_int(part) or hasattr(part, "tocsr"):
        return part
    array = np.asarray(part)
    if array.size == 0 and not isinstance(part, np.ndarray):
        array = array.astype(np.intp)
    if array.dtype.kind not in "iub":
        raise IndexError(f"{owner}: indices must be integers, slices or masks, got {part!r:.80}")
    return array


def is_int(value: Any) -> bool:
    """Whether a key is one integer, of any type but bool."""
    if isinstance(value, bool | np.bool_ | np.ndarray):
        return False
    try:
        operator.index(value)
    except TypeError:
        return False
    return True


def _slice_of_one(index: Any, extent: int, kind: str) -> slice:
    at = operator.index(index)
    if not -extent <= at < extent:
        raise IndexError(f"{kind} {at} is out of range for {extent} {kind}s")
    at %= extent
    return slice(at, at + 1)
