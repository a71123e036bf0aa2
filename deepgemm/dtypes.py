"""Which dtypes are stored, which arithmetic each pair of them gets, and how results are rounded."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import numpy.typing as npt

from .errors import DTypeError

__all__ = [
    "accumulator",
    "beside_quantized",
    "bfloat16",
    "canonical",
    "code_bits",
    "code_limits",
    "default_output",
    "float8_e4m3fn",
    "float8_e5m2",
    "int2",
    "int4",
    "precision",
    "quantized",
    "scipy_dtype",
    "uint2",
    "uint4",
]

bfloat16: np.dtype[Any] = np.dtype(ml_dtypes.bfloat16)
float8_e4m3fn: np.dtype[Any] = np.dtype(ml_dtypes.float8_e4m3fn)
float8_e5m2: np.dtype[Any] = np.dtype(ml_dtypes.float8_e5m2)
int4: np.dtype[Any] = np.dtype(ml_dtypes.int4)
uint4: np.dtype[Any] = np.dtype(ml_dtypes.uint4)
int2: np.dtype[Any] = np.dtype(ml_dtypes.int2)
uint2: np.dtype[Any] = np.dtype(ml_dtypes.uint2)

_FLOAT8 = (float8_e4m3fn, float8_e5m2)
_HALF = (np.dtype(np.float16), bfloat16)
_SMALL_INTEGERS = (np.dtype(np.int8), np.dtype(np.uint8))
_STORED = (
    *(np.dtype(c) for c in "?bBhHiIqQefdFD"),
    bfloat16,
    *_FLOAT8,
)
_STORED_SET = frozenset(_STORED)
# What `numpy.finfo` and `numpy.iinfo` tell, for the dtypes that NumPy does not know; they have no types.
_finfo: Any = ml_dtypes.finfo
_iinfo: Any = ml_dtypes.iinfo
_QUANTIZED = (*_SMALL_INTEGERS, int4, uint4, int2, uint2, *_FLOAT8)


def canonical(dtype: npt.DTypeLike, argument: str = "dtype") -> np.dtype[Any]:
    """Return `dtype` in native byte order if deepgemm can store it.

    Parameters
    ----------
    dtype : dtype_like
        Anything that `numpy.dtype` accepts.
    argument : str
        Name of the caller's argument, for the message.

    Raises
    ------
    DTypeError
        If values of that dtype cannot be stored.

    Examples
    --------
    >>> canonical(">f4")
    dtype('float32')
    """
    native = np.dtype(dtype).newbyteorder("=")
    if native not in _STORED_SET:
        names = ", ".join(str(known) for known in _STORED)
        raise DTypeError(f"{argument} has dtype {native}, expected one of: {names}")
    return native


def quantized(dtype: npt.DTypeLike, argument: str = "dtype") -> np.dtype[Any]:
    """Return `dtype` if matrices can be quantised to it.

    Raises
    ------
    DTypeError
        If they cannot; the message lists the dtypes.

    Examples
    --------
    >>> quantized("int4")
    dtype(int4)
    """
    try:
        found = np.dtype(dtype)
    except TypeError:
        found = None  # a name that nobody knows
    if found not in _QUANTIZED:
        names = ", ".join(str(known) for known in _QUANTIZED)
        raise DTypeError(f"{argument} is {dtype if found is None else found}, expected one of: {names}")
    return found


def code_bits(dtype: np.dtype[Any]) -> int:
    """Return how many bits an element of a quantised matrix takes.

    Examples
    --------
    >>> code_bits(quantized("int4")), code_bits(quantized("uint8"))
    (4, 8)
    """
    return 8 if is_float(dtype) else int(_iinfo(dtype).bits)


def code_limits(dtype: np.dtype[Any]) -> tuple[float, float]:
    """Return the least and the greatest finite number of a dtype that matrices are quantised to.

    Examples
    --------
    >>> code_limits(quantized("int4")), code_limits(quantized("float8_e4m3fn"))
    ((-8, 7), (-448.0, 448.0))
    """
    if is_float(dtype):
        return float(_finfo(dtype).min), float(_finfo(dtype).max)
    return int(_iinfo(dtype).min), int(_iinfo(dtype).max)


def precision(dtype: np.dtype[Any]) -> tuple[float, float, float]:
    """Return the unit roundoff of a floating or complex dtype, its smallest and its largest number.

    Examples
    --------
    >>> precision(np.dtype("complex64")) == (2.0**-24, 2.0**-149, float(np.finfo("float32").max))
    True
    """
    found = _finfo(dtype if dtype.kind != "c" else dtype.type(0).real.dtype)
    return float(found.eps) / 2, float(found.smallest_subnormal), float(found.max)


def is_float(dtype: np.dtype[Any]) -> bool:
    """Whether `dtype` is a real floating dtype, the ml_dtypes ones included."""
    return dtype.kind == "f" or dtype == bfloat16 or dtype in _FLOAT8


def is_inexact(dtype: np.dtype[Any]) -> bool:
    """Whether `dtype` is floating or complex."""
    return dtype.kind == "c" or is_float(dtype)


def accumulator(left: np.dtype[Any], right: np.dtype[Any]) -> np.dtype[Any]:
    """Return the dtype in which a product of `left` and `right` is accumulated.

    float64 if either operand is float64 or a 32- or 64-bit integer meets a float, float32 for other
    floats, the complex counterpart where an operand is complex, int64 (exact) for 8-bit integers, and
    SciPy's common dtype for other integers and bool.

    Examples
    --------
    >>> accumulator(np.dtype("float16"), np.dtype("float32"))
    dtype('float32')
    >>> accumulator(np.dtype("float32"), np.dtype("int32"))
    dtype('float64')
    """
    pair = (left, right)
    if not any(is_inexact(d) for d in pair):
        if all(d in _SMALL_INTEGERS for d in pair):
            return np.dtype(np.int64)
        return np.result_type(left, right)
    double = any(d.char in "dD" or (d.kind in "iu" and d.itemsize >= 4) for d in pair)
    if any(d.kind == "c" for d in pair):
        return np.dtype(np.complex128 if double else np.complex64)
    return np.dtype(np.float64 if double else np.float32)


def default_output(left: np.dtype[Any], right: np.dtype[Any], inner: int) -> np.dtype[Any]:
    """Return the dtype of a product when the caller names none.

    Parameters
    ----------
    left, right : numpy.dtype
        Storage dtypes of the operands.
    inner : int
        Length of the inner dimension; it alone decides whether 8-bit integers need int64.

    Examples
    --------
    >>> default_output(np.dtype("int8"), np.dtype("int8"), 1000)
    dtype('int32')
    >>> default_output(np.dtype("float16"), np.dtype("float16"), 10)
    dtype('float16')
    """
    pair = (left, right)
    if all(d in _SMALL_INTEGERS for d in pair):
        largest = inner * _magnitude(left) * _magnitude(right)
        return np.dtype(np.int32 if largest <= np.iinfo(np.int32).max else np.int64)
    floats = {d for d in pair if is_float(d)}
    others = [d for d in pair if d not in floats]
    if len(floats) == 1 and floats <= set(_HALF) and all(d.kind in "iub" and d.itemsize == 1 for d in others):
        return next(iter(floats))
    return accumulator(left, right)


def beside_quantized(dtype: np.dtype[Any]) -> np.dtype[Any] | None:
    """Return the default output where an operand of `dtype` meets a quantised one, if it decides alone.

    float16 and bfloat16 stay what they are, as activations of a network do; others follow `default_output`
    of what the quantised operand stands for, float32.

    Examples
    --------
    >>> beside_quantized(np.dtype("float16")), beside_quantized(np.dtype("float64"))
    (dtype('float16'), None)
    """
    return dtype if dtype in _HALF else None


def scipy_dtype(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Return the narrowest dtype that SciPy's sparse arrays know and that holds `dtype` exactly.

    Examples
    --------
    >>> scipy_dtype(np.dtype("float16"))
    dtype('float32')
    """
    return np.dtype(np.float32) if dtype in _HALF or dtype in _FLOAT8 else dtype


def _magnitude(dtype: np.dtype[Any]) -> int:
    limits = np.iinfo(dtype)
    return max(-int(limits.min), int(limits.max))
