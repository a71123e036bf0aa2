"""Extremes, traces and counts of sparse arrays, delegated to SciPy over shared memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from .core import Operand
from .interop import call, widened, wrap

if TYPE_CHECKING:
    Array = npt.NDArray[Any]


class Extremes(Operand):
    """What SciPy finds in a matrix.

    Largest and smallest values of an axis are sparse, and keep both dimensions here. Entries of dtypes that
    SciPy lacks (float16, bfloat16, float8) are widened to float32, and so is the result.
    """

    __slots__ = ()

    def max(self: Any, axis: Any = None, out: None = None) -> Any:
        """Return the largest value, empty places being 0; for an axis, a COO of one row or column."""
        return _extreme(self, "max", axis)

    def min(self: Any, axis: Any = None, out: None = None) -> Any:
        """Return the smallest value, empty places being 0; for an axis, a COO of one row or column."""
        return _extreme(self, "min", axis)

    def argmax(self: Any, axis: Any = None) -> Any:
        """Return where the largest value is: in the flattened matrix, or a vector for an axis."""
        return _places(_extreme(self, "argmax", axis))

    def argmin(self: Any, axis: Any = None) -> Any:
        """Return where the smallest value is: in the flattened matrix, or a vector for an axis."""
        return _places(_extreme(self, "argmin", axis))

    def trace(self: Any, offset: int = 0) -> Any:
        """Return the sum along a diagonal."""
        return call(self, "trace", offset)

    def nonzero(self: Any) -> tuple[Array, Array]:
        """Return rows and columns of the entries that are not zero."""
        rows, columns = call(self, "nonzero")
        return rows, columns

    def count_nonzero(self: Any, axis: Any = None) -> Any:
        """Return how many entries are not zero, stored zeros left out."""
        matrix = widened(self).tocsr()
        matrix.data = matrix.data != 0
        counts = np.asarray(matrix.sum(axis=axis, dtype=np.int64))
        return counts if counts.ndim else int(counts)

    def getnnz(self: Any, axis: Any = None) -> Any:
        """Return how many entries are stored, in all or for each column (`axis=0`) or row (`axis=1`)."""
        if axis is None:
            return self.nnz
        coo = self.tocoo()
        axis = range(2)[axis]
        return np.bincount(coo.row if axis == 1 else coo.col, minlength=self.shape[1 - axis])


def _extreme(array: Any, name: str, axis: Any) -> Any:
    operand = widened(array)
    if array.format in ("coo", "bsr"):
        operand = operand.tocsr()
    return wrap(getattr(operand, name)(axis=axis), column=axis in (1, -1))


def _places(found: Any) -> Any:
    """Return positions as SciPy has given them since 1.15; before, they kept two dimensions."""
    return found if np.ndim(found) == 0 else np.ravel(found)
