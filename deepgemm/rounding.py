"""Rounds computed results once to the dtype in which they are handed out.

The arithmetic of NumPy and ml_dtypes does not promise that: several of its conversions round twice.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from . import dtypes
from .errors import DTypeError

__all__ = ["rounded", "times", "to_odd"]

Array: TypeAlias = npt.NDArray[Any]


def rounded(values: npt.ArrayLike, dtype: npt.DTypeLike) -> Array:
    """Return `values` in `dtype`, rounded once to nearest, ties to even.

    ``astype`` does not promise that: from float64 to bfloat16 or float8 it rounds through float32, and from
    large integers to half precision through float32 or float64. Integers wrap, as in NumPy.

    Parameters
    ----------
    values : array_like
        Values of any dtype that deepgemm stores.
    dtype : dtype_like
        The dtype wanted.

    Raises
    ------
    DTypeError
        If that would drop an imaginary part or a fraction (complex to real, floating to integer), or turn
        numbers into bool.

    Examples
    --------
    >>> import deepgemm.dtypes as dtypes
    >>> just_above_a_tie = np.array([1 + 2**-8 + 2**-40])
    >>> float(rounded(just_above_a_tie, dtypes.bfloat16)[0])
    1.0078125
    >>> float(just_above_a_tie.astype(dtypes.bfloat16)[0])
    1.0
    """
    values = np.asarray(values)
    source, target = values.dtype, dtypes.canonical(dtype)
    if _rank(target) < _rank(source):
        raise DTypeError(f"dtype is {target}, which cannot hold results computed in {source}")
    if source == target:
        return values
    with np.errstate(all="ignore"):
        if dtypes.is_float(target) and target.itemsize <= 4:
            if source.kind in "iu":
                values = _integers_to_odd(values)
            if values.dtype == np.float64 and target.itemsize < 4:
                values = _narrowed_to_odd(values)
        return values.astype(target)


def times(left: Array, right: Array) -> Array:
    """Return ``left * right``, for arrays of one dtype: rounded once, complex ones as it says below.

    Each of the four real products of complex numbers is rounded, and each of the two sums. NumPy's own
    complex product may or may not fuse them, as the CPU has it.

    Examples
    --------
    >>> times(np.array([1 + 2j]), np.array([3 + 1j])).tolist()
    [(1+7j)]
    """
    with np.errstate(all="ignore"):
        if left.dtype.kind != "c":
            return np.asarray(left * right)
        real = left.real * right.real - left.imag * right.imag
        result = np.empty(real.shape, left.dtype)
        result.real = real
        result.imag = left.real * right.imag + left.imag * right.real
        return result


def _rank(dtype: np.dtype[Any]) -> int:
    """Order the kinds of numbers by what they can hold: bool, integers, reals, complex numbers."""
    if dtypes.is_float(dtype):
        return 2
    return {"b": 0, "i": 1, "u": 1, "c": 3}[dtype.kind]


def _narrowed_to_odd(values: Array) -> Array:
    """Round float64 to odd in float32, from where one rounding to any narrower dtype is still correct."""
    nearest = values.astype(np.float32)
    # A finite value must not become infinite here: that is for the rounding that follows to decide.
    largest = np.finfo(np.float32).max
    nearest = np.where(np.isfinite(values), np.clip(nearest, -largest, largest), nearest)
    back = nearest.astype(np.float64)
    inexact = (back != values) & np.isfinite(values)
    return to_odd(nearest, inexact, np.abs(back) > np.abs(values))


def _integers_to_odd(values: Array) -> Array:
    """Convert integers to float64; where that is not exact, round to odd."""
    shift = 11  # 64 - 53
    quotient = values.astype(np.int64) if values.dtype != np.uint64 else values
    sticky = (quotient & ((1 << shift) - 1)) != 0
    large = ((quotient >> shift) | sticky).astype(np.float64) * 2.0**shift
    exact = quotient.astype(np.float64)
    return np.where(np.abs(exact) < 2.0**53, exact, large)


def to_odd(nearest: Array, inexact: Array, away: Array) -> Array:
    """Turn rounding to nearest into rounding to odd; `away` says that the magnitude was rounded up."""
    bits = np.asarray(nearest, order="C").view(np.int64 if nearest.dtype == np.float64 else np.int32)
    odd: Array = ((bits - (inexact & away)) | inexact).view(nearest.dtype)
    return odd
