"""Checks what callers hand over for the parts of a sparse array, and words the refusals."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from numbers import Number
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
import numpy.typing as npt

from .. import _core
from ..dtypes import canonical
from ..errors import DTypeError, FormatError, ShapeError

if TYPE_CHECKING:
    Array = npt.NDArray[Any]

_INT32 = np.dtype(np.int32)
_INT64 = np.dtype(np.int64)
_LARGEST_INT32 = int(np.iinfo(np.int32).max)
_LARGEST_INT64 = int(np.iinfo(np.int64).max)


def looks_like_shape(arg: tuple[Any, ...]) -> bool:
    """Whether a constructor's tuple is `(rows, columns)` rather than the parts of an array."""
    return len(arg) == 2 and all(isinstance(side, Number) for side in arg)


def matrix_shape(owner: str, shape: Any) -> tuple[int, int]:
    """Return `shape` as two non-negative Python integers.

    Raises
    ------
    ShapeError
        If it is anything else.
    """
    if type(shape) is not tuple and (isinstance(shape, str) or not isinstance(shape, Sequence | np.ndarray)):
        raise ShapeError(f"{owner}: shape is {shape!r}, expected (rows, columns)")
    if len(shape) != 2:
        raise ShapeError(f"{owner}: shape {tuple(shape)} has {len(shape)} dimensions, expected 2")
    return (_extent(owner, shape, 0), _extent(owner, shape, 1))


def _extent(owner: str, shape: Any, axis: int) -> int:
    try:
        extent = operator.index(shape[axis])
    except TypeError:
        raise ShapeError(f"{owner}: shape[{axis}] is {shape[axis]!r}, expected an integer") from None
    if not 0 <= extent <= _LARGEST_INT64:
        raise ShapeError(f"{owner}: shape[{axis}] is {extent}, expected 0 to {_LARGEST_INT64}")
    return extent


def block_shape(owner: str, blocksize: Any) -> tuple[int, int]:
    """Return `blocksize` as two positive Python integers."""
    try:
        rows, columns = (operator.index(side) for side in blocksize)
    except (TypeError, ValueError):
        raise ShapeError(f"{owner}: blocksize is {blocksize!r}, expected (rows, columns)") from None
    if rows < 1 or columns < 1:
        raise ShapeError(f"{owner}: blocksize is {(rows, columns)}, expected at least (1, 1)")
    return (rows, columns)


def divisible(owner: str, shape: tuple[int, int], blocksize: tuple[int, int]) -> None:
    """Refuse a shape that blocks of `blocksize` do not tile."""
    if shape[0] % blocksize[0] or shape[1] % blocksize[1]:
        raise ShapeError(f"{owner}: shape {shape} is not divisible by blocksize {blocksize}")


def frozen(array: Array) -> Array:
    """Return a read-only view, or the array itself where it is read-only already."""
    if not array.flags.writeable:
        return array
    view = array.view()
    view.setflags(write=False)
    return view


def plain_array(owner: str, argument: str, values: Any) -> Array:
    """Return anything array-like as a plain array, without copying one that is."""
    if type(values) is np.ndarray:
        return values
    if isinstance(values, np.ma.MaskedArray):
        raise DTypeError(f"{owner}: {argument} is a masked array; fill its masked entries first")
    try:
        return np.asarray(values)
    except (TypeError, ValueError) as error:
        raise FormatError(f"{owner}: {argument} does not form an array: {error}") from error


def value_array(owner: str, values: Any, dtype: npt.DTypeLike | None, copy: bool, ndim: int = 1) -> Array:
    """Return the entries of a sparse array: storable dtype, contiguous, aligned, read-only.

    Shares memory with `values` unless the dtype, byte order, layout or alignment has to change, or
    `copy` asks for private memory.
    """
    array = plain_array(owner, "data", values)
    if array.ndim != ndim:
        raise FormatError(f"{owner}: data has {array.ndim} dimensions, expected {ndim}")
    source = canonical(array.dtype, f"{owner}: data")
    target = source if dtype is None else canonical(dtype, f"{owner}: dtype")
    return frozen(shared_or_converted(array, target, copy))


def index_array(owner: str, argument: str, indices: Any, copy: bool) -> Array:
    """Return indices as a contiguous, read-only array of int32 or int64.

    Those two are shared as they are; narrower integers become int32, other wider ones int64.

    Raises
    ------
    DTypeError
        If the indices are not integers: floats (and so nan), bool and object are refused.
    FormatError
        If they are not one-dimensional, or one exceeds int64.
    """
    array = plain_array(owner, argument, indices)
    if array.ndim != 1:
        raise FormatError(f"{owner}: {argument} has {array.ndim} dimensions, expected 1")
    if array.dtype.kind not in "iu":
        if array.size or array.dtype.kind != "f":  # an empty list arrives as float64: nothing is lost
            _refuse_index_dtype(owner, argument, array)
        return frozen(np.zeros(0, _INT32))
    target = array.dtype.newbyteorder("=")
    if target not in (_INT32, _INT64):
        if target.kind == "u" and target.itemsize == 8 and array.size:
            _refuse_beyond_int64(owner, argument, array)
        target = _INT32 if np.can_cast(target, _INT32) else _INT64
    return frozen(shared_or_converted(array, target, copy))


def _refuse_index_dtype(owner: str, argument: str, array: Array) -> NoReturn:
    message = f"{owner}: {argument} has dtype {array.dtype}, expected int32 or int64"
    if array.dtype.kind == "f" and np.isnan(array).any():
        message += f" ({argument}[{int(np.isnan(array).argmax())}] is nan)"
    raise DTypeError(message)


def _refuse_beyond_int64(owner: str, argument: str, array: Array) -> None:
    position = int(array.argmax())
    if int(array[position]) > _LARGEST_INT64:
        raise FormatError(f"{owner}: {argument}[{position}] is {array[position]}, more than int64 can hold")


def shared_or_converted(array: Array, dtype: np.dtype[Any], copy: bool) -> Array:
    """Return a contiguous, aligned array of that dtype: itself unless it has to change or be private."""
    flags = array.flags
    if copy or not flags.aligned:
        return np.array(array, dtype=dtype, order="C", copy=True)
    if flags.c_contiguous and array.dtype == dtype:
        return array
    return np.ascontiguousarray(array, dtype=dtype)


def same_width(*indices: Array) -> tuple[Array, ...]:
    """Widen index arrays to int64 unless all of them are int32 or all are int64 already."""
    if all(array.dtype == indices[0].dtype for array in indices):
        return indices
    return tuple(frozen(array.astype(_INT64, copy=False)) for array in indices)


def index_dtype(*largest: int) -> np.dtype[Any]:
    """Return int32 if it holds each of the given numbers, else int64."""
    return _INT32 if max(largest, default=0) <= _LARGEST_INT32 else _INT64


def same_length(owner: str, **parts: Array) -> None:
    """Refuse parts that disagree on how many entries there are."""
    (first, reference), *others = parts.items()
    for name, part in others:
        if len(part) != len(reference):
            raise FormatError(f"{owner}: {first} has {len(reference)} entries but {name} has {len(part)}")


def inspect(
    owner: str, indptr: Array, indices: Array, n_major: int, n_minor: int, kinds: tuple[str, str]
) -> _core.Inspection:
    """Validate a compressed structure in one pass and return what the pass measured.

    Parameters
    ----------
    owner : str
        Name of the class, for messages.
    indptr, indices : numpy.ndarray
        Contiguous, both int32 or both int64.
    n_major, n_minor : int
        Number of compressed rows, and the bound of `indices`.
    kinds : tuple of str
        What `n_major` and `n_minor` count, in the plural, for messages: `("rows", "columns")`.

    Raises
    ------
    FormatError
        If `indptr` has another length, does not start at 0, decreases or does not end at the number
        of indices, or if an index is out of range.

    Notes
    -----
    O(rows + entries), without any allocation.
    """
    if len(indptr) != n_major + 1:
        raise FormatError(
            f"{owner}: indptr has {len(indptr)} entries, expected {n_major + 1} ({kinds[0]} + 1)"
        )
    found = _core.inspect_compressed(indptr, indices, n_minor)
    if found.status:
        raise FormatError(f"{owner}: {_describe(found, indptr, len(indices), n_minor, kinds)}")
    return found


def _describe(
    found: _core.Inspection, indptr: Array, n_indices: int, n_minor: int, kinds: tuple[str, str]
) -> str:
    at = found.position
    match found.status:
        case "indptr_start":
            return f"indptr[0] is {found.value}, expected 0"
        case "indptr_decreasing":
            return f"indptr[{at + 1}] is {indptr[at + 1]}, less than indptr[{at}] which is {indptr[at]}"
        case "indptr_end":
            return f"indptr[{len(indptr) - 1}] is {indptr[-1]} but there are {n_indices} indices"
        case "index_negative":
            return f"indices[{at}] is {found.value}, expected at least 0"
        case _:
            return f"indices[{at}] is {found.value} but the matrix has {n_minor} {kinds[1]}"


def check_coordinates(owner: str, argument: str, coordinates: Array, extent: int, kind: str) -> None:
    """Refuse coordinates outside `[0, extent)`, naming the first of them."""
    if not len(coordinates) or (coordinates.min() >= 0 and coordinates.max() < extent):
        return
    position = int(((coordinates < 0) | (coordinates >= extent)).argmax())
    value = int(coordinates[position])
    expected = "expected at least 0" if value < 0 else f"but the matrix has {extent} {kind}"
    separator = ", " if value < 0 else " "
    raise FormatError(f"{owner}: {argument}[{position}] is {value}{separator}{expected}")
