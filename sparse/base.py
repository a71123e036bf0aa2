"""The base class of all sparse formats: what they share and what each of them must provide."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import numpy.typing as npt

from ..dtypes import canonical, scipy_dtype
from ..errors import DTypeError, FormatError
from .core import FORMATS, register_product
from .elementwise import Elementwise
from .extremes import Extremes
from .indexing import Indexing
from .interop import moved, share
from .reductions import Reductions
from .scaling import Scaling
from .show import html
from .validate import frozen, plain_array

if TYPE_CHECKING:
    from .bsr import BSR
    from .coo import COO
    from .csc import CSC
    from .csr import CSR

    Array = npt.NDArray[Any]

__all__ = ["SparseArray", "register_product"]

S = TypeVar("S", bound="SparseArray")


class SparseArray(Elementwise, Scaling, Reductions, Extremes, Indexing):
    """A sparse matrix: an immutable value that may share memory with what it was made from.

    The formats are `CSR`, `CSC`, `COO` and `BSR`. `@` is the matrix product and `*` is element-wise, as
    for SciPy's sparse arrays (for its older matrices `*` is the product).

    Examples
    --------
    >>> import deepgemm as dg
    >>> isinstance(dg.COO([[0, 1]]), dg.SparseArray)
    True
    """

    __slots__ = ()

    @abstractmethod
    def _validate(self, shape: Any, parts: tuple[Any, ...], dtype: npt.DTypeLike | None, copy: bool) -> None:
        """Take parts, in the order of `_part_names`, as this array's own, or refuse them."""

    @classmethod
    def _from_parts(
        cls: type[S],
        shape: tuple[int, int],
        parts: tuple[Any, ...],
        dtype: npt.DTypeLike | None = None,
        copy: bool = False,
    ) -> S:
        """Validate parts, in the order of `_part_names`, and make an array that shares them."""
        array = cls.__new__(cls)
        array._validate(shape, parts, dtype, copy)
        return array

    def _repr_html_(self) -> str:
        return html(self)

    # Other formats

    @abstractmethod
    def tocsr(self, copy: bool = False) -> CSR:
        """Return the array as CSR; itself if it is one."""

    def tocsc(self, copy: bool = False) -> CSC:
        """Return the array as CSC; itself if it is one."""
        return self.tocsr().tocsc(copy)

    def tocoo(self, copy: bool = False) -> COO:
        """Return the array as COO; itself if it is one."""
        return self.tocsr().tocoo(copy)

    def tobsr(self, blocksize: tuple[int, int] | None = None, copy: bool = False) -> BSR:
        """Return the array as BSR. Empty places of a stored block become stored zeros.

        Parameters
        ----------
        blocksize : tuple of int, optional
            Rows and columns of a block; they must divide the shape. By default SciPy's estimate.
        """
        return self.tocsr().tobsr(blocksize, copy)

    def asformat(self, format: str, copy: bool = False) -> SparseArray:
        """Return the array in the format "csr", "csc", "coo" or "bsr"."""
        if format not in FORMATS:
            known = ", ".join(sorted(FORMATS))
            raise FormatError(f"asformat: format is {format!r}, expected one of: {known}")
        result: SparseArray = getattr(self, f"to{format}")(copy=copy)
        return result

    def _as_given(self: S, copy: bool) -> S:
        return self.copy() if copy else self

    # SciPy and NumPy

    def to_scipy(self, *, index_dtype: npt.DTypeLike | None = None) -> Any:
        """Return a SciPy sparse array (`csr_array` and so on) that shares this array's memory.

        It is read-only, because this array is immutable; copy it to change it. Entries of dtypes that
        SciPy lacks (float16, bfloat16, float8) are copied and widened to float32.

        Parameters
        ----------
        index_dtype : dtype_like, optional
            Convert the indices, for consumers that take int32 only; a copy where they differ.

        Raises
        ------
        DTypeError
            If the indices do not fit `index_dtype`.

        Examples
        --------
        >>> import numpy as np
        >>> import deepgemm as dg
        >>> A = dg.CSR([[1.0, 0.0], [0.0, 2.0]])
        >>> np.shares_memory(A.to_scipy().data, A.data)
        True
        """
        self._check_fresh()
        result = share(self, self._data.astype(scipy_dtype(self.dtype), copy=False))
        if index_dtype is not None:
            _narrow(type(self).__name__, result, np.dtype(index_dtype))
        return result

    def toarray(self, order: str | None = None, out: Array | None = None) -> Array:
        """Return the matrix as a dense array of the same dtype.

        Parameters
        ----------
        order : {"C", "F"}, optional
            Memory order of the result.
        out : numpy.ndarray, optional
            Array of the same shape and dtype to fill instead.

        Examples
        --------
        >>> import deepgemm as dg
        >>> dg.COO(([1.0, 2.0], ([0, 1], [1, 0]))).toarray()
        array([[0., 1.],
               [2., 0.]])
        """
        if out is not None:
            np.copyto(out, self.toarray(), casting="no")
            return out
        dense: Array = moved(self, lambda matrix: matrix.toarray(order=order))
        return dense

    todense = toarray

    # The same structure with other values

    def with_data(self: S, values: Any) -> S:
        """Return an array with the same structure and other values, sharing both.

        Nothing is validated again, and layouts that this array has already are refilled rather than
        rebuilt where the dtype stays, so re-weighting a matrix is cheap.

        Parameters
        ----------
        values : array_like
            As many entries as `data` has, in the same order; any dtype that can be stored.

        Examples
        --------
        >>> import deepgemm as dg
        >>> A = dg.CSR([[1.0, 0.0], [0.0, 2.0]])
        >>> A.with_data([5.0, 6.0]).toarray()
        array([[5., 0.],
               [0., 6.]])
        """
        self._check_fresh()
        owner = f"{type(self).__name__}.with_data"
        data = plain_array(owner, "values", values)
        if data.shape != self._data.shape:
            raise FormatError(f"{owner}: values has shape {data.shape}, expected {self._data.shape}")
        dtype = canonical(data.dtype, f"{owner}: values")
        data = frozen(np.require(data, dtype, ["C", "A"]))
        arrays = (data, *self._arrays[1:])
        same = dtype == self.dtype
        result = self._trusted(self._shape, arrays, self._inspection, self._layouts if same else None)
        if not same:
            result._layouts.take_structure(self._layouts)
        if self._canonical is not None:
            result._merge = self._merge
            result._canonical = self._canonical.with_data(self._merge.apply(owner, data))
        return result

    def astype(self: S, dtype: npt.DTypeLike, casting: Any = "unsafe", copy: bool = False) -> S:
        """Return the array with its entries converted, one by one; itself if nothing changes.

        Examples
        --------
        >>> import deepgemm as dg
        >>> dg.CSR([[1.5, 0.0]]).astype(dg.bfloat16).dtype
        dtype(bfloat16)
        """
        owner = f"{type(self).__name__}.astype"
        target = canonical(dtype, f"{owner}: dtype")
        if target == self.dtype:
            return self._as_given(copy)
        if not np.can_cast(self.dtype, target, casting):
            raise DTypeError(f"{owner}: {self.dtype} cannot become {target} under casting={casting!r}")
        return self.with_data(self._data.astype(target))

    # Order and duplicates

    @property
    @abstractmethod
    def has_sorted_indices(self) -> bool:
        """Whether entries are stored in ascending order (duplicates allowed)."""

    @property
    @abstractmethod
    def has_canonical_format(self) -> bool:
        """Whether entries are stored in strictly ascending order: sorted, without duplicates."""

    @abstractmethod
    def _make_canonical(self: S) -> S:
        """Build the sorted copy without duplicates and set `_merge`."""

    def canonical(self: S) -> S:
        """Return the array sorted and without duplicates: itself, or a copy that is made once and kept.

        Duplicates are summed in storage order in the accumulator dtype, and rounded once.

        Examples
        --------
        >>> import deepgemm as dg
        >>> A = dg.COO(([1.0, 2.0, 4.0], ([0, 1, 0], [1, 0, 1])))
        >>> A.canonical().data
        array([5., 2.])
        """
        if self.has_canonical_format:
            return self
        if self._canonical is None:
            self._check_fresh()
            with self._layouts.lock():
                if self._canonical is None:
                    self._canonical = self._make_canonical()
        result: S = self._canonical
        return result

    def equals(self, other: object) -> bool:
        """Whether `other` is a sparse array of the same shape and dtype with the same entries.

        The format does not matter. Stored zeros are entries; nan equals nan. (`==` compares element by
        element, as in SciPy.)

        Examples
        --------
        >>> import deepgemm as dg
        >>> A = dg.CSR([[1.0, 0.0], [0.0, 2.0]])
        >>> A.equals(A.tocsc())
        True
        """
        if not isinstance(other, SparseArray) or self.shape != other.shape or self.dtype != other.dtype:
            return False
        left, right = self.tocsr().canonical(), other.tocsr().canonical()
        return (
            np.array_equal(left.indptr, right.indptr)
            and np.array_equal(left.indices, right.indices)
            and _same_values(left.data, right.data)
        )

    # The transpose

    @property
    @abstractmethod
    def T(self) -> SparseArray:  # noqa: N802
        """The transpose, sharing memory where the format allows it."""

    def transpose(self, axes: Any = None, copy: bool = False) -> SparseArray:
        """Return the transpose; see `T`."""
        if axes is not None and tuple(axes) != (1, 0):
            raise FormatError(f"transpose: axes is {axes!r}, expected None or (1, 0)")
        return self.T.copy() if copy else self.T


def _same_values(left: Array, right: Array) -> bool:
    both_nan = (left != left) & (right != right)
    return bool(np.all((left == right) | both_nan))


def _narrow(owner: str, result: Any, dtype: np.dtype[Any]) -> None:
    names = ("coords",) if result.format == "coo" else ("indices", "indptr")
    largest = max(*result.shape, result.nnz)
    if dtype.kind not in "iu" or largest > np.iinfo(dtype).max:
        raise DTypeError(f"{owner}.to_scipy: indices up to {largest} do not fit index_dtype {dtype}")
    for name in names:
        part = getattr(result, name)
        if isinstance(part, tuple):
            setattr(result, name, tuple(one.astype(dtype, copy=False) for one in part))
        else:
            setattr(result, name, part.astype(dtype, copy=False))
