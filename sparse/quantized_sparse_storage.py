"""What a quantised sparse matrix is made of: where its entries lie, their values, and their scales."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, cast

import numpy as np
import numpy.typing as npt

from .. import _core
from ..dtypes import code_bits, code_limits
from .core import FORMATS, Factor
from .packing import unpack
from .quantized_blocks import infer_block
from .validate import frozen

if TYPE_CHECKING:
    Array = npt.NDArray[Any]


class Pattern(NamedTuple):
    """Where the entries of a canonical array lie.

    Attributes
    ----------
    format : str
        "csr", "csc" or "bsr".
    shape, blocksize : tuple of int
        Of the matrix, and of its blocks: (1, 1) where entries are single.
    indices, indptr : numpy.ndarray
        As in the array.
    inspection : _core.Inspection
        What its validation measured.
    """

    format: str
    shape: tuple[int, int]
    blocksize: tuple[int, int]
    indices: Array
    indptr: Array
    inspection: _core.Inspection


class SparseStorage(Factor):
    """Storage of a quantised sparse matrix; `QuantizedSparse` adds what users do with it."""

    __slots__ = ("_block", "_block_fill", "_dtype", "_inspection", "_pattern", "_transposed", "_zero_point")

    def _set(
        self, pattern: Pattern, dtype: np.dtype[Any], stored: Array, scales: Array, zero_point: int
    ) -> None:
        self._pattern, self._dtype, self._zero_point = pattern, dtype, zero_point
        self._inspection = pattern.inspection
        self._block = infer_block("QuantizedSparse", pattern.shape, cast(Any, scales.shape), None)
        self._block_fill: Any = None  # what the planner measured of blocks, once it looked
        self._transposed: Any = None  # the transpose, or a weak reference to what this transposes
        self._hold(pattern.shape, (frozen(stored), pattern.indices, pattern.indptr, frozen(scales)))

    @property
    def format(self) -> str:
        """How the entries are stored: "csr", "csc" or "bsr"."""
        return self._pattern.format

    @property
    def dtype(self) -> np.dtype[Any]:
        """Dtype of the values."""
        return self._dtype

    @property
    def nnz(self) -> int:
        """Number of stored entries, those inside blocks included."""
        return len(self.indices) * self._pattern.blocksize[0] * self._pattern.blocksize[1]

    @property
    def size(self) -> int:
        """The same as `nnz`, as in SciPy."""
        return self.nnz

    @property
    def density(self) -> float:
        """Stored entries as a share of all places; 0 for an empty matrix."""
        places = self._shape[0] * self._shape[1]
        return self.nnz / places if places else 0.0

    @property
    def blocksize(self) -> tuple[int, int]:
        """Rows and columns of a block; (1, 1) where entries are single."""
        return self._pattern.blocksize

    @property
    def indices(self) -> Array:
        """As in the sparse array of this format; read-only."""
        return self._arrays[1]

    @property
    def indptr(self) -> Array:
        """As in the sparse array of this format; read-only."""
        return self._arrays[2]

    @property
    def stored(self) -> Array:
        """The values as they lie in memory, read-only: bytes of two values for dtypes of 4 bits.

        The first of two stands in the lower bits; behind an odd number of values the last half is zero.
        """
        return self._arrays[0]

    @property
    def values(self) -> Array:
        """The values, one to an element in the shape of `data`, read-only.

        `stored` itself for dtypes of 8 bits; for 4 bits a new array of int8 or uint8, O(nnz).
        """
        if code_bits(self._dtype) == 8:
            return self.stored
        signed = code_limits(self._dtype)[0] < 0
        return frozen(unpack(self.stored[None, :], 4, signed, self.nnz)[0].reshape(self._data_shape()))

    @property
    def data(self) -> Array:
        """The float32 numbers that the entries stand for, a new array, O(nnz)."""
        scales = self._code_scales(self._pattern.format == "csc", packed=False)
        return _core.decode(
            self.indptr, self.indices, self.values, self._n_minor(), self._pattern.blocksize, scales
        )

    @property
    def scales(self) -> Array:
        """The scales, read-only: of shape (1, 1), (m, 1) or (1, n)."""
        return self._arrays[3]

    @property
    def zero_point(self) -> int:
        """The value that stands for zero."""
        return self._zero_point

    @property
    def block(self) -> tuple[int, int]:
        """Rows and columns that share a scale."""
        return self._block

    @property
    def has_canonical_format(self) -> bool:
        """Always true: entries are sorted, without duplicates."""
        return True

    def _data_shape(self) -> tuple[int, ...]:
        return (
            (len(self.indices), *self._pattern.blocksize)
            if self._pattern.format == "bsr"
            else (len(self.indices),)
        )

    def _n_minor(self) -> int:
        """Return what indices count: columns, rows of CSC, columns of blocks."""
        return (
            self._shape[0] if self._pattern.format == "csc" else self._shape[1] // self._pattern.blocksize[1]
        )

    def _code_scales(self, turned: bool, packed: bool = True) -> _core.CodeScales:
        """Return how kernels read the values; `turned` if rows are their columns."""
        of = "all"
        if self.scales.size > 1:
            of = "row" if (self.scales.shape[0] > 1) != turned else "column"
        nibbles = packed and code_bits(self._dtype) < 8
        flat = np.ascontiguousarray(self.scales.ravel() if self.scales.size else np.ones(1), np.float32)
        return _core.CodeScales(flat, of, float(self._zero_point), nibbles, code_limits(self._dtype)[0] < 0)

    def _with_values(self, values: Array) -> Any:
        """Return a sparse array with this structure and other values, sharing both."""
        arrays = (frozen(values), self.indices, self.indptr)
        return FORMATS[self._pattern.format]._trusted(self._shape, arrays, self._inspection)


def pattern_of(array: Any) -> Pattern:
    """Return where the entries of a canonical CSR, CSC or BSR array lie."""
    blocksize = array.blocksize if array.format == "bsr" else (1, 1)
    return Pattern(array.format, array.shape, blocksize, array.indices, array.indptr, array._inspection)
