"""`quantize`, `dequantize` and `fake_quantize`: from floating-point matrices to low precision, and back."""

from __future__ import annotations

from typing import Any, overload

import numpy as np
import numpy.typing as npt
import scipy.sparse

from ..dtypes import code_bits, code_limits, is_float
from ..errors import DTypeError, ShapeError, UnsupportedError
from ..rounding import rounded
from ..sparse.base import SparseArray
from ..sparse.core import Factor
from ..sparse.packing import pack, rows_of_codes
from ..sparse.quantized import Quantized
from ..sparse.quantized_blocks import panels, spread
from ..sparse.quantized_sparse import QuantizedSparse
from . import _request as request
from ._grid import Limits, codes_of, grid_of
from ._quantize_sparse import quantize_entries

__all__ = ["dequantize", "fake_quantize", "quantize"]

Array = npt.NDArray[Any]


@overload  # a sparse array has `__array__` only to refuse it
def quantize(  # type: ignore[overload-overlap]
    x: SparseArray,
    dtype: npt.DTypeLike,
    *,
    axis: int | None = ...,
    group_size: int | None = ...,
    symmetric: bool = ...,
    scale_dtype: npt.DTypeLike = ...,
    limits: Limits | None = ...,
    nonfinite: str = ...,
) -> QuantizedSparse: ...
@overload
def quantize(
    x: npt.ArrayLike,
    dtype: npt.DTypeLike,
    *,
    axis: int | None = ...,
    group_size: int | None = ...,
    symmetric: bool = ...,
    scale_dtype: npt.DTypeLike = ...,
    limits: Limits | None = ...,
    nonfinite: str = ...,
) -> Quantized: ...
def quantize(
    x: Any,
    dtype: npt.DTypeLike,
    *,
    axis: int | None = None,
    group_size: int | None = None,
    symmetric: bool = True,
    scale_dtype: npt.DTypeLike = np.float32,
    limits: Limits | None = None,
    nonfinite: str = "raise",
) -> Quantized | QuantizedSparse:
    """Quantise a matrix: low-precision values that stand for ``w = float32(q - zero_point) * scale``.

    Parameters
    ----------
    x : array_like or sparse array, shape (m, n)
        Real numbers. It is not changed. Of a sparse array, also SciPy's, only the entries are quantised: CSR,
        CSC and BSR stay what they are, COO becomes CSR.
    dtype : dtype_like
        int8, uint8, int4, uint4, int2, uint2, float8_e4m3fn or float8_e5m2; not int2 and uint2 for a sparse
        array.
    axis : int, optional
        The axis along which scales differ, as in PyTorch and ONNX: 0 for a scale for each row, 1 for each
        column. By default one scale for all.
    group_size : int, optional
        Cut each row (axis=0) or column (axis=1) into groups of so many elements with a scale each. The last
        group may be shorter. Not for a sparse array.
    symmetric : bool
        Values are symmetric around zero. False has zero points, so that the range of each block is used
        in full; not for float8, nor for a sparse array, whose zeros are not stored.
    scale_dtype : dtype_like
        float32, float16 or bfloat16.
    limits : tuple of array_like, optional
        The least and the greatest number to represent, of shapes that broadcast to that of the scales, such
        as the `limits` of an observer. Numbers beyond saturate. By default those that occur in each block.
    nonfinite : str
        "raise", or "saturate": infinities become the ends of the range, nan becomes zero, and neither counts
        for the limits.

    Returns
    -------
    Quantized, shape (m, n)
        Of a sparse array a `QuantizedSparse` with the same entries.

    Raises
    ------
    ShapeError, DTypeError
        If `x` is no real matrix, or a dtype is not one of those above.
    ValueError
        If `x` has an infinity or nan, or an option is not one of its choices.
    OverflowError
        If a scale would be too large for `scale_dtype`.
    UnsupportedError
        If float8 is to have zero points, or a sparse array what it cannot have.

    Notes
    -----
    O(m n), or O(nnz), in NumPy, panel by panel; `deepgemm.reference.quantize` states each rounding. The
    scale is the smallest number of `scale_dtype` at which the range fits (1 for a block of zeros), values are
    ``rint(x / scale) + zero_point`` with ties to even. So each element is off by half a scale at most; with
    zero points, which are rounded themselves, by one scale at the ends. For the choice of schemes see [1]_.

    References
    ----------
    .. [1] R. Krishnamoorthi, "Quantizing deep convolutional networks for efficient inference: a whitepaper",
       arXiv:1806.08342 (2018).

    Examples
    --------
    >>> import numpy as np
    >>> import deepgemm as dg
    >>> W = np.array([[1.0, -127.0], [0.0, 3.0]], np.float32)
    >>> Wq = dg.quantize(W, "int8", axis=0)
    >>> Wq
    Quantized(shape=(2, 2), dtype=int8, a float32 scale for each row, memory=12 B)
    >>> Wq.values
    array([[   1, -127],
           [   0,  127]], dtype=int8)
    >>> dg.quantize(W, "int4", axis=0, group_size=32, symmetric=False).zero_points
    array([[ 7],
           [-8]], dtype=int8)
    >>> dg.quantize(dg.CSR(W), "int8", axis=0)
    QuantizedSparse(csr, shape=(2, 2), dtype=int8, nnz=3, a float32 scale for each row, memory=35 B)
    """
    if isinstance(x, SparseArray) or scipy.sparse.issparse(x):
        return quantize_entries(
            request.sparse_operand("quantize", "x", x),
            dtype,
            axis,
            group_size,
            symmetric,
            scale_dtype,
            limits,
            nonfinite,
        )
    array = matrix("quantize", x)
    target = grid_of("quantize", array, dtype, axis, group_size, symmetric, scale_dtype, limits, nonfinite)
    bits = code_bits(target.dtype)
    byte = np.int8 if code_limits(target.dtype)[0] < 0 else np.uint8
    storage: Any = target.dtype if bits == 8 else np.uint8
    values = rows_of_codes(array.shape, bits, storage)
    for rows in panels(array.shape):
        codes = codes_of(array, rows, target)[0]
        if is_float(target.dtype):
            values[rows] = codes
            continue
        if target.zero_points is not None:
            codes += spread(target.zero_points, target.block, rows, slice(0, array.shape[1]))
        whole = codes.astype(byte)
        values[rows] = whole if bits == 8 else pack(whole, bits)
    zeros = None if target.zero_points is None else target.zero_points.astype(byte)
    return Quantized._made(array.shape, target.dtype, target.block, values, target.scales, zeros)


def dequantize(x: Quantized | QuantizedSparse, dtype: npt.DTypeLike = np.float32) -> Any:
    """Return the matrix that a quantised one stands for; the same as `x.dequantize(dtype)`.

    Parameters
    ----------
    x : Quantized or QuantizedSparse
        As `quantize` makes it.
    dtype : dtype_like
        Dtype of the result, a floating one.

    Raises
    ------
    DTypeError
        If `x` is not quantised, or `dtype` is not floating.

    Examples
    --------
    >>> import deepgemm as dg
    >>> dg.dequantize(dg.quantize([[1.0, 127.0]], "int8"))
    array([[  1., 127.]], dtype=float32)
    """
    if not isinstance(x, Quantized | QuantizedSparse):
        raise DTypeError(f"dequantize: x is a {type(x).__name__}, expected a Quantized or QuantizedSparse")
    return x.dequantize(dtype)


def fake_quantize(
    x: npt.ArrayLike,
    dtype: npt.DTypeLike,
    *,
    axis: int | None = None,
    group_size: int | None = None,
    symmetric: bool = True,
    scale_dtype: npt.DTypeLike = np.float32,
    limits: Limits | None = None,
    nonfinite: str = "raise",
) -> tuple[Array, npt.NDArray[np.bool_]]:
    """Return what quantising and dequantising makes of a matrix, and where gradients pass straight through.

    Parameters
    ----------
    x : array_like, shape (m, n)
        Real numbers.
    dtype, axis, group_size, symmetric, scale_dtype, limits, nonfinite
        As for `quantize`.

    Returns
    -------
    values : numpy.ndarray
        ``quantize(x, ...).dequantize()`` in the dtype of `x` (float32 for whole numbers).
    mask : numpy.ndarray of bool
        False where an element saturated: there the gradient is zero, elsewhere one (the straight-through
        estimator [1]_).

    Raises
    ------
    ShapeError, DTypeError, ValueError, OverflowError, UnsupportedError
        As for `quantize`.

    References
    ----------
    .. [1] Y. Bengio, N. Léonard, A. Courville, "Estimating or propagating gradients through stochastic
       neurons for conditional computation", arXiv:1308.3432 (2013).

    Examples
    --------
    >>> import numpy as np
    >>> import deepgemm as dg
    >>> x = np.array([[0.2, 1.4, 9.0]], np.float32)
    >>> dg.fake_quantize(x, "int8", limits=(-2.0, 2.0))[1]
    array([[ True,  True, False]])
    """
    array = matrix("fake_quantize", x)
    target = grid_of(
        "fake_quantize", array, dtype, axis, group_size, symmetric, scale_dtype, limits, nonfinite
    )
    output = array.dtype if is_float(array.dtype) else np.dtype(np.float32)
    values, mask = np.empty(array.shape, output), np.empty(array.shape, np.bool_)
    for rows in panels(array.shape):
        codes, mask[rows] = codes_of(array, rows, target)
        scale = spread(target.scales, target.block, rows, slice(0, array.shape[1])).astype(np.float32)
        with np.errstate(over="ignore"):
            values[rows] = rounded(codes.astype(np.float32) * scale, output)
    return values, mask


def matrix(op: str, x: npt.ArrayLike, name: str = "x") -> Array:
    """Return an argument as a dense matrix of real numbers."""
    if isinstance(x, Factor):
        raise UnsupportedError(f"{op}: {name} is a {type(x).__name__}, expected a dense matrix")
    if np.ndim(x) == 0:
        raise ShapeError(f"{op}: {name} has 0 dimensions, expected 2")
    array: Array = request.operand(op, name, x, stacks=True)
    if array.ndim == 1:
        raise ShapeError(f"{op}: {name} has 1 dimension, expected 2; {name}[None, :] is a matrix of one row")
    if array.ndim != 2:
        raise ShapeError(f"{op}: {name} has {array.ndim} dimensions, expected 2")
    if array.dtype.kind in "cb":
        raise DTypeError(f"{op}: {name} has dtype {array.dtype}, expected real numbers")
    return array
