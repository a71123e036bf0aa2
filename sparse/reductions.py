"""Sums, means, variances and norms of sparse arrays, threaded and in a stated order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from .. import _core
from ..dtypes import canonical, is_inexact, scipy_dtype
from ..errors import DTypeError, ShapeError, UnsupportedError
from ..rounding import rounded
from .core import Operand

if TYPE_CHECKING:
    from .compressed import CompressedEntries

    Array = npt.NDArray[Any]

_FLOAT64 = np.dtype(np.float64)
_INT64 = np.dtype(np.int64)

# Sums of squares outside of these may have lost what overflowed or underflowed in the squares.
_LEAST_SQUARES, _MOST_SQUARES = 2.0**-900, float(np.finfo(np.float64).max)


class Reductions(Operand):
    """Reductions over rows, columns or everything; empty places count as zeros.

    Results over one axis are dense vectors. The order of the additions is stated, the same for every
    format and any number of threads: the entries of a row are added in 16 interleaved chains, lane = place
    among the entries of the row mod 16, joined by the tree l + 8, l + 4, l + 2, l + 1; those of a column in
    one chain from top to bottom. The sum of everything goes by rows (for CSC by columns, where it may
    differ by rounding): runs of 2**14 entries are each added like a row, and their sums like another.
    `deepgemm.reference` holds the statements.
    """

    __slots__ = ()

    def sum(self: Any, axis: Any = None, dtype: npt.DTypeLike | None = None, out: Array | None = None) -> Any:
        """Return the sum of all entries, or of each column (`axis=0`) or row (`axis=1`).

        Parameters
        ----------
        axis : {None, 0, 1, -1, -2}
            The axis that vanishes.
        dtype : dtype_like, optional
            Dtype of the result. The additions are made in it where it is wider than the default: int64
            (uint64) for integers and bool, float32 for narrower floats, otherwise that of the entries.
        out : numpy.ndarray, optional
            Where to write the result.

        Notes
        -----
        O(rows + columns + entries). Integers wrap, as in NumPy.

        Examples
        --------
        >>> import deepgemm as dg
        >>> dg.CSR([[1, 2], [0, 3]]).sum(axis=0)
        array([1, 5])
        """
        owner = f"{type(self).__name__}.sum"
        accumulator = target = sum_dtype(self.dtype)
        if dtype is not None:
            target = canonical(dtype, f"{owner}: dtype")
            if is_inexact(target):
                accumulator = np.result_type(accumulator, scipy_dtype(target))
        source = lines_of(self)
        data = summable(source.data, accumulator)
        sums = reduced("sum", source, data, which_axis(owner, axis), accumulator)
        return _handed_out(owner, sums, target, out)

    def mean(
        self: Any, axis: Any = None, dtype: npt.DTypeLike | None = None, out: Array | None = None
    ) -> Any:
        """Return the mean over all places, or of each column (`axis=0`) or row (`axis=1`).

        Sums are made in float64 (complex128), divided by the number of places and rounded once: a float32
        chain over a million entries of 0.1 is 1 % off. Without any places the mean is nan.

        Parameters
        ----------
        axis, dtype, out
            As for `sum`; the dtype is by default float64 for integers and otherwise that of `sum`.

        Examples
        --------
        >>> import deepgemm as dg
        >>> dg.CSR([[1, 2], [0, 3]]).mean(axis=0)
        array([0.5, 2.5])
        """
        owner = f"{type(self).__name__}.mean"
        target = _mean_dtype(self.dtype) if dtype is None else canonical(dtype, f"{owner}: dtype")
        means = _means(lines_of(self), which_axis(owner, axis))
        return _handed_out(owner, means, target, out)

    def var(
        self: Any,
        axis: Any = None,
        dtype: npt.DTypeLike | None = None,
        out: Array | None = None,
        ddof: float = 0,
    ) -> Any:
        """Return the variance over all places, or of each column (`axis=0`) or row (`axis=1`).

        Two passes in float64: the mean, then the sum of the squares of what entries differ from it by, each
        rounded, in the order of `sum`; to which empty places add their number times the square of the mean.
        That is divided by the number of places less `ddof`, and rounded once.

        Parameters
        ----------
        axis, dtype, out
            As for `mean`.
        ddof : number, optional
            What is subtracted from the number of places: 0 as in scikit-learn, 1 for a sample.

        Examples
        --------
        >>> import deepgemm as dg
        >>> dg.CSR([[1, 2], [0, 4]]).var(axis=0)
        array([0.25, 1.  ])
        """
        owner = f"{type(self).__name__}.var"
        target = _mean_dtype(self.dtype) if dtype is None else canonical(dtype, f"{owner}: dtype")
        source = lines_of(self)
        axis = which_axis(owner, axis)
        require_real(owner, source)
        return _handed_out(owner, _variances(source, axis, _means(source, axis), ddof), target, out)

    def mean_var(self: Any, axis: Any = None, ddof: float = 0) -> tuple[Any, Any]:
        """Return mean and variance together, for less than the price of both.

        Examples
        --------
        >>> import deepgemm as dg
        >>> dg.CSR([[1, 2], [0, 4]]).mean_var(axis=1)
        (array([1.5, 2. ]), array([0.25, 4.  ]))
        """
        owner = f"{type(self).__name__}.mean_var"
        target = _mean_dtype(self.dtype)
        source = lines_of(self)
        axis = which_axis(owner, axis)
        require_real(owner, source)
        means = _means(source, axis)
        variances = _variances(source, axis, means, ddof)
        return _handed_out(owner, means, target), _handed_out(owner, variances, target)

    def norms(self: Any, axis: int = 1, norm: str = "l2") -> Array:
        """Return the norm of each row (`axis=1`) or column (`axis=0`).

        They are computed in float64 and rounded once. Squares that overflow or vanish are no concern: such
        rows are scaled by a power of two first.

        Parameters
        ----------
        axis : {1, 0}
            The axis that vanishes.
        norm : {"l2", "l1", "max"}
            Square root of the sum of squares, sum of magnitudes, or largest magnitude (nan if there is one).

        Returns
        -------
        numpy.ndarray
            Of the dtype of the entries, float32 for narrower floats, float64 for integers.

        Examples
        --------
        >>> import deepgemm as dg
        >>> dg.CSR([[3.0, 4.0], [0.0, 2.0]]).norms()
        array([5., 2.])
        """
        owner = f"{type(self).__name__}.norms"
        source = lines_of(self)
        require_real(owner, source)
        found = line_norms(owner, source, one_axis(owner, axis), norm)
        return rounded(found, _mean_dtype(self.dtype))


def which_axis(owner: str, axis: Any) -> int | None:
    """Return an axis as None, 0 or 1."""
    if isinstance(axis, tuple):
        if len(axis) == 2 and sorted(a % 2 for a in axis) == [0, 1]:
            return None
        axis = axis[0] if len(axis) == 1 else axis
    if axis is None:
        return None
    if isinstance(axis, bool) or axis not in (0, 1, -1, -2):
        raise ShapeError(f"{owner}: axis is {axis!r}, expected None, 0, 1, -1 or -2")
    return int(axis) % 2


def one_axis(owner: str, axis: Any) -> int:
    """Return an axis as 0 or 1; None is refused."""
    checked = which_axis(owner, axis)
    if checked is None:
        raise ShapeError(f"{owner}: axis is None, expected 0 or 1")
    return checked


def lines_of(array: Any) -> CompressedEntries:
    """Return an array as canonical CSR, or CSC if it is that."""
    array._check_fresh()
    source: CompressedEntries = (array if array.format in ("csr", "csc") else array.tocsr()).canonical()
    return source


def sum_dtype(storage: np.dtype[Any]) -> np.dtype[Any]:
    """Return the dtype in which entries of `storage` are summed: NumPy's, or float32 for narrow floats."""
    if storage.kind in "bi":
        return _INT64
    return np.dtype(np.uint64) if storage.kind == "u" else scipy_dtype(storage)


def _mean_dtype(storage: np.dtype[Any]) -> np.dtype[Any]:
    return scipy_dtype(storage) if is_inexact(storage) else _FLOAT64


def summable(data: Array, accumulator: np.dtype[Any]) -> Array:
    """Return entries in a dtype from which the core sums into `accumulator`."""
    if accumulator.kind in "iu":
        if data.dtype in (np.int32, _INT64):
            return data
        if data.dtype == np.uint64:
            return data.view(_INT64)
        return data.astype(np.int32 if data.dtype.itemsize < 4 else _INT64)
    if accumulator == _FLOAT64 and data.dtype == np.float32:
        return data
    return data.astype(accumulator, copy=False)


def reduced(
    reduction: str,
    source: CompressedEntries,
    data: Array,
    axis: int | None,
    accumulator: np.dtype[Any],
    center: Array | None = None,
) -> Any:
    """Reduce entries `data` with the structure of `source` over one axis or both; see csrc/core/reduce.h."""
    return _core.reduce(
        reduction,
        source.indptr,
        source.indices,
        data,
        source.shape[1 - source._major],
        axis == source._major,
        axis == 1,
        accumulator,
        center,
        axis is None,
    )


def _places(source: CompressedEntries, axis: int | None) -> int:
    return source.shape[0] * source.shape[1] if axis is None else source.shape[axis]


def _means(source: CompressedEntries, axis: int | None) -> Array:
    """Return the means in float64 or complex128."""
    accumulator = np.dtype(np.complex128) if source.dtype.kind == "c" else _FLOAT64
    sums = reduced("sum", source, summable(source.data, accumulator), axis, accumulator)
    with np.errstate(all="ignore"):
        means: Array = np.asarray(sums / np.float64(_places(source, axis)))
        return means


def _variances(source: CompressedEntries, axis: int | None, means: Array, ddof: float) -> Array:
    data, places = summable(source.data, _FLOAT64), _places(source, axis)
    found = reduced("deviations", source, data, axis, _FLOAT64, means.reshape(-1))
    if isinstance(found, tuple):
        squares, filled = found
    else:
        squares, filled = found, source.nnz if axis is None else np.diff(source.indptr)
    with np.errstate(all="ignore"):
        variances: Array = (squares + (places - filled) * (means * means)) / np.float64(places - ddof)
        return np.asarray(variances)


def line_norms(owner: str, source: CompressedEntries, axis: int, norm: str) -> Array:
    """Return the norms of rows (axis 1) or columns (axis 0) in float64."""
    data = summable(source.data, _FLOAT64)
    match norm:
        case "l1":
            sums: Array = reduced("magnitudes", source, data, axis, _FLOAT64)
            return sums
        case "max":
            return _largest(source, data, axis)
        case "l2":
            squares: Array = reduced("squares", source, data, axis, _FLOAT64)
            unsafe = (squares > _MOST_SQUARES) | (squares < _LEAST_SQUARES)
            if data.dtype == np.float32 or not unsafe.any():  # no square of a float32 leaves float64
                return np.sqrt(squares, out=squares)
            return _scaled_norms(source, data, axis, squares, unsafe)
    raise ValueError(f"{owner}: norm is {norm!r}, expected 'l2', 'l1' or 'max'")


def _largest(source: CompressedEntries, data: Array, axis: int) -> Array:
    largest: Array = reduced("largest", source, data, axis, _FLOAT64)
    return largest


def _scaled_norms(source: CompressedEntries, data: Array, axis: int, squares: Array, unsafe: Array) -> Array:
    """Divide unsafe rows by the power of two in their largest entry; what is safe is multiplied by one."""
    largest = _largest(source, data, axis)
    exponent = np.where(unsafe & np.isfinite(largest) & (largest > 0), np.frexp(largest)[1], 0)
    exponent = np.clip(exponent, -1021, 1023)
    scaled = weighted(source, data, axis, np.ldexp(1.0, -exponent), _FLOAT64)
    again: Array = reduced("squares", source, scaled, axis, _FLOAT64)
    return np.ldexp(np.sqrt(again), exponent)


def weighted(
    source: CompressedEntries,
    data: Array,
    axis: int,
    weights: Array,
    dtype: np.dtype[Any],
    divide: bool = False,
) -> Array:
    """Return entries times, or over, the weight of their row (axis 1) or column (axis 0), in `dtype`."""
    by_index = axis == source._major
    minor = source.shape[1 - source._major]
    return _core.scale(source.indptr, source.indices, data, weights, by_index, divide, minor, dtype)


def require_real(owner: str, source: CompressedEntries) -> None:
    """Refuse complex entries."""
    if source.dtype.kind == "c":
        raise UnsupportedError(f"{owner}: entries are {source.dtype}, expected real numbers; use abs() first")


def _handed_out(owner: str, values: Array, dtype: np.dtype[Any], out: Array | None = None) -> Any:
    """Round results to their dtype, and return them as an array or a scalar or in `out`."""
    try:
        result = values if values.dtype == dtype else rounded(values, dtype)
    except DTypeError as error:
        raise DTypeError(f"{owner}: {error}") from None
    if out is None:
        return result if result.ndim else result[()]
    if out.shape != result.shape:
        raise ShapeError(f"{owner}: out has shape {out.shape}, expected {result.shape}")
    np.copyto(out, result, casting="same_kind")
    return out
