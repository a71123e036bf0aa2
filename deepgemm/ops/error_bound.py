"""`error_bound`: how far a product may be from the exact one, as its stated order of rounding implies."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ..dtypes import is_float, is_inexact, precision
from ..sparse.base import SparseArray
from ..sparse.core import Factor
from ..sparse.quantized import Quantized
from ..sparse.quantized_entries import of_entries
from ..sparse.quantized_sparse import QuantizedSparse
from . import _request as request
from .matmul import matmul

__all__ = ["error_bound"]

Array = npt.NDArray[Any]

_FLOAT32 = np.dtype(np.float32)
_FLOAT64 = np.dtype(np.float64)
_LANES = 16  # of the product of two vectors


class Roundings(NamedTuple):
    """What rounds on the way to one element.

    Attributes
    ----------
    steps : float or numpy.ndarray
        Roundings of the chain, in the accumulator dtype; an array where rows or columns differ.
    relative : float
        Unit roundoffs of all other roundings of operands and sums, added up.
    underflow : float
        What these may lose beyond that to numbers below the normal ones.
    """

    steps: Any
    relative: float = 0.0
    underflow: float = 0.0


def error_bound(A: Any, B: Any, *, dtype: npt.DTypeLike | None = None) -> Any:
    """Return how far each element of ``matmul(A, B)`` may be from the exact product of the operands.

    Parameters
    ----------
    A, B : sparse array, Quantized, QuantizedSparse or array_like
        As for `matmul`. The exact product is that of the numbers that they hold: of ``(q - zero_point) *
        scale`` in real numbers for a quantised one.
    dtype : dtype_like, optional
        Dtype of the product, as for `matmul`.

    Returns
    -------
    numpy.ndarray of float64 or CSR
        Of the shape of the product; a CSR with its entries for two sparse operands. Infinite where the
        product may overflow, or an operand has an infinity or nan. For complex products the distance is
        bounded.

    Raises
    ------
    ShapeError, DTypeError, UnsupportedError, StaleDataError
        As for `matmul`.

    Notes
    -----
    Takes the time of one product in float64, two where the result is rounded to a narrower dtype. A chain of
    n fused multiply-adds with unit roundoff u errs by ``n u / (1 - n u)`` times ``abs(A) @ abs(B)`` at most,
    and by half the smallest number for each step that underflows [1]_. n is the inner length, the number of
    entries of the row or column of a sparse operand, of the groups for two operands of whole numbers, and a
    sixteenth of the length for two vectors. Added are the roundings of dequantised operands, of scales, and
    of the output. Products of integers have bound 0, as long as they do not wrap. The bound holds for any
    order of summation, so also for `reproducible=False` with the same accumulator; the kernels `gemm_halves`
    and `gemm_pairs`, whose instructions round more often, state bounds of their own.

    References
    ----------
    .. [1] N. J. Higham, "Accuracy and Stability of Numerical Algorithms", 2nd ed., SIAM (2002), section 3.1.

    Examples
    --------
    >>> import numpy as np
    >>> import deepgemm as dg
    >>> A = np.array([[1.0, 1e-8]], np.float32)
    >>> x = np.ones(2, np.float32)
    >>> error = abs(dg.matmul(A, x) - (1 + 1e-8))
    >>> bool((error <= dg.error_bound(A, x)).all()), float(dg.error_bound(A, x)[0]) < 1.3e-7
    (True, True)
    """
    left = request.operand("error_bound", "A", A)
    right = request.operand("error_bound", "B" if isinstance(B, Factor) else "X", B)
    request.check_shapes("error_bound", left, right)
    request.refuse_pairs("error_bound", left, right)
    wanted = request.options("error_bound", dtype, None, None, True, request.current_settings())
    chain, output = request.output_dtype(
        "error_bound",
        request.arithmetic_dtype(left),
        request.arithmetic_dtype(right),
        right.shape[0],
        request.named_output(left, right, wanted.dtype),
    )
    left, right = _canonical(left), _canonical(right)
    magnitudes = _product(_numbers(left, True), _numbers(right, True))
    if not is_inexact(chain):
        return _of_integers(magnitudes, output)
    roundings = _roundings(left, right, chain, _entries(magnitudes))
    with np.errstate(all="ignore"):
        bound = _chain_bound(_values(magnitudes), left, right, chain, roundings)
        if precision(output)[0] > precision(chain)[0]:
            exact = np.abs(_values(_product(_numbers(left, False), _numbers(right, False))))
            bound = bound + _rounding_bound(exact + _slack(left) * _values(magnitudes) + bound, output)
    return _like(magnitudes, np.where(np.isnan(bound), np.inf, bound))


def _canonical(operand: Any) -> Any:
    if isinstance(operand, Factor):
        operand._check_fresh()
    return operand.canonical() if isinstance(operand, SparseArray) else operand


def _numbers(operand: Any, magnitudes: bool) -> Any:
    """Return the numbers that an operand stands for, or their magnitudes, in float64 or complex128."""
    if isinstance(operand, QuantizedSparse):
        entries = _exact_entries(operand)
        return operand._with_values(np.abs(entries) if magnitudes else entries)
    if isinstance(operand, Quantized):
        values: Any = _exact(operand)
        return np.abs(values) if magnitudes else values
    values = operand.data if isinstance(operand, SparseArray) else operand
    wide = values.astype(np.complex128 if values.dtype.kind == "c" else np.float64)
    wide = np.abs(wide) if magnitudes else wide
    return operand.with_data(wide) if isinstance(operand, SparseArray) else wide


def _exact(x: Quantized) -> Array:
    """Return ``(q - zero_point) * scale`` in float64, which holds it; infinite where float32 overflows."""
    rows, columns = (slice(0, extent) for extent in x.shape)
    numbers = x._whole_tile(rows, columns, np.float64)
    numbers *= x._of_tile(x.scales, rows, columns)
    if x.offsets is not None:
        numbers += x._of_tile(x.offsets, rows, columns)
    return _within_float32(numbers)


def _exact_entries(x: QuantizedSparse) -> Array:
    """Return the same of the entries of a sparse matrix."""
    codes = x.values.astype(np.float64) - x.zero_point
    return _within_float32(codes * of_entries(x.scales.astype(np.float64), x))


def _within_float32(numbers: Array) -> Array:
    largest = precision(_FLOAT32)[2]
    return np.where(np.abs(numbers) > largest, np.copysign(np.inf, numbers), numbers)


def _product(left: Any, right: Any) -> Any:
    with np.errstate(all="ignore"):
        return matmul(left, right)


def _values(product: Any) -> Array:
    values: Array = product.data if isinstance(product, SparseArray) else np.asarray(product)
    return values


def _like(product: Any, values: Array) -> Any:
    return product.with_data(values) if isinstance(product, SparseArray) else values[()]


def _entries(product: Any) -> Array | None:
    """Return the row of each entry of a sparse product."""
    if not isinstance(product, SparseArray):
        return None
    return np.repeat(np.arange(product.shape[0]), np.diff(product.tocsr().indptr))


def _roundings(left: Any, right: Any, chain: np.dtype[Any], rows: Array | None) -> Roundings:
    inner, operands = right.shape[0], (left, right)
    if _whole(left) and _whole(right):
        return _of_whole_numbers(left, right)
    steps: Any = inner
    left, right = (_pattern(x) if isinstance(x, QuantizedSparse) else x for x in (left, right))
    if isinstance(left, SparseArray):
        steps = np.diff(left.tocsr().indptr)
        if rows is not None:
            steps = steps[rows]
        elif right.ndim == 2:
            steps = steps[:, None]
    elif isinstance(right, SparseArray):
        steps = np.diff(right.tocsc().indptr)
    elif left.ndim == right.ndim == 1:
        steps = -(-inner // _LANES) + 4
    parts = 2 if chain.kind == "c" else 1
    relative = underflow = 0.0
    for x in operands:
        if isinstance(x, Quantized | QuantizedSparse):
            unit, smallest, _ = precision(_FLOAT32)
            relative += unit
            # Whole numbers times a scale are multiples of the smallest number, float8 ones need not be.
            underflow += smallest / 2 if is_float(x.dtype) else 0.0
        elif x.dtype.kind in "iu" and x.dtype.itemsize == 8:
            relative += precision(_FLOAT64)[0]
    return Roundings(parts * steps, relative, underflow)


def _pattern(x: QuantizedSparse) -> SparseArray:
    pattern: SparseArray = x._with_values(x.values)
    return pattern


def _whole(x: Any) -> bool:
    return isinstance(x, Quantized) and x.whole


def _of_whole_numbers(left: Quantized, right: Quantized) -> Roundings:
    """Return the roundings of sums, of products of scales, and of one step for each group."""
    unit, smallest, _ = precision(_FLOAT32)
    inner = left.shape[1]
    groups = len({*range(0, inner, left.block[1]), *range(0, inner, right.block[0])})
    # A product of scales that underflows errs by half the smallest number, times a sum of at most K 255².
    return Roundings(groups, 2 * unit, smallest / 2 * 255.0**2)


def _chain_bound(
    magnitudes: Array, left: Any, right: Any, chain: np.dtype[Any], roundings: Roundings
) -> Array:
    unit, smallest, largest = precision(chain)
    inner = right.shape[0]
    share = roundings.steps * unit + roundings.relative
    share = np.where(share < 1, share / (1 - share), np.inf)
    magnitudes = magnitudes * (1 + _slack(left)) + inner * precision(_FLOAT64)[1]
    lost = (roundings.steps * smallest / 2 + _underflow(left, right, roundings.underflow)) * (1 + share)
    bound = share * magnitudes + lost
    if chain.kind == "c":
        bound = np.sqrt(2.0) * bound  # of each part
    overflow = magnitudes + bound > largest
    if _whole(left) and _whole(right):
        overflow |= _largest_scale(left) * _largest_scale(right) > largest
    return np.where(overflow, np.inf, bound)


def _underflow(left: Any, right: Any, each: float) -> float:
    """Return what the underflow of operands, or of scales, may add to one element."""
    if not each:
        return 0.0
    if _whole(left) and _whole(right):
        return each * float(left.shape[1])
    # The other operand is as large as it gets; where that is infinite, so is the bound.
    largest = max(_largest(x) for x in (left, right))
    return each * float(right.shape[0]) * largest


def _largest(x: Any) -> float:
    values = np.abs(_values(_numbers(x, True)))
    return float(values.max(initial=0.0))


def _largest_scale(x: Quantized) -> float:
    return float(np.abs(x.scales.astype(np.float64)).max(initial=0.0))


def _rounding_bound(magnitudes: Array, output: np.dtype[Any]) -> Array:
    """Return what rounding results of up to these magnitudes to the output dtype adds."""
    unit, smallest, largest = precision(output)
    parts = np.sqrt(2.0) if output.kind == "c" else 1.0
    return np.where(magnitudes > largest, np.inf, parts * (unit * magnitudes + smallest / 2))


def _of_integers(magnitudes: Any, output: np.dtype[Any]) -> Any:
    values = _values(magnitudes).astype(np.float64)
    if not is_inexact(output):
        return _like(magnitudes, np.zeros(values.shape))
    return _like(magnitudes, _rounding_bound(values, output))


def _slack(operand: Any) -> float:
    """Return how far a product in float64 may be off as a share of its magnitudes, generously."""
    return 4.0 * float(operand.shape[-1] + 8) * precision(_FLOAT64)[0]
