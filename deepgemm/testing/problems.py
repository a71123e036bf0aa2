"""What a problem is: its name and operands, and the sizes that they come in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import scipy.sparse

from .. import dtypes

Array: TypeAlias = npt.NDArray[Any]

WIDTHS = (4, 8, 16)
"""Numbers of elements in the vectors of the ISAs: float64 and float32 at 256 and 512 bits."""

SIZES = tuple(sorted({size for w in WIDTHS for size in (0, 1, w - 1, w, w + 1, 4 * w + 3)}))
"""Extents that straddle each vector width and a few vectors with a tail."""

COLUMNS = (0, 1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 19, 31, 32, 33, 35, 64, 67, 128, 131)
"""Numbers of columns of the dense operand: around vectors, and around blocks of several vectors."""

SEGMENT_LENGTHS = (3, 0, 1, 17, 0, 2, 8, 0)
"""Rows of the segments of a small ragged array: empty ones among them, first and last included."""


@dataclass(frozen=True)
class Compressed:
    """The parts of a row-compressed sparse matrix, of any storage dtype, not necessarily canonical.

    It has the attributes by which `deepgemm.reference` knows a sparse operand. Read as column-compressed,
    the same parts are the transposed matrix.

    Attributes
    ----------
    data, indices, indptr : numpy.ndarray
        As in ``scipy.sparse.csr_array``.
    shape : tuple of int
        Rows and columns.
    """

    data: Array
    indices: Array
    indptr: Array
    shape: tuple[int, int]
    format: str = "csr"
    ndim: int = 2

    @property
    def dtype(self) -> np.dtype[Any]:
        """Dtype of the entries."""
        return self.data.dtype

    @property
    def nnz(self) -> int:
        """Number of entries, duplicates and zeros included."""
        return len(self.data)

    @property
    def parts(self) -> tuple[Array, Array, Array]:
        """The tuple that constructors of compressed arrays take."""
        return self.data, self.indices, self.indptr

    @property
    def transposed(self) -> Compressed:
        """The same parts read as a column-compressed matrix: the transpose."""
        return Compressed(self.data, self.indices, self.indptr, self.shape[::-1], "csc")

    def to_scipy(self) -> Any:
        """Return a ``scipy.sparse`` array of the same entries, in a dtype that SciPy has.

        It is a copy, because some methods of SciPy's arrays sort and shorten what they hold.
        """
        values = self.data.astype(dtypes.scipy_dtype(self.dtype))
        kind = scipy.sparse.csr_array if self.format == "csr" else scipy.sparse.csc_array
        return kind((values, self.indices, self.indptr), shape=self.shape, copy=True)


@dataclass(frozen=True)
class Case:
    """A named problem; `make` builds the same operand at every call.

    Attributes
    ----------
    name : str
        Unique in its list, fit for a test identifier.
    make : callable
        Returns a `Compressed` (from `sparse_cases`) or a pair of arrays (from `dense_cases`).
    tags : frozenset of str
        What is special: "unsorted", "duplicates", "stored-zeros", "subnormal", "large" (over 10,000 entries).
    """

    name: str
    make: Callable[[], Any]
    tags: frozenset[str] = frozenset()
