"""Products of float16 operands in float16 arithmetic, for `reproducible=False`."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ..errors import DTypeError, ShapeError
from ..fma import fma_unchecked
from ..rounding import rounded
from .operands import Array
from .products import matmul

_PAIRS = 64  # steps of a float16 chain: csrc/core/gemm_args.h


def matmul_halves(A: npt.ArrayLike, B: npt.ArrayLike, *, dtype: npt.DTypeLike = np.float16) -> Array:
    """Return ``A @ B`` in the order of `gemm_halves`, which only `reproducible=False` admits.

    The inner index is cut into stretches of 128. Of each stretch, the even places are one chain
    ``acc = fma(A[i, k], B[k, j], acc)`` over ascending ``k`` in float16, starting from +0, and the odd places
    another; the two sums are added in float16. The sums of all stretches are added up in float32, in
    ascending order from +0, and rounded once to the output dtype. If any float16 sum of the product is not
    finite, all of it is computed by `matmul` instead.

    Parameters
    ----------
    A, B : array_like of float16, shapes (m, k) and (k, n)
        The operands.
    dtype : dtype_like, optional
        Dtype of the result; it changes the last rounding only.

    Returns
    -------
    numpy.ndarray, shape (m, n)
        The product.

    Raises
    ------
    ShapeError
        If an operand has not two axes, or the inner dimensions differ.
    DTypeError
        If an operand is not float16, or the result has a dtype that does not fit.

    Notes
    -----
    Each element is off by at most ``(68 * 2**-11 + k * 2**-30)`` times the sum of the magnitudes of its
    products, and ``k * 2**-24`` for what float16 cannot hold near zero, before it is rounded to the output
    dtype.

    Examples
    --------
    >>> A, B = np.full((1, 3000), 1 + 2**-10, np.float16), np.ones((3000, 1), np.float16)
    >>> matmul_halves(A, B, dtype=np.float32).tolist()
    [[3002.90625]]
    >>> matmul(A, B, dtype=np.float32).tolist()
    [[3002.9296875]]
    """
    A, B = np.asarray(A), np.asarray(B)
    if A.ndim != 2 or B.ndim != 2:
        raise ShapeError(f"matmul_halves: operands have {A.ndim} and {B.ndim} dimensions, expected 2 and 2")
    if A.shape[1] != B.shape[0]:
        raise ShapeError(f"matmul_halves: A has {A.shape[1]} columns but B has {B.shape[0]} rows")
    if A.dtype != np.float16 or B.dtype != np.float16:
        raise DTypeError(f"matmul_halves: operands are {A.dtype} and {B.dtype}, expected float16 and float16")
    total = np.zeros((A.shape[0], B.shape[1]), np.float32)
    with np.errstate(all="ignore"):
        for begin in range(0, A.shape[1], 2 * _PAIRS):
            left, right = A[:, begin : begin + 2 * _PAIRS], B[begin : begin + 2 * _PAIRS]
            even, odd = (_chain(left[:, first::2], right[first::2]) for first in (0, 1))
            total += (even + odd).astype(np.float32)
        if not np.isfinite(total).all():
            return matmul(A, B, dtype=dtype)
        return rounded(total, dtype)


def _chain(A: Array, B: Array) -> Array:
    total: Array = np.zeros((A.shape[0], B.shape[1]), np.float16)
    for k in range(A.shape[1]):
        total = fma_unchecked(A[:, k, None], B[None, k, :], total)
    return total
