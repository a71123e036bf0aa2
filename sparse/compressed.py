"""What CSR, CSC and BSR share: indptr, indices and data, seen from one axis or the other."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

import numpy as np
import numpy.typing as npt

from .. import _core
from ..errors import FormatError
from . import convert
from .base import SparseArray
from .construct import coordinate_source, dense_source, nothing, sparse_source, twin_parts
from .core import FORMATS
from .interop import moved
from .validate import (
    block_shape,
    divisible,
    frozen,
    index_array,
    index_dtype,
    inspect,
    looks_like_shape,
    matrix_shape,
    same_length,
    same_width,
    value_array,
)

if TYPE_CHECKING:
    from .bsr import BSR
    from .coo import COO

    Array = npt.NDArray[Any]

C = TypeVar("C", bound="Compressed")


class Compressed(SparseArray):
    """A matrix compressed along one axis: line i holds the items `indptr[i]:indptr[i+1]`.

    A line is a row (CSR), a column (CSC) or a row of blocks (BSR); an item is an entry or a block.
    """

    __slots__ = ()

    _part_names = ("data", "indices", "indptr")
    _major: ClassVar[int] = 0  # the compressed axis: 0, or 1 for CSC
    _kinds: ClassVar[tuple[str, str]] = ("rows", "columns")  # lines, and what indices count
    _item_ndim: ClassVar[int] = 0  # dimensions of an item
    _inspection: _core.Inspection

    def _validate(self, shape: Any, parts: tuple[Any, ...], dtype: npt.DTypeLike | None, copy: bool) -> None:
        owner = type(self).__name__
        data = value_array(owner, parts[0], dtype, copy, 1 + self._item_ndim)
        indices, indptr = same_width(
            index_array(owner, "indices", parts[1], copy), index_array(owner, "indptr", parts[2], copy)
        )
        same_length(owner, data=data, indices=indices)
        if not len(indptr):
            raise FormatError(f"{owner}: indptr is empty, expected at least one entry")
        used = int(indptr[-1])
        if 0 <= used < len(indices):  # the spare capacity that SciPy allows
            data, indices = data[:used], indices[:used]
        block = block_shape(owner, data.shape[1:]) if self._item_ndim else (1, 1)
        major, minor = self._major, 1 - self._major
        if shape is None:
            lines, width = len(indptr) - 1, int(indices.max()) + 1 if len(indices) else 0
            shape = (lines * block[0], width * block[1]) if major == 0 else (width, lines)
        checked = matrix_shape(owner, shape)
        divisible(owner, checked, block)
        n_major, n_minor = checked[major] // block[major], checked[minor] // block[minor]
        self._adopt(
            checked, (data, indices, indptr), inspect(owner, indptr, indices, n_major, n_minor, self._kinds)
        )

    @classmethod
    def _made(cls: type[C], shape: tuple[int, int], arrays: tuple[Array, ...]) -> C:
        """Make an array of parts that a kernel made: valid by construction, inspected once someone asks."""
        array = cls.__new__(cls)
        array._adopt(shape, arrays, None)
        del array._inspection
        return array

    if not TYPE_CHECKING:  # which would take every name for an attribute

        def __getattr__(self, name: str) -> Any:
            if name != "_inspection":
                raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
            self._inspection = _core.inspect_compressed(self.indptr, self.indices, self._n_minor())
            return self._inspection

    @property
    def indices(self) -> Array:
        """Column of each entry for CSR, row for CSC, block column of each block for BSR; read-only."""
        return self._arrays[1]

    @property
    def indptr(self) -> Array:
        """Where each row (CSR), column (CSC) or row of blocks (BSR) begins in `data`; read-only."""
        return self._arrays[2]

    @property
    def has_sorted_indices(self) -> bool:
        """Whether the indices of each row (CSC: column) ascend, duplicates allowed."""
        return self._inspection.sorted

    @property
    def has_canonical_format(self) -> bool:
        """Whether the indices of each row (CSC: column) ascend strictly."""
        return self._inspection.canonical

    def _n_minor(self) -> int:
        block = self._data.shape[2] if self._item_ndim else 1
        return self._shape[1 - self._major] // block

    def _make_canonical(self: C) -> C:
        indptr, indices, merge = convert.sort_compressed(
            self.indptr, self.indices, self._n_minor(), self._inspection.sorted
        )
        self._merge = merge
        values = merge.apply(type(self).__name__, self._data)
        return self._from_parts(self._shape, (values, indices, indptr))


class CompressedEntries(Compressed):
    """What CSR and CSC share: items are single entries, and transposing exchanges the two."""

    __slots__ = ()

    def __init__(
        self, arg: Any, shape: Any = None, dtype: npt.DTypeLike | None = None, copy: bool = False
    ) -> None:
        owner = type(self).__name__
        parts = twin_parts(owner, arg, self.format, shape)
        if parts is not None:
            self._validate(arg.shape, parts, dtype, copy)
            return
        source = sparse_source(owner, arg, shape, dtype)
        if source is None and isinstance(arg, tuple):
            source = self._from_tuple(owner, arg, shape, dtype, copy)
        if source is not None:
            made = source.asformat(self.format, copy=copy)
            self._adopt(made.shape, made._arrays, made._inspection)
        elif not isinstance(arg, tuple):
            dense = dense_source(owner, arg, shape, dtype)
            along = dense if self._major == 0 else dense.T
            self._validate(dense.shape, convert.dense_to_csr(along), None, False)

    def _from_tuple(
        self, owner: str, arg: tuple[Any, ...], shape: Any, dtype: npt.DTypeLike | None, copy: bool
    ) -> SparseArray | None:
        """Fill this array from a tuple, or return the array that it is to be converted from."""
        if looks_like_shape(arg):
            empty = matrix_shape(owner, arg)
            data, indices = nothing(empty, dtype)
            indptr = np.zeros(empty[self._major] + 1, indices.dtype)
            self._validate(empty, (data, indices, indptr), dtype, False)
            return None
        if len(arg) == 3:
            self._validate(shape, arg, dtype, copy)
            return None
        return coordinate_source(owner, arg, shape, dtype)

    def _flipped(self, target: str) -> Any:
        """Return the same matrix compressed along the other axis; entries keep their order of storage."""
        self._check_fresh()
        indptr, indices, data = convert.transpose(self.indptr, self.indices, self._n_minor(), self._data)
        return FORMATS[target]._made(self._shape, (frozen(data), frozen(indices), frozen(indptr)))

    def tocoo(self, copy: bool = False) -> COO:
        """Return the array as COO, sharing the entries and one of the two index arrays."""
        self._check_fresh()
        # There may be more rows than the width of the column indices can count.
        dtype = max(self.indices.dtype, index_dtype(*self._shape), key=lambda width: width.itemsize)
        major = frozen(convert.expand(self.indptr, dtype))
        minor = frozen(self.indices.astype(dtype, copy=False))
        coordinates = (major, minor) if self._major == 0 else (minor, major)
        result: COO = FORMATS["coo"]._trusted(self._shape, (self._data, *coordinates))
        return result.copy() if copy else result

    def tobsr(self, blocksize: tuple[int, int] | None = None, copy: bool = False) -> BSR:
        """Return the array as BSR. Empty places of a stored block become stored zeros.

        Parameters
        ----------
        blocksize : tuple of int, optional
            Rows and columns of a block; they must divide the shape. By default SciPy's estimate.
        copy : bool, optional
            Accepted for SciPy's sake: the entries are always copied.
        """
        owner = f"{type(self).__name__}.tobsr"
        if blocksize is not None:
            blocksize = block_shape(owner, blocksize)
            divisible(owner, self._shape, blocksize)
        result: BSR = moved(self.tocsr(), lambda matrix: matrix.tobsr(blocksize))
        return result

    @property
    def T(self) -> Any:  # noqa: N802
        """The transpose, sharing all memory: CSR becomes CSC and the other way round.

        It is made once, so that what the planner learns about it is kept.
        """
        known = self._transposed
        if isinstance(known, weakref.ref):
            known = known()
        if known is None:
            other = FORMATS["csc" if self.format == "csr" else "csr"]
            known = other._trusted(self._shape[::-1], self._arrays, self._inspection)
            # One strong and one weak reference: two strong ones would leave the memory to the collector.
            known._transposed = weakref.ref(self)
            self._transposed = known
        return known
