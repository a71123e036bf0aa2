"""Checks what callers hand over for the parts of a quantised matrix, and brings it into the stored form."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ..dtypes import bfloat16, code_bits, code_limits, is_float
from ..errors import DTypeError, FormatError, ShapeError
from ..rounding import rounded
from .packing import pack, packed_width
from .validate import plain_array

if TYPE_CHECKING:
    Array = npt.NDArray[Any]

SCALE_DTYPES = (np.dtype(np.float32), np.dtype(np.float16), bfloat16)


def stored_values(owner: str, array: Array, dtype: np.dtype[Any], copy: bool) -> Array:
    """Return numbers one to an element as they are stored."""
    if array.dtype != dtype:
        if array.dtype.kind not in "iuV" or is_float(dtype) or is_float(array.dtype):
            raise DTypeError(f"{owner}: values have dtype {array.dtype}, expected {dtype}")
        check_range(owner, "values", array, dtype)
    bits = code_bits(dtype)
    if bits < 8:
        byte = np.int8 if code_limits(dtype)[0] < 0 else np.uint8
        return pack(array.astype(byte), bits)
    return _contiguous(array.astype(dtype, copy=False), copy)


def stored_entries(owner: str, data: Array, dtype: np.dtype[Any], copy: bool) -> Array:
    """Return the entries of a sparse array as they are stored: one after the other where they are packed."""
    narrow = code_bits(dtype) < 8
    stored = stored_values(owner, data.reshape(1, -1) if narrow else data, dtype, copy)
    return stored.ravel() if narrow else stored


def packed_values(array: Array, dtype: np.dtype[Any], shape: tuple[int, int], copy: bool) -> Array:
    """Return packed bytes as they are stored."""
    bits = code_bits(dtype)
    if bits == 8:
        if array.shape != shape:
            raise ShapeError(f"Quantized: values have shape {array.shape}, but shape is {shape}")
        return stored_values("Quantized", array, dtype, copy)
    if array.dtype != np.uint8:
        raise DTypeError(f"Quantized: packed values have dtype {array.dtype}, expected uint8")
    expected = (shape[0], packed_width(shape[1], bits))
    if array.shape != expected:
        raise ShapeError(
            f"Quantized: packed values have shape {array.shape}, expected {expected} for {shape} of {dtype}"
        )
    return _contiguous(array, copy)


def _contiguous(array: Array, copy: bool) -> Array:
    if copy or not (array.flags.c_contiguous or array.flags.f_contiguous):
        return array.copy()
    return array


def scale_array(owner: str, scales: npt.ArrayLike) -> Array:
    """Return scales as a matrix of one of their dtypes."""
    array = plain_array(owner, "scales", scales)
    if array.ndim not in (0, 2):
        raise ShapeError(
            f"{owner}: scales have {array.ndim} dimension, expected a scalar or a matrix; "
            "scales[:, None] scales rows, scales[None, :] columns"
        )
    if array.dtype.kind not in "fiu" and not is_float(array.dtype):
        raise DTypeError(f"{owner}: scales have dtype {array.dtype}, expected real numbers")
    if array.dtype not in SCALE_DTYPES:
        array = rounded(array, np.float32)
    array = np.ascontiguousarray(array.reshape((1, 1) if array.ndim == 0 else array.shape))
    if not np.isfinite(array).all():
        raise FormatError(f"{owner}: scales hold {array[~np.isfinite(array)][0]}, expected finite numbers")
    return array


def zero_array(zero_points: npt.ArrayLike, dtype: np.dtype[Any], shape: tuple[int, ...]) -> Array:
    """Return zero points as bytes, in range and of the shape of the scales."""
    array = plain_array("Quantized", "zero_points", zero_points)
    if is_float(dtype):
        raise FormatError(f"Quantized: zero_points are given, but {dtype} has none")
    if array.dtype.kind not in "iuV" or is_float(array.dtype):
        raise DTypeError(f"Quantized: zero_points have dtype {array.dtype}, expected integers")
    array = array.reshape((1, 1)) if array.ndim == 0 else array
    if array.shape != shape:
        raise ShapeError(f"Quantized: zero_points have shape {array.shape}, but scales have {shape}")
    check_range("Quantized", "zero_points", array, dtype)
    return np.ascontiguousarray(array.astype(np.int8 if code_limits(dtype)[0] < 0 else np.uint8))


def offset_array(offsets: npt.ArrayLike, scales: Array) -> Array:
    """Return offsets in the dtype and shape of the scales."""
    array = plain_array("Quantized", "offsets", offsets)
    array = array.reshape((1, 1)) if array.ndim == 0 else array
    if array.shape != scales.shape:
        raise ShapeError(f"Quantized: offsets have shape {array.shape}, but scales have {scales.shape}")
    array = np.ascontiguousarray(rounded(array, scales.dtype))
    if not np.isfinite(array).all():
        raise FormatError(f"Quantized: offsets hold {array[~np.isfinite(array)][0]}, expected finite numbers")
    return array


def check_range(owner: str, argument: str, array: Array, dtype: np.dtype[Any]) -> None:
    """Raise if numbers are not within the range of a dtype."""
    low, high = code_limits(dtype)
    if array.dtype.kind == "V":  # int4 and the like, whose own order NumPy does not know
        array = array.astype(np.int8)
    if array.size and not low <= array.min() <= array.max() <= high:
        bad = array.min() if array.min() < low else array.max()
        raise FormatError(f"{owner}: {argument} hold {bad}, expected {low} to {high} for {dtype}")
