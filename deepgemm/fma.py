"""The fused multiply-add on NumPy arrays, correctly rounded on every platform and Python.

`math.fma` needs Python 3.13 and takes one triple at a time; here the exact result is put together from
error-free transformations.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from .errors import DTypeError
from .rounding import rounded, to_odd

__all__ = ["fma", "fma_unchecked"]

Array: TypeAlias = npt.NDArray[Any]

_BLOCK = 8192  # elements done at a time, so that the forty temporaries stay in the cache
_VELTKAMP = float(2**27 + 1)

# Where Dekker's product and the two-sums below are exact in float64: no overflow in a*b or in the splitting
# of a and b, and no error term of a*b below the smallest subnormal. The rest goes through fractions.
_LARGEST_PRODUCT = 2.0**1000
_SMALLEST_PRODUCT = 2.0**-900
_LARGEST_OPERAND = 2.0**990


def fma(a: npt.ArrayLike, b: npt.ArrayLike, c: npt.ArrayLike) -> Array:
    """Return ``a * b + c``, rounded once, for float16, float32 or float64 arrays.

    Parameters
    ----------
    a, b, c : array_like of float16, float32 or float64
        Operands; they are broadcast against each other and promoted to a common dtype.

    Returns
    -------
    numpy.ndarray
        The correctly rounded (to nearest, ties to even) result in that dtype. Infinities, nans, subnormal
        results, overflow and the signs of zeros are as IEEE 754 has them; no warning is issued.

    Raises
    ------
    DTypeError
        If they have another common dtype, or none.

    Notes
    -----
    A product of float16 or float32 numbers is exact in float64; the sum is rounded to odd there and then once
    to their dtype. For float64: error-free transformations and a rounding to odd [1]_. Elements near the ends
    of the exponent range, where those transformations are not exact, are computed one by one in rational
    arithmetic, which takes some microseconds for each.

    References
    ----------
    .. [1] S. Boldo, G. Melquiond, "Emulation of FMA and correctly rounded sums: proved algorithms using
       rounding to odd", IEEE Transactions on Computers 57 (2008).

    Examples
    --------
    >>> x = 1 + 2.0**-30
    >>> float(fma(x, x, -1.0)) == 2.0**-29 + 2.0**-60
    True
    >>> x * x - 1.0 == 2.0**-29 + 2.0**-60
    False
    """
    arrays = [np.asarray(x) for x in (a, b, c)]
    try:
        dtype = np.result_type(*arrays)
    except TypeError:
        dtype = np.dtype(object)
    if dtype.char not in "efd":
        raise DTypeError(f"fma: operands have common dtype {dtype}, expected float16, float32 or float64")
    arrays = [x.astype(dtype.newbyteorder("=")) for x in arrays]
    shape = np.broadcast_shapes(*(x.shape for x in arrays))
    flat = [np.broadcast_to(x, shape).reshape(-1) for x in arrays]
    with np.errstate(all="ignore"):
        return fma_unchecked(*flat).reshape(shape)


def fma_unchecked(a: Array, b: Array, c: Array) -> Array:
    """Do `fma` on operands of one dtype and as many axes as `c`, which has the shape of the result."""
    once = _fma64 if c.dtype == np.float64 else _fma_narrow
    if c.size <= _BLOCK:
        return once(a, b, c)
    result = np.empty_like(c)
    rows = max(1, _BLOCK * len(c) // c.size)
    for begin in range(0, len(c), rows):
        piece = slice(begin, begin + rows)
        result[piece] = once(a if len(a) == 1 else a[piece], b if len(b) == 1 else b[piece], c[piece])
    return result


def _fma_narrow(a: Array, b: Array, c: Array) -> Array:
    # 24 + 24 bits fit into 53, and the exponents of a float32 product into those of float64.
    product = a.astype(np.float64) * b.astype(np.float64)
    return rounded(_add_odd(product, c.astype(np.float64)), c.dtype)


def _fma64(a: Array, b: Array, c: Array) -> Array:
    product = a * b
    magnitude = np.abs(product)
    error = _product_error(a, b, product)
    upper, lower = _two_sum(c, error)
    high, low = _two_sum(product, upper)
    result: Array = high + _add_odd(lower, low)
    # An exact zero has the sign that the plain sum gives it; the steps above lose it.
    if not result.all():
        result = np.where(result == 0, product + c, result)

    exact = (magnitude < _LARGEST_PRODUCT) & ((magnitude > _SMALLEST_PRODUCT) | (a == 0) | (b == 0))
    if not (exact.all() and all(_bounded(x) for x in (a, b, c))):
        exact = exact & (np.abs(a) < _LARGEST_OPERAND) & (np.abs(b) < _LARGEST_OPERAND)
        exact &= np.abs(c) < _LARGEST_OPERAND
        rest = np.nonzero(~exact)
        full = (np.broadcast_to(x, result.shape)[rest] for x in (a, b, c))
        result[rest] = _fma64_anywhere(*full)
    return result


def _fma64_anywhere(a: Array, b: Array, c: Array) -> Array:
    factors_finite = np.isfinite(a) & np.isfinite(b)
    # With an infinite factor a*b is exact or nan; with finite ones it must not be let overflow against c.
    result = np.where(factors_finite, c, a * b + c)
    finite = np.flatnonzero(factors_finite & np.isfinite(c))
    triples = zip(a[finite].tolist(), b[finite].tolist(), c[finite].tolist(), strict=True)
    result[finite] = [_fma_rational(*triple) for triple in triples]
    return result


def _fma_rational(a: float, b: float, c: float) -> float:
    exact = Fraction(a) * Fraction(b) + Fraction(c)
    if exact == 0:
        # Without a rounding error in a*b, which may have underflowed, the plain sum has the right sign.
        return a * b + c if a == 0 or b == 0 else 0.0
    try:
        rounded = float(exact)  # the division of two Python integers is correctly rounded
    except OverflowError:
        return float("inf") if exact > 0 else -float("inf")
    return rounded if rounded != 0 else (0.0 if exact > 0 else -0.0)


def _bounded(x: Array) -> bool:
    return x.size == 0 or bool(np.abs(x).max() < _LARGEST_OPERAND)


def _split(x: Array) -> tuple[Array, Array]:
    """Split float64 values into two halves of at most 26 bits each (Veltkamp)."""
    scaled = _VELTKAMP * x
    high = scaled - (scaled - x)
    return high, x - high


def _product_error(a: Array, b: Array, product: Array) -> Array:
    """Return ``a * b - product`` exactly, where `product` is the rounded product (Dekker)."""
    a_high, a_low = _split(a)
    b_high, b_low = _split(b)
    error: Array = ((a_high * b_high - product) + a_high * b_low + a_low * b_high) + a_low * b_low
    return error


def _two_sum(a: Array, b: Array) -> tuple[Array, Array]:
    """Return the rounded sum and its exact error (Knuth)."""
    total = a + b
    virtual = total - a
    return total, (a - (total - virtual)) + (b - virtual)


def _add_odd(a: Array, b: Array) -> Array:
    """Return a + b in float64, rounded to odd: an inexact sum goes to its neighbour with an odd last bit."""
    total, error = _two_sum(a, b)
    inexact = (error > 0) | (error < 0)  # false for the nan that an infinite sum leaves here
    return to_odd(total, inexact, (error < 0) != (total < 0))
